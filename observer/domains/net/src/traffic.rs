//! The bytes that one process has sent and received.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::bytes::{ByteCorrection, Bytes};
use observer_core::facts::net::{Endpoint, Failures};

/// The totals of a process since observation began, and its traffic in the current interval.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    pub tcp: Bytes,
    pub udp: Bytes,
    pub retransmitted: u64,
    /// Connections that it began and that were not established.
    pub failed: Failures,
    /// Connections that closed since the last report.
    pub ended_connections: u64,
    /// The totals at the last report.
    reported: Bytes,
    round_trip: RoundTrip,
    remotes: HashMap<IpAddr, Remote>,
    /// The peer with most traffic, in the last interval with any.
    to: Option<To>,
    /// Whether its end has been reported.
    told: bool,
}

/// Round-trip times, weighted by the bytes that each was measured on.
#[derive(Clone, Copy, Debug, Default)]
struct RoundTrip {
    bytes: f64,
    weighted: f64,
    /// From the last interval that had traffic.
    last: Option<f64>,
}

/// A peer; without a port if there are several ports.
pub type To = (IpAddr, Option<u16>);

/// Bytes to and from one address.
#[derive(Clone, Copy, Debug)]
struct Remote {
    bytes: u64,
    /// `None` for several ports.
    port: Option<u16>,
}

impl Traffic {
    /// Bytes of every protocol since observation began.
    pub const fn total(&self) -> Bytes {
        let mut total = self.tcp;
        total.add(self.udp);
        total
    }

    /// Bytes since the last report.
    pub const fn interval(&self) -> Bytes {
        let total = self.total();
        Bytes { tx: total.tx.saturating_sub(self.reported.tx), rx: total.rx.saturating_sub(self.reported.rx) }
    }

    /// Adds the bytes of a TCP connection; `round_trip` in seconds.
    pub fn credit(&mut self, credit: ByteCorrection, remote: Option<Endpoint>, round_trip: Option<f64>) {
        self.tcp.tx = self.tcp.tx.saturating_add_signed(credit.tx);
        self.tcp.rx = self.tcp.rx.saturating_add_signed(credit.rx);
        self.retransmitted = self.retransmitted.saturating_add_signed(credit.retransmitted);
        let bytes = credit.tx.saturating_add(credit.rx).max(0).cast_unsigned();
        self.met(remote, bytes);
        if let Some(seconds) = round_trip {
            self.round_trip.bytes += bytes as f64;
            self.round_trip.weighted += seconds * bytes as f64;
        }
    }

    /// Adds bytes through a socket that does not count them.
    pub fn add(&mut self, tcp: bool, tx: u64, rx: u64, remote: Option<Endpoint>) {
        let bytes = if tcp { &mut self.tcp } else { &mut self.udp };
        bytes.add(Bytes { tx, rx });
        self.met(remote, tx.saturating_add(rx));
    }

    fn met(&mut self, remote: Option<Endpoint>, bytes: u64) {
        let Some(remote) = remote.filter(|_| bytes > 0) else { return };
        let entry = self.remotes.entry(remote.ip()).or_insert(Remote { bytes: 0, port: Some(remote.port()) });
        entry.bytes = entry.bytes.saturating_add(bytes);
        entry.port = entry.port.filter(|port| *port == remote.port());
    }

    /// Bytes since the last report to and from other hosts: no interface but the loopback carries the others.
    pub fn to_others(&self) -> u64 {
        let others = self.remotes.iter().filter(|(ip, _)| !ip.is_loopback());
        others.map(|(_, remote)| remote.bytes).fold(0, u64::saturating_add)
    }

    /// Traffic-weighted round-trip time in seconds.
    pub fn round_trip(&self) -> Option<f64> {
        let now = (self.round_trip.bytes > 0.0).then(|| self.round_trip.weighted / self.round_trip.bytes);
        now.or(self.round_trip.last)
    }

    /// The peer with most traffic.
    pub fn to(&self) -> Option<To> {
        let most = self.remotes.iter().max_by_key(|(ip, remote)| (remote.bytes, **ip));
        most.map(|(ip, remote)| (*ip, remote.port)).or(self.to)
    }

    /// Whether an ended process has something new for this report.
    pub fn has_news(&self) -> bool {
        !self.told || self.interval() != Bytes::default() || self.ended_connections > 0
    }

    /// A report has been delivered, and the next interval begins. The report contained its end if it has `ended`.
    pub fn delivered(&mut self, ended: bool) {
        self.to = self.to();
        self.round_trip = RoundTrip { last: self.round_trip(), ..RoundTrip::default() };
        self.remotes.clear();
        self.ended_connections = 0;
        self.reported = self.total();
        self.told = ended;
    }
}

/// Bytes of all processes together.
pub struct Overall {
    pub total: Bytes,
    pub interval: Bytes,
}

impl Overall {
    /// The traffic of `processes`, and of earlier processes with `before` bytes in total.
    pub fn of<'a>(before: Bytes, processes: impl Iterator<Item = &'a Traffic>) -> Self {
        let mut all = Self { total: before, interval: Bytes::default() };
        for traffic in processes {
            all.total.add(traffic.total());
            all.interval.add(traffic.interval());
        }
        all
    }

    /// The part of this interval's bytes that `bytes` are, 0 to 1.
    pub fn share(&self, bytes: Bytes) -> f64 {
        let all = self.interval.both();
        if all == 0 { 0.0 } else { bytes.both() as f64 / all as f64 }
    }
}
