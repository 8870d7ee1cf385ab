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

/// Every fact of the net domain. The order of variants is part of the recording format. Facts that can exist a
/// hundred thousand times are shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum NetFact {
    /// A TCP connection without [`TcpTimes`], from a recording of a version that did not read them.
    #[serde(with = "recorded::untimed")]
    UntimedConnection(ConnectionHandle),
    /// A TCP connection has closed; these are its last counters.
    Closed(Box<ClosedFact>),
    /// No scan finds the socket any longer. For a TCP connection, [`NetFact::Closed`] follows sooner or later.
    Vanished { cookie: u64 },
    /// Bytes of a process through a socket that does not count them, or that belongs to another process.
    Flow(FlowFact),
    /// The last fact about a flow.
    FlowEnded { key: FlowSlot },
    /// Connections with closes that were not reported one by one.
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
    /// Several processes hold a TCP connection, or one that did not open it. The bytes of each holder are counted from
    /// now on; `since` are the bytes before.
    Shared { cookie: u64, since: StreamBytes },
    /// Datagrams in observer's network namespace while senders and receivers were not observed, cumulative, from a
    /// recording of a version that knew only this namespace.
    Unwatched { datagrams: u64 },
    /// Capacity for connections in observer's network namespace.
    Room(CapacityFact),
    /// How many descriptors a process may have, queried for a process with many connections. An event: it is queried
    /// for each report.
    Descriptors { id: TaskId, open: Descriptors },
    /// The name of a peer's address; `None` if it has none. Queried once.
    RemoteName { address: IpAddr, name: Option<Vec<u8>> },
    /// Packets that wait at, or were lost by, every interface of observer's network namespace; follows
    /// [`NetFact::Links`].
    Saturation(Vec<SaturationFact>),
    /// The control group of the oldest process in a network namespace; `None` if observer may not read any process in
    /// it. An event: it is queried.
    Namespace { netns: u32, cgroup: Option<Vec<u8>> },
    /// Queues of the sockets in a network namespace, as `sock_diag` reports them; `None` if it does not. `refuses`:
    /// whether the kernel refuses a connection when the accept queue is full; otherwise the peer tries again. An event:
    /// it is queried for each report.
    SocketQueues { netns: u32, sockets: Option<Vec<SocketQueueFact>>, refuses: Option<bool> },
    /// Datagrams in a network namespace while senders and receivers were not observed, cumulative.
    UnseenDatagrams { netns: u32, datagrams: u64 },
    /// Several processes may have moved the bytes of a connection that no scan has found. Its [`NetFact::Closed`]
    /// follows.
    SharedUnseen { cookie: u64 },
    /// Connections of a process to a peer that were not established, since the last fact about them. An event.
    Failed { id: TaskId, netns: u32, remote: Endpoint, failures: Failures },
}

/// Connections that were not established, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// The peer rejected them.
    pub refused: u64,
    /// The peer did not answer.
    pub timed_out: u64,
    /// The network reported that the peer cannot be reached.
    pub unreachable: u64,
    /// All local ports were in use.
    pub without_port: u64,
}

/// The queue of one socket: a datagram socket or an MPTCP listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketQueueFact {
    pub cookie: u64,
    /// Connections that wait to be accepted, and their maximum; `None` for datagram sockets.
    pub queued: Option<u32>,
    pub queue_limit: Option<u32>,
    /// Datagrams or connections dropped by a full queue since the socket was opened; `None` if unknown.
    pub drops: Option<u32>,
}

/// Limited resources of connections other than memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityFact {
    /// Inode number of the network namespace.
    pub netns: Option<u32>,
    /// The first and the last port that the kernel gives to outgoing connections.
    pub ports: Option<(u16, u16)>,
    /// Connections that the firewall tracks; `None` if it tracks none.
    pub tracked: Option<Occupancy>,
}

/// Use and limit of a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occupancy {
    pub used: u64,
    pub limit: u64,
}

/// Descriptors of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptors {
    /// `None` before kernel 6.2, where counting takes time in proportion to their number.
    pub used: Option<u64>,
    /// The number stays below this.
    pub limit: u64,
}

/// The identity of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FlowSlot {
    pub task: TaskId,
    /// 0 for the bytes of flows that did not fit into the map.
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

/// Connections of one owner with closes that did not fit into the ring buffer, cumulative. Bytes are those that no
/// scan had reported. With 0 connections: the last total was read, and a later one counts from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedTotalsFact {
    pub owner: TaskId,
    pub counters: Counters,
    pub connections: u64,
}

/// A listener, or a datagram socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketFact {
    pub cookie: u64,
    pub holders: Holders,
    pub protocol: Protocol,
    pub listening: bool,
    pub ends: Endpoints,
    /// Listener: connections that wait to be accepted. Otherwise bytes of memory of the receive queue.
    pub queued: u32,
    /// Listener: the maximum of waiting connections.
    pub queue_limit: Option<u32>,
    /// Datagrams or connections dropped by a full queue since the socket was opened.
    pub drops: u32,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFact {
    /// The kernel's name of it.
    pub name: Vec<u8>,
    /// Bits per second; `None` if the interface does not report it.
    pub speed: Option<u64>,
    /// Bytes on the wire since the interface was created.
    pub tx: u64,
    pub rx: u64,
    /// Packets dropped in either direction.
    pub drops: u64,
}

/// The queue and the losses of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaturationFact {
    /// The kernel's name of it.
    pub name: Vec<u8>,
    /// Packets that were damaged, or could not be sent or received, since the interface was created.
    pub errors: u64,
    /// Its root queueing discipline, with those below it; all zeroes if it has none. `None` if the kernel did not
    /// report one.
    pub queue: Option<QueueFact>,
}

/// A queueing discipline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueFact {
    /// Waiting to be sent.
    pub packets: u32,
    pub bytes: u32,
    /// Packets that it dropped since it was created, wrapping.
    pub drops: u32,
}
