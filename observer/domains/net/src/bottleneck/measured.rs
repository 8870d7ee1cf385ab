//! The readings that show a bottleneck, and the numbers measured over all of them.

use super::super::history::Reading;

/// The readings of one connection that show its bottleneck.
#[derive(Clone, Copy, Debug)]
pub struct ReadingPair<'a> {
    /// Times and bytes are counted from this reading.
    pub from: &'a Reading,
    pub to: &'a Reading,
    /// The readings of the last seconds, from `from` to `to`, oldest first.
    pub all: &'a [Reading],
    /// Jiffies per second.
    pub hz: f64,
    /// Seconds that a queue in the path is known to add, because another connection fills it.
    pub beside: f64,
    /// Whether the peer opened the connection, as far as that is known: then this side answers.
    pub answers: bool,
    /// Whether both ends are on this machine.
    pub local: bool,
}

/// Numbers of a span that several checks need.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Seconds.
    pub elapsed: f64,
    /// Parts of `elapsed`, 0 to 1: with data in flight, stopped by the receiver's window, stopped by the send buffer.
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
            // A reading without the socket's lock can fall between the stop of one counter and the start of the next.
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

    /// Seconds that round trips take beyond the shortest one.
    pub fn queue(&self) -> Option<f64> {
        Some((self.round_trip? - self.least?).max(0.0))
    }

    pub fn rate(&self) -> f64 {
        self.tx / self.elapsed
    }

    /// Seconds of a round trip on the path. A longer round trip may be a slow answer, so a queue only counts if a
    /// process is known to fill it.
    pub fn travels(&self, span: ReadingPair<'_>) -> f64 {
        let least = self.least.or(self.round_trip).unwrap_or(0.0);
        least + span.beside.min(self.queue().unwrap_or(0.0))
    }
}
