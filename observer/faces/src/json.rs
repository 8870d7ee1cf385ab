//! One JSON object a line and a report, as the contract spells it; a value that is not known is `null`.

use std::io::{self, Write};

use serde::{
    Serialize,
    ser::{Error as _, SerializeMap as _, Serializer},
};
use serde_json::{ser::Formatter, value::RawValue};

use super::{Output, clock};
use observer_core::report::{LossTotals, Note, Report, Row, Table, Total, Value};

/// The name of the format: fields may be added to it, but none is renamed or reused.
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
        let mut line = line(report)?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }
}

/// The report as one object, without a line break.
pub(super) fn line(report: &Report) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(4096);
    Part(report).serialize(&mut serde_json::Serializer::with_formatter(&mut line, Digits))?;
    Ok(line)
}

/// Numbers as the contract has them: the shortest digits that mean this number and no other, without an exponent.
struct Digits;

impl Formatter for Digits {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, number: f64) -> io::Result<()> {
        write!(writer, "{number}")
    }
}

/// A part of a report, as the contract has it.
struct Part<T>(T);

impl Serialize for Part<&Report> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", SCHEMA)?;
        map.serialize_entry("view", report.view)?;
        map.serialize_entry("host", &report.host)?;
        map.serialize_entry("time", &clock::rfc3339(report.now.wall))?;
        map.serialize_entry("elapsed", &seconds(report.elapsed).map_err(S::Error::custom)?)?;
        map.serialize_entry("observed", &seconds(report.observed).map_err(S::Error::custom)?)?;
        map.serialize_entry("loss", &Part(report.loss))?;
        map.serialize_entry("totals", &Part(report.totals.as_slice()))?;
        for table in &report.tables {
            map.serialize_entry(table.key, &Part(table))?;
        }
        map.serialize_entry("notes", &Part(report.notes.as_slice()))?;
        map.end()
    }
}

impl Serialize for Part<LossTotals> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let LossTotals { ring, map_full, names, unattributed, skipped } = self.0;
        serializer.collect_map([
            ("ring", ring),
            ("map_full", map_full),
            ("names", names),
            ("unattributed", unattributed),
            ("skipped", skipped),
        ])
    }
}

impl Serialize for Part<&[Total]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|total| (total.column.name, Part(&total.value))))
    }
}

impl Serialize for Part<&Table> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.rows.iter().map(|row| Part((self.0, row))))
    }
}

impl Serialize for Part<(&Table, &Row)> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (table, row) = self.0;
        let columns = table.columns.iter().enumerate().filter(|(_, column)| column.json);
        let cells = columns.map(|(at, column)| (column.name, row.cell(at)));
        let ended = row.ended.then_some(("ended", &Value::Flag(true)));
        serializer.collect_map(cells.chain(ended).map(|(name, value)| (name, Part(value))))
    }
}

impl Serialize for Part<&[Note]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Part))
    }
}

impl Serialize for Part<&Note> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([("code", self.0.kind.code), ("text", &self.0.text)])
    }
}

impl Serialize for Part<&Value> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Missing => serializer.serialize_none(),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Unsigned(number) => serializer.serialize_u64(*number),
            Value::Signed(number) => serializer.serialize_i64(*number),
            // What is not finite becomes null.
            Value::Real(number) | Value::Interval { value: number, .. } => serializer.serialize_f64(*number),
            Value::Flag(flag) => serializer.serialize_bool(*flag),
            Value::Series(values) => serializer.collect_seq(values),
            Value::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, field)| (name, Part(field))))
            }
            Value::List(items) => serializer.collect_seq(items.iter().map(Part)),
        }
    }
}

/// Seconds to the millisecond, always with three decimals; null if they are not finite.
fn seconds(number: f64) -> serde_json::Result<Option<Box<RawValue>>> {
    number.is_finite().then(|| RawValue::from_string(format!("{number:.3}"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use observer_core::report::{Column, CommonNote, Unit};

    fn text_of(report: &Report) -> String {
        String::from_utf8(line(report).expect("a vector takes everything")).expect("JSON is UTF-8")
    }

    #[test]
    fn a_report_is_one_line_to_the_letter_of_the_contract() {
        let mut report = Report {
            view: "deleted-open",
            host: "h\\x1b\"".to_owned(),
            now: Default::default(),
            elapsed: 1.0,
            observed: 12.0004,
            loss: LossTotals { ring: 1, map_full: 2, names: 3, unattributed: 4, skipped: 5 },
            headline: vec!["for humans".to_owned()],
            totals: vec![
                Total::new(Column::gauge("total", Unit::Bytes), Value::Unsigned(u64::MAX)),
                Total::new(Column::gauge("slab", Unit::Bytes), Value::Missing),
            ],
            tables: vec![Table::of_processes(
                "rows",
                vec![
                    Column::gauge("size", Unit::Bytes).shown("SIZE", 0),
                    Column::trend("trend", Unit::Bytes, "TREND", 0),
                    Column::gauge("rate", Unit::BytesPerSecond),
                    Column::text("holders"),
                ],
                vec![Row {
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
            )],
            notes: vec![Note::new(CommonNote::Blind, "é")],
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
                r#""notes":[{"code":"blind","text":"é"}]}"#
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
    fn a_value_that_is_not_a_number_is_null() {
        for number in [f64::NAN, f64::INFINITY] {
            let report = Report { elapsed: number, ..samples::report("mem", "", Vec::new()) };
            let total = Total::new(Column::gauge("total", Unit::Bytes), Value::Real(number));
            let text = text_of(&Report { totals: vec![total], ..report });
            assert!(text.contains(r#""elapsed":null"#) && text.contains(r#""total":null"#), "{text}");
        }
    }

    #[test]
    fn a_number_has_no_exponent_and_a_whole_one_no_decimals() {
        let series = Value::Series(vec![1.0, 0.1, 1e21, 1e-7, -0.0]);
        let total = Total::new(Column::gauge("series", Unit::Bytes), series);
        let text = text_of(&Report { totals: vec![total], ..samples::report("mem", "", Vec::new()) });
        assert!(text.contains(r#""series":[1,0.1,1000000000000000000000,0.0000001,-0]"#), "{text}");
    }
}
