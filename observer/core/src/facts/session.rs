//! Where and when something was observed.

use serde::{Deserialize, Serialize};

/// A point in time, on both clocks that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp {
    /// Nanoseconds of the boot clock: all arithmetic is done on it; it never steps.
    pub boot: u64,
    /// Nanoseconds since the Unix epoch: shown, never calculated with.
    pub wall: u64,
}

impl Timestamp {
    /// Seconds from `earlier` to this moment on the boot clock; 0 if it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> f64 {
        self.boot.saturating_sub(earlier.boot) as f64 / 1e9
    }
}

/// The first fact of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionFact {
    /// When observation began.
    pub began: Timestamp,
    pub host: String,
    /// `uname -r`.
    pub kernel: String,
    pub page_size: u64,
    pub cpus: u32,
    /// Process id of the observer itself, so that it can be told apart.
    pub observer: u32,
    /// What is not observed for the whole run, and why.
    pub missing: Vec<Missing>,
    /// Where the way chosen sees less than the best one would: shown in the notes.
    pub blind: Vec<Missing>,
}

/// Something that could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The hook, as doctor names it.
    pub hook: String,
    /// One sentence for people: what, and why.
    pub text: String,
    /// The columns, as JSON spells them, that are unknown because of it.
    pub columns: Vec<String>,
}

/// How far apart reports come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntervalFact {
    /// Seconds, as they come now.
    pub interval: f64,
    /// Seconds, as was asked for.
    pub asked: f64,
}
