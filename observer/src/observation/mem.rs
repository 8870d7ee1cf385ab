//! Facts of the mem domain.

use serde::{Deserialize, Serialize};

use super::TaskId;

/// What was observed in the mem domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MemFact {
    /// Placeholder of the domain's first fact.
    Placeholder { id: TaskId },
}

/// Slots of the mem domain's state-like facts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemSlot {
    Placeholder(TaskId),
}

impl MemFact {
    pub(super) fn slot(&self) -> Option<MemSlot> {
        let Self::Placeholder { id } = self;
        Some(MemSlot::Placeholder(*id))
    }

    pub(super) fn gone(&self) -> Option<Self> {
        None
    }
}
