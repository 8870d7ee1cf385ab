//! A TCP connection as a fact, open or closed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::endpoint::Endpoints;
use crate::facts::TaskId;

pub use observer_common::net::TcpTimes;

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

/// Processes that have descriptors for a socket. There is mostly one, which is stored in place.
pub type Holders = SmallVec<[TaskId; 1]>;

/// A TCP connection at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionFact {
    /// The kernel's number of the socket, unique for one boot.
    pub cookie: u64,
    /// Boot-clock nanoseconds at which it was opened; 0 if that was before observation, or not seen.
    pub opened: u64,
    /// Whether the peer opened it.
    pub passive: bool,
    /// The process that was the first to act on it.
    pub owner: Option<TaskId>,
    pub holders: Holders,
    pub ends: Endpoints,
    /// As `include/net/tcp_states.h` numbers it.
    pub state: u8,
    pub counters: Counters,
    pub measures: TcpMeasures,
    /// `None` for a closed connection, and in recordings of versions that did not read them. Recordings keep them
    /// beside the other members (`recorded.rs`).
    #[serde(skip)]
    pub times: Option<TcpTimes>,
}

impl ConnectionFact {
    /// What its processes have written to it and read from it.
    pub fn written(&self) -> StreamBytes {
        StreamBytes {
            tx: self.counters.tx.saturating_add(self.measures.unsent.into()),
            rx: self.counters.rx.saturating_sub(self.measures.unread.into()),
        }
    }

    /// The process that its bytes belong to: the first that acted on it, else its only holder.
    pub fn attributed(&self) -> Option<TaskId> {
        match (self.owner, self.holders.as_slice()) {
            (Some(owner), _) => Some(owner),
            (None, [holder]) => Some(*holder),
            (None, _) => None,
        }
    }

    /// That process, then its other holders.
    pub fn processes(&self) -> impl Iterator<Item = TaskId> + '_ {
        let owner = self.attributed();
        owner.into_iter().chain(self.holders.iter().copied().filter(move |holder| Some(*holder) != owner))
    }

    /// Whether a process holds it that is known not to have opened or accepted it.
    pub fn has_foreign_holder(&self) -> bool {
        match self.holders.as_slice() {
            [] => false,
            [holder] => self.owner.is_some_and(|owner| owner != *holder),
            _ => true,
        }
    }
}

/// What TCP measures on a connection.
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

/// The close of a TCP connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClosedFact {
    /// Its last state; without holders and times.
    pub connection: Arc<ConnectionFact>,
    /// Its counters at the last scan that found it; `None` if none did.
    pub seen: Option<Counters>,
    /// Boot-clock nanoseconds.
    pub at: u64,
}
