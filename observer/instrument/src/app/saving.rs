//! What leaves the instrument: exports, recordings, the clipboard.

use std::path::PathBuf;

use observer_core::report::{Subject, Value};
use observer_faces::{clock, csv, json_line};

use super::{App, Mode};
use crate::{
    command::Command,
    prompt::{Prompt, Purpose},
};

impl App {
    pub(super) fn offer_export(&mut self) {
        let Some((section, sheet)) = self.section().zip(self.main_sheet()) else { return };
        let name = format!("observer-{}-{}.json", section.view, stamp(sheet.now.wall));
        self.mode = Mode::Prompt(Prompt::new(Purpose::Export, name));
    }

    pub(super) fn offer_recording(&mut self) {
        if self.is_recording {
            return self.say("this is a recording already", false);
        }
        let Some(sheet) = self.main_sheet() else { return };
        let name = format!("observer-{}.obs", stamp(sheet.now.wall));
        self.mode = Mode::Prompt(Prompt::new(Purpose::Record, name));
    }

    /// Exports the shown rows and columns: CSV for a name that ends so, else one line of JSON.
    pub(super) fn export(&mut self, path: &str) {
        let Some((section, sheet)) = self.section().zip(self.main_sheet()) else { return };
        let Some(listing) = self.listing() else { return };
        let report = sheet.with_rows(section.table, listing.columns(), listing.rows());
        let bytes = if path.ends_with(".csv") {
            report.tables.first().map(csv).unwrap_or_default().into_bytes()
        } else {
            match json_line(&report) {
                Ok(mut line) => {
                    line.push(b'\n');
                    line
                }
                Err(error) => return self.say(format!("exporting: {error}"), true),
            }
        };
        self.commands.push(Command::Export { path: PathBuf::from(path.trim()), bytes });
    }

    pub(super) fn record(&mut self, path: &str) {
        self.commands.push(Command::Record { path: PathBuf::from(path.trim()) });
    }

    /// Copies what the row says to do next; else what names its subject.
    pub(super) fn copy(&mut self) {
        let Some(listing) = self.listing() else { return };
        let Some(row) = listing.selected() else { return };
        let cell = |name: &str| {
            let at = listing.columns().iter().position(|column| column.name == name)?;
            if let Value::Text(text) = row.cell(at) { Some(text.clone()) } else { None }
        };
        let first = || {
            let mut shown = listing.shown_columns().into_iter().map(|at| row.cell(at));
            shown.find_map(|cell| if let Value::Text(text) = cell { Some(text.clone()) } else { None })
        };
        let subject = match (&row.subject, row.processes.first()) {
            (Subject::Process(id), _) | (_, Some(id)) => Some(id.pid().to_string()),
            _ => first(),
        };
        if let Some(text) = cell("next").or(subject) {
            self.say(format!("copied: {text}"), false);
            self.commands.push(Command::Copy(text));
        }
    }
}

/// A time as part of a file's name: `20261120-100000`.
fn stamp(wall: u64) -> String {
    let time = clock::rfc3339(wall);
    time[..19]
        .chars()
        .filter(|character| character.is_ascii_digit() || *character == 'T')
        .map(|character| if character == 'T' { '-' } else { character })
        .collect()
}
