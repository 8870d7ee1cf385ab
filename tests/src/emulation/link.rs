//! The link between two devices: what one writes the other reads, later, at the rate of the link, and not all of it.
//!
//! A packet's way is calculated when it arrives: the queue has room for it or not, the link is free at a known moment, it
//! takes its length divided by the rate to send, and then the delay. So a wake-up that comes late delays packets and
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

use super::numbers::Numbers;

/// Packets that are read from a device before anything else is looked at.
const BATCH: usize = 64;
/// No packet is longer.
const LONGEST: usize = 65_536;

/// What one direction does to packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Direction {
    /// Bits per second on the wire, headers included.
    pub rate: f64,
    /// From the end of a packet's transmission to its arrival.
    pub delay: Duration,
    /// The part of the packets that is lost at random, 0 to 1.
    pub loss: f64,
    /// Bytes that wait; what comes when they are there is dropped.
    pub queue: usize,
}

/// What one direction has done, for the truth of a test. All of it only grows.
#[derive(Debug, Default)]
pub struct Done {
    /// Bytes and packets that were sent on.
    bytes: AtomicU64,
    packets: AtomicU64,
    /// Nanoseconds that those waited in the queue, all together.
    waited: AtomicU64,
    /// Packets dropped by the queue, and lost at random.
    dropped: AtomicU64,
    lost: AtomicU64,
}

/// [`Done`] at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    pub bytes: u64,
    pub packets: u64,
    pub waited: Duration,
    pub dropped: u64,
    pub lost: u64,
}

impl Done {
    /// What has been done so far.
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
    pub done: [Arc<Done>; 2],
    /// Its end tells the thread to end.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// Carries packets between two devices; the seed decides which are lost.
    ///
    /// # Errors
    /// When there is no thread or descriptor left.
    pub fn start(devices: [File; 2], directions: [Direction; 2], seed: u64) -> Result<Self> {
        let (stopped, stop) = std::io::pipe().context("a pipe")?;
        let done = [Arc::new(Done::default()), Arc::new(Done::default())];
        let ways = [0, 1].map(|at| Way::new(directions[at], Arc::clone(&done[at]), seed ^ at as u64));
        let stopped: OwnedFd = stopped.into();
        let thread = thread::Builder::new().name("link".to_owned()).spawn(move || {
            first_in_line();
            carry(&devices, ways, &stopped);
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

/// A link does not wait for a processor. Where the privilege lacks, it is as fast as it can be.
pub fn first_in_line() {
    // SAFETY: plain calls for this thread, with valid parameters.
    unsafe {
        let parameters = libc::sched_param { sched_priority: 1 };
        libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameters);
    }
}

/// One direction, and the packets on their way.
struct Way {
    shape: Direction,
    done: Arc<Done>,
    chance: Numbers,
    /// When the link will have sent everything that it has taken.
    free: Instant,
    /// In the order of their arrival.
    under_way: VecDeque<(Instant, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
}

impl Way {
    fn new(shape: Direction, done: Arc<Done>, seed: u64) -> Self {
        let (under_way, spare) = (VecDeque::new(), Vec::new());
        Self { shape, done, chance: Numbers::new(seed), free: Instant::now(), under_way, spare }
    }

    /// A packet has come at `now`.
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
        // Lost behind the queue, as by a bad cable: it has taken its time on the link.
        if self.chance.unit() < self.shape.loss {
            self.done.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(packet);
        self.under_way.push_back((self.free + self.shape.delay, copy));
    }

    /// Delivers what has arrived at `now`.
    fn deliver(&mut self, now: Instant, mut device: &File) {
        while let Some((at, _)) = self.under_way.front()
            && *at <= now
            && let Some((_, packet)) = self.under_way.pop_front()
        {
            // A device that takes no more loses it, as a network does.
            let _ = device.write(&packet);
            self.spare.push(packet);
        }
    }
}

fn carry(devices: &[File; 2], mut ways: [Way; 2], stopped: &OwnedFd) {
    let mut buffer = vec![0; LONGEST];
    loop {
        for (at, way) in ways.iter_mut().enumerate() {
            for _ in 0..BATCH {
                match (&devices[at]).read(&mut buffer) {
                    Ok(length) => way.take(&buffer[..length], Instant::now()),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            way.deliver(Instant::now(), &devices[1 - at]);
        }
        let next = ways.iter().filter_map(|way| Some(way.under_way.front()?.0)).min();
        if wait(devices, stopped, next) {
            return;
        }
    }
}

/// Waits until a packet comes or is due; whether the link is to end.
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
