//! Facts of the net domain: connections, flows, listeners, links, capacity.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

pub use self::{
    connection::{ClosedFact, ConnectionFact, Counters, Holders, StreamBytes, TcpMeasures, TcpTimes},
    endpoint::{Endpoint, Endpoints},
    handle::{ConnectionHandle, SocketHandle},
    packed::{Packed, Packer},
    slot::NetSlot,
};
use super::TaskId;

mod connection;
mod endpoint;
mod handle;
mod packed;
mod recorded;
mod slot;

/// Every fact of the net domain. The order of variants is part of the recording format. Facts that there can be a hundred
/// thousand of are shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum NetFact {
    /// A TCP connection without [`TcpTimes`], from a recording of a version that did not read them.
    #[serde(with = "recorded::untimed")]
    UntimedConnection(ConnectionHandle),
    /// A TCP connection has closed; these are its last counters.
    Closed(Box<ClosedFact>),
    /// No scan finds the socket any longer. If it was a TCP connection, [`NetFact::Closed`] follows sooner or later.
    Vanished { cookie: u64 },
    /// Bytes of a process through a socket that does not count them, or that belongs to another process.
    Flow(FlowFact),
    /// The last fact about a flow.
    FlowEnded { key: FlowSlot },
    /// Connections whose closes were not reported one by one.
    ClosedTotals(ClosedTotalsFact),
    /// An open socket without connection.
    Socket(Arc<SocketFact>),
    /// Every network interface of observer's network namespace.
    Links(Vec<LinkFact>),
    /// A TCP connection.
    #[serde(with = "recorded::timed")]
    Connection(ConnectionHandle),
    /// The kernel's clock in jiffies when the sockets were read, wrapping: the unit of [`TcpTimes`].
    Jiffies(u32),
    /// Several processes hold a TCP connection, or one that did not open it. The bytes of each of them are counted from
    /// here on.
    Shared { cookie: u64, since: StreamBytes },
    /// Datagrams in observer's network namespace while senders and receivers were not observed, cumulative.
    Unwatched { datagrams: u64 },
    /// Capacity for connections in observer's network namespace.
    Room(CapacityFact),
    /// How many descriptors a process may have, asked for where it has many connections. An event: it is asked for each
    /// report.
    Descriptors { id: TaskId, open: Descriptors },
    /// The name of a peer's address; `None` where it has none. Asked for once.
    RemoteName { address: IpAddr, name: Option<Vec<u8>> },
    /// What every interface of observer's network namespace could not carry; it follows [`NetFact::Links`].
    Saturation(Vec<SaturationFact>),
    /// The control group of the process that has been in a network namespace the longest; `None` where none is in it that
    /// observer may look at. An event: it is asked for.
    Namespace { netns: u32, cgroup: Option<Vec<u8>> },
}

/// What connections need apart from memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityFact {
    /// Inode number of the network namespace.
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

/// Which flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FlowSlot {
    pub task: TaskId,
    /// 0 for the bytes of flows that found no room in the map.
    pub cookie: u64,
    /// Boot-clock nanoseconds at which counting began: it can begin again.
    pub created: u64,
}

/// Bytes of one process through one socket since counting began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowFact {
    pub key: FlowSlot,
    pub protocol: Protocol,
    /// The peer of a connected socket.
    pub remote: Option<Endpoint>,
    pub tx: u64,
    pub rx: u64,
}

/// Transport protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    Tcp,
    Udp,
    UdpLite,
    Mptcp,
}

/// Connections of one owner whose closes found no room in the ring buffer, cumulative. Bytes are those that no scan had
/// reported. No connections at all: the last total was taken, and a later one counts from 0.
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
    /// Datagrams or connections that found no room in the queue since the socket was opened.
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

/// What waits at an interface, and what it could not carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaturationFact {
    /// As the kernel calls it.
    pub name: Vec<u8>,
    /// Packets that were sent or received damaged, or could not be, since the interface was made.
    pub errors: u64,
    /// Its root queueing discipline, with those below it; all zeroes where it has none. `None` where the kernel did not
    /// report one.
    pub queue: Option<QueueFact>,
}

/// A queueing discipline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueFact {
    /// Waiting to be sent.
    pub packets: u32,
    pub bytes: u32,
    /// Packets that it dropped since it was made, wrapping.
    pub drops: u32,
}
