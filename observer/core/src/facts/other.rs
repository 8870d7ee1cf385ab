//! Facts of a domain that is not built in: observer keeps, records and replays them by their slot, and only the domain
//! knows what their bytes mean.

use serde::{Deserialize, Serialize};

/// A value of one thing that a domain observes, or its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherFact {
    /// The thing: two facts of one slot are successive values of it.
    pub slot: OtherSlot,
    /// `None` if the thing is gone.
    pub value: Option<Box<[u8]>>,
}

/// What an [`OtherFact`] is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OtherSlot {
    /// The name of the domain.
    pub domain: Box<str>,
    /// The thing, in the domain's own encoding.
    pub key: Box<[u8]>,
}

impl OtherFact {
    /// The slot, if this is a value.
    pub fn slot(&self) -> Option<OtherSlot> {
        self.value.is_some().then(|| self.slot.clone())
    }

    /// The fact that the thing is gone.
    pub fn gone(&self) -> Self {
        Self { slot: self.slot.clone(), value: None }
    }

    /// The slot that ends with this fact.
    pub fn ended_slots(&self) -> Option<OtherSlot> {
        self.value.is_none().then(|| self.slot.clone())
    }
}
