//! Facts of the net domain.

use serde::{Deserialize, Serialize};

use super::TaskId;

/// What was observed in the net domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum NetFact {
    /// Placeholder of the domain's first fact.
    Placeholder { id: TaskId },
}

/// Slots of the net domain's state-like facts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetSlot {
    Placeholder(TaskId),
}

impl NetFact {
    pub(super) fn slot(&self) -> Option<NetSlot> {
        let Self::Placeholder { id } = self;
        Some(NetSlot::Placeholder(*id))
    }

    pub(super) fn gone(&self) -> Option<Self> {
        None
    }
}
