//! The time that each side of a connection takes on its turn, from the times of its data.

use super::{
    super::{
        diagnosis::{Bottleneck, Diagnosis},
        history::Reading,
    },
    measured::ReadingPair,
};
use observer_core::units::duration;

/// Seconds that each side takes on its turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct TurnTimes {
    own: f64,
    other: f64,
}

impl TurnTimes {
    /// From the times of the last data in each direction: a reading shows one turn that has ended, and one that has
    /// not.
    pub fn of(span: ReadingPair<'_>, round_trip: f64) -> Self {
        let mut turns = Self::default();
        let ahead = own_turn(span);
        for reading in span.all.iter().filter(|reading| reading.times.segments_in > 0) {
            let times = &reading.times;
            let after = |later: u32, earlier: u32| {
                f64::from(later.wrapping_sub(earlier).cast_signed().max(0)) / span.hz
            };
            let (sent, received) = (times.last_sent, times.last_received);
            let now = reading.jiffies;
            let order = order(reading);
            // Within one jiffy: a fast answer, or a request that followed an answer. If each is one segment, their
            // numbers show which; if not, it is unknown.
            let soon = order == 0 && round_trip * span.hz < 2.0;
            let own = ahead.map(|own| lead(reading).wrapping_sub(own));
            if soon && !matches!(own, Some(0 | 1)) {
                continue;
            }
            if order > 0 || (soon && own == Some(0)) {
                turns.other = turns.other.max(after(received, sent) - round_trip);
                turns.own = turns.own.max(after(now, received));
            } else {
                turns.own = turns.own.max(after(sent, received));
                turns.other = turns.other.max(after(now, sent) - round_trip);
            }
        }
        turns
    }

    /// For answers that take long to arrive. An answer is arriving if its last data is new; then neither side has its
    /// turn. `None` if most readings show an arriving answer.
    pub fn of_long_answers(span: ReadingPair<'_>, round_trip: f64) -> Option<Diagnosis> {
        let (mut turns, mut own, mut other, mut arrive) = (Self::default(), 0, 0, 0);
        for reading in span.all.iter().filter(|reading| reading.times.segments_in > 0) {
            let since =
                |then: u32| f64::from(reading.jiffies.wrapping_sub(then).cast_signed().max(0)) / span.hz;
            let (sent, received) = (since(reading.times.last_sent), since(reading.times.last_received));
            if order(reading) < 0 && sent > round_trip {
                other += 1;
                turns.other = turns.other.max(sent - round_trip);
            } else if received * span.hz > 2.0 {
                own += 1;
                turns.own = turns.own.max(received);
            } else {
                arrive += 1;
            }
        }
        (own.max(other) >= arrive).then(|| turns.judged(span, round_trip))
    }

    pub fn are_unknown(self) -> bool {
        self.own == 0.0 && self.other == 0.0
    }

    /// The bottleneck: the side with the longer turn.
    pub fn judged(self, span: ReadingPair<'_>, round_trip: f64) -> Diagnosis {
        if self.are_unknown() {
            return Diagnosis::unknown(
                "both sides answer within one tick of the kernel's clock: it is too coarse to show which side \
                 takes the time",
            );
        }
        if self.other >= self.own {
            other_side(span, self.other, round_trip)
        } else {
            this_side(span, self.own)
        }
    }
}

/// Jiffies between the last data in each direction: above 0 if data was last received, below 0 if it was last sent.
fn order(Reading { times, .. }: &Reading) -> i32 {
    times.last_received.wrapping_sub(times.last_sent).cast_signed()
}

/// How many more segments this side has sent than received.
fn lead(Reading { times, .. }: &Reading) -> i32 {
    times.segments_out.wrapping_sub(times.segments_in).cast_signed()
}

/// [`lead`] on this side's turn, if each turn is one segment. It comes from readings with a clear order, otherwise from
/// the side that asks. `None` if turns have several segments.
fn own_turn(span: ReadingPair<'_>) -> Option<i32> {
    let clear = span.all.iter().filter(|reading| reading.times.segments_in > 0 && order(reading) != 0);
    let mut leads = clear.map(|reading| lead(reading) - i32::from(order(reading) < 0));
    let Some(first) = leads.next() else { return Some(if span.answers { -1 } else { 0 }) };
    leads.all(|other| other == first).then_some(first)
}

/// The peer takes `seconds` on its turn.
pub fn other_side(span: ReadingPair<'_>, seconds: f64, round_trip: f64) -> Diagnosis {
    let (takes, round_trip) = (duration(seconds), duration(round_trip));
    let (act, brief) = if span.answers {
        ("to ask again", format!("the peer: {takes} between requests"))
    } else {
        ("to answer", format!("the peer: {takes} to answer"))
    };
    let evidence = format!("the peer takes {takes} {act}, in addition to a round trip of {round_trip}");
    Diagnosis::of(Bottleneck::Peer, brief, evidence)
}

/// This side takes `seconds` on its turn.
pub fn this_side(span: ReadingPair<'_>, seconds: f64) -> Diagnosis {
    let takes = duration(seconds);
    let evidence = format!("its process takes {takes} before it sends again");
    let brief = if span.answers {
        format!("its process: {takes} to answer")
    } else {
        format!("its process: {takes} between requests")
    };
    Diagnosis::of(Bottleneck::Application, brief, evidence)
}
