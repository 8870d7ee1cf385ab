//! The readings that a bottleneck follows from, and what they measure together.

use super::super::history::Reading;

/// The readings of one connection that its bottleneck follows from.
#[derive(Clone, Copy, Debug)]
pub struct ReadingPair<'a> {
    /// The reading that times and bytes are counted from.
    pub from: &'a Reading,
    pub to: &'a Reading,
    /// Those of the last seconds, `from` and `to` included, oldest first.
    pub all: &'a [Reading],
    /// Jiffies a second.
    pub hz: f64,
    /// Seconds that a queue in its path is known to add, because another connection fills it.
    pub beside: f64,
    /// Whether the peer opened it, as far as that is known: this side answers.
    pub answers: bool,
    /// Whether both ends are on this machine.
    pub local: bool,
}

/// Numbers of a span that several questions need.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Seconds.
    pub elapsed: f64,
    /// The parts of them with data in flight, stopped by the receiver's window, and stopped by the send buffer.
    pub busy: f64,
    pub window: f64,
    pub buffer: f64,
    pub tx: f64,
    pub rx: f64,
    /// Round-trip times in seconds: the smallest of the recent smoothed ones, and the smallest ever.
    pub round_trip: Option<f64>,
    pub least: Option<f64>,
    /// Segments with data that were sent and received.
    pub sent: u32,
    pub received: u32,
}

impl Measured {
    pub fn of(ReadingPair { from, to, all, hz, .. }: ReadingPair<'_>) -> Option<Self> {
        let elapsed = to.at.saturating_sub(from.at) as f64 / 1e9;
        let spent = |at: usize| {
            // A reading without the socket's lock can be of the moment at which one counter goes on for another.
            let jiffies = to.measures.chrono[at].wrapping_sub(from.measures.chrono[at]).cast_signed().max(0);
            f64::from(jiffies) / hz / elapsed
        };
        let recent = all.iter().rev().take(2).map(|reading| reading.measures.srtt).filter(|srtt| *srtt > 0);
        Some(Self {
            elapsed,
            busy: (spent(0) + spent(1) + spent(2)).min(1.0),
            window: spent(1).min(1.0),
            buffer: spent(2).min(1.0),
            tx: to.counters.tx.saturating_sub(from.counters.tx) as f64,
            rx: to.counters.rx.saturating_sub(from.counters.rx) as f64,
            round_trip: recent.min().map(|micros| f64::from(micros) / 1e6),
            least: to.measures.rtt_min.map(|micros| f64::from(micros) / 1e6),
            sent: to.times.segments_out.wrapping_sub(from.times.segments_out),
            received: to.times.segments_in.wrapping_sub(from.times.segments_in),
        })
        .filter(|measured| measured.elapsed > 0.0)
    }

    /// Seconds that round trips take beyond the shortest.
    pub fn queue(&self) -> Option<f64> {
        Some((self.round_trip? - self.least?).max(0.0))
    }

    pub fn rate(&self) -> f64 {
        self.tx / self.elapsed
    }

    /// Seconds that a round trip takes on its path. A longer one may be a slow answer: only a queue that a process is known
    /// to fill counts as one.
    pub fn travels(&self, span: ReadingPair<'_>) -> f64 {
        let least = self.least.or(self.round_trip).unwrap_or(0.0);
        least + span.beside.min(self.queue().unwrap_or(0.0))
    }
}
