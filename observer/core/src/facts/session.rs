//! Where and when something was observed.

use serde::{Deserialize, Serialize};

/// A point in time, on both clocks that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp {
    /// Nanoseconds of the boot clock, which never steps: all arithmetic uses it.
    pub boot: u64,
    /// Nanoseconds since the Unix epoch: only shown, never used in arithmetic.
    pub wall: u64,
}

impl Timestamp {
    /// Seconds from `earlier` to this time on the boot clock; 0 if it is not later.
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
    /// Process id of observer itself, so that its own row can be recognised.
    pub observer: u32,
    /// What is not observed for the whole run, and why.
    pub missing: Vec<Gap>,
    /// Alternatives that see less than the best one would: shown in the notes.
    pub limitations: Vec<Gap>,
}

/// A signal that is missing, or a limitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The hook, as doctor names it.
    pub hook: String,
    /// One sentence for humans: what is missing, and why.
    pub text: String,
    /// The columns, as JSON spells them, that are unknown because of it.
    pub columns: Vec<String>,
}

/// Reports come less often than requested.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntervalFact {
    /// The current interval, seconds.
    pub interval: f64,
    /// The requested interval, seconds.
    pub asked: f64,
}
