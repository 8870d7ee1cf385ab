//! One JSON object a line and a report, as the contract spells it; a value that is not known is `null`.

use std::io::{self, Write};

use super::{Output, clock};
use observer_core::report::{Report, Row, Table, Value};

/// The name of the format: a field may be added under it, none renamed or re-used.
const SCHEMA: &str = "observer.v1";

/// Writes JSON lines.
pub struct Json<W> {
    out: W,
}

impl<W: Write> Json<W> {
    /// Reports as JSON lines into `out`.
    pub const fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Output for Json<W> {
    fn write(&mut self, report: &Report) -> io::Result<()> {
        let mut line = text_of(report);
        line.push('\n');
        self.out.write_all(line.as_bytes())?;
        self.out.flush()
    }
}

/// The report as one object, without a line break.
pub(super) fn text_of(report: &Report) -> String {
    let mut text = String::with_capacity(4096);
    let mut object = Object::open(&mut text);
    string(SCHEMA, object.key("schema"));
    string(report.view, object.key("view"));
    string(&report.host, object.key("host"));
    string(&clock::rfc3339(report.now.wall), object.key("time"));
    seconds(report.elapsed, object.key("elapsed"));
    seconds(report.observed, object.key("observed"));

    let loss = report.loss;
    let mut counters = Object::open(object.key("loss"));
    for (name, count) in [
        ("ring", loss.ring),
        ("map_full", loss.map_full),
        ("names", loss.names),
        ("unattributed", loss.unattributed),
        ("skipped", loss.skipped),
    ] {
        value(&Value::Unsigned(count), counters.key(name));
    }
    counters.close();

    let mut totals = Object::open(object.key("totals"));
    for (name, total) in &report.totals {
        value(total, totals.key(name));
    }
    totals.close();

    for table in &report.tables {
        list(&table.rows, object.key(table.key), |item, text| row(table, item, text));
    }
    list(&report.notes, object.key("notes"), |note, text| {
        let mut object = Object::open(text);
        string(note.code.as_str(), object.key("code"));
        string(&note.text, object.key("text"));
        object.close();
    });
    object.close();
    text
}

fn row(table: &Table, row: &Row, text: &mut String) {
    let mut object = Object::open(text);
    for (at, column) in table.columns.iter().enumerate().filter(|(_, column)| column.json) {
        value(row.cell(at), object.key(column.name));
    }
    if row.ended {
        value(&Value::Flag(true), object.key("ended"));
    }
    object.close();
}

fn value(cell: &Value, text: &mut String) {
    match cell {
        Value::Missing => text.push_str("null"),
        Value::Text(content) => string(content, text),
        Value::Unsigned(number) => text.push_str(&number.to_string()),
        Value::Signed(number) => text.push_str(&number.to_string()),
        Value::Real(number) | Value::Interval { value: number, .. } => real(*number, text),
        Value::Flag(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Value::Series(values) => list(values, text, |number, text| real(*number, text)),
        Value::Object(fields) => {
            let mut object = Object::open(text);
            for (name, field) in fields {
                value(field, object.key(name));
            }
            object.close();
        }
        Value::List(items) => list(items, text, value),
    }
}

/// The shortest digits that mean this number and no other; what is no number is not known.
fn real(number: f64, text: &mut String) {
    if number.is_finite() {
        text.push_str(&number.to_string());
    } else {
        text.push_str("null");
    }
}

/// Seconds to the millisecond, always with three decimals.
fn seconds(number: f64, text: &mut String) {
    if number.is_finite() {
        text.push_str(&format!("{number:.3}"));
    } else {
        text.push_str("null");
    }
}

fn string(content: &str, text: &mut String) {
    // Through Value: its Display escapes, and cannot fail as serialising into a writer could.
    text.push_str(&serde_json::Value::from(content).to_string());
}

fn list<T>(items: &[T], text: &mut String, mut write: impl FnMut(&T, &mut String)) {
    text.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        write(item, text);
    }
    text.push(']');
}

/// An object being written: puts the braces, commas and keys.
struct Object<'a> {
    text: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    fn open(text: &'a mut String) -> Self {
        text.push('{');
        Self { text, empty: true }
    }

    /// Writes the key; what follows is its value.
    fn key(&mut self, key: &str) -> &mut String {
        if !self.empty {
            self.text.push(',');
        }
        self.empty = false;
        string(key, self.text);
        self.text.push(':');
        self.text
    }

    fn close(self) {
        self.text.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use observer_core::{
        note::NoteCode,
        report::{Column, Hidden, Kind, LossTotals, Note},
    };

    #[test]
    fn a_report_is_one_line_to_the_letter_of_the_contract() {
        let mut report = Report {
            view: "deleted-open",
            host: "h\\x1b\"".to_owned(),
            now: Default::default(),
            elapsed: 1.0,
            observed: 12.0004,
            loss: LossTotals { ring: 1, map_full: 2, names: 3, unattributed: 4, skipped: 5 },
            headline: vec!["for people".to_owned()],
            totals: vec![("total", Value::Unsigned(u64::MAX)), ("slab", Value::Missing)],
            tables: vec![Table {
                key: "rows",
                columns: vec![
                    Column::new("size", Kind::Bytes, "SIZE", 0),
                    Column::human("trend", Kind::Series, "TREND", 0),
                    Column::json("rate", Kind::ByteRate),
                    Column::json("holders", Kind::Text),
                ],
                rows: vec![Row {
                    cells: vec![
                        Value::Missing,
                        Value::Series(vec![1.0]),
                        Value::Real(-0.5),
                        Value::List(vec![Value::Object(vec![
                            ("pid", Value::Signed(-7)),
                            ("append", Value::Flag(true)),
                        ])]),
                    ],
                    ended: true,
                    ..Row::default()
                }],
                hidden: Hidden::default(),
            }],
            notes: vec![Note { code: NoteCode::remark("c"), text: "é".to_owned() }],
        };
        report.now.wall = 1_795_168_800_123_456_789;
        assert_eq!(
            text_of(&report),
            concat!(
                r#"{"schema":"observer.v1","view":"deleted-open","host":"h\\x1b\"","#,
                r#""time":"2026-11-20T10:00:00.123Z","elapsed":1.000,"observed":12.000,"#,
                r#""loss":{"ring":1,"map_full":2,"names":3,"unattributed":4,"skipped":5},"#,
                r#""totals":{"total":18446744073709551615,"slab":null},"#,
                r#""rows":[{"size":null,"rate":-0.5,"holders":[{"pid":-7,"append":true}],"ended":true}],"#,
                r#""notes":[{"code":"c","text":"é"}]}"#
            )
        );
    }

    #[test]
    fn every_sample_is_valid_json_of_one_line() {
        for report in samples::all() {
            let text = text_of(&report);
            assert!(!text.contains('\n'));
            let parsed: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
            assert_eq!(parsed["schema"], SCHEMA);
            for table in &report.tables {
                assert_eq!(parsed[table.key].as_array().map(Vec::len), Some(table.rows.len()));
            }
        }
    }

    #[test]
    fn what_is_no_number_is_null() {
        for number in [f64::NAN, f64::INFINITY] {
            let mut text = String::new();
            real(number, &mut text);
            seconds(number, &mut text);
            assert_eq!(text, "nullnull");
        }
    }
}
