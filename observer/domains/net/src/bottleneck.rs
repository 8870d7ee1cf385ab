//! The bottleneck of a TCP connection, found from readings of the kernel's state of the connection.
//!
//! The checks run in this order, because each answer hides those after it:
//!
//! 1. Data has arrived, and the process reads nothing of it.
//! 2. The kernel counts for how long the receiver's window or the send buffer stopped the sender. A large part of the
//!    time makes it the bottleneck.
//! 3. Data waits to be sent all the time, so the network is the bottleneck: losses, where segments were lost without a
//!    queue in the path; otherwise the rate of the narrowest link.
//! 4. No data waits. Where both sides send in turn, most of the time passes in round trips, on the peer's turn, or on
//!    this side's turn. Where only this side sends, it is application-limited.
//!
//! What cannot be seen: why received data does not come faster. Only its sender knows that. Here it is only known
//! whether this side reads too slowly.

pub use self::measured::ReadingPair;
use self::{exchange::Exchange, measured::Measured, turn_times::TurnTimes};
use super::{
    diagnosis::{Bottleneck, Diagnosis, Remedy},
    history::Reading,
};
use observer_core::units::{bit_rate, bytes, counted, duration, share};

mod exchange;
mod measured;
mod turn_times;

/// The receiver's window is the bottleneck if it stopped the sender for at least this part of the time. The window
/// never stops a sender with another bottleneck. With this one, the rest of the time passes while data and window
/// updates are in flight.
const WINDOW: f64 = 0.25;
/// The same for the send buffer. The kernel misses its time if the buffer fills just after the last data was sent.
const BUFFER: f64 = 0.15;
/// The network is the bottleneck if data waits in this part of the readings, and is in flight for [`BUSY`] of the time.
const MOST: f64 = 0.5;
const BUSY: f64 = 0.7;
/// The congestion window stops a sender that uses this part of it. Pacing keeps a little of it free.
const FULL: f64 = 0.8;
/// While a sender fills its link, a queue adds at least this part of the smallest round-trip time. CUBIC leaves more
/// than that, even just after it has backed off.
const QUEUED: f64 = 0.1;
/// A queue of fewer segments is the sender's own burst.
const BURST: f64 = 3.0;
/// A link with a full queue loses up to this part of the segments. If more is lost with hardly any queue, the queue is
/// not the reason.
const FEW_LOST: f64 = 0.0005;
/// A shorter queueing delay, in seconds, is normal, because packets wait for each other.
const STANDING: f64 = 0.001;

/// The bottleneck of a connection during the time of these readings.
#[must_use]
pub fn judge(span: ReadingPair<'_>) -> Diagnosis {
    let measured = Measured::of(span);
    let Some(measured) = measured.filter(|measured| measured.elapsed > 0.0) else {
        return Diagnosis::unknown("it was read once only");
    };
    let found = unread(span)
        .or_else(|| stopped(span, &measured))
        .or_else(|| receives(span, &measured))
        .or_else(|| network(span, &measured))
        .unwrap_or_else(|| turns(span, &measured));
    Diagnosis { queue: found.queue.or_else(|| seen_queue(span, &measured, found.limit)), ..found }
}

/// Whether the process reads nothing of the data that has arrived. It has read what arrived minus what waits.
fn unread(ReadingPair { from, to, all, hz, .. }: ReadingPair<'_>) -> Option<Diagnosis> {
    let read = |reading: &Reading| reading.counters.rx.saturating_sub(reading.measures.unread.into());
    let waits = |reading: &&Reading| reading.measures.unread > 0 && read(reading) == read(to);
    if !waits(&from) {
        return None;
    }
    let first = all.iter().rev().take_while(|reading| waits(reading)).last().unwrap_or(from);
    // The data that waited in this reading had arrived before it.
    let arrived = first.jiffies.wrapping_sub(first.times.last_received).cast_signed().max(0);
    let seconds = to.at.saturating_sub(first.at) as f64 / 1e9 + f64::from(arrived) / hz;
    Some(not_reading(to.measures.unread, seconds))
}

/// The process of the connection has read nothing for at least `seconds`, while `unread` bytes wait.
pub fn not_reading(unread: u32, seconds: f64) -> Diagnosis {
    let (waiting, since) = (bytes(u64::from(unread)), duration(seconds));
    let evidence =
        format!("its process has not read {waiting} that have arrived, and has read nothing for {since}");
    Diagnosis::of(Bottleneck::Reader, format!("its process does not read: {waiting} wait"), evidence)
}

/// The receiver's window or the send buffer, if the kernel counted that one of them stopped the sender.
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
            "its send buffer of {} was full for {} of the time, and all of it was in flight",
            bytes(u64::from(times.send_buffer)),
            share(measured.buffer.max(often))
        );
        let brief = format!("its send buffer of {}", bytes(u64::from(times.send_buffer)));
        return Some(Diagnosis::of(Bottleneck::SendBuffer, brief, evidence).gaining(Remedy::Buffer));
    }
    None
}

/// This side does little but receive.
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
            "its process has not read {unread} that have arrived; its window allows {} more",
            bytes(u64::from(times.receive_window))
        );
        return Some(Diagnosis::of(Bottleneck::Receiver, "its process reads slowly".to_owned(), text));
    }
    // Small pieces on request are an exchange, whichever side sends more.
    if f64::from(measured.received) <= 4.0 * f64::from(measured.sent) {
        return None;
    }
    let found = Exchange::of(span, measured).and_then(|exchange| exchange.of_long_answers(span));
    Some(found.unwrap_or_else(|| {
        Diagnosis::unknown("it receives, and reads what arrives: only the sender knows what limits it")
    }))
}

/// Data waits for the network.
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
    // The congestion window stops the sender, and not its pacing rate, as with BBR.
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
        let evidence =
            format!("it sends all that its path can carry, {rate}; the queue in the path adds {adds}");
        (format!("the link; its queue holds {adds}"), evidence)
    } else {
        let evidence = format!("it sends all that its path can carry, {rate}, and no queue builds up");
        ("the link".to_owned(), evidence)
    };
    let judgement = Diagnosis::of(Bottleneck::Link, brief, evidence).gaining(Remedy::Bandwidth);
    Some(Diagnosis { queue: measured.queue(), ..judgement })
}

/// No data waits to be sent: the sides send in turn, or only one of them sends.
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
            format!("its process sends seldom: nothing was in flight for {idle} of the time")
        } else {
            format!("its process sends {sent}, and nothing of it has to wait")
        };
        return Diagnosis::of(
            Bottleneck::Application,
            "application-limited: no more data to send".to_owned(),
            evidence,
        );
    }
    if went == 0 && to.measures.unread == 0 {
        let evidence = "the peer sends seldom, and everything that arrived has been read".to_owned();
        return Diagnosis::of(Bottleneck::Peer, "the peer sends seldom".to_owned(), evidence);
    }
    let Some(exchange) = Exchange::of(span, measured) else {
        return TurnTimes::of(span, measured.travels(span)).judged(span, measured.travels(span));
    };
    if exchange.is_of_round_trips() {
        let round_trip = if exchange.waits > exchange.travels { measured.least } else { measured.round_trip };
        let round_trip = duration(round_trip.or(measured.least).unwrap_or(0.0));
        let evidence = format!(
            "one small request at a time, {} a second, and a round trip takes {round_trip}",
            counted((f64::from(exchange.count) / exchange.seconds).round() as u64, "exchange", "exchanges"),
        );
        let brief = format!("latency: {round_trip} a round trip");
        return Diagnosis::of(Bottleneck::Latency, brief, evidence).gaining(Remedy::Nearness);
    }
    exchange.judged(span)
}

/// Whether this side sent last, after the peer had sent too: it may wait for an answer.
fn asked(Reading { times, .. }: &Reading) -> bool {
    times.segments_in > 0 && times.last_sent.wrapping_sub(times.last_received).cast_signed() >= 0
}

/// The median of the smoothed round-trip times, in seconds.
fn usual_round_trip(span: ReadingPair<'_>) -> f64 {
    let readings = span.all.iter().map(|reading| reading.measures.srtt).filter(|srtt| *srtt > 0);
    let mut sorted: Vec<u32> = readings.collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).map_or(0.0, |micros| f64::from(*micros) / 1e6)
}

/// Queueing delay in seconds for a connection that does not fill the queue. Only for a connection that round trips
/// limit: in other connections, answers wait for something else.
fn seen_queue(_: ReadingPair<'_>, measured: &Measured, limit: Bottleneck) -> Option<f64> {
    matches!(limit, Bottleneck::Latency | Bottleneck::Loss).then(|| measured.queue()).flatten()
}

/// The part of the readings for which `is` is true.
fn part(ReadingPair { all, .. }: ReadingPair<'_>, is: impl Fn(&&Reading) -> bool) -> f64 {
    all.iter().filter(is).count() as f64 / all.len().max(1) as f64
}

#[cfg(test)]
mod tests;
