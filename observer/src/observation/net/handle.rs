//! What was told of a socket, as small as a fact gets: there can be hundreds of thousands of them.

use std::fmt;

use triomphe::ThinArc;

use super::{
    super::{Observation, Slot},
    ConnectionFact, Holders, NetFact, NetSlot, Pace, PacedFact, SocketFact,
    members::{Members as _, Unpacking},
    packed::{Form, Kind, Packed},
};

/// A fact about one socket, packed, shared by whoever keeps it. As an [`Observation`] it takes as much room as the largest
/// of those.
#[derive(Clone, PartialEq, Eq)]
pub struct SocketHandle(ThinArc<(), u8>);

const _: () = assert!(size_of::<Option<SocketHandle>>() == 8);

impl SocketHandle {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(ThinArc::from_header_and_slice((), bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0.slice
    }

    pub(super) fn kind(&self) -> Kind {
        Kind::Paced.of(&mut Unpacking::new(self.bytes()))
    }

    /// The kernel's number of the socket.
    #[must_use]
    pub fn cookie(&self) -> u64 {
        let mut members = Unpacking::new(self.bytes());
        Kind::Paced.of(&mut members);
        members.next(0)
    }

    /// What it tells of a connection, and of its pace where it does; `None` where it is about another socket.
    #[must_use]
    pub fn connection(&self) -> Option<(ConnectionFact, Option<Pace>)> {
        match self.kind() {
            Kind::Connection => Some((self.fact()?, None)),
            Kind::Paced => {
                let PacedFact { connection, pace } = self.fact()?;
                Some((connection, Some(pace)))
            }
            Kind::Socket => None,
        }
    }

    /// Processes that have descriptors for it.
    #[must_use]
    pub fn holders(&self) -> Holders {
        match self.connection() {
            Some((connection, _)) => connection.holders,
            None => self.fact::<SocketFact>().map(|socket| socket.holders).unwrap_or_default(),
        }
    }

    /// The same fact, of other holders.
    #[must_use]
    pub fn held_by(&self, holders: Holders) -> Self {
        match (self.connection(), self.fact()) {
            (Some((connection, Some(pace))), _) => {
                let connection = ConnectionFact { holders, ..connection };
                Packed::new(PacedFact { connection, pace }).into_handle()
            }
            (Some((connection, None)), _) => {
                Packed::new(ConnectionFact { holders, ..connection }).into_handle()
            }
            (None, Some(socket)) => Packed::new(SocketFact { holders, ..socket }).into_handle(),
            (None, None) => self.clone(),
        }
    }

    fn fact<F: Form>(&self) -> Option<F> {
        Packed::from_handle(self).map(|packed| packed.unpack())
    }

    /// Whether both are one fact in memory.
    #[must_use]
    pub fn is_kept_with(&self, other: &Self) -> bool {
        std::ptr::eq(self.bytes(), other.bytes())
    }

    /// What it is about.
    #[must_use]
    pub fn slot(&self) -> Slot {
        Slot::Net(NetSlot::Socket(self.cookie()))
    }

    /// As [`Observation::lasts_unsaid`].
    #[must_use]
    pub fn lasts_unsaid(&self) -> bool {
        self.kind() != Kind::Socket
    }

    /// Whether `fact` tells the same.
    #[must_use]
    pub fn is(&self, fact: &NetFact) -> bool {
        fact.socket() == Some(self)
    }
}

impl fmt::Debug for SocketHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Observation::from(self.clone()).fmt(formatter)
    }
}

impl TryFrom<Observation> for SocketHandle {
    type Error = Observation;

    /// The observation itself where it is about something else than one socket.
    fn try_from(fact: Observation) -> Result<Self, Observation> {
        match fact {
            Observation::Net(NetFact::Connection(fact)) => Ok(fact.into_handle()),
            Observation::Net(NetFact::Paced(fact)) => Ok(fact.into_handle()),
            Observation::Net(NetFact::Socket(fact)) => Ok(fact.into_handle()),
            fact => Err(fact),
        }
    }
}

impl From<SocketHandle> for Observation {
    fn from(handle: SocketHandle) -> Self {
        Self::Net(match handle.kind() {
            Kind::Paced => NetFact::Paced(Packed::of_kind(handle)),
            Kind::Connection => NetFact::Connection(Packed::of_kind(handle)),
            Kind::Socket => NetFact::Socket(Packed::of_kind(handle)),
        })
    }
}
