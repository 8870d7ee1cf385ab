//! Tables as text, one report below the other: for files, pipes and terminals that cannot move their cursor.

use std::io::{self, Write};

use super::{
    Output, Paint,
    table::{self, Notes},
};
use observer_core::report::Report;

/// Writes tables.
pub struct Plain<W> {
    out: W,
    /// Columns of the terminal; `None` cuts nothing.
    width: Option<usize>,
    paint: Paint,
    started: bool,
}

impl<W: Write> Plain<W> {
    /// Tables of at most `width` columns into `out`; without a width nothing is cut.
    pub const fn new(out: W, width: Option<usize>, paint: Paint) -> Self {
        Self { out, width, paint, started: false }
    }
}

impl<W: Write> Output for Plain<W> {
    fn write(&mut self, report: &Report) -> io::Result<()> {
        let mut text = String::new();
        if self.started {
            text.push('\n');
        }
        self.started = true;
        for line in table::lines(report, self.width, self.paint, Notes::Whole) {
            text.push_str(&line);
            text.push('\n');
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn reports_stand_apart_and_hold_no_control_characters() {
        let mut out = Vec::new();
        let mut plain = Plain::new(&mut out, None, Paint::Bare);
        let report = samples::mem();
        plain.write(&report).expect("a vector takes everything");
        plain.write(&report).expect("a vector takes everything");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.matches("\n\nMemory 23.5 GiB").count(), 1);
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
        assert!(text.contains("every low point is higher than the last"));
    }
}
