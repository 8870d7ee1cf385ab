//! The bottleneck of a TCP connection, found from readings of what the kernel knows about it.
//!
//! The questions are asked in this order, because each answer hides those after it:
//!
//! 1. The kernel counts for how long the receiver's window or the send buffer stopped the sender. A large part of the time
//!    makes it the bottleneck.
//! 2. Data waits to be sent all the time, so the network is the bottleneck: losses, where segments were lost without a queue
//!    in the path; otherwise the rate of the narrowest link.
//! 3. No data waits. Where both sides send in turn, most of the time passes in round trips, on the peer's turn, or on this
//!    side's turn. Where only this side sends, it is application-limited.
//!
//! What cannot be seen: why data that this side receives does not come faster. Only its sender knows that; here it is only
//! known if this side reads too slowly.

use super::{
    diagnosis::{Bottleneck, Diagnosis, Remedy},
    history::Reading,
};
use observer_core::units::{bit_rate, bytes, counted, duration, share};

/// The part of the time that the receiver's window must have stopped the sender. It never stops a sender with another
/// bottleneck; with this one, the rest of the time passes while data and window updates are in flight.
const WINDOW: f64 = 0.25;
/// The same for the send buffer, whose time the kernel misses where the buffer fills just after the last data was sent.
const BUFFER: f64 = 0.15;
/// For the network to be the bottleneck: the part of the readings with data waiting, and of the time with data in flight.
const MOST: f64 = 0.5;
const BUSY: f64 = 0.7;
/// The part of the congestion window that a sender uses which it stops. Pacing keeps a little of it free.
const FULL: f64 = 0.8;
/// The part of the smallest round-trip time that a queue adds at least while a sender fills its link: even just after it
/// has backed off, CUBIC leaves more.
const QUEUED: f64 = 0.1;
/// A queue that holds fewer segments is the sender's own burst.
const BURST: f64 = 3.0;
/// The part of the segments that is lost at a link with a full queue. Where more is lost with hardly any queue, the queue
/// is not the reason.
const FEW_LOST: f64 = 0.0005;
/// The part of the time that round trips take of an exchange that waits for nothing else.
const TRAVELS: f64 = 0.5;
/// Seconds that programs on a busy machine wait for a processor: no exchange is faster than that and its round trip.
const SCHEDULED: f64 = 0.010;
/// A queue of fewer seconds is there in any case, because packets wait for each other.
const STANDING: f64 = 0.001;

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
}

/// The bottleneck of a connection between these readings.
#[must_use]
pub fn judge(span: ReadingPair<'_>) -> Diagnosis {
    let measured = Measured::of(span);
    let Some(measured) = measured.filter(|measured| measured.elapsed > 0.0) else {
        return Diagnosis::unknown("it was read once only");
    };
    let found = stopped(span, &measured)
        .or_else(|| receives(span, &measured))
        .or_else(|| network(span, &measured))
        .unwrap_or_else(|| turns(span, &measured));
    Diagnosis { queue: found.queue.or_else(|| seen_queue(span, &measured, found.limit)), ..found }
}

/// Numbers of a span that several questions need.
#[derive(Clone, Copy, Debug)]
struct Measured {
    /// Seconds.
    elapsed: f64,
    /// The parts of them with data in flight, stopped by the receiver's window, and stopped by the send buffer.
    busy: f64,
    window: f64,
    buffer: f64,
    tx: f64,
    rx: f64,
    /// Round-trip times in seconds: the smallest of the recent smoothed ones, and the smallest ever.
    round_trip: Option<f64>,
    least: Option<f64>,
    /// Segments with data that were sent and received.
    sent: u32,
    received: u32,
}

impl Measured {
    fn of(ReadingPair { from, to, all, hz, .. }: ReadingPair<'_>) -> Option<Self> {
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
    fn queue(&self) -> Option<f64> {
        Some((self.round_trip? - self.least?).max(0.0))
    }

    fn rate(&self) -> f64 {
        self.tx / self.elapsed
    }
}

/// Whether the kernel has counted what stopped the sender.
fn stopped(span: ReadingPair<'_>, measured: &Measured) -> Option<Diagnosis> {
    let Reading { measures, times, .. } = span.to;
    if measured.window >= WINDOW && measured.window >= measured.buffer {
        let evidence = format!(
            "the receiver's window, now {}, was full for {} of the time",
            bytes(u64::from(measures.window)),
            share(measured.window)
        );
        // If the whole window is in flight, it is too small for the path; if not, the receiver keeps it closed.
        let spans = f64::from(measures.unacked) >= FULL * f64::from(measures.window) && measures.window > 0;
        let gains = if spans { Remedy::Buffer } else { Remedy::Neither };
        let brief = if spans { "the receiver's small window" } else { "the receiver reads slowly" };
        return Some(Diagnosis::of(Bottleneck::Receiver, brief.to_owned(), evidence).gaining(gains));
    }
    // Most of the buffer is in flight. A buffer that grows with the congestion window holds as much again that waits.
    let full = |reading: &&Reading| {
        let (measures, times) = (&reading.measures, &reading.times);
        times.send_buffer > 0
            && times.send_queued >= times.send_buffer / 3 * 2
            && measures.unsent <= measures.unacked / 2
    };
    let often = part(span, full);
    if measured.buffer >= BUFFER || (measured.busy >= BUSY && often >= MOST) {
        let evidence = format!(
            "its send buffer of {} was full for {} of the time, and all of it under way",
            bytes(u64::from(times.send_buffer)),
            share(measured.buffer.max(often))
        );
        let brief = format!("its send buffer of {}", bytes(u64::from(times.send_buffer)));
        return Some(Diagnosis::of(Bottleneck::SendBuffer, brief, evidence).gaining(Remedy::Buffer));
    }
    None
}

/// Where this side does little but receive.
fn receives(span: ReadingPair<'_>, measured: &Measured) -> Option<Diagnosis> {
    let Reading { measures, times, .. } = span.to;
    let segment = f64::from(measures.mss.max(1));
    if measured.rx < 10.0 * measured.tx || measured.rx < 10.0 * segment {
        return None;
    }
    let unread = |reading: &&Reading| {
        reading.measures.unread > 0 && reading.measures.unread >= reading.times.receive_window / 2
    };
    if part(span, unread) >= MOST {
        let unread = bytes(u64::from(measures.unread));
        let text = format!(
            "{unread} have arrived that its process has not read, and it allows {} more",
            bytes(u64::from(times.receive_window))
        );
        return Some(Diagnosis::of(Bottleneck::Receiver, "itself: reads slowly".to_owned(), text));
    }
    // Small pieces on request are an exchange, whichever side sends more.
    if f64::from(measured.received) <= 4.0 * f64::from(measured.sent) {
        return None;
    }
    Some(Diagnosis::unknown(
        "it receives, and reads what arrives: why no more does is known where it is sent",
    ))
}

/// Whether data waits for the network.
fn network(span: ReadingPair<'_>, measured: &Measured) -> Option<Diagnosis> {
    let segment = span.to.measures.mss;
    let backlog = |reading: &&Reading| {
        let measures = &reading.measures;
        measures.unsent > segment
            || (measures.unsent > 0 && f64::from(measures.packets_out) >= FULL * f64::from(measures.cwnd))
    };
    if part(span, backlog) < MOST || measured.busy < BUSY {
        return None;
    }
    let (first, to) = (span.all.first()?, span.to);
    let lost = to.times.lost.wrapping_sub(first.times.lost);
    let delivered = to.measures.delivered.wrapping_sub(first.measures.delivered);
    let part_lost = f64::from(lost) / f64::from(delivered.max(1));
    // A sender that is held by its congestion window, and not by its pacing rate, as BBR is.
    let held = |reading: &&Reading| {
        f64::from(reading.measures.packets_out) >= FULL * f64::from(reading.measures.cwnd)
    };
    let standing = measured.queue().unwrap_or(0.0);
    let least = measured.least.unwrap_or(0.0);
    let usual = (usual_round_trip(span) - least).max(0.0);
    let burst = BURST * f64::from(segment) / measured.rate().max(1.0);
    let queued = usual >= QUEUED * least && usual >= burst.min(least);
    if part_lost > FEW_LOST && !queued && part(span, held) >= MOST {
        let round_trip = duration(measured.round_trip.unwrap_or(0.0));
        let evidence = format!(
            "{} of its segments were lost and no queue explains it: a round trip takes {round_trip} as without load",
            share(part_lost)
        );
        let brief = format!("losses: {}", share(part_lost));
        return Some(Diagnosis::of(Bottleneck::Loss, brief, evidence).gaining(Remedy::Nearness));
    }
    let rate = bit_rate(measured.rate());
    let (brief, evidence) = if standing >= STANDING {
        let adds = duration(standing);
        let evidence = format!("it sends all that its path takes, {rate}; the queue on it adds {adds}");
        (format!("the link; its queue holds {adds}"), evidence)
    } else {
        let evidence = format!("it sends all that its path takes, {rate}, and no queue stands on it");
        ("the link".to_owned(), evidence)
    };
    let judgement = Diagnosis::of(Bottleneck::Link, brief, evidence).gaining(Remedy::Bandwidth);
    Some(Diagnosis { queue: measured.queue(), ..judgement })
}

/// No data waits to be sent: whose turn is it?
fn turns(span: ReadingPair<'_>, measured: &Measured) -> Diagnosis {
    let (first, to) = (span.all.first().unwrap_or(span.from), span.to);
    let came = to.times.segments_in.wrapping_sub(first.times.segments_in);
    let went = to.times.segments_out.wrapping_sub(first.times.segments_out);
    let idle = share(1.0 - measured.busy);
    if (came, went) == (0, 0) {
        return Diagnosis::unknown("nothing flows");
    }
    if came == 0 && !(went <= 1 && asked(to)) {
        let sent = bit_rate(measured.rate());
        let evidence = if measured.busy < 0.5 {
            format!("its process sends seldom: nothing was under way for {idle} of the time")
        } else {
            format!("its process gives {sent} to send, and nothing of it has to wait")
        };
        return Diagnosis::of(Bottleneck::Application, "itself: has no more to send".to_owned(), evidence);
    }
    if went == 0 && to.measures.unread == 0 {
        let evidence = "the other side sends seldom, and all that came has been read".to_owned();
        return Diagnosis::of(Bottleneck::Peer, "the other side sends seldom".to_owned(), evidence);
    }
    let least = measured.least.or(measured.round_trip).unwrap_or(0.0);
    // A longer round trip may be a slow answer. Only a queue that a process is known to fill counts as one.
    let travels = least + span.beside.min(measured.queue().unwrap_or(0.0));
    let seconds = to.at.saturating_sub(first.at) as f64 / 1e9;
    let exchanges = came.min(went);
    let takes = seconds / f64::from(exchanges.max(1));
    if exchanges > 0 && (travels >= TRAVELS * takes || takes - travels < SCHEDULED) {
        let evidence = format!(
            "one small request at a time, {} a second, and a round trip takes {}",
            counted((f64::from(exchanges) / seconds).round() as u64, "exchange", "exchanges"),
            duration(measured.round_trip.unwrap_or(least))
        );
        let brief = format!("latency: {} a round trip", duration(measured.round_trip.unwrap_or(least)));
        return Diagnosis::of(Bottleneck::Latency, brief, evidence).gaining(Remedy::Nearness);
    }
    let turns = TurnTimes::of(span, travels);
    if turns.own == 0.0 && turns.other == 0.0 {
        return Diagnosis::unknown(
            "both sides speak within one tick of the kernel's clock: whose turn it is cannot be told",
        );
    }
    if turns.other >= turns.own {
        let evidence = format!(
            "the other side takes {} to answer, beside a round trip of {}",
            duration(turns.other),
            duration(least)
        );
        let brief = format!("the other side: {} to answer", duration(turns.other));
        Diagnosis::of(Bottleneck::Peer, brief, evidence)
    } else {
        let evidence = format!("its process takes {} before it speaks again", duration(turns.own));
        let brief = format!("itself: {} between requests", duration(turns.own));
        Diagnosis::of(Bottleneck::Application, brief, evidence)
    }
}

/// Whether this side sent last, after the peer had sent too: it may wait for an answer.
fn asked(Reading { times, .. }: &Reading) -> bool {
    times.segments_in > 0 && times.last_sent.wrapping_sub(times.last_received).cast_signed() >= 0
}

/// The median of the smoothed round-trip times, seconds.
fn usual_round_trip(span: ReadingPair<'_>) -> f64 {
    let readings = span.all.iter().map(|reading| reading.measures.srtt).filter(|srtt| *srtt > 0);
    let mut sorted: Vec<u32> = readings.collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).map_or(0.0, |micros| f64::from(*micros) / 1e6)
}

/// How long each side takes on its turn, seconds.
#[derive(Clone, Copy, Debug, Default)]
struct TurnTimes {
    own: f64,
    other: f64,
}

impl TurnTimes {
    /// From the times of the last data in each direction: a reading shows one turn that has ended, and one that has not.
    fn of(ReadingPair { all, hz, .. }: ReadingPair<'_>, round_trip: f64) -> Self {
        let mut turns = Self::default();
        for reading in all.iter().filter(|reading| reading.times.segments_in > 0) {
            let times = &reading.times;
            let after =
                |later: u32, earlier: u32| f64::from(later.wrapping_sub(earlier).cast_signed().max(0)) / hz;
            let (sent, received) = (times.last_sent, times.last_received);
            let now = reading.jiffies;
            let order = received.wrapping_sub(sent).cast_signed();
            // Within one jiffy: a fast answer, or a question that followed an answer. If each is one segment, their numbers
            // show which; if not, it is unknown.
            let ahead = times.segments_out.wrapping_sub(times.segments_in);
            let soon = order == 0 && round_trip * hz < 2.0;
            if soon && ahead > 1 {
                continue;
            }
            if order > 0 || (soon && ahead == 0) {
                turns.other = turns.other.max(after(received, sent) - round_trip);
                turns.own = turns.own.max(after(now, received));
            } else {
                turns.own = turns.own.max(after(sent, received));
                turns.other = turns.other.max(after(now, sent) - round_trip);
            }
        }
        turns
    }
}

/// Seconds that a queue adds for a connection that does not fill it. Only for one that round trips limit: in others answers
/// wait for something else.
fn seen_queue(_: ReadingPair<'_>, measured: &Measured, limit: Bottleneck) -> Option<f64> {
    matches!(limit, Bottleneck::Latency | Bottleneck::Loss).then(|| measured.queue()).flatten()
}

/// The part of the readings for which `is` is true.
fn part(ReadingPair { all, .. }: ReadingPair<'_>, is: impl Fn(&&Reading) -> bool) -> f64 {
    all.iter().filter(is).count() as f64 / all.len().max(1) as f64
}

#[cfg(test)]
mod tests;
