//! Facts about sockets as they are kept: there can be hundreds of thousands, most of which stand still, and each of them
//! is some 250 bytes as it is read.

use std::{fmt, marker::PhantomData, net::Ipv4Addr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    ConnectionFact, Counters, Endpoint, Ends, Holders, Measures, Pace, PacedFact, Protocol, SocketFact,
    SocketHandle,
    members::{Bytes, Members, Packing, Unpacking},
};

/// The inode numbers of namespaces are counted from here (`PROC_DYNAMIC_FIRST` in `fs/proc/generic.c`).
const NAMESPACES: u32 = 0xf000_0000;
/// `TCP_ESTABLISHED` in `include/net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
/// The congestion window that connections begin with (`TCP_INIT_CWND` in `include/net/tcp.h`), segments.
const FIRST_WINDOW: u32 = 10;
/// Bytes of the receive buffer that they begin with (`tcp_rmem`).
const RECEIVE_BUFFER: u32 = 131_072;
/// A slow start threshold that was never lowered (`TCP_INFINITE_SSTHRESH` in `include/net/tcp.h`).
const NEVER_LOWERED: u32 = 0x7fff_ffff;

/// A fact in few bytes, shared by whoever keeps it. A recording holds it as it holds the fact.
pub struct Packed<F> {
    handle: SocketHandle,
    fact: PhantomData<F>,
}

/// A fact that can be packed.
pub trait Form: Sized {
    /// Which it is of those that there are.
    const KIND: Kind;

    /// The one whose members are read.
    fn blank() -> Self;

    /// Names the members one by one, and is made of what is answered.
    #[must_use]
    fn of(self, members: &mut impl Members) -> Self;
}

/// What is told of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Paced,
    Connection,
    Socket,
}

impl Kind {
    /// The first member of every fact.
    pub fn of(self, members: &mut impl Members) -> Self {
        match members.next(self as u64) {
            0 => Self::Paced,
            1 => Self::Connection,
            _ => Self::Socket,
        }
    }
}

impl<F: Form> Packed<F> {
    #[must_use]
    pub fn new(fact: F) -> Self {
        let mut members = Packing::new();
        F::KIND.of(&mut members);
        // What it answers is the same again.
        let _ = fact.of(&mut members);
        let bytes: Bytes = members.finish();
        Self { handle: SocketHandle::new(&bytes), fact: PhantomData }
    }

    /// The fact.
    #[must_use]
    pub fn unpack(&self) -> F {
        let mut members = Unpacking::new(self.handle.bytes());
        F::KIND.of(&mut members);
        F::blank().of(&mut members)
    }

    /// The same without its type.
    #[must_use]
    pub const fn handle(&self) -> &SocketHandle {
        &self.handle
    }

    /// The fact that `handle` stands for; `None` where it is another kind of fact.
    #[must_use]
    pub fn from_handle(handle: &SocketHandle) -> Option<Self> {
        (handle.kind() == F::KIND).then(|| Self::of_kind(handle.clone()))
    }

    /// Where it is known that `handle` stands for such a fact.
    pub(super) const fn of_kind(handle: SocketHandle) -> Self {
        Self { handle, fact: PhantomData }
    }

    #[must_use]
    pub fn into_handle(self) -> SocketHandle {
        self.handle
    }
}

impl<F: Form> From<F> for Packed<F> {
    fn from(fact: F) -> Self {
        Self::new(fact)
    }
}

impl<F> Clone for Packed<F> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), fact: PhantomData }
    }
}

impl<F> PartialEq for Packed<F> {
    fn eq(&self, other: &Self) -> bool {
        self.handle == other.handle
    }
}

impl<F> Eq for Packed<F> {}

impl<F: Form + fmt::Debug> fmt::Debug for Packed<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unpack().fmt(formatter)
    }
}

impl<F: Form + Serialize> Serialize for Packed<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.unpack().serialize(serializer)
    }
}

impl<'de, F: Form + Deserialize<'de>> Deserialize<'de> for Packed<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        F::deserialize(deserializer).map(Self::new)
    }
}

impl Ends {
    const fn blank() -> Self {
        Self { netns: 0, local: Endpoint::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), remote: None }
    }

    fn of(self, members: &mut impl Members) -> Self {
        let netns = members.near_half(self.netns, NAMESPACES);
        let (local, remote) = members.ends(self.local, self.remote);
        Self { netns, local, remote }
    }
}

impl Form for ConnectionFact {
    const KIND: Kind = Kind::Connection;

    fn blank() -> Self {
        Self {
            cookie: 0,
            opened: 0,
            passive: false,
            owner: None,
            holders: Holders::new(),
            ends: Ends::blank(),
            state: 0,
            counters: Counters::default(),
            measures: Measures::default(),
        }
    }

    fn of(self, members: &mut impl Members) -> Self {
        // First, so that it is found at once.
        let cookie = members.next(self.cookie);
        let (owner, holders) = members.tasks(self.owner, self.holders);
        Self {
            cookie,
            owner,
            holders,
            opened: members.next(self.opened),
            passive: members.flag(self.passive),
            ends: self.ends.of(members),
            state: members.byte(self.state ^ ESTABLISHED) ^ ESTABLISHED,
            counters: self.counters.of(members),
            measures: self.measures.of(members),
        }
    }
}

impl Counters {
    fn of(self, members: &mut impl Members) -> Self {
        Self {
            tx: members.next(self.tx),
            rx: members.next(self.rx),
            retransmitted: members.next(self.retransmitted),
        }
    }
}

impl Measures {
    fn of(self, members: &mut impl Members) -> Self {
        let srtt = members.half(self.srtt);
        Self {
            srtt,
            rtt_min: members.option_near(self.rtt_min, srtt),
            mss: members.half(self.mss),
            cwnd: members.unless(self.cwnd, FIRST_WINDOW),
            packets_out: members.half(self.packets_out),
            rate_delivered: members.half(self.rate_delivered),
            rate_interval: members.half(self.rate_interval),
            delivered: members.half(self.delivered),
            unsent: members.half(self.unsent),
            unacked: members.half(self.unacked),
            window: members.half(self.window),
            unread: members.half(self.unread),
            pacing_rate: members.next(self.pacing_rate),
            chrono: self.chrono.map(|jiffies| members.half(jiffies)),
        }
    }
}

impl Form for PacedFact {
    const KIND: Kind = Kind::Paced;

    fn blank() -> Self {
        Self { connection: ConnectionFact::blank(), pace: Pace::default() }
    }

    fn of(self, members: &mut impl Members) -> Self {
        let connection = self.connection.of(members);
        let pace = self.pace.of(connection.measures.window, members);
        Self { connection, pace }
    }
}

impl Pace {
    /// Of a connection whose other side allows so many bytes in flight: this side most often allows as many.
    fn of(self, window: u32, members: &mut impl Members) -> Self {
        let last_sent = members.half(self.last_sent);
        Self {
            last_sent,
            last_received: members.near_half(self.last_received, last_sent),
            ssthresh: members.unless(self.ssthresh, NEVER_LOWERED),
            lost: members.half(self.lost),
            app_limited: members.unless(self.app_limited, u32::MAX),
            segments_out: members.half(self.segments_out),
            segments_in: members.half(self.segments_in),
            send_buffer: members.half(self.send_buffer),
            send_queued: members.half(self.send_queued),
            receive_buffer: members.unless(self.receive_buffer, RECEIVE_BUFFER),
            receive_window: members.near_half(self.receive_window, window),
        }
    }
}

impl Form for SocketFact {
    const KIND: Kind = Kind::Socket;

    fn blank() -> Self {
        Self {
            cookie: 0,
            holders: Holders::new(),
            protocol: Protocol::Tcp,
            listening: false,
            ends: Ends::blank(),
            queued: 0,
            queue_limit: None,
            drops: 0,
        }
    }

    fn of(self, members: &mut impl Members) -> Self {
        Self {
            cookie: members.next(self.cookie),
            holders: members.tasks(None, self.holders).1,
            protocol: match members.next(self.protocol as u64) {
                0 => Protocol::Tcp,
                1 => Protocol::Udp,
                2 => Protocol::UdpLite,
                _ => Protocol::Mptcp,
            },
            listening: members.flag(self.listening),
            ends: self.ends.of(members),
            queued: members.half(self.queued),
            queue_limit: members.option(self.queue_limit),
            drops: members.half(self.drops),
        }
    }
}

#[cfg(test)]
mod tests;
