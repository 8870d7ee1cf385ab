//! What processes held that ended: a program that was restarted and holds as much again needs it, which points away from
//! a leak.
//!
//! A program is known by its name and its owner. Several processes of one program look like a restarted one, so only
//! processes that began shortly after the other ended are compared.

use std::collections::HashMap;

use super::process::{ProcessMemory, Program};
use observer_core::facts::TaskId;

/// A process that held fewer bytes is not remembered: most short-lived processes hold less.
const LITTLE: f64 = 8.0 * 1024.0 * 1024.0;
/// A process that began within so many nanoseconds of the other's end may be its successor.
const SOON: u64 = 60_000_000_000;
/// How many nanoseconds an ended process is remembered.
const REMEMBERED: u64 = 3_600_000_000_000;

/// What ended processes held, the last one of each program.
#[derive(Debug, Default)]
pub(super) struct Predecessors {
    ended: HashMap<Program, Predecessor>,
}

/// A process that ended.
#[derive(Debug)]
pub(super) struct Predecessor {
    pub pid: u32,
    /// Bytes.
    pub held: f64,
    /// Whether its last verdict was growth.
    pub grew: bool,
    /// When it ended, nanoseconds of the boot clock.
    at: u64,
}

impl Predecessors {
    /// A process of `program` has ended that held `held` bytes.
    pub(super) fn end(&mut self, program: &Program, id: TaskId, held: f64, grew: bool, at: u64) {
        if held >= LITTLE {
            self.ended.insert(program.clone(), Predecessor { pid: id.pid(), held, grew, at });
        }
    }

    pub(super) fn delivered(&mut self, now: u64) {
        self.ended.retain(|_, predecessor| now.saturating_sub(predecessor.at) < REMEMBERED);
    }

    /// When the first of them ended: a process that began earlier has no predecessor.
    pub(super) fn first_end(&self) -> Option<u64> {
        self.ended.values().map(|predecessor| predecessor.at).min()
    }

    /// The process of the same program that ended shortly before `id` began.
    pub(super) fn of(&self, id: TaskId, process: &ProcessMemory) -> Option<&Predecessor> {
        let predecessor = self.ended.get(process.program.as_ref()?)?;
        id.start.checked_sub(predecessor.at).is_some_and(|after| after < SOON).then_some(predecessor)
    }
}
