//! What was told of a socket, as small as a fact gets: there can be hundreds of thousands of them.

use std::sync::Arc;

use super::{
    super::{Fact, Slot, TaskId},
    ConnectionFact, NetFact, NetSlot, PacedHandle, Packer, SocketFact,
};

/// A fact about one socket, shared by whoever keeps it. As an [`Fact`] it takes as much room as the largest of those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketHandle {
    Connection(Arc<ConnectionFact>),
    Paced(PacedHandle),
    Socket(Arc<SocketFact>),
}

const _: () = assert!(size_of::<SocketHandle>() <= 16);

impl SocketHandle {
    /// The kernel's number of the socket.
    #[must_use]
    pub fn cookie(&self) -> u64 {
        match self {
            Self::Connection(fact) => fact.cookie,
            Self::Paced(fact) => fact.cookie(),
            Self::Socket(fact) => fact.cookie,
        }
    }

    /// Whether the process has descriptors for it.
    #[must_use]
    pub fn is_held_by(&self, id: TaskId) -> bool {
        match self {
            Self::Connection(fact) => fact.holders.contains(&id),
            Self::Paced(fact) => fact.seen().connection.holders.contains(&id),
            Self::Socket(fact) => fact.holders.contains(&id),
        }
    }

    /// Whether the counters of a connection do not tell who of several processes moved what: it has more than one holder,
    /// or one that is not its owner.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        let Self::Paced(fact) = self else { return false };
        let connection = &fact.seen().connection;
        connection.ends.remote.is_some() && connection.has_foreign_holder()
    }

    /// Another process has descriptors for it. Somebody may keep the fact as it was without that.
    pub fn add_holder(&mut self, id: TaskId) {
        match self {
            Self::Connection(fact) => Arc::make_mut(fact).holders.push(id),
            Self::Paced(fact) => fact.change(|fact| fact.connection.holders.push(id)),
            Self::Socket(fact) => Arc::make_mut(fact).holders.push(id),
        }
    }

    /// In few bytes from here on, if there can be very many of the kind.
    pub fn pack(&mut self, packer: &mut Packer) {
        if let Self::Paced(fact) = self {
            fact.pack(packer);
        }
    }

    /// What it is about.
    #[must_use]
    pub fn slot(&self) -> Slot {
        Slot::Net(NetSlot::Socket(self.cookie()))
    }

    /// As [`Fact::lasts_unsaid`].
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

impl TryFrom<Fact> for SocketHandle {
    type Error = Fact;

    /// The observation itself where it is about something else than one socket.
    fn try_from(fact: Fact) -> Result<Self, Fact> {
        match fact {
            Fact::Net(NetFact::Connection(fact)) => Ok(Self::Connection(fact)),
            Fact::Net(NetFact::Paced(fact)) => Ok(Self::Paced(fact)),
            Fact::Net(NetFact::Socket(fact)) => Ok(Self::Socket(fact)),
            fact => Err(fact),
        }
    }
}

impl From<SocketHandle> for Fact {
    fn from(handle: SocketHandle) -> Self {
        Self::Net(match handle {
            SocketHandle::Connection(fact) => NetFact::Connection(fact),
            SocketHandle::Paced(fact) => NetFact::Paced(fact),
            SocketHandle::Socket(fact) => NetFact::Socket(fact),
        })
    }
}
