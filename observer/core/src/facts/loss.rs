//! Losses: cumulative counters since observation began.

use serde::{Deserialize, Serialize};

/// The counters of one kernel object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossFact {
    /// The domain of the object that counted: `mem`, `disk`, `net`.
    pub domain: String,
    /// Records that did not fit into the ring buffer.
    pub ring: u64,
    /// New keys that did not fit into a map.
    pub map_full: u64,
    /// Bytes that could not be attributed.
    pub unattributed: u64,
    /// Scans that ended early and records that could not be decoded: their values are older than they could be.
    pub unread: u64,
}

/// Slot of a loss fact: its domain.
pub type LossSlot = String;

impl LossFact {
    pub(super) fn slot(&self) -> LossSlot {
        self.domain.clone()
    }
}

/// Events that the programs of one kernel object missed: the kernel does not run a program on a CPU on which it is
/// already running, interrupted by a task or an interrupt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedFact {
    /// The domain of the programs: `mem`, `disk`, `net`.
    pub domain: String,
    pub runs: u64,
}

impl SkippedFact {
    pub(super) fn slot(&self) -> LossSlot {
        self.domain.clone()
    }
}
