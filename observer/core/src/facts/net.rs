//! Facts of the net domain: connections as they stand and as they ended, what no socket counts, listeners, links.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

pub use self::{
    endpoint::Endpoint,
    handle::SocketHandle,
    paced::PacedHandle,
    packed::{Packed, Packer},
    slot::NetSlot,
};
use super::TaskId;

mod endpoint;
mod handle;
mod paced;
mod packed;
mod slot;

/// What was observed in the net domain. The order of variants is part of the recording format. What there can be a hundred
/// thousand of is shared by whoever keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum NetFact {
    /// A TCP connection as it stands; recordings of versions that did not tell its [`Pace`] have it.
    Connection(Arc<ConnectionFact>),
    /// A TCP connection has ended; these are its last counters.
    Closed(Box<ClosedFact>),
    /// No pass finds the socket any more. A TCP connection's end is told by [`NetFact::Closed`], sooner or later.
    Vanished { cookie: u64 },
    /// What a process moved through a socket that does not count, or that is another's.
    Flow(FlowFact),
    /// A flow of which nothing more will be said.
    FlowEnded { key: FlowSlot },
    /// Connections whose ends were not told one by one.
    ClosedTotals(ClosedTotalsFact),
    /// An open socket without connection.
    Socket(Arc<SocketFact>),
    /// Every network interface of the observer's network namespace.
    Links(Vec<LinkFact>),
    /// A TCP connection as it stands, and what tells its pace.
    Paced(PacedHandle),
    /// The kernel's clock in jiffies when the sockets were read, wrapping: what the moments of a [`Pace`] are counted in.
    Jiffies(u32),
    /// Several processes hold a TCP connection, or one that did not open it; from here on it is known what each of them
    /// moves.
    Shared { cookie: u64, since: StreamBytes },
    /// Datagrams that went by in observer's network namespace while nobody looked at who sends and receives, cumulative.
    Unwatched { datagrams: u64 },
    /// How much room there is for connections in observer's network namespace.
    Room(CapacityFact),
    /// How many descriptors a process may have, asked for where it has many connections. An event: it is asked for each
    /// report.
    Descriptors { id: TaskId, open: Descriptors },
    /// What a remote address is called; `None` where it has no name. Asked for once.
    RemoteName { address: IpAddr, name: Option<Vec<u8>> },
    /// What every interface of the observer's network namespace could not carry; it follows [`NetFact::Links`].
    Saturation(Vec<SaturationFact>),
    /// The control group of the process that has been in a network namespace the longest; `None` where none is in it that
    /// observer may look at. An event: it is asked for.
    Namespace { netns: u32, cgroup: Option<Vec<u8>> },
}

/// What connections need beside memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityFact {
    /// Inode number of the network namespace that this is about.
    pub netns: Option<u32>,
    /// The first and the last port that the kernel gives to outgoing connections.
    pub ports: Option<(u16, u16)>,
    /// Connections that the firewall tracks; `None` where it tracks none.
    pub tracked: Option<Occupancy>,
}

/// How full something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occupancy {
    pub used: u64,
    pub limit: u64,
}

/// Descriptors of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptors {
    /// `None` before kernel 6.2, where counting them takes as long as there are many.
    pub used: Option<u64>,
    /// The number that may not be reached.
    pub limit: u64,
}

/// Payload bytes of a TCP connection, cumulative, as its processes see them: written to it, read from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamBytes {
    pub tx: u64,
    pub rx: u64,
}

/// Payload bytes, cumulative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub tx: u64,
    pub rx: u64,
    pub retransmitted: u64,
}

/// Where a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Inode number of its network namespace.
    pub netns: u32,
    /// IPv4 mapped into IPv6 is IPv4.
    pub local: Endpoint,
    /// `None` where there is no peer.
    pub remote: Option<Endpoint>,
}

/// Processes that have descriptors for a socket: most often one, for which there is room in place.
pub type Holders = SmallVec<[TaskId; 1]>;

/// A TCP connection as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionFact {
    /// The kernel's number of the socket, unique for one boot.
    pub cookie: u64,
    /// Boot-clock nanoseconds at which it was opened; 0 if that was before observation, or not seen.
    pub opened: u64,
    /// Whether the other side opened it.
    pub passive: bool,
    /// The process that was the first to act on it.
    pub owner: Option<TaskId>,
    pub holders: Holders,
    pub ends: Endpoints,
    /// As `include/net/tcp_states.h` numbers it.
    pub state: u8,
    pub counters: Counters,
    pub measures: TcpMeasures,
}

impl ConnectionFact {
    /// What its processes have written to it and read from it.
    #[must_use]
    pub fn written(&self) -> StreamBytes {
        StreamBytes {
            tx: self.counters.tx.saturating_add(self.measures.unsent.into()),
            rx: self.counters.rx.saturating_sub(self.measures.unread.into()),
        }
    }

    /// The process that its bytes belong to: the first that acted on it, else the only one that holds it.
    #[must_use]
    pub fn attributed(&self) -> Option<TaskId> {
        match (self.owner, self.holders.as_slice()) {
            (Some(owner), _) => Some(owner),
            (None, [holder]) => Some(*holder),
            (None, _) => None,
        }
    }

    /// That process, then whoever else holds it.
    pub fn processes(&self) -> impl Iterator<Item = TaskId> + '_ {
        let owner = self.attributed();
        owner.into_iter().chain(self.holders.iter().copied().filter(move |holder| Some(*holder) != owner))
    }

    /// Whether somebody holds it who did not open or accept it, as far as that is known.
    #[must_use]
    pub fn has_foreign_holder(&self) -> bool {
        match self.holders.as_slice() {
            [] => false,
            [holder] => self.owner.is_some_and(|owner| owner != *holder),
            _ => true,
        }
    }
}

/// What TCP keeps of how a connection fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpMeasures {
    /// Smoothed round-trip time, microseconds; 0 before the first sample.
    pub srtt: u32,
    /// Smallest round-trip time of the kernel's window, microseconds; `None` before the first sample.
    pub rtt_min: Option<u32>,
    /// Maximum segment size, bytes.
    pub mss: u32,
    /// Congestion window, segments.
    pub cwnd: u32,
    /// Segments in flight.
    pub packets_out: u32,
    /// Segments delivered in the last rate sample.
    pub rate_delivered: u32,
    /// Length of that sample, microseconds.
    pub rate_interval: u32,
    /// Segments that arrived since the beginning, wrapping.
    pub delivered: u32,
    /// Bytes written by the process and not yet sent.
    pub unsent: u32,
    /// Bytes sent and not acknowledged.
    pub unacked: u32,
    /// Bytes that the receiver allows in flight.
    pub window: u32,
    /// Bytes received and not read by the process.
    pub unread: u32,
    /// Bytes per second.
    pub pacing_rate: u64,
    /// Jiffies spent busy and not limited, limited by the receiver's window, limited by the send buffer.
    pub chrono: [u32; 3],
}

/// What TCP keeps of the pace of a connection. Moments are jiffies, wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// When data was last sent, and last received.
    pub last_sent: u32,
    pub last_received: u32,
    /// Slow start threshold in segments.
    pub ssthresh: u32,
    /// Segments taken for lost since the beginning, wrapping.
    pub lost: u32,
    /// Not 0 while the latest rate samples were made of too little data to fill the congestion window.
    pub app_limited: u32,
    /// Segments with data since the beginning, wrapping.
    pub segments_out: u32,
    pub segments_in: u32,
    /// Bytes of memory that the send queue may take, and takes.
    pub send_buffer: u32,
    pub send_queued: u32,
    /// Bytes of memory that the receive queue may take.
    pub receive_buffer: u32,
    /// Bytes that this side last allowed the peer to have in flight.
    pub receive_window: u32,
}

/// A TCP connection as it stands, and what tells its pace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacedFact {
    pub connection: ConnectionFact,
    pub pace: Pace,
}

/// The end of a TCP connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClosedFact {
    /// Its last state; without holders.
    pub connection: Arc<ConnectionFact>,
    /// Its counters when a pass last met it; `None` if none did.
    pub seen: Option<Counters>,
    /// Boot-clock nanoseconds.
    pub at: u64,
}

/// Which flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FlowSlot {
    pub task: TaskId,
    /// 0 for what found no room of its own.
    pub cookie: u64,
    /// Boot-clock nanoseconds at which counting began: counting can begin anew.
    pub created: u64,
}

/// What one process moved through one socket since counting began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowFact {
    pub key: FlowSlot,
    pub protocol: Protocol,
    /// The peer of a connected socket.
    pub remote: Option<Endpoint>,
    pub tx: u64,
    pub rx: u64,
}

/// Transport protocols that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    Tcp,
    Udp,
    UdpLite,
    Mptcp,
}

/// Connections of one owner whose ends found no room in the ring, cumulative. Bytes are those that no pass had told of.
/// No connections at all: the last total was taken, and what may follow counts from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedTotalsFact {
    pub owner: TaskId,
    pub counters: Counters,
    pub connections: u64,
}

/// A listener, or a socket for datagrams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketFact {
    pub cookie: u64,
    pub holders: Holders,
    pub protocol: Protocol,
    pub listening: bool,
    pub ends: Endpoints,
    /// Listener: connections that wait to be accepted. Else bytes of memory that the receive queue takes.
    pub queued: u32,
    /// Listener: the most that may wait.
    pub queue_limit: Option<u32>,
    /// What found no room in the queue since the socket was opened.
    pub drops: u32,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFact {
    /// As the kernel calls it.
    pub name: Vec<u8>,
    /// Bits per second; `None` where the interface does not say.
    pub speed: Option<u64>,
    /// Bytes on the wire since the interface was made.
    pub tx: u64,
    pub rx: u64,
    /// Packets dropped in either direction.
    pub drops: u64,
}

/// What an interface holds back, and what it could not carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaturationFact {
    /// As the kernel calls it.
    pub name: Vec<u8>,
    /// Packets that were sent or received damaged, or could not be, since the interface was made.
    pub errors: u64,
    /// Its root queueing discipline, of which those below it are part; all zeroes where it has none. `None` where the
    /// kernel did not tell.
    pub queue: Option<QueueFact>,
}

/// A queueing discipline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueFact {
    /// What waits to be sent.
    pub packets: u32,
    pub bytes: u32,
    /// Packets that it dropped since it was made, wrapping.
    pub drops: u32,
}
