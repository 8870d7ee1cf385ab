//! The recent readings of one connection, which show its bottleneck.

use std::collections::VecDeque;

use observer_core::facts::net::{Counters, TcpMeasures, TcpTimes};

/// Nanoseconds that readings are kept: losses can be seconds apart, and one side can take as long to answer.
const KEPT: u64 = 8_000_000_000;
/// The shortest time between two kept readings, nanoseconds.
const APART: u64 = 450_000_000;
/// Times and bytes are counted over at least this many nanoseconds, if there are readings that old.
const COUNTED: u64 = 900_000_000;

/// The kernel's state of a connection at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Nanoseconds on the boot clock.
    pub at: u64,
    /// The kernel's own clock.
    pub jiffies: u32,
    pub counters: Counters,
    pub measures: TcpMeasures,
    pub times: TcpTimes,
}

/// Readings, oldest first. An idle connection has none.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<Reading>);

impl History {
    /// Keeps a reading if it differs from the previous one.
    pub fn keep(&mut self, reading: Reading) {
        let same = |last: &Reading| last.counters == reading.counters && last.measures == reading.measures;
        let near = |last: &Reading| reading.at.saturating_sub(last.at) < APART;
        if self.0.back().is_none_or(|last| !near(last) && !same(last)) {
            self.0.push_back(reading);
        }
    }

    /// Removes readings that are too old at `now`, nanoseconds on the boot clock.
    pub fn forget(&mut self, now: u64) {
        if self.0.front().is_none_or(|first| now.saturating_sub(first.at) <= KEPT) {
            return;
        }
        while self.0.front().is_some_and(|first| now.saturating_sub(first.at) > KEPT) {
            self.0.pop_front();
        }
        if self.0.is_empty() {
            self.0.shrink_to_fit();
        }
    }

    /// Keeps the reading, if there is one.
    pub fn extend(&mut self, reading: Option<Reading>) {
        self.0.extend(reading);
    }

    /// Whether there are no readings.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The readings with `now` at the end, and the index of the reading from which times and bytes are counted.
    pub fn with(&self, now: Reading) -> (Vec<Reading>, usize) {
        let old = |reading: &Reading| now.at.saturating_sub(reading.at) >= COUNTED;
        let from = self.0.iter().rposition(old).unwrap_or(0);
        (self.0.iter().copied().chain([now]).collect(), from)
    }
}
