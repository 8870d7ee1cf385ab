//! Scenarios: what limits a connection is decided by how its path and its two ends are made, before it is opened.
//!
//! Each is drawn over round-trip times of 1 to 200 ms and links of 1 to 1000 Mbit/s, every order of magnitude as likely as
//! any other. A draw in which something else could be the limit (a path whose loss does not keep the sender from filling
//! the link; a product of rate and delay that a sender does not reach while the test lasts) is no scenario, and is drawn
//! again. The margins are said where they are taken.

use std::time::Duration;

use serde_json::{Value, json};

use super::{link::Direction, numbers::Numbers};

/// Bytes of headers on each packet: IPv4, TCP, time stamps.
const HEADERS: f64 = 52.0;
/// Links faster than this carry large packets: a program that copies every packet has a processor to share.
const LARGE_PACKETS_FROM: f64 = 100e6;
/// The part of the link that is the most a sender may reach for whom something else is the limit.
const WELL_BELOW: f64 = 0.4;
/// The largest product of rate and round-trip time that a sender reaches within the seconds of a test, in segments: CUBIC
/// that has left slow start early adds 0.4 t³ segments in t seconds.
const REACHED: f64 = 250.0;

/// What limits the connection.
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
    /// The time that the other side takes to answer.
    Peer,
    /// The program that sends, which seldom does.
    Application,
}

/// All eight.
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

    /// What `limited_by` must say.
    #[must_use]
    pub const fn verdict(self) -> &'static str {
        match self {
            Self::Bloat => "link",
            other => other.name(),
        }
    }
}

/// What the two processes do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Talk {
    /// One writes as fast as it can, the other reads as fast.
    Bulk,
    /// One writes as fast as it can, the other reads so many bytes a second.
    SlowReader { rate: f64 },
    /// One asks, the other answers, again and again; each may take its time before it speaks.
    Exchange { request: usize, response: usize, client_waits: Duration, server_waits: Duration },
    /// One writes so many bytes each time, the other reads.
    Stream { write: usize, every: Duration },
}

/// What is drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub name: &'static str,
    /// Seconds.
    pub round_trip: [f64; 2],
    /// Bits per second.
    pub rate: [f64; 2],
}

/// Every path that is promised.
pub const WIDE: Range = Range { name: "wide", round_trip: [0.001, 0.2], rate: [1e6, 1e9] };
/// Paths that a slow machine can emulate too.
pub const MODEST: Range = Range { name: "modest", round_trip: [0.02, 0.08], rate: [5e6, 20e6] };

/// One draw.
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
    pub talk: Talk,
}

impl Scenario {
    /// Draws one within a range; `controls` are the congestion controls that there are.
    #[must_use]
    pub fn draw(limit: Limit, range: Range, controls: &[&'static str], numbers: &mut Numbers) -> Self {
        loop {
            if let Some(scenario) = Self::attempt(limit, range, controls, numbers) {
                return scenario;
            }
        }
    }

    fn attempt(limit: Limit, range: Range, controls: &[&'static str], numbers: &mut Numbers) -> Option<Self> {
        let seconds = numbers.magnitude(range.round_trip[0], range.round_trip[1]);
        let rate = numbers.magnitude(range.rate[0], range.rate[1]);
        let mtu = if rate > LARGE_PACKETS_FROM { 9000 } else { 1500 };
        let segment = mtu as f64 - HEADERS;
        let product = rate * seconds / 8.0;
        let mut scenario = Self {
            limit,
            round_trip: Duration::from_secs_f64(seconds),
            rate,
            loss: 0.0,
            // What is no limit has room.
            queue: (2.0 * product).max(64.0 * mtu as f64) as usize,
            mtu,
            congestion_control: numbers.one_of(controls),
            send_buffer: None,
            receive_buffer: None,
            talk: Talk::Bulk,
        };
        match limit {
            Limit::Link => {
                // CUBIC falls to seven tenths of what path and queue hold: with half a product of queue the link stays full.
                let queue = numbers.between(0.6, 1.0) * product;
                scenario.queue = queue.max(8.0 * mtu as f64) as usize;
                (product / segment < REACHED).then_some(scenario)
            }
            Limit::Bloat => {
                // BBR does not fill queues: who does is a sender that takes a full queue for its signal.
                scenario.congestion_control = "cubic";
                let waits = numbers.magnitude(0.05, 1.0).max(2.0 * seconds);
                scenario.queue = (waits * rate / 8.0) as usize;
                let segments = (product + scenario.queue as f64) / segment;
                (waits <= 1.0 && (20.0..4.0 * REACHED).contains(&segments)).then_some(scenario)
            }
            Limit::Receiver => {
                if numbers.unit() < 0.7 {
                    let most = WELL_BELOW * rate / 8.0;
                    scenario.talk = Talk::SlowReader { rate: numbers.magnitude(most / 20.0, most) };
                    // A buffer that does not grow is full after a second; the path must not be its limit too.
                    let buffer = numbers.magnitude(32_768.0, 524_288.0);
                    scenario.receive_buffer = Some(buffer as usize);
                    (buffer < rate / 8.0 && buffer > 3.0 * segment).then_some(scenario)
                } else {
                    // The kernel doubles what is asked for, and gives half of it as window.
                    let buffer = numbers.magnitude(8192.0, 262_144.0);
                    scenario.receive_buffer = Some(buffer as usize);
                    (buffer > 3.0 * segment && buffer / seconds < WELL_BELOW * rate / 8.0).then_some(scenario)
                }
            }
            Limit::SendBuffer => {
                let buffer = numbers.magnitude(8192.0, 262_144.0);
                scenario.send_buffer = Some(buffer as usize);
                // Doubled by the kernel, which also counts its own overhead.
                (buffer > 3.0 * segment && 2.0 * buffer / seconds < WELL_BELOW * rate / 8.0)
                    .then_some(scenario)
            }
            Limit::Loss => {
                // BBR takes losses of this size for none.
                scenario.congestion_control = "cubic";
                scenario.loss = numbers.magnitude(0.001, 0.05);
                let window = window_under_loss(seconds, scenario.loss);
                (window * segment / seconds < WELL_BELOW * rate / 8.0).then_some(scenario)
            }
            Limit::Latency => {
                scenario.talk = exchange(numbers, 0.0, 0.0);
                Some(scenario)
            }
            Limit::Peer => {
                let waits = seldom(seconds, numbers);
                scenario.talk = exchange(numbers, 0.0, waits);
                Some(scenario)
            }
            Limit::Application => {
                scenario.talk = match numbers.one_of(&[0, 1, 2]) {
                    0 => {
                        let waits = seldom(seconds, numbers);
                        exchange(numbers, waits, 0.0)
                    }
                    1 => {
                        let every = seldom(seconds, numbers);
                        let most = (0.2 * every * rate / 8.0).min(1e6);
                        Talk::Stream {
                            write: numbers.magnitude(100.0, most.max(101.0)) as usize,
                            every: secs(every),
                        }
                    }
                    _ => {
                        // Always under way, and never much.
                        let every = numbers.magnitude(0.001, 0.05);
                        let share = numbers.magnitude(0.02, 0.3);
                        let write = share * rate / 8.0 * every;
                        Talk::Stream { write: (write as usize).max(1), every: secs(every) }
                    }
                };
                Some(scenario)
            }
        }
    }

    /// Both directions of its link; what is lost is lost on the way there.
    #[must_use]
    pub fn directions(&self) -> [Direction; 2] {
        let back = Direction { rate: self.rate, delay: self.round_trip / 2, loss: 0.0, queue: self.queue };
        [Direction { loss: self.loss, ..back }, back]
    }

    /// The time after which it is as it will be.
    #[must_use]
    pub fn settles(&self) -> Duration {
        Duration::from_secs(4) + 20 * self.round_trip
    }

    /// Everything that was drawn.
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
            "talk": format!("{:?}", self.talk),
            "settles": self.settles().as_secs_f64(),
        })
    }
}

/// Segments that CUBIC, or Reno where that is more, keeps in flight under so much loss (RFC 9438, 5.1 and 5.2).
fn window_under_loss(round_trip: f64, loss: f64) -> f64 {
    let cubic = 1.054 * (round_trip / loss).powf(0.75);
    cubic.max(1.22 / loss.sqrt())
}

fn exchange(numbers: &mut Numbers, client_waits: f64, server_waits: f64) -> Talk {
    Talk::Exchange {
        request: numbers.magnitude(20.0, 1000.0) as usize,
        response: numbers.magnitude(20.0, 1000.0) as usize,
        client_waits: secs(client_waits),
        server_waits: secs(server_waits),
    }
}

/// Seconds between two times that a program acts which seldom does: several round trips, and longer than anything else
/// that a connection waits for.
fn seldom(round_trip: f64, numbers: &mut Numbers) -> f64 {
    numbers.magnitude((4.0 * round_trip).max(0.02), 2.0)
}

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
