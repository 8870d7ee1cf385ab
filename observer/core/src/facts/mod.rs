//! The one input of everything downstream: facts, each with kernel time where it matters, and what a recording holds.
//!
//! A state-like fact (the counters of a process, the size of an inode) has a [`Slot`]: the source passes it on only
//! if it differs from the last one of that slot, so a stream of facts is a stream of changes. A fact about an event
//! has no slot and is always passed on.

use serde::{Deserialize, Serialize};

pub mod disk;
pub mod loss;
pub mod mem;
pub mod net;
pub mod other;
pub mod process;
pub mod session;
pub mod sites;

pub use observer_common::task::TaskId;

/// Everything that can be observed. The order of variants is part of the recording format: new ones go to the end.
///
/// There is one for everything that exists, so facts are small: large and rare ones are boxed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fact {
    /// The first of every stream: where and when this was observed, and what could not be attached.
    Session(Box<session::SessionFact>),
    /// In a recording this number is a tick's: see [`StreamItem`].
    #[doc(hidden)]
    Tick(NotAFact),
    Process(process::ProcessFact),
    Loss(loss::LossFact),
    Mem(mem::MemFact),
    Disk(disk::DiskFact),
    Net(net::NetFact),
    Pace(session::IntervalFact),
    Skipped(loss::SkippedFact),
    Other(other::OtherFact),
    Sites(sites::SitesFact),
}

/// Has no value, so [`Fact::Tick`] cannot be made.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum NotAFact {}

/// What a stream is made of, live or recorded.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamItem {
    /// Something observed.
    Fact(Fact),
    /// A report is due at this time, and every fact that it is made of precedes the tick.
    Tick(session::Timestamp),
}

impl StreamItem {
    /// In a recording a tick begins with this number, among the numbers of [`Fact`]'s variants.
    pub const TICK: u8 = 1;
}

impl From<Fact> for StreamItem {
    fn from(fact: Fact) -> Self {
        Self::Fact(fact)
    }
}

const _: () = assert!(size_of::<Fact>() <= 96);

/// What a state-like fact is about; two facts of one slot are successive values of one thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    Process(process::ProcessSlot),
    Loss(loss::LossSlot),
    Mem(mem::MemSlot),
    Disk(disk::DiskSlot),
    Net(net::NetSlot),
    Skipped(loss::LossSlot),
    Other(other::OtherSlot),
}

impl Slot {
    /// Whether its value is remembered only while another fact [`Fact::keeps`] it.
    #[must_use]
    pub const fn needs_keeping(&self) -> bool {
        use disk::DiskSlot::{Asked, Deleted, Found, Limits, Space, Writers};
        matches!(
            self,
            Self::Mem(
                mem::MemSlot::Limit(_) | mem::MemSlot::PressureTotals(Some(_)) | mem::MemSlot::GroupMemory(_)
            ) | Self::Disk(Deleted(_) | Writers(_) | Asked(_) | Found(_) | Space(_) | Limits(_))
        )
    }
}

impl Fact {
    /// The slot of a state-like fact; `None` for an event.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        match self {
            Self::Session(_) | Self::Tick(_) | Self::Pace(_) | Self::Sites(_) => None,
            Self::Process(fact) => fact.slot().map(Slot::Process),
            Self::Loss(fact) => Some(Slot::Loss(fact.slot())),
            Self::Skipped(fact) => Some(Slot::Skipped(fact.slot())),
            Self::Mem(fact) => fact.slot().map(Slot::Mem),
            Self::Disk(fact) => fact.slot().map(Slot::Disk),
            Self::Net(fact) => fact.slot().map(Slot::Net),
            Self::Other(fact) => fact.slot().map(Slot::Other),
        }
    }

    /// The slot with a last value that no longer counts once this fact has changed its own slot: an equal value that
    /// follows is new again. `known`: whether its own slot had a value before.
    #[must_use]
    pub fn outdates(&self, known: bool) -> Option<Slot> {
        match self {
            Self::Process(fact) if known => fact.outdates().map(Slot::Process),
            Self::Mem(fact) => fact.outdates().map(Slot::Mem),
            _ => None,
        }
    }

    /// Slots that have facts only because of this one: a slot that no known fact keeps is forgotten with the next
    /// report.
    #[must_use]
    pub fn keeps(&self) -> Vec<Slot> {
        match self {
            Self::Mem(fact) => fact.keeps().into_iter().map(Slot::Mem).collect(),
            Self::Disk(fact) => fact.keeps().into_iter().map(Slot::Disk).collect(),
            _ => Vec::new(),
        }
    }

    /// The fact that follows when a complete scan no longer finds the thing that this fact is about.
    #[must_use]
    pub fn gone(&self) -> Option<Self> {
        match self {
            Self::Mem(fact) => fact.gone().map(Self::Mem),
            Self::Disk(fact) => fact.gone().map(Self::Disk),
            Self::Net(fact) => fact.gone().map(Self::Net),
            Self::Other(fact) => Some(Self::Other(fact.gone())),
            Self::Session(_)
            | Self::Tick(_)
            | Self::Pace(_)
            | Self::Process(_)
            | Self::Loss(_)
            | Self::Skipped(_)
            | Self::Sites(_) => None,
        }
    }

    /// Whether a scan on demand may find the thing that this fact is about when the scan that used to find it does
    /// not: a mapped file still exists after its descriptor is closed.
    #[must_use]
    pub const fn may_be_elsewhere(&self) -> bool {
        use disk::{
            DiskFact::{File, Holder},
            Hold::Descriptors,
        };
        matches!(self, Self::Disk(File { .. } | Holder { hold: Descriptors(_), .. }))
    }

    /// Whether a scan of changes leaves it out while it does not change: it lasts until its end is reported.
    #[must_use]
    pub const fn silent_while_unchanged(&self) -> bool {
        matches!(self, Self::Net(net::NetFact::UntimedConnection(_) | net::NetFact::Connection(_)))
    }

    /// Slots that get no facts after this one: their last values need not be kept. Only for
    /// things that scans do not find; a thing that a scan found and no longer finds is forgotten without this.
    #[must_use]
    pub fn ended_slots(&self) -> Vec<Slot> {
        match self {
            Self::Process(process::ProcessFact::Ended { id, .. }) => {
                let own = process::ProcessSlot::of(*id).map(Slot::Process);
                own.into_iter().chain(mem::MemSlot::of(*id).map(Slot::Mem)).collect()
            }
            Self::Disk(fact) => fact.ended_slots(),
            Self::Mem(fact) => fact.ended_slots().into_iter().map(Slot::Mem).collect(),
            Self::Net(fact) => fact.ended_slots().into_iter().map(Slot::Net).collect(),
            Self::Other(fact) => fact.ended_slots().map(Slot::Other).into_iter().collect(),
            _ => Vec::new(),
        }
    }
}
