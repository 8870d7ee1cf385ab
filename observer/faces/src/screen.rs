//! Tables redrawn in place.
//!
//! The alternate screen is not used: the last report stays readable after the end, and what was on the terminal before
//! is in its scrollback. Each frame is one write that overwrites the one before, so nothing flickers; it leaves the
//! cursor visible below the last line, so there is nothing to restore, however the program ends.

use std::io::{self, Write};

use super::{
    Output, Paint,
    table::{self, Notes},
};
use observer_core::report::{Report, Row, Table, shape};

const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
/// Terminals that know it show the frame when it is whole; others ignore it.
const BEGIN_FRAME: &str = "\x1b[?2026h";
const END_FRAME: &str = "\x1b[?2026l";

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

impl Size {
    /// Assumed if a terminal does not report its size.
    pub const USUAL: Self = Self { columns: 80, rows: 24 };
}

/// Draws tables over each other.
pub struct Screen<W> {
    out: W,
    /// Called on each draw, because the size of a terminal changes.
    size: Box<dyn Fn() -> Size>,
    paint: Paint,
    started: bool,
}

impl<W: Write> Screen<W> {
    /// Draws into `out`, a terminal with the current size `size()`.
    pub fn new(out: W, size: impl Fn() -> Size + 'static, paint: Paint) -> Self {
        Self { out, size: Box::new(size), paint, started: false }
    }
}

impl<W: Write> Output for Screen<W> {
    fn write(&mut self, report: &Report) -> io::Result<()> {
        let size = (self.size)();
        let mut frame = String::from(BEGIN_FRAME);
        if !self.started {
            // Moves what is on the terminal into its scrollback in place of overwriting it.
            frame.push_str(&"\n".repeat(size.rows.saturating_sub(1)));
        }
        frame.push_str(HOME);
        // The last row stays free for the cursor: a line break there would scroll.
        for line in fitted(report, size, self.paint) {
            frame.push_str(&line);
            frame.push_str(CLEAR_LINE);
            frame.push_str("\r\n");
        }
        frame.push_str(CLEAR_BELOW);
        frame.push_str(END_FRAME);
        self.started = true;
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }

    fn shows_baseline(&self) -> bool {
        true
    }

    fn rows_that_fit(&self) -> Option<usize> {
        Some((self.size)().rows)
    }
}

/// The report in at most one line less than the terminal has. Rows that do not fit are cut and counted, the last rows
/// of the longest table first; if that is not enough, the bottom lines are cut.
fn fitted(report: &Report, size: Size, paint: Paint) -> Vec<String> {
    let height = size.rows.saturating_sub(1).max(1);
    let mut report = report.clone();
    for table in &mut report.tables {
        shape::cut(table, height);
    }
    let mut draw = |report: &Report, notes| table::lines(report, Some(size.columns.max(1)), paint, notes);
    let notes = notes_that_fit(&report, height, &mut draw);
    loop {
        let mut lines = draw(&report, notes);
        let excess = lines.len().saturating_sub(height);
        // Of equally long tables the later one: the first is the requested one.
        let longest = report
            .tables
            .iter_mut()
            .max_by_key(|table| table.rows.len())
            .filter(|table| table.rows.len() > 1);
        match longest {
            Some(table) if excess > 0 => {
                let rows = table.rows.len() - fewer(table, excess);
                shape::cut(table, rows.max(1));
            }
            // Rows are the evidence of the headline: before the last rows go, its later sentences go.
            _ if excess > 0 && report.headline.len() > 1 => {
                report.headline.pop();
            }
            _ => {
                lines.truncate(height);
                return lines;
            }
        }
    }
}

/// Notes are read once and rows at every glance: if not everything fits, notes get at most a fifth of the height.
fn notes_that_fit(
    report: &Report,
    height: usize,
    draw: &mut impl FnMut(&Report, Notes) -> Vec<String>,
) -> Notes {
    let whole = draw(report, Notes::Whole).len();
    let without = draw(&Report { notes: Vec::new(), ..report.clone() }, Notes::Whole).len();
    // The first choice is tried before rows are cut: a page that fits whole is shown whole.
    if whole <= height || (whole - without) * 5 <= height {
        Notes::Whole
    } else if report.notes.len() * 6 <= height {
        Notes::Short
    } else {
        Notes::Counted
    }
}

/// How many rows, taken from the end, hold at most `excess` lines; at least one.
fn fewer(table: &Table, excess: usize) -> usize {
    let lines = |row: &Row| 1 + row.details.len();
    let mut taken = 0;
    let fitting = table.rows.iter().rev().take_while(|row| {
        taken += lines(row);
        taken <= excess
    });
    fitting.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{samples, width};

    fn frame(report: &Report, columns: usize, rows: usize) -> Vec<String> {
        fitted(report, Size { columns, rows }, Paint::Bare)
    }

    #[test]
    fn no_frame_is_larger_than_its_terminal() {
        for report in samples::all() {
            for columns in [1, 5, 20, 40, 80, 200] {
                for rows in [1, 2, 5, 10, 24, 60] {
                    let lines = frame(&report, columns, rows);
                    assert!(lines.len() < rows.max(2), "{columns}x{rows}: {lines:#?}");
                    assert!(lines.iter().all(|line| width::width(line) <= columns), "{columns}: {lines:#?}");
                }
            }
        }
    }

    #[test]
    fn rows_that_do_not_fit_are_counted() {
        let report = samples::long(500);
        let lines = frame(&report, 100, 24);
        assert_eq!(lines.len(), 23);
        assert!(lines[0].starts_with("Memory"));
        let shown = lines.iter().filter(|line| line.contains("worker-")).count();
        let more = format!("{} more, together", 500 - shown);
        assert!(lines.iter().any(|line| line.contains(&more)), "{more}: {lines:#?}");
    }

    #[test]
    fn a_frame_overwrites_the_one_before_and_hides_no_cursor() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, || Size { columns: 80, rows: 24 }, Paint::Bare);
        screen.write(&samples::mem()).expect("a vector takes everything");
        screen.write(&samples::mem()).expect("a vector takes everything");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.matches(HOME).count(), 2);
        assert_eq!(text.matches(&"\n".repeat(23)).count(), 1, "only the first frame scrolls");
        assert!(!text.contains("\x1b[?25l") && !text.contains("\x1b[?1049h"));
        assert!(text.ends_with(END_FRAME));
    }
}
