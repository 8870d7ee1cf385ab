//! The fact of the domain: how long a process has run. For the rest of observer it is bytes.

use observer_common::task::TaskId;
use observer_core::facts::{
    Fact,
    other::{OtherFact, OtherSlot},
};
use zerocopy::{FromBytes as _, IntoBytes as _};

/// The name of the domain.
pub const DOMAIN: &str = "load";

/// The fact that the process `id` has run for so many nanoseconds.
pub fn fact(id: TaskId, nanoseconds: u64) -> Fact {
    let slot = OtherSlot { domain: DOMAIN.into(), key: id.as_bytes().into() };
    Fact::Other(OtherFact { slot, value: Some(nanoseconds.as_bytes().into()) })
}

/// The process of a fact of this domain, and its nanoseconds; `None` for these where it is gone.
pub fn read(fact: &OtherFact) -> Option<(TaskId, Option<u64>)> {
    let id = TaskId::read_from_bytes(&fact.slot.key).ok().filter(|_| *fact.slot.domain == *DOMAIN)?;
    let nanoseconds = fact.value.as_ref().and_then(|value| u64::read_from_bytes(value).ok());
    Some((id, nanoseconds))
}
