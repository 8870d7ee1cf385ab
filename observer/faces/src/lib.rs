//! Shows reports to humans, and writes them for scripts.
//!
//! Depends on nothing but the report. JSON contains all of it, a table as much as the width of the terminal allows.
//! Strings in a report are printable already; they are not escaped again here.
//!
//! ```
//! use observer_core::report::{Column, Report, Row, Table, Unit, Value};
//!
//! /// Writes one line of JSON with this table in it.
//! fn write(report: Report, size: u64) -> std::io::Result<()> {
//!     let columns = vec![Column::label("name"), Column::gauge("size", Unit::Bytes).shown("SIZE", 0)];
//!     let cells = vec![Value::Text("a.log".to_owned()), Value::Unsigned(size)];
//!     let tables = vec![Table::new("rows", columns, vec![Row { cells, ..Row::default() }])];
//!     observer_faces::json().write(&Report { tables, ..report })
//! }
//! ```

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "this crate writes to the terminal and asks for its width"
)]

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
};

use rustix::termios;

use observer_core::{report::Report, view::View};

pub mod cell;
pub mod clock;
mod csv;
mod folded;
mod json;
pub mod layout;
mod paint;
mod plain;
#[cfg(test)]
mod samples;
mod screen;
mod table;
pub mod width;

pub use csv::csv;
pub use paint::Paint;

use folded::Folded;
use json::Json;
use plain::Plain;
use screen::{Screen, Size};

/// Where reports go.
pub trait Output {
    /// Writes one report, whole: it has left the program when this returns.
    ///
    /// # Errors
    /// When it cannot be written; `BrokenPipe` if the reader is gone, which is an end and no failure.
    fn write(&mut self, report: &Report) -> io::Result<()>;

    /// There are no further reports.
    ///
    /// # Errors
    /// As for [`Self::write`].
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether the first report, with rates still unknown, is shown at once.
    fn shows_baseline(&self) -> bool {
        false
    }

    /// The views that it shows at once, each with the most rows that it needs. An output of one view at a time has
    /// none: it gets the report of the shown view.
    fn several(&self) -> Vec<(View, Option<usize>)> {
        Vec::new()
    }

    /// Takes the reports of one moment, of the views that [`Self::several`] named.
    ///
    /// # Errors
    /// As [`Self::write`].
    fn write_several(&mut self, reports: Vec<Report>) -> io::Result<()> {
        reports.iter().try_for_each(|report| self.write(report))
    }

    /// The most rows that can be seen; `None` without a limit. Rows that are not seen need no host queries.
    fn rows_that_fit(&self) -> Option<usize> {
        None
    }
}

/// Reports as JSON lines on standard output.
pub fn json() -> Box<dyn Output> {
    Box::new(Json::new(io::stdout()))
}

/// The call paths of the last report on standard output, as folded stacks.
pub fn folded() -> Box<dyn Output> {
    Box::new(Folded::new(io::stdout()))
}

/// Reports as tables on standard output, one below the other; cut only to the width of a terminal.
pub fn plain() -> Box<dyn Output> {
    let terminal = io::stdout().is_terminal();
    let width = terminal.then(|| size().map(|size| size.columns)).flatten();
    Box::new(Plain::new(io::stdout(), width, paint(terminal)))
}

/// Reports as tables on standard output, a terminal, each replacing the one before.
pub fn screen() -> Box<dyn Output> {
    Box::new(Screen::new(io::stdout(), || size().unwrap_or(Size::USUAL), paint(true)))
}

/// A report as one line of JSON, as [`json`] writes it.
///
/// # Errors
/// When a number cannot be written.
pub fn json_line(report: &Report) -> io::Result<Vec<u8>> {
    json::line(report)
}

/// Writes text other than a report to standard output.
///
/// # Errors
/// When it cannot be written.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn paint(terminal: bool) -> Paint {
    Paint::allowed(terminal, |name| env::var_os(name))
}

/// The size of the terminal of standard output; `None` if it does not report one.
fn size() -> Option<Size> {
    let size = termios::tcgetwinsize(io::stdout()).ok()?;
    let known = size.ws_col > 0 && size.ws_row > 0;
    known.then(|| Size { columns: usize::from(size.ws_col), rows: usize::from(size.ws_row) })
}
