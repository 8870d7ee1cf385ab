//! The memory that ended processes held. If a restarted program holds as much again, it needs that memory, which is
//! evidence against a leak.
//!
//! A program is identified by its name and its user. Several processes of one program look like a restarted one. So a
//! process is compared only if it started shortly after the other ended.

use std::collections::HashMap;

use super::process::{ProcessMemory, Program};
use observer_core::facts::TaskId;

/// A process that held fewer bytes is not kept: most short-lived processes hold less.
const LITTLE: f64 = 8.0 * 1024.0 * 1024.0;
/// A process that started within this many nanoseconds after the exit of the other may be its successor.
const SOON: u64 = 60_000_000_000;
/// An ended process is kept for this many nanoseconds.
const REMEMBERED: u64 = 3_600_000_000_000;

/// The last ended process of each program.
#[derive(Debug, Default)]
pub(super) struct Predecessors {
    ended: HashMap<Program, Predecessor>,
}

/// A process that has ended.
#[derive(Debug)]
pub(super) struct Predecessor {
    pub pid: u32,
    /// Bytes.
    pub held: f64,
    /// Whether its last verdict was growth.
    pub grew: bool,
    /// The time of its exit, nanoseconds of the boot clock.
    at: u64,
}

impl Predecessors {
    /// A process of `program` has ended; it held `held` bytes.
    pub(super) fn end(&mut self, program: &Program, id: TaskId, held: f64, grew: bool, at: u64) {
        if held >= LITTLE {
            self.ended.insert(program.clone(), Predecessor { pid: id.pid(), held, grew, at });
        }
    }

    pub(super) fn delivered(&mut self, now: u64) {
        self.ended.retain(|_, predecessor| now.saturating_sub(predecessor.at) < REMEMBERED);
    }

    /// The time of the first exit that is kept: a process that started earlier has no predecessor.
    pub(super) fn first_end(&self) -> Option<u64> {
        self.ended.values().map(|predecessor| predecessor.at).min()
    }

    /// The process of the same program that ended shortly before `id` started.
    pub(super) fn of(&self, id: TaskId, process: &ProcessMemory) -> Option<&Predecessor> {
        let predecessor = self.ended.get(process.program.as_ref()?)?;
        id.start.checked_sub(predecessor.at).is_some_and(|after| after < SOON).then_some(predecessor)
    }
}
