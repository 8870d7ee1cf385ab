//! From the facts of the mem domain to its state.

use std::collections::HashMap;

use super::machine::MachineMemory;
use crate::{
    domains::{Context, Domain},
    observation::{
        Observation, TaskId,
        mem::{Limit, MemFact, Memory, Totals},
        process::ProcessFact,
        session::Moment,
    },
    report::Report,
    trend::window::Window,
    view::Request,
    wants::Wants,
};

/// Up to so many rows, exact counters are asked for with every report; beyond, where the pass saw a change. What a CPU
/// has not yet handed in is not in the pass, so a process of which nothing changes there can still have changed.
const ALWAYS_EXACT: usize = 64;

/// What is known in the mem domain.
#[derive(Debug)]
pub struct MemState {
    /// Seconds that growth and trends look back over.
    window: f64,
    pub(super) processes: HashMap<TaskId, ProcessMemory>,
    /// By control group, as [`MemFact::Place`] names it.
    limits: HashMap<Vec<u8>, Option<Limit>>,
    pub(super) machine: MachineMemory,
}

/// What is known of one process's memory.
#[derive(Debug)]
pub(super) struct ProcessMemory {
    /// The last pass's counters.
    counters: Option<Memory>,
    page_tables: Option<u64>,
    exact: Option<Exact>,
    totals: Option<Totals>,
    place: Option<Vec<u8>>,
    /// Anonymous memory and swap, in bytes.
    pub(super) series: Window,
    pub(super) ended: bool,
}

/// Exact counters, and what the pass had said when they were read.
#[derive(Clone, Copy, Debug)]
struct Exact {
    memory: Memory,
    counters: Memory,
}

impl MemState {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(request: &Request) -> Self {
        Self {
            window: request.window,
            processes: HashMap::new(),
            limits: HashMap::new(),
            machine: MachineMemory::new(request.window),
        }
    }

    fn process(&mut self, id: TaskId) -> &mut ProcessMemory {
        let window = self.window;
        self.processes.entry(id).or_insert_with(|| ProcessMemory {
            counters: None,
            page_tables: None,
            exact: None,
            totals: None,
            place: None,
            series: Window::new(window),
            ended: false,
        })
    }

    fn take(&mut self, fact: &MemFact) {
        match fact {
            MemFact::Counters { id, memory, page_tables } => {
                let process = self.process(*id);
                process.counters = Some(*memory);
                process.page_tables = Some(*page_tables);
            }
            // Who ended before that was told of it has left already.
            MemFact::Gone { id } => {
                if let Some(process) = self.processes.get_mut(id) {
                    process.ended = true;
                }
            }
            MemFact::Totals { id, totals } => self.process(*id).totals = Some(*totals),
            MemFact::Exact { id, memory } => {
                let process = self.process(*id);
                process.exact = process.counters.map(|counters| Exact { memory: *memory, counters });
            }
            MemFact::Place { id, cgroup } => self.process(*id).place = Some(cgroup.clone()),
            MemFact::Limit { cgroup, nearest } => {
                self.limits.insert(cgroup.clone(), nearest.clone());
            }
            MemFact::Machine(machine) => self.machine.take(machine),
        }
    }

    /// Every series goes on to `now`.
    fn sample(&mut self, now: Moment) {
        for process in self.processes.values_mut() {
            if let Some(memory) = process.memory().filter(|_| !process.ended) {
                process.series.push(now.boot, memory.anon as f64 + memory.swap as f64);
            }
        }
        self.machine.sample(now);
    }

    /// The bytes of the nearest limit above `process`, and how many of them are left; `None` while its group's limit is
    /// not known.
    pub(super) fn room(&self, process: &ProcessMemory) -> Option<Room> {
        let group = self.limits.get(process.place.as_ref()?)?.as_ref();
        let group =
            group.map(|limit| Room { limit: limit.limit, left: limit.limit.saturating_sub(limit.usage) });
        let machine = self.machine.available().map(|available| Room { limit: available, left: available });
        group.into_iter().chain(machine).min_by_key(|room| room.left)
    }
}

/// A limit and what is left of it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub limit: u64,
    pub left: u64,
}

impl ProcessMemory {
    /// What the process holds: what the last pass read, with the difference that exact counters had to it when both
    /// were known. `None` for a process that no pass has met.
    pub(super) fn memory(&self) -> Option<Memory> {
        let now = self.counters?;
        let Some(Exact { memory, counters }) = self.exact else { return Some(now.map(|bytes| bytes.max(0))) };
        let since = |exact: i64, then: i64, now: i64| exact.saturating_add(now.saturating_sub(then)).max(0);
        Some(Memory {
            file: since(memory.file, counters.file, now.file),
            anon: since(memory.anon, counters.anon, now.anon),
            swap: since(memory.swap, counters.swap, now.swap),
            shmem: since(memory.shmem, counters.shmem, now.shmem),
            virt: since(memory.virt, counters.virt, now.virt),
        })
    }

    pub(super) const fn page_tables(&self) -> Option<u64> {
        self.page_tables
    }

    pub(super) const fn totals(&self) -> Option<Totals> {
        self.totals
    }

    /// Whether the exact counters are older than what the last pass saw.
    fn outdated(&self) -> bool {
        self.counters.is_some_and(|now| self.exact.is_none_or(|exact| exact.counters != now))
    }
}

impl Memory {
    fn map(self, each: impl Fn(i64) -> i64) -> Self {
        Self {
            file: each(self.file),
            anon: each(self.anon),
            swap: each(self.swap),
            shmem: each(self.shmem),
            virt: each(self.virt),
        }
    }
}

impl Domain for MemState {
    fn apply(&mut self, fact: &Observation) {
        match fact {
            Observation::Mem(fact) => self.take(fact),
            Observation::Process(ProcessFact::Ended { id, .. }) => {
                if let Some(process) = self.processes.get_mut(id) {
                    process.ended = true;
                }
            }
            Observation::Due(now) => self.sample(*now),
            _ => {}
        }
    }

    fn report(&self, context: &Context<'_>) -> Report {
        super::report::report(self, context)
    }

    fn wants(&self, shown: &Report, context: &Context<'_>) -> Wants {
        let rows = || shown.tables.iter().flat_map(|table| &table.rows).flat_map(|row| &row.processes);
        let few = rows().count() <= ALWAYS_EXACT;
        let mut wants = Wants { cmdline: context.request.cmdline, ..Wants::default() };
        for id in rows() {
            if context.processes.unread(*id) {
                wants.names.insert(*id);
            }
            let Some(process) = self.processes.get(id).filter(|process| !process.ended) else { continue };
            if process.outdated() || (few && process.counters.is_some()) {
                wants.counters.insert(*id);
            }
            wants.limits.extend(process.place.clone());
        }
        // Once for every process, so that a row that is shown later has no step where its exact counters begin.
        wants.counters.extend(
            self.processes
                .iter()
                .filter(|(_, process)| {
                    process.exact.is_none() && process.counters.is_some() && !process.ended
                })
                .map(|(id, _)| *id),
        );
        wants
    }

    fn delivered(&mut self, _now: Moment) {
        self.processes.retain(|_, process| !process.ended);
        let places: std::collections::HashSet<_> =
            self.processes.values().filter_map(|process| process.place.as_ref()).collect();
        self.limits.retain(|cgroup, _| places.contains(cgroup));
    }
}

#[cfg(test)]
mod tests;
