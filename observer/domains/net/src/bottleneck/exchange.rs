//! Where the time passes on a connection over which both sides send in turn.

use super::{
    super::diagnosis::Diagnosis,
    measured::{Measured, ReadingPair},
    turn_times::{TurnTimes, other_side, this_side},
};

/// An exchange that waits for nothing else spends at least this part of its time in round trips.
const TRAVELS: f64 = 0.5;
/// The same, if the rest is shorter than [`SCHEDULED`] seconds: programs may wait as long for a processor.
const TRAVELS_SHORT: f64 = 0.3;
const SCHEDULED: f64 = 0.001;
/// An exchange must take this many jiffies, so that the times of its data show which turn is the longer one.
const RESOLVED: f64 = 3.0;
/// Seconds for which an acknowledgement waits, to be sent together with an answer.
const ACKNOWLEDGED: f64 = 0.040;
/// Bytes per second that every path has if its round trips are shorter than [`SCHEDULED`]: a local network.
const LOCAL_RATE: f64 = 12.5e6;

/// Where the time of all exchanges passes, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    pub count: u32,
    pub seconds: f64,
    /// Time in round trips without load.
    pub travels: f64,
    /// Time with data in flight, beyond those round trips. A side that answers soon sends its acknowledgement with the
    /// answer.
    pub waits: f64,
    /// Time with nothing in flight.
    pub rest: f64,
    /// Bytes per second that arrived while nothing was in flight.
    pub flows: f64,
    /// Seconds of one round trip.
    pub round_trip: f64,
}

impl Exchange {
    /// `None` if one side has sent nothing.
    pub fn of(span: ReadingPair<'_>, measured: &Measured) -> Option<Self> {
        let (first, to) = (span.all.first()?, span.to);
        let came = to.times.segments_in.wrapping_sub(first.times.segments_in);
        let went = to.times.segments_out.wrapping_sub(first.times.segments_out);
        let (count, seconds) = (came.min(went), to.at.saturating_sub(first.at) as f64 / 1e9);
        let chrono = to.measures.chrono.iter().zip(first.measures.chrono);
        let busy: i64 = chrono.map(|(now, before)| i64::from(now.wrapping_sub(before).cast_signed())).sum();
        let busy = (busy.max(0) as f64 / span.hz).min(seconds);
        let round_trip = measured.travels(span);
        let travels = (f64::from(count) * round_trip).min(seconds);
        let rest = seconds - busy.max(travels);
        let flows = to.counters.rx.saturating_sub(first.counters.rx) as f64 / rest.max(1e-9);
        (count > 0 && seconds > 0.0).then_some(Self {
            count,
            seconds,
            travels,
            waits: (busy - travels).max(0.0),
            rest,
            flows,
            round_trip,
        })
    }

    pub fn is_of_round_trips(&self) -> bool {
        let short = (self.seconds - self.travels) / f64::from(self.count) < SCHEDULED;
        self.travels >= TRAVELS * self.seconds || (short && self.travels >= TRAVELS_SHORT * self.seconds)
    }

    /// Whether the times of data show the turns.
    pub fn is_resolved(&self, hz: f64) -> bool {
        self.seconds / f64::from(self.count) * hz >= RESOLVED
    }

    /// The bottleneck: the side with the longer turn.
    pub fn judged(&self, span: ReadingPair<'_>) -> Diagnosis {
        let each = |seconds: f64| seconds / f64::from(self.count);
        if self.waits >= TRAVELS * self.seconds {
            return other_side(span, each(self.waits), self.round_trip);
        }
        if self.is_resolved(span.hz) {
            let turns = TurnTimes::of(span, self.round_trip);
            // The side that asks waits with data in flight, so what is left is its own time.
            let waits_in_flight = !span.answers && each(self.seconds) < ACKNOWLEDGED;
            if !(waits_in_flight && turns.are_unknown()) {
                return turns.judged(span, self.round_trip);
            }
        }
        if self.waits >= self.rest {
            other_side(span, each(self.waits), self.round_trip)
        } else {
            this_side(span, each(self.rest))
        }
    }

    /// The same if an answer takes long to arrive: only its sender may know why.
    pub fn of_long_answers(&self, span: ReadingPair<'_>) -> Option<Diagnosis> {
        if span.local || self.waits >= TRAVELS * self.seconds {
            return Some(self.judged(span));
        }
        if self.is_resolved(span.hz) {
            return TurnTimes::of_long_answers(span, self.round_trip);
        }
        let soon = self.round_trip < SCHEDULED && self.flows < LOCAL_RATE;
        soon.then(|| self.judged(span))
    }
}
