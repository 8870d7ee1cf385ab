//! Look-ups in a report.

use serde_json::Value;

/// The rows of a report's main table.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn rows(report: &Value) -> &[Value] {
    report["rows"].as_array().unwrap_or_else(|| panic!("no rows in {report:#}"))
}

/// The row of the process `pid`.
#[must_use]
pub fn row_of(report: &Value, pid: u32) -> Option<&Value> {
    rows(report).iter().find(|row| row["pid"] == pid)
}

/// The value of `column`; `None` if it is unknown.
///
/// # Panics
/// When the row has no such column, or it is not a number.
#[must_use]
pub fn number(row: &Value, column: &str) -> Option<f64> {
    match row.get(column) {
        Some(Value::Null) => None,
        Some(Value::Number(number)) => number.as_f64(),
        other => panic!("`{column}` is {other:?} in {row:#}"),
    }
}

/// The note with this code.
#[must_use]
pub fn note<'a>(report: &'a Value, code: &str) -> Option<&'a Value> {
    report["notes"].as_array().and_then(|notes| notes.iter().find(|note| note["code"] == code))
}

/// Bytes over TCP and UDP that are in the truth of `process` but not in its row; `None` if it has no row, or if the row
/// has more.
#[must_use]
pub fn missing_bytes(report: &Value, process: &Value) -> Option<u64> {
    let row = row_of(report, u32::try_from(process["pid"].as_u64()?).ok()?)?;
    let missing = |(protocol, way): (&str, &str)| {
        let of = |row: &Value| row[protocol][way].as_u64();
        of(process)?.checked_sub(of(row)?)
    };
    [("tcp", "tx"), ("tcp", "rx"), ("udp", "tx"), ("udp", "rx")].into_iter().map(missing).sum()
}
