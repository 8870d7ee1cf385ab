//! Call paths as folded stacks, for flame graph scripts: one line a path, outermost frame first, with a number.
//!
//! Only the last report counts, because each has the sums since observation began.

use std::{collections::BTreeMap, io, io::Write};

use observer_core::report::{Report, Row, Table, Value};

use super::Output;

/// Writes the last report at the end.
pub struct Folded<W> {
    out: W,
    last: String,
}

impl<W: Write> Folded<W> {
    /// Folded stacks into `out`.
    pub const fn new(out: W) -> Self {
        Self { out, last: String::new() }
    }
}

impl<W: Write> Output for Folded<W> {
    fn write(&mut self, report: &Report) -> io::Result<()> {
        self.last = report.tables.first().map(folded).unwrap_or_default();
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.write_all(self.last.as_bytes())?;
        self.out.flush()
    }
}

/// One line a path: `command;outermost;…;innermost bytes-a-second`.
fn folded(table: &Table) -> String {
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for row in &table.rows {
        let text = |name| match cell(table, row, name) {
            Some(Value::Text(text)) => Some(name_of(text)),
            _ => None,
        };
        let Some(Value::List(path)) = cell(table, row, "path") else { continue };
        let mut frames = vec![text("comm").unwrap_or_else(|| "[unknown]".to_owned())];
        frames.extend(path.iter().rev().map(frame));
        let rate = cell(table, row, "allocates").and_then(Value::number).unwrap_or(0.0);
        *lines.entry(frames.join(";")).or_default() += rate as u64;
    }
    lines.iter().map(|(path, rate)| format!("{path} {rate}\n")).collect()
}

fn cell<'a>(table: &Table, row: &'a Row, name: &str) -> Option<&'a Value> {
    table.position(name).map(|place| row.cell(place))
}

/// The function of a frame, or its place in a file. A frame that ends in a number after a space is taken for one of two
/// numbers by inferno, so the place has no space.
fn frame(frame: &Value) -> String {
    let Value::Object(members) = frame else { return "[unknown]".to_owned() };
    let member = |name| members.iter().find(|(member, _)| *member == name).map(|(_, value)| value);
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    match (member("function"), member("module"), member("offset")) {
        (Some(Value::Text(function)), ..) => name_of(function),
        (_, Some(Value::Text(module)), Some(Value::Unsigned(offset))) => {
            name_of(&format!("{}+{offset:#x}", base(module)))
        }
        _ => "[unknown]".to_owned(),
    }
}

/// A name without what separates frames and numbers.
fn name_of(name: &str) -> String {
    name.replace(';', ":").replace(char::is_whitespace, "_")
}

#[cfg(test)]
mod tests {
    use observer_core::report::{Column, Unit};

    use super::*;

    #[test]
    fn a_path_is_one_line_from_the_outermost_frame_to_the_innermost() {
        let frame = |function: Option<&str>| {
            Value::Object(vec![
                ("function", Value::text(function)),
                ("module", Value::text(Some("/usr/bin/a b"))),
                ("offset", Value::Unsigned(16)),
            ])
        };
        let columns = vec![
            Column::label("comm"),
            Column::gauge("allocates", Unit::BytesPerSecond),
            Column::text("path"),
        ];
        let row = |rate, path| Row {
            cells: vec![Value::Text("pro;gram".to_owned()), Value::Real(rate), Value::List(path)],
            ..Row::default()
        };
        let path = || vec![frame(None), frame(Some("operator new(unsigned long)")), frame(Some("main"))];
        let table = Table::of_processes("rows", columns, vec![row(10.7, path()), row(5.0, path())]);
        assert_eq!(folded(&table), "pro:gram;main;operator_new(unsigned_long);a_b+0x10 15\n");
    }
}
