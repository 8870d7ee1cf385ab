//! Looking things up in a report.

use serde_json::Value;

/// The rows of a report's main table.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn rows(report: &Value) -> &[Value] {
    report["rows"].as_array().unwrap_or_else(|| panic!("no rows in {report:#}"))
}

/// The row about the process `pid`.
#[must_use]
pub fn row_of(report: &Value, pid: u32) -> Option<&Value> {
    rows(report).iter().find(|row| row["pid"] == pid)
}

/// The value of `column`; `None` where it is unknown.
///
/// # Panics
/// When the row has no such column, or something else than a number in it.
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
