//! Readings of connections with known bottlenecks, made on Linux 6.18 with 250 jiffies a second.

use super::*;
use observer_core::facts::net::{Counters, TcpMeasures, TcpTimes};

const SECOND: u64 = 1_000_000_000;

/// Two readings, one second apart: the second one, and the changes since the first.
struct Pair {
    now: Reading,
    chrono: [u32; 3],
    sent: u64,
    received: u64,
    lost: u32,
    delivered: u32,
    segments: (u32, u32),
    beside: f64,
}

impl Pair {
    fn judged(&self) -> Diagnosis {
        let mut before = self.now;
        before.at -= SECOND;
        before.jiffies -= 250;
        for (chrono, spent) in before.measures.chrono.iter_mut().zip(self.chrono) {
            *chrono -= spent;
        }
        before.counters.tx -= self.sent;
        before.counters.rx -= self.received;
        before.times.lost -= self.lost;
        before.measures.delivered -= self.delivered;
        before.times.segments_out -= self.segments.0;
        before.times.segments_in -= self.segments.1;
        let all = [before, self.now];
        judge(ReadingPair {
            from: &all[0],
            to: &all[1],
            all: &all,
            hz: 250.0,
            beside: self.beside,
            answers: false,
            local: false,
        })
    }
}

/// A reading late in the life of a connection, with the values that all scenarios share.
fn reading(measures: TcpMeasures, times: TcpTimes) -> Reading {
    Reading {
        at: 100 * SECOND,
        jiffies: 50_000,
        counters: Counters { tx: 1 << 40, rx: 1 << 40, retransmitted: 0 },
        measures: TcpMeasures { chrono: [10_000; 3], delivered: 1 << 20, ..measures },
        times: TcpTimes { lost: times.lost + 1000, segments_out: 1 << 20, ..times },
    }
}

/// 4.9 Mbit/s, 5.6 ms; a queue of 130 kB; CUBIC.
fn bloated() -> Pair {
    let measures = TcpMeasures {
        srtt: 188_942,
        rtt_min: Some(6897),
        mss: 1448,
        cwnd: 80,
        packets_out: 80,
        unsent: 299_736,
        unacked: 115_840,
        window: 1_570_816,
        ..TcpMeasures::default()
    };
    let times = TcpTimes { ssthresh: 65, send_buffer: 433_152, send_queued: 457_176, ..TcpTimes::default() };
    let (sent, delivered) = (603_816, 402);
    let now = reading(measures, times);
    Pair { now, chrono: [254, 0, 0], sent, received: 0, lost: 0, delivered, segments: (417, 0), beside: 0.0 }
}

/// 277 Mbit/s, 3.5 ms; a queue of 87 kB, which BBR overruns now and then.
fn link() -> Pair {
    let measures = TcpMeasures {
        srtt: 4920,
        rtt_min: Some(3000),
        mss: 8948,
        cwnd: 40,
        packets_out: 40,
        unsent: 5_941_472,
        unacked: 357_920,
        window: 7_864_320,
        ..TcpMeasures::default()
    };
    let times =
        TcpTimes { ssthresh: 38, send_buffer: 7_488_000, send_queued: 6_390_080, ..TcpTimes::default() };
    let (sent, delivered) = (33_948_712, 3775);
    let now = reading(measures, times);
    Pair {
        now,
        chrono: [254, 0, 0],
        sent,
        received: 0,
        lost: 162,
        delivered,
        segments: (3956, 0),
        beside: 0.0,
    }
}

/// 784 Mbit/s, 184 ms; 0.15 % of the packets are lost; CUBIC.
fn loss() -> Pair {
    let measures = TcpMeasures {
        srtt: 186_006,
        rtt_min: Some(184_000),
        mss: 8948,
        cwnd: 103,
        packets_out: 185,
        unsent: 60_662_244,
        unacked: 1_655_380,
        window: 47_470_592,
        ..TcpMeasures::default()
    };
    let times =
        TcpTimes { ssthresh: 103, send_buffer: 67_108_864, send_queued: 63_172_088, ..TcpTimes::default() };
    let (sent, delivered) = (5_923_576, 703);
    let now = reading(measures, times);
    Pair { now, chrono: [247, 0, 0], sent, received: 0, lost: 2, delivered, segments: (664, 0), beside: 0.0 }
}

/// 129 Mbit/s, 5.5 ms; read at 1.3 MB a second.
fn receiver() -> Pair {
    let measures = TcpMeasures {
        srtt: 9961,
        rtt_min: Some(5712),
        mss: 8948,
        cwnd: 14,
        unsent: 1_065_228,
        window: 2048,
        ..TcpMeasures::default()
    };
    let times =
        TcpTimes { ssthresh: 18, send_buffer: 1_497_600, send_queued: 1_090_188, ..TcpTimes::default() };
    let (sent, delivered) = (1_322_544, 157);
    let now = reading(measures, times);
    Pair { now, chrono: [71, 179, 0], sent, received: 0, lost: 0, delivered, segments: (157, 0), beside: 0.0 }
}

/// 430 Mbit/s, 10.8 ms; a send buffer of twice 27,447 bytes.
fn send_buffer() -> Pair {
    let measures = TcpMeasures {
        srtt: 11_332,
        rtt_min: Some(10_858),
        mss: 8948,
        cwnd: 26,
        packets_out: 6,
        unsent: 44_740,
        unacked: 47_640,
        window: 4_069_376,
        ..TcpMeasures::default()
    };
    let times =
        TcpTimes { send_buffer: 54_894, send_queued: 96_540, app_limited: 2369, ..TcpTimes::default() };
    let (sent, delivered) = (4_456_448, 539);
    let now = reading(measures, times);
    Pair {
        now,
        chrono: [146, 0, 107],
        sent,
        received: 0,
        lost: 0,
        delivered,
        segments: (541, 0),
        beside: 0.0,
    }
}

/// The same for a buffer with time that the kernel does not count: 57.8 Mbit/s, 14.4 ms, twice 11,733 bytes.
fn send_buffer_uncounted() -> Pair {
    let measures = TcpMeasures {
        srtt: 30_142,
        rtt_min: Some(14_000),
        mss: 1448,
        cwnd: 124,
        packets_out: 23,
        unacked: 33_304,
        window: 911_360,
        ..TcpMeasures::default()
    };
    let times = TcpTimes { send_buffer: 23_466, send_queued: 38_296, ..TcpTimes::default() };
    let (sent, delivered) = (3_026_240, 2156);
    let now = reading(measures, times);
    Pair { now, chrono: [229, 0, 0], sent, received: 0, lost: 0, delivered, segments: (2106, 0), beside: 0.0 }
}

/// 5.6 Mbit/s, 139 ms; requests of 444 bytes, answered at once with 29.
fn latency() -> Pair {
    let measures = TcpMeasures {
        srtt: 148_580,
        rtt_min: Some(139_455),
        mss: 1448,
        cwnd: 10,
        packets_out: 1,
        unacked: 444,
        window: 65_536,
        ..TcpMeasures::default()
    };
    let times =
        TcpTimes { last_sent: 49_990, last_received: 49_990, segments_in: 1 << 20, ..TcpTimes::default() };
    let now = reading(measures, times);
    let segments = (6, 6);
    Pair { now, chrono: [209, 0, 0], sent: 2664, received: 174, lost: 0, delivered: 6, segments, beside: 0.0 }
}

/// 1.6 Mbit/s, 10.8 ms; answers come after 114 ms.
fn peer() -> Pair {
    let measures =
        TcpMeasures { srtt: 12_689, rtt_min: Some(11_501), mss: 1448, cwnd: 18, ..TcpMeasures::default() };
    let times =
        TcpTimes { last_sent: 49_980, last_received: 49_980, segments_in: 1 << 20, ..TcpTimes::default() };
    let now = reading(measures, times);
    let segments = (6, 6);
    Pair { now, chrono: [20, 0, 0], sent: 1428, received: 444, lost: 0, delivered: 6, segments, beside: 0.0 }
}

/// 330 Mbit/s, 65 ms; a request each 788 ms, answered at once.
fn application() -> Pair {
    let measures =
        TcpMeasures { srtt: 75_438, rtt_min: Some(64_929), mss: 8948, cwnd: 10, ..TcpMeasures::default() };
    let times =
        TcpTimes { last_sent: 49_853, last_received: 49_880, segments_in: 1 << 20, ..TcpTimes::default() };
    let now = reading(measures, times);
    let segments = (1, 1);
    Pair { now, chrono: [27, 0, 0], sent: 54, received: 678, lost: 0, delivered: 1, segments, beside: 0.0 }
}

#[test]
fn each_bottleneck_follows_from_its_readings() {
    for (pair, limit) in [
        (link(), Bottleneck::Link),
        (bloated(), Bottleneck::Link),
        (loss(), Bottleneck::Loss),
        (receiver(), Bottleneck::Receiver),
        (send_buffer(), Bottleneck::SendBuffer),
        (send_buffer_uncounted(), Bottleneck::SendBuffer),
        (latency(), Bottleneck::Latency),
        (peer(), Bottleneck::Peer),
        (application(), Bottleneck::Application),
    ] {
        let judgement = pair.judged();
        assert_eq!(judgement.limit, limit, "{judgement:?}");
        assert!(!judgement.brief.is_empty() && !judgement.evidence.is_empty());
    }
}

#[test]
fn the_queueing_delay_is_the_round_trip_beyond_the_shortest() {
    assert_eq!(bloated().judged().queue, Some(0.188_942 - 0.006_897));
    assert_eq!(peer().judged().queue, None, "what waits for an answer tells nothing of the path");
}

#[test]
fn bandwidth_helps_a_sender_that_fills_a_link_and_nearness_one_that_waits_for_round_trips() {
    for (pair, gain) in [
        (link(), Remedy::Bandwidth),
        (latency(), Remedy::Nearness),
        (loss(), Remedy::Nearness),
        (send_buffer(), Remedy::Buffer),
        (receiver(), Remedy::Neither),
        (peer(), Remedy::Neither),
    ] {
        assert_eq!(pair.judged().gains, gain);
    }
}

#[test]
fn losses_beside_a_standing_queue_are_the_queue_s() {
    let mut pair = loss();
    pair.now.measures.srtt = 260_000;
    assert_eq!(pair.judged().limit, Bottleneck::Link);
}

#[test]
fn a_receiver_has_no_known_bottleneck_unless_it_reads_slowly() {
    let mut pair = peer();
    (pair.sent, pair.received, pair.segments) = (0, 1_000_000, (0, 700));
    assert_eq!(pair.judged().limit, Bottleneck::Unknown);
    pair.now.measures.unread = 60_000;
    pair.now.times.receive_window = 4096;
    assert_eq!(pair.judged().limit, Bottleneck::Receiver);
}

/// 26 Mbit/s, 2.2 ms; a request each 450 ms, answered at once: within the jiffy in which it was sent.
#[test]
fn an_answer_that_comes_at_once_leaves_the_turn_to_this_side() {
    let mut pair = application();
    pair.now.measures.srtt = 2400;
    pair.now.measures.rtt_min = Some(2200);
    (pair.now.times.last_sent, pair.now.times.last_received) = (49_920, 49_920);
    assert_eq!(pair.judged().limit, Bottleneck::Application);
    // One request more than answers: it waits for an answer.
    pair.now.times.segments_out += 1;
    assert_eq!(pair.judged().limit, Bottleneck::Peer);
    // If requests take several segments, their numbers show nothing, and within one jiffy nothing else does.
    pair.now.times.segments_out += 1;
    assert_eq!(pair.judged().limit, Bottleneck::Unknown);
    pair.now.times.last_received += 1;
    assert_eq!(pair.judged().limit, Bottleneck::Application);
}

/// 5.1 Mbit/s, 34 ms; requests of 100 bytes answered at once, behind a queue that another connection fills.
#[test]
fn round_trips_behind_a_queue_that_another_fills_are_round_trips() {
    let mut pair = peer();
    pair.now.measures.srtt = 245_216;
    pair.now.measures.rtt_min = Some(34_789);
    (pair.sent, pair.received, pair.segments) = (400, 400, (4, 4));
    assert_eq!(pair.judged().limit, Bottleneck::Peer, "nobody is known to fill a queue");
    pair.beside = 0.199;
    let judgement = pair.judged();
    assert_eq!(judgement.limit, Bottleneck::Latency);
    assert_eq!(judgement.queue, Some(0.245_216 - 0.034_789));
}

#[test]
fn a_single_reading_shows_no_bottleneck() {
    let now = link().now;
    let judgement = judge(ReadingPair {
        from: &now,
        to: &now,
        all: &[now],
        hz: 250.0,
        beside: 0.0,
        answers: false,
        local: false,
    });
    assert_eq!(judgement.limit, Bottleneck::Unknown);
}
