//! The fact about one socket, behind a pointer: there can be hundreds of thousands, and a [`Fact`] takes as much memory
//! as the largest of all facts.

use std::{borrow::Cow, sync::Arc};

use super::{
    super::{Fact, Slot, TaskId},
    NetFact, SocketFact,
    connection::ConnectionFact,
    packed::{Packed, Packer},
    slot::NetSlot,
};

/// A shared fact about a connection, plain or packed. Two handles are equal if the members of their facts are, in
/// either form.
#[derive(Clone, Debug)]
pub enum ConnectionHandle {
    Plain(Arc<ConnectionFact>),
    Packed(Packed),
}

impl ConnectionHandle {
    /// The kernel's number of the socket.
    pub fn cookie(&self) -> u64 {
        match self {
            Self::Plain(fact) => fact.cookie,
            Self::Packed(fact) => fact.cookie(),
        }
    }

    /// The fact, unpacked if it is packed.
    pub fn fact(&self) -> Cow<'_, ConnectionFact> {
        match self {
            Self::Plain(fact) => Cow::Borrowed(fact),
            Self::Packed(fact) => Cow::Owned(fact.unpack()),
        }
    }

    /// The fact as a shared value.
    pub fn shared(&self) -> Arc<ConnectionFact> {
        match self {
            Self::Plain(fact) => Arc::clone(fact),
            Self::Packed(fact) => Arc::new(fact.unpack()),
        }
    }

    /// The packed form, if the fact is packed.
    pub const fn packed(&self) -> Option<&Packed> {
        match self {
            Self::Plain(_) => None,
            Self::Packed(fact) => Some(fact),
        }
    }

    /// Packs the fact. A fact without times, which no scan of this version makes, stays as it is.
    pub fn pack(&mut self, packer: &mut Packer) {
        if let Self::Plain(fact) = self
            && fact.times.is_some()
        {
            *self = Self::Packed(packer.pack(fact));
        }
    }

    /// Changes this handle's fact, not the one that other handles share.
    fn change(&mut self, change: impl FnOnce(&mut ConnectionFact)) {
        match self {
            Self::Plain(fact) => change(Arc::make_mut(fact)),
            Self::Packed(fact) => {
                let mut fact = fact.unpack();
                change(&mut fact);
                *self = fact.into();
            }
        }
    }

    fn has_times(&self) -> bool {
        match self {
            Self::Plain(fact) => fact.times.is_some(),
            Self::Packed(_) => true,
        }
    }
}

impl From<ConnectionFact> for ConnectionHandle {
    fn from(fact: ConnectionFact) -> Self {
        Self::Plain(Arc::new(fact))
    }
}

impl PartialEq for ConnectionHandle {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other)) => one == other,
            (Self::Packed(one), Self::Packed(other)) => one == other,
            (Self::Plain(plain), Self::Packed(packed)) | (Self::Packed(packed), Self::Plain(plain)) => {
                packed.is(plain)
            }
        }
    }
}

impl Eq for ConnectionHandle {}

/// A shared fact about any socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketHandle {
    Connection(ConnectionHandle),
    Socket(Arc<SocketFact>),
}

const _: () = assert!(size_of::<SocketHandle>() <= 16);

impl SocketHandle {
    /// The kernel's number of the socket.
    pub fn cookie(&self) -> u64 {
        match self {
            Self::Connection(fact) => fact.cookie(),
            Self::Socket(fact) => fact.cookie,
        }
    }

    /// Whether the process has descriptors for it.
    pub fn is_held_by(&self, id: TaskId) -> bool {
        match self {
            Self::Connection(fact) => fact.fact().holders.contains(&id),
            Self::Socket(fact) => fact.holders.contains(&id),
        }
    }

    /// Whether the counters of a connection do not show which process moved which bytes: it has more than one holder,
    /// or a holder that is not its owner.
    pub fn is_shared(&self) -> bool {
        let Self::Connection(fact) = self else { return false };
        let fact = fact.fact();
        fact.ends.remote.is_some() && fact.has_foreign_holder()
    }

    /// Adds a process with descriptors for the socket.
    pub fn add_holder(&mut self, id: TaskId) {
        match self {
            Self::Connection(fact) => fact.change(|fact| fact.holders.push(id)),
            Self::Socket(fact) => Arc::make_mut(fact).holders.push(id),
        }
    }

    /// Packs the fact if it is about a connection: only connections can be very many.
    pub fn pack(&mut self, packer: &mut Packer) {
        if let Self::Connection(fact) = self {
            fact.pack(packer);
        }
    }

    /// The slot of the fact.
    pub fn slot(&self) -> Slot {
        Slot::Net(NetSlot::Socket(self.cookie()))
    }

    /// As [`Fact::silent_while_unchanged`].
    pub const fn silent_while_unchanged(&self) -> bool {
        matches!(self, Self::Connection(_))
    }

    /// Whether `fact` is the same.
    pub fn is(&self, fact: &NetFact) -> bool {
        match (self, fact) {
            (Self::Connection(known), NetFact::UntimedConnection(fact) | NetFact::Connection(fact)) => {
                known == fact
            }
            (Self::Socket(known), NetFact::Socket(fact)) => known == fact,
            _ => false,
        }
    }
}

impl TryFrom<Fact> for SocketHandle {
    type Error = Fact;

    /// Returns the fact itself if it is not about one socket.
    fn try_from(fact: Fact) -> Result<Self, Fact> {
        match fact {
            Fact::Net(NetFact::UntimedConnection(fact) | NetFact::Connection(fact)) => {
                Ok(Self::Connection(fact))
            }
            Fact::Net(NetFact::Socket(fact)) => Ok(Self::Socket(fact)),
            fact => Err(fact),
        }
    }
}

impl From<SocketHandle> for Fact {
    fn from(handle: SocketHandle) -> Self {
        Self::Net(match handle {
            SocketHandle::Connection(fact) if fact.has_times() => NetFact::Connection(fact),
            SocketHandle::Connection(fact) => NetFact::UntimedConnection(fact),
            SocketHandle::Socket(fact) => NetFact::Socket(fact),
        })
    }
}
