//! Scenarios: path and ends of a connection are set up so that its bottleneck is known before it is opened.
//!
//! Each is drawn over round-trip times of 1 to 200 ms and links of 1 to 1000 Mbit/s, every order of magnitude equally
//! likely. A draw with another possible bottleneck is repeated: loss that lets the sender fill the link, or a
//! bandwidth-delay product that the sender does not reach during the test. The margins are documented at their use.

use std::time::Duration;

use serde_json::{Value, json};

use super::{link::Shape, random::Random};

/// Bytes of headers on each packet: IPv4, TCP, time stamps.
const HEADERS: f64 = 52.0;
/// Links above this rate use large packets, because the emulation copies every packet.
const LARGE_PACKETS_FROM: f64 = 100e6;
/// The largest share of the link for a sender with another bottleneck.
const WELL_BELOW: f64 = 0.4;
/// The largest bandwidth-delay product that a sender reaches during a test, in segments: after an early end of slow
/// start, CUBIC adds 0.4 t³ segments in t seconds.
const REACHED: f64 = 250.0;

/// The bottleneck of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// The link's rate, with a queue of up to one round-trip time.
    Link,
    /// The link's rate, with a queue that holds much more.
    Bloat,
    /// The receiver's window.
    Receiver,
    /// The sender's buffer.
    SendBuffer,
    /// Packets that are lost.
    Loss,
    /// The round trip of one small request at a time.
    Latency,
    /// The time that the peer takes to answer.
    Peer,
    /// The sending program, which seldom sends.
    Application,
}

/// All limits.
pub const LIMITS: [Limit; 8] = [
    Limit::Link,
    Limit::Bloat,
    Limit::Receiver,
    Limit::SendBuffer,
    Limit::Loss,
    Limit::Latency,
    Limit::Peer,
    Limit::Application,
];

impl Limit {
    /// Its name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Bloat => "link, bloated",
            Self::Receiver => "receiver",
            Self::SendBuffer => "send_buffer",
            Self::Loss => "loss",
            Self::Latency => "latency",
            Self::Peer => "peer",
            Self::Application => "application",
        }
    }

    /// The expected `limited_by`.
    #[must_use]
    pub const fn verdict(self) -> &'static str {
        match self {
            Self::Bloat => "link",
            other => other.name(),
        }
    }
}

/// The traffic of the two processes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Exchange {
    /// One writes as fast as it can, and the other reads as fast as it can.
    Bulk,
    /// One writes as fast as it can, and the other reads `rate` bytes per second.
    SlowReader { rate: f64 },
    /// Requests and responses; each side may wait before it writes.
    RequestResponse { request: usize, response: usize, client_waits: Duration, server_waits: Duration },
    /// One writes `write` bytes at each interval, and the other reads.
    Stream { write: usize, every: Duration },
}

/// The range of drawn paths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub name: &'static str,
    /// Seconds.
    pub round_trip: [f64; 2],
    /// Bits per second.
    pub rate: [f64; 2],
}

/// All supported paths.
pub const WIDE: Range = Range { name: "wide", round_trip: [0.001, 0.2], rate: [1e6, 1e9] };
/// Paths that a slow machine can emulate as well.
pub const MODEST: Range = Range { name: "modest", round_trip: [0.02, 0.08], rate: [5e6, 20e6] };

/// A drawn scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub limit: Limit,
    pub round_trip: Duration,
    /// Bits per second.
    pub rate: f64,
    pub loss: f64,
    /// Bytes.
    pub queue: usize,
    pub mtu: usize,
    pub congestion_control: &'static str,
    pub send_buffer: Option<usize>,
    pub receive_buffer: Option<usize>,
    pub exchange: Exchange,
}

impl Scenario {
    /// Draws one within a range; `controls` are the available congestion controls.
    #[must_use]
    pub fn draw(limit: Limit, range: Range, controls: &[&'static str], random: &mut Random) -> Self {
        loop {
            if let Some(scenario) = Self::attempt(limit, range, controls, random) {
                return scenario;
            }
        }
    }

    fn attempt(limit: Limit, range: Range, controls: &[&'static str], random: &mut Random) -> Option<Self> {
        let seconds = random.magnitude(range.round_trip[0], range.round_trip[1]);
        let rate = random.magnitude(range.rate[0], range.rate[1]);
        let mtu = if rate > LARGE_PACKETS_FROM { 9000 } else { 1500 };
        let segment = mtu as f64 - HEADERS;
        let product = rate * seconds / 8.0;
        let mut scenario = Self {
            limit,
            round_trip: Duration::from_secs_f64(seconds),
            rate,
            loss: 0.0,
            // The queue is large unless it is the limit.
            queue: (2.0 * product).max(64.0 * mtu as f64) as usize,
            mtu,
            congestion_control: random.one_of(controls),
            send_buffer: None,
            receive_buffer: None,
            exchange: Exchange::Bulk,
        };
        match limit {
            Limit::Link => {
                // CUBIC falls to 70 % of the capacity of path and queue: with a queue of half the product, the link
                // stays full.
                let queue = random.between(0.6, 1.0) * product;
                scenario.queue = queue.max(8.0 * mtu as f64) as usize;
                (product / segment < REACHED).then_some(scenario)
            }
            Limit::Bloat => {
                // BBR does not fill queues. CUBIC does, because a full queue is its signal.
                scenario.congestion_control = "cubic";
                let waits = random.magnitude(0.05, 1.0).max(2.0 * seconds);
                scenario.queue = (waits * rate / 8.0) as usize;
                let segments = (product + scenario.queue as f64) / segment;
                (waits <= 1.0 && (20.0..4.0 * REACHED).contains(&segments)).then_some(scenario)
            }
            Limit::Receiver => {
                if random.unit() < 0.7 {
                    let most = WELL_BELOW * rate / 8.0;
                    scenario.exchange = Exchange::SlowReader { rate: random.magnitude(most / 20.0, most) };
                    // A fixed buffer is full within a second; the path must not be the limit.
                    let buffer = random.magnitude(32_768.0, 524_288.0);
                    scenario.receive_buffer = Some(buffer as usize);
                    (buffer < rate / 8.0 && buffer > 3.0 * segment).then_some(scenario)
                } else {
                    // The kernel doubles the requested size, and offers half of it as window.
                    let buffer = random.magnitude(8192.0, 262_144.0);
                    scenario.receive_buffer = Some(buffer as usize);
                    (buffer > 3.0 * segment && buffer / seconds < WELL_BELOW * rate / 8.0).then_some(scenario)
                }
            }
            Limit::SendBuffer => {
                let buffer = random.magnitude(8192.0, 262_144.0);
                scenario.send_buffer = Some(buffer as usize);
                // The kernel doubles the size, but also counts its own overhead.
                (buffer > 3.0 * segment && 2.0 * buffer / seconds < WELL_BELOW * rate / 8.0)
                    .then_some(scenario)
            }
            Limit::Loss => {
                // BBR ignores losses of this size.
                scenario.congestion_control = "cubic";
                scenario.loss = random.magnitude(0.001, 0.05);
                let window = window_under_loss(seconds, scenario.loss);
                (window * segment / seconds < WELL_BELOW * rate / 8.0).then_some(scenario)
            }
            Limit::Latency => {
                scenario.exchange = exchange(random, 0.0, 0.0);
                Some(scenario)
            }
            Limit::Peer => {
                let waits = idle_time(seconds, random);
                scenario.exchange = exchange(random, 0.0, waits);
                Some(scenario)
            }
            Limit::Application => {
                scenario.exchange = match random.one_of(&[0, 1, 2]) {
                    0 => {
                        let waits = idle_time(seconds, random);
                        exchange(random, waits, 0.0)
                    }
                    1 => {
                        let every = idle_time(seconds, random);
                        let most = (0.2 * every * rate / 8.0).min(1e6);
                        Exchange::Stream {
                            write: random.magnitude(100.0, most.max(101.0)) as usize,
                            every: secs(every),
                        }
                    }
                    _ => {
                        // Always in flight, but never much.
                        let every = random.magnitude(0.001, 0.05);
                        let share = random.magnitude(0.02, 0.3);
                        let write = share * rate / 8.0 * every;
                        Exchange::Stream { write: (write as usize).max(1), every: secs(every) }
                    }
                };
                Some(scenario)
            }
        }
    }

    /// Both directions of its link, with loss from client to server.
    #[must_use]
    pub fn directions(&self) -> [Shape; 2] {
        let back = Shape { rate: self.rate, delay: self.round_trip / 2, loss: 0.0, queue: self.queue };
        [Shape { loss: self.loss, ..back }, back]
    }

    /// The time after which it is stable.
    #[must_use]
    pub fn settles(&self) -> Duration {
        Duration::from_secs(4) + 20 * self.round_trip
    }

    /// All drawn values.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({
            "limit": self.limit.name(),
            "rtt": self.round_trip.as_secs_f64(),
            "rate": self.rate,
            "loss": self.loss,
            "queue": self.queue,
            "mtu": self.mtu,
            "congestion_control": self.congestion_control,
            "send_buffer": self.send_buffer,
            "receive_buffer": self.receive_buffer,
            "exchange": format!("{:?}", self.exchange),
            "settles": self.settles().as_secs_f64(),
        })
    }
}

/// The larger window of CUBIC and Reno under this loss, in segments (RFC 9438, 5.1 and 5.2).
fn window_under_loss(round_trip: f64, loss: f64) -> f64 {
    let cubic = 1.054 * (round_trip / loss).powf(0.75);
    cubic.max(1.22 / loss.sqrt())
}

fn exchange(random: &mut Random, client_waits: f64, server_waits: f64) -> Exchange {
    Exchange::RequestResponse {
        request: random.magnitude(20.0, 1000.0) as usize,
        response: random.magnitude(20.0, 1000.0) as usize,
        client_waits: secs(client_waits),
        server_waits: secs(server_waits),
    }
}

/// Seconds between two actions of a mostly idle program: several round trips, and longer than any other wait of the
/// connection.
fn idle_time(round_trip: f64, random: &mut Random) -> f64 {
    random.magnitude((4.0 * round_trip).max(0.02), 2.0)
}

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
