//! What reaches the model from outside, as plain values.

use observer_core::report::Report;

use crate::{command::Seek, key::Key};

/// One event of the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Key(Key),
    Paste(String),
    /// The left button was pressed at this column and line.
    Click {
        x: u16,
        y: u16,
    },
    /// The wheel was turned: lines down, or up where negative.
    Wheel(isize),
    /// The terminal has another size.
    Resized,
}

/// The reports of one moment.
#[derive(Debug)]
pub struct Frame {
    pub reports: Vec<Report>,
    pub moment: Moment,
}

/// Which moment the reports are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The newest, while observing.
    Now,
    /// One that was asked for. The newest known moment is at this time, nanoseconds since the Unix epoch.
    Past { newest: u64, answers: Seek },
}
