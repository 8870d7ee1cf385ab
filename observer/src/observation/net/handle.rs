//! What was told of a socket, as small as a fact gets: there can be hundreds of thousands of them.

use std::sync::Arc;

use super::{
    super::{Observation, Slot, TaskId},
    ConnectionFact, NetFact, NetSlot, PacedFact, SocketFact,
};

/// A fact about one socket, shared by whoever keeps it. As an [`Observation`] it takes as much room as the largest of those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketHandle {
    Connection(Arc<ConnectionFact>),
    Paced(Arc<PacedFact>),
    Socket(Arc<SocketFact>),
}

const _: () = assert!(size_of::<SocketHandle>() <= 16);

impl SocketHandle {
    /// The kernel's number of the socket.
    #[must_use]
    pub fn cookie(&self) -> u64 {
        match self {
            Self::Connection(fact) => fact.cookie,
            Self::Paced(fact) => fact.connection.cookie,
            Self::Socket(fact) => fact.cookie,
        }
    }

    /// Processes that have descriptors for it.
    #[must_use]
    pub fn holders(&self) -> &[TaskId] {
        match self {
            Self::Connection(fact) => &fact.holders,
            Self::Paced(fact) => &fact.connection.holders,
            Self::Socket(fact) => &fact.holders,
        }
    }

    /// What it is about.
    #[must_use]
    pub fn slot(&self) -> Slot {
        Slot::Net(NetSlot::Socket(self.cookie()))
    }

    /// As [`Observation::lasts_unsaid`].
    #[must_use]
    pub const fn lasts_unsaid(&self) -> bool {
        matches!(self, Self::Connection(_) | Self::Paced(_))
    }

    /// Whether `fact` tells the same.
    #[must_use]
    pub fn is(&self, fact: &NetFact) -> bool {
        match (self, fact) {
            (Self::Connection(known), NetFact::Connection(fact)) => known == fact,
            (Self::Paced(known), NetFact::Paced(fact)) => known == fact,
            (Self::Socket(known), NetFact::Socket(fact)) => known == fact,
            _ => false,
        }
    }
}

impl TryFrom<Observation> for SocketHandle {
    type Error = Observation;

    /// The observation itself where it is about something else than one socket.
    fn try_from(fact: Observation) -> Result<Self, Observation> {
        match fact {
            Observation::Net(NetFact::Connection(fact)) => Ok(Self::Connection(fact)),
            Observation::Net(NetFact::Paced(fact)) => Ok(Self::Paced(fact)),
            Observation::Net(NetFact::Socket(fact)) => Ok(Self::Socket(fact)),
            fact => Err(fact),
        }
    }
}

impl From<SocketHandle> for Observation {
    fn from(handle: SocketHandle) -> Self {
        Self::Net(match handle {
            SocketHandle::Connection(fact) => NetFact::Connection(fact),
            SocketHandle::Paced(fact) => NetFact::Paced(fact),
            SocketHandle::Socket(fact) => NetFact::Socket(fact),
        })
    }
}
