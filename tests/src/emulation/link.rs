//! The link between two devices: packets from one reach the other later, at the rate of the link, and some are lost.
//!
//! The time of a packet is calculated on arrival: the queue accepts or drops it, the link is free at a known time,
//! sending takes the length divided by the rate, and then comes the delay. So a late wake-up delays packets, but
//! changes neither the rate nor the order.

use std::{
    collections::VecDeque,
    fs::File,
    io::{ErrorKind, Read as _, Write as _},
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::random::Random;

/// Packets read from one device before the other gets its turn.
const BATCH: usize = 64;
/// The longest packet.
const LONGEST: usize = 65_536;

/// The properties of one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Bits per second on the wire, headers included.
    pub rate: f64,
    /// From the end of a packet's transmission to its arrival.
    pub delay: Duration,
    /// Share of packets lost at random, 0 to 1.
    pub loss: f64,
    /// Size of the queue, bytes; further packets are dropped.
    pub queue: usize,
}

/// Counters of one direction, for the truth of a test. They only grow.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes and packets sent.
    bytes: AtomicU64,
    packets: AtomicU64,
    /// The sum of their waiting time in the queue, nanoseconds.
    waited: AtomicU64,
    /// Packets dropped by the queue, and lost at random.
    dropped: AtomicU64,
    lost: AtomicU64,
}

/// [`Counters`] at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    pub bytes: u64,
    pub packets: u64,
    pub waited: Duration,
    pub dropped: u64,
    pub lost: u64,
}

impl Counters {
    /// The values so far.
    #[must_use]
    pub fn read(&self) -> Reading {
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Reading {
            bytes: of(&self.bytes),
            packets: of(&self.packets),
            waited: Duration::from_nanos(of(&self.waited)),
            dropped: of(&self.dropped),
            lost: of(&self.lost),
        }
    }
}

/// A link that carries packets until it is dropped.
#[derive(Debug)]
pub struct Link {
    /// From the first device to the second, and back.
    pub done: [Arc<Counters>; 2],
    /// Closing it stops the thread.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// Carries packets between two devices; the seed decides which are lost.
    ///
    /// # Errors
    /// When no thread or descriptor can be created.
    pub fn start(devices: [File; 2], shapes: [Shape; 2], seed: u64) -> Result<Self> {
        let (stopped, stop) = std::io::pipe().context("a pipe")?;
        let done = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        let directions = [0, 1].map(|at| Direction::new(shapes[at], Arc::clone(&done[at]), seed ^ at as u64));
        let stopped: OwnedFd = stopped.into();
        let thread = thread::Builder::new().name("link".to_owned()).spawn(move || {
            prioritise();
            carry(&devices, directions, &stopped);
        })?;
        Ok(Self { done, stop: Some(stop.into()), thread: Some(thread) })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Gives this thread real-time priority, if it has the privilege: a link does not wait for a processor.
pub fn prioritise() {
    // SAFETY: plain calls for this thread, with valid parameters.
    unsafe {
        let parameters = libc::sched_param { sched_priority: 1 };
        libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameters);
    }
}

/// One direction, with the packets in flight.
struct Direction {
    shape: Shape,
    done: Arc<Counters>,
    random: Random,
    /// When the link has sent all accepted packets.
    free: Instant,
    /// In the order of their arrival.
    in_flight: VecDeque<(Instant, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
}

impl Direction {
    fn new(shape: Shape, done: Arc<Counters>, seed: u64) -> Self {
        let (in_flight, spare) = (VecDeque::new(), Vec::new());
        Self { shape, done, random: Random::new(seed), free: Instant::now(), in_flight, spare }
    }

    /// Accepts or drops a packet that arrived at `now`.
    fn take(&mut self, packet: &[u8], now: Instant) {
        let waits = self.free.saturating_duration_since(now);
        let waiting = waits.as_secs_f64() * self.shape.rate / 8.0;
        if waiting + packet.len() as f64 > self.shape.queue as f64 {
            self.done.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let takes = Duration::from_secs_f64(packet.len() as f64 * 8.0 / self.shape.rate);
        self.free = now.max(self.free) + takes;
        self.done.bytes.fetch_add(packet.len() as u64, Ordering::Relaxed);
        self.done.packets.fetch_add(1, Ordering::Relaxed);
        self.done.waited.fetch_add(waits.as_nanos() as u64, Ordering::Relaxed);
        // Loss is behind the queue, as on a bad cable, so the packet has used the link.
        if self.random.unit() < self.shape.loss {
            self.done.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(packet);
        self.in_flight.push_back((self.free + self.shape.delay, copy));
    }

    /// Delivers the packets that have arrived by `now`.
    fn deliver(&mut self, now: Instant, mut device: &File) {
        while let Some((at, _)) = self.in_flight.front()
            && *at <= now
            && let Some((_, packet)) = self.in_flight.pop_front()
        {
            // A full device loses the packet, like a network.
            let _ = device.write(&packet);
            self.spare.push(packet);
        }
    }
}

fn carry(devices: &[File; 2], mut directions: [Direction; 2], stopped: &OwnedFd) {
    let mut buffer = vec![0; LONGEST];
    loop {
        for (at, direction) in directions.iter_mut().enumerate() {
            for _ in 0..BATCH {
                match (&devices[at]).read(&mut buffer) {
                    Ok(length) => direction.take(&buffer[..length], Instant::now()),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            direction.deliver(Instant::now(), &devices[1 - at]);
        }
        let next = directions.iter().filter_map(|direction| Some(direction.in_flight.front()?.0)).min();
        if wait(devices, stopped, next) {
            return;
        }
    }
}

/// Waits until a packet arrives or is due. Returns whether the link must stop.
fn wait(devices: &[File; 2], stopped: &OwnedFd, next: Option<Instant>) -> bool {
    let on = |descriptor: std::os::fd::BorrowedFd<'_>| libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut polls = [on(devices[0].as_fd()), on(devices[1].as_fd()), on(stopped.as_fd())];
    let left = next.map(|next| next.saturating_duration_since(Instant::now()));
    let left = left.map(|left| libc::timespec {
        tv_sec: left.as_secs() as libc::time_t,
        tv_nsec: left.subsec_nanos().into(),
    });
    let timeout = left.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: three valid polls, and a timeout that is valid or none.
    unsafe { libc::ppoll(polls.as_mut_ptr(), 3, timeout, std::ptr::null()) };
    polls[2].revents != 0
}
