//! What is known of one process's memory.
//!
//! A pass reads the kernel's counters without what single CPUs still hold back; exact ones are read now and then, and what
//! they had more is added to what passes read from then on.

use std::{cell::RefCell, rc::Rc};

use super::{machine::MachineMemory, restart::Program};
use observer_core::{
    facts::mem::{Limit, Memory, Totals},
    trend::{
        series::Series,
        verdict::{Assessment, assess_life},
    },
};

/// A control group.
#[derive(Debug)]
pub struct Group {
    pub name: Vec<u8>,
    /// The nearest limit, if there is any; the outer `None` while it is not known.
    pub nearest: RefCell<Option<Option<Limit>>>,
}

/// What is known of one process's memory.
#[derive(Debug)]
pub struct ProcessMemory {
    /// What it runs; `None` where that was not told.
    pub program: Option<Program>,
    /// The last pass's counters.
    counters: Option<Memory>,
    pub page_tables: Option<u64>,
    exact: Option<Exact>,
    /// Most processes ask for nothing while observed.
    pub totals: Option<Box<Totals>>,
    pub place: Option<Rc<Group>>,
    /// Anonymous memory and swap, in bytes.
    pub series: Series,
    /// What the series said when it was judged last; `None` where it rested.
    pub says: Option<Box<Assessment>>,
    pub ended: bool,
}

/// Exact counters, and what the pass had said when they were read.
#[derive(Clone, Copy, Debug)]
struct Exact {
    memory: Memory,
    counters: Memory,
}

/// A limit and what is left of it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitState {
    pub limit: u64,
    pub left: u64,
}

impl ProcessMemory {
    /// Nothing is known yet of what it holds; trends of it look back over `window` seconds.
    pub fn new(program: Option<Program>, window: f64) -> Self {
        Self {
            program,
            counters: None,
            page_tables: None,
            exact: None,
            totals: None,
            place: None,
            series: Series::new(window),
            says: None,
            ended: false,
        }
    }

    /// A pass has read its counters.
    pub fn read(&mut self, memory: Memory, page_tables: u64) {
        self.counters = Some(memory);
        self.page_tables = Some(page_tables);
    }

    /// Its exact counters, read after the last pass; of one that no pass has met they tell nothing.
    pub fn read_exactly(&mut self, memory: Memory) {
        self.exact = self.counters.map(|counters| Exact { memory, counters });
    }

    /// The nearest limit above it, its group's or the machine's; `None` while its group's is not known.
    pub fn room(&self, machine: &MachineMemory) -> Option<LimitState> {
        let nearest = self.place.as_ref()?.nearest.borrow();
        let group = nearest
            .as_ref()?
            .as_ref()
            .map(|limit| LimitState { limit: limit.limit, left: limit.limit.saturating_sub(limit.usage) });
        let machine = machine.available().map(|available| LimitState { limit: available, left: available });
        group.into_iter().chain(machine).min_by_key(|room| room.left)
    }

    /// What its series says; where its group's limit is not known, the machine's stands for it.
    pub fn judge(&self, machine: &MachineMemory, now: u64) -> Assessment {
        let left = self.room(machine).map(|room| room.left).or_else(|| machine.available());
        assess_life(&self.series, now, left.map(|left| left as f64))
    }

    /// What the process holds: what the last pass read, with the difference that exact counters had to it when both
    /// were known. `None` for a process that no pass has met.
    pub fn memory(&self) -> Option<Memory> {
        self.counters.map(|now| self.corrected(now))
    }

    /// Counters as a pass reads them, with the difference that exact ones had to those; never less than nothing.
    fn corrected(&self, now: Memory) -> Memory {
        self.by_exact(now, |exact, then, now| exact.saturating_add(now.saturating_sub(then)).max(0))
    }

    /// Each counter by `since`, of the last exact one, of the one that a pass had read then, and of `now`'s.
    fn by_exact(&self, now: Memory, since: impl Fn(i64, i64, i64) -> i64) -> Memory {
        let Some(Exact { memory, counters }) = self.exact else { return now.or_nothing() };
        Memory {
            file: since(memory.file, counters.file, now.file),
            anon: since(memory.anon, counters.anon, now.anon),
            swap: since(memory.swap, counters.swap, now.swap),
            shmem: since(memory.shmem, counters.shmem, now.shmem),
            virt: since(memory.virt, counters.virt, now.virt),
        }
    }

    /// Counters as a pass reads them, of the moment `at`, at which it is killed. Who is killed is as a rule who grows, and then a
    /// part of the difference that exact counters had was growth, between the pass and their reading: at most what has
    /// changed since. Of what the difference can have been, the least is taken.
    pub fn killed(&self, at: u64, now: Memory) -> Memory {
        if self.series.window.rests(at) {
            return self.corrected(now);
        }
        self.by_exact(now, |exact, then, now| {
            let (one, other) = (exact.saturating_sub(then), exact.saturating_sub(now));
            now.saturating_add(0.clamp(one.min(other), one.max(other))).max(0)
        })
    }

    /// Whether a pass has met it.
    pub const fn is_met(&self) -> bool {
        self.counters.is_some()
    }

    /// Whether exact counters were ever read.
    pub const fn was_exact(&self) -> bool {
        self.exact.is_some()
    }

    /// Whether the exact counters are older than what the last pass saw.
    pub fn is_outdated(&self) -> bool {
        self.counters.is_some_and(|now| self.exact.is_none_or(|exact| exact.counters != now))
    }
}

/// What nobody but the process can give back: what is judged.
pub fn process_bytes(memory: Memory) -> f64 {
    memory.anon as f64 + memory.swap as f64
}
