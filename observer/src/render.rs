//! Interim output.

use std::io::{self, Write as _};

use crate::{
    error::Error,
    report::{Report, Value},
};

/// Where reports go.
pub trait Output {
    /// Writes a report.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&mut self, report: &Report) -> io::Result<()>;

    /// Whether the base line is shown too.
    fn shows_base_line(&self) -> bool {
        false
    }
}

struct Json;

fn value(value: &Value) -> serde_json::Value {
    match value {
        Value::Missing | Value::Interval { .. } | Value::Series(_) => serde_json::Value::Null,
        Value::Text(text) => text.clone().into(),
        Value::Unsigned(number) => (*number).into(),
        Value::Signed(number) => (*number).into(),
        Value::Real(number) => (*number).into(),
        Value::Flag(flag) => (*flag).into(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| ((*name).to_owned(), self::value(field)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::List(list) => list.iter().map(self::value).collect::<Vec<_>>().into(),
    }
}

impl Output for Json {
    fn write(&mut self, report: &Report) -> io::Result<()> {
        let mut object = serde_json::json!({"schema":"observer.v1","view":report.view,"host":report.host,"elapsed":report.elapsed,"observed":report.observed,
            "loss":{"ring":report.loss.ring,"map_full":report.loss.map_full,"names":report.loss.names,"unattributed":report.loss.unattributed}});
        for table in &report.tables {
            let rows = table.rows.iter().map(|row| {
                table
                    .columns
                    .iter()
                    .zip(&row.cells)
                    .filter(|(column, _)| column.json)
                    .map(|(column, cell)| (column.name.to_owned(), value(cell)))
                    .collect::<serde_json::Map<_, _>>()
            });
            object[table.key] = rows.map(serde_json::Value::Object).collect::<Vec<_>>().into();
        }
        object["notes"] = report
            .notes
            .iter()
            .map(|note| serde_json::json!({"code":note.code,"text":note.text}))
            .collect::<Vec<_>>()
            .into();
        writeln!(io::stdout().lock(), "{object}")
    }
}

pub fn json() -> Box<dyn Output> {
    Box::new(Json)
}
pub fn plain() -> Box<dyn Output> {
    Box::new(Json)
}
pub fn screen() -> Box<dyn Output> {
    Box::new(Json)
}
/// # Errors
/// When standard output cannot be written.
pub fn print(text: &str) -> Result<(), Error> {
    io::stdout().lock().write_all(text.as_bytes()).map_err(|error| Error::output(&error))
}
