//! What was lost: cumulative counters since observation began.

use serde::{Deserialize, Serialize};

/// The counters of one kernel object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossFact {
    /// Domain whose object counted: `mem`, `disk`, `net`.
    pub domain: String,
    /// Records that found no room in the ring.
    pub ring: u64,
    /// New keys that found no room in a map.
    pub map_full: u64,
    /// Bytes that could be ascribed to nobody.
    pub unattributed: u64,
    /// Passes that ended early and records that could not be understood: what they held is older than it could be.
    pub unread: u64,
}

/// Slot of a loss fact: its domain.
pub type LossSlot = String;

impl LossFact {
    pub(super) fn slot(&self) -> LossSlot {
        self.domain.clone()
    }
}

/// Events of which the programs of one kernel object were not told: the kernel does not run a program on a CPU on which
/// it is running, which a task or an interrupt that came between finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedFact {
    /// Domain whose programs they are: `mem`, `disk`, `net`.
    pub domain: String,
    pub runs: u64,
}

impl SkippedFact {
    pub(super) fn slot(&self) -> LossSlot {
        self.domain.clone()
    }
}
