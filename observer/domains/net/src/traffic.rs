//! What one process has sent and received.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::bytes::{ByteCorrection, Bytes};
use observer_core::facts::net::Endpoint;

/// The totals of a process since observation began, and what the current interval has brought.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    pub tcp: Bytes,
    pub udp: Bytes,
    pub retransmitted: u64,
    /// Connections that ended since the last report.
    pub ended_connections: u64,
    /// The totals at the last report.
    reported: Bytes,
    round_trip: RoundTrip,
    remotes: HashMap<IpAddr, Remote>,
    /// The peer with most traffic in the last interval that had any.
    to: Option<To>,
    /// Its end has been reported.
    told: bool,
}

/// Round-trip times, each weighted by the bytes that it was measured on.
#[derive(Clone, Copy, Debug, Default)]
struct RoundTrip {
    bytes: f64,
    weighted: f64,
    /// Of the last interval that had traffic.
    last: Option<f64>,
}

/// A peer; without a port if there were several.
pub type To = (IpAddr, Option<u16>);

/// Bytes to and from one address.
#[derive(Clone, Copy, Debug)]
struct Remote {
    bytes: u64,
    /// `None` for several.
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

    /// Adds what a TCP connection moved; `round_trip` in seconds.
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

    /// Traffic-weighted round-trip time in seconds.
    pub fn round_trip(&self) -> Option<f64> {
        let now = (self.round_trip.bytes > 0.0).then(|| self.round_trip.weighted / self.round_trip.bytes);
        now.or(self.round_trip.last)
    }

    /// The peer with most of the traffic.
    pub fn to(&self) -> Option<To> {
        let most = self.remotes.iter().max_by_key(|(ip, remote)| (remote.bytes, **ip));
        most.map(|(ip, remote)| (*ip, remote.port)).or(self.to)
    }

    /// Whether a process that has ended has something new for this report.
    pub fn has_news(&self) -> bool {
        !self.told || self.interval() != Bytes::default() || self.ended_connections > 0
    }

    /// A report has been delivered, with its end if it has `ended`: the next interval begins.
    pub fn delivered(&mut self, ended: bool) {
        self.to = self.to();
        self.round_trip = RoundTrip { last: self.round_trip(), ..RoundTrip::default() };
        self.remotes.clear();
        self.ended_connections = 0;
        self.reported = self.total();
        self.told = ended;
    }
}

/// Bytes that all processes together sent and received.
pub struct Overall {
    pub total: Bytes,
    pub interval: Bytes,
}

impl Overall {
    /// The traffic of `processes`, after others had sent and received `before` in all.
    pub fn of<'a>(before: Bytes, processes: impl Iterator<Item = &'a Traffic>) -> Self {
        let mut all = Self { total: before, interval: Bytes::default() };
        for traffic in processes {
            all.total.add(traffic.total());
            all.interval.add(traffic.interval());
        }
        all
    }

    /// The part of this interval that `bytes` are, 0 to 1.
    pub fn share(&self, bytes: Bytes) -> f64 {
        let all = self.interval.both();
        if all == 0 { 0.0 } else { bytes.both() as f64 / all as f64 }
    }
}
