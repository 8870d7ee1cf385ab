//! From reports to the eyes of a person, or to a script.
//!
//! Knows nothing but the report: what it says is what is shown, in JSON to the letter, in tables as far as the width
//! allows. Strings in a report are printable already; nothing here escapes for terminals again.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "what is shown is written here, as wide as the terminal"
)]

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
};

use rustix::termios;

use observer_core::report::Report;

mod cell;
mod clock;
mod json;
mod layout;
mod paint;
mod plain;
#[cfg(test)]
mod samples;
mod screen;
mod table;
mod width;

use json::Json;
use paint::Paint;
use plain::Plain;
use screen::{Screen, Size};

/// Where reports go.
pub trait Output {
    /// Writes one report, whole: it has left the program when this returns.
    ///
    /// # Errors
    /// When it cannot be written; `BrokenPipe` where the reader has gone, which is the end and no failure.
    fn write(&mut self, report: &Report) -> io::Result<()>;

    /// Whether the truth at the start, with rates still unknown, is shown at once.
    fn shows_base_line(&self) -> bool {
        false
    }

    /// How many rows can be seen at most; `None` where there is no limit. What is not seen need not be asked for.
    fn rows_that_fit(&self) -> Option<usize> {
        None
    }
}

/// Reports as JSON lines on standard output.
#[must_use]
pub fn json() -> Box<dyn Output> {
    Box::new(Json::new(io::stdout()))
}

/// Reports as tables on standard output, one below the other; cut only to the width of a terminal.
#[must_use]
pub fn plain() -> Box<dyn Output> {
    let terminal = io::stdout().is_terminal();
    let width = terminal.then(|| size().map(|size| size.columns)).flatten();
    Box::new(Plain::new(io::stdout(), width, paint(terminal)))
}

/// Reports as tables on standard output, a terminal, each in the place of the one before.
#[must_use]
pub fn screen() -> Box<dyn Output> {
    Box::new(Screen::new(io::stdout(), || size().unwrap_or(Size::USUAL), paint(true)))
}

/// Text that is no report, on standard output.
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

/// The size of the terminal that standard output is; `None` where it does not tell.
fn size() -> Option<Size> {
    let size = termios::tcgetwinsize(io::stdout()).ok()?;
    let known = size.ws_col > 0 && size.ws_row > 0;
    known.then(|| Size { columns: usize::from(size.ws_col), rows: usize::from(size.ws_row) })
}
