//! A table as comma-separated values (RFC 4180), with exact numbers and the names of columns that JSON has.

use observer_core::report::{Table, Value};

/// The table with a line of names; numbers as JSON has them, an unknown value as an empty field. Columns that only
/// humans read, and lists and objects, are left out.
#[must_use]
pub fn csv(table: &Table) -> String {
    let is_flat = |at: usize| {
        table.rows.iter().all(|row| {
            !matches!(
                row.cell(at),
                Value::List(_) | Value::Object(_) | Value::Series(_) | Value::Interval { .. }
            )
        })
    };
    let columns: Vec<usize> =
        (0..table.columns.len()).filter(|at| table.columns[*at].json && is_flat(*at)).collect();
    let mut text = String::new();
    line(&mut text, columns.iter().map(|at| table.columns[*at].name.to_owned()));
    for row in &table.rows {
        line(&mut text, columns.iter().map(|at| field(row.cell(*at))));
    }
    text
}

fn line(text: &mut String, fields: impl Iterator<Item = String>) {
    for (place, field) in fields.enumerate() {
        if place > 0 {
            text.push(',');
        }
        text.push_str(&field);
    }
    text.push_str("\r\n");
}

fn field(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text),
        Value::Unsigned(number) => number.to_string(),
        Value::Signed(number) => number.to_string(),
        Value::Real(number) if number.is_finite() => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        _ => String::new(),
    }
}

/// A text that a spreadsheet reads as text: quoted where needed, and never as a formula.
fn quoted(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@']);
    if !formula && !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    let guard = if formula { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use observer_core::report::{Column, Row, Unit};

    #[test]
    fn names_cannot_break_out_of_their_field() {
        let columns = vec![
            Column::label("comm"),
            Column::gauge("rss", Unit::Bytes),
            Column::trend("trend", Unit::Bytes, "TREND", 0),
        ];
        let row = |comm: &str, rss: Option<u64>| Row {
            cells: vec![Value::Text(comm.to_owned()), Value::unsigned(rss), Value::Series(vec![1.0])],
            ..Row::default()
        };
        let rows = vec![row("a,\"b\"", Some(1)), row("=cmd|x", None), row("漢", Some(u64::MAX))];
        let text = csv(&Table::of_processes("rows", columns, rows));
        assert_eq!(text, "comm,rss\r\n\"a,\"\"b\"\"\",1\r\n\"'=cmd|x\",\r\n漢,18446744073709551615\r\n");
    }
}
