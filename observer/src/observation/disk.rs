//! Facts of the disk domain.

use serde::{Deserialize, Serialize};

use super::TaskId;

/// What was observed in the disk domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DiskFact {
    /// Placeholder of the domain's first fact.
    Placeholder { id: TaskId },
}

/// Slots of the disk domain's state-like facts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskSlot {
    Placeholder(TaskId),
}

impl DiskFact {
    pub(super) fn slot(&self) -> Option<DiskSlot> {
        let Self::Placeholder { id } = self;
        Some(DiskSlot::Placeholder(*id))
    }

    pub(super) fn gone(&self) -> Option<Self> {
        None
    }
}
