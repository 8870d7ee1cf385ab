//! What is known of one process's memory.
//!
//! A scan reads the kernel's counters without their per-CPU remainders. Exact counters are read now and then; their
//! difference is added to what scans read from then on.

use std::{cell::RefCell, ops::Deref, rc::Rc};

use super::{machine::MachineMemory, shared::SharedPart};
use observer_core::{
    facts::{
        mem::{Limit, Memory, Rollup, Status, Totals},
        process::Comm,
    },
    trend::{
        series::Series,
        verdict::{Assessment, assess_life},
    },
};

/// A program: its name and the number of the user that runs it.
pub type Program = (Comm, u32);

/// A control group.
#[derive(Debug)]
pub struct Group {
    pub name: Vec<u8>,
    /// The nearest limit, if any; the outer `None` while it is not known.
    pub nearest: RefCell<Option<Option<Limit>>>,
}

/// What is known of one process's memory.
#[derive(Debug)]
pub struct ProcessMemory {
    /// What it runs, if known.
    pub program: Option<Program>,
    /// The counters of the last scan.
    counters: Option<Memory>,
    pub page_tables: Option<u64>,
    exact: Option<Exact>,
    /// Most processes map nothing while observed.
    pub totals: Option<Box<Totals>>,
    pub group: Option<Rc<Group>>,
    /// The part of its shared memory that counts as its own.
    pub shared: SharedPart,
    /// Known for rows that are shown, and for processes that have memory beyond their counters.
    pub beyond: Option<Box<Beyond>>,
    /// What [`ProcessMemory::assessed_bytes`] gives.
    pub series: Series,
    /// The last assessment of the series; `None` if the series was flat.
    pub assessment: Option<Box<Assessment>>,
    pub ended: bool,
}

/// Memory of a process beyond its counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beyond {
    pub status: Option<Status>,
    pub rollup: Option<Rollup>,
    /// Bytes of `lazy_free` that do not count: they were there before it grew.
    lazy_before: u64,
    /// Anonymous bytes at the time of `rollup`.
    anon_then: u64,
}

/// Exact counters, and the counters of the last scan before them.
#[derive(Clone, Copy, Debug)]
struct Exact {
    memory: Memory,
    counters: Memory,
}

/// An assessment: the one made for this report, or, if there is none, one made now.
pub enum AssessmentSource<'a> {
    Stored(&'a Assessment),
    Fresh(Box<Assessment>),
}

impl Deref for AssessmentSource<'_> {
    type Target = Assessment;

    fn deref(&self) -> &Assessment {
        match self {
            Self::Stored(assessment) => assessment,
            Self::Fresh(assessment) => assessment,
        }
    }
}

/// A limit and what is left of it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitState {
    pub limit: u64,
    pub left: u64,
}

impl ProcessMemory {
    /// Nothing is known yet of its memory; its trends look back over `window` seconds.
    pub fn new(program: Option<Program>, window: f64) -> Self {
        Self {
            program,
            counters: None,
            page_tables: None,
            exact: None,
            totals: None,
            group: None,
            shared: SharedPart::default(),
            beyond: None,
            series: Series::new(window),
            assessment: None,
            ended: false,
        }
    }

    /// A scan has read its counters.
    pub fn read(&mut self, memory: Memory, page_tables: u64) {
        self.counters = Some(memory);
        self.page_tables = Some(page_tables);
    }

    /// `status` was read.
    pub fn read_status(&mut self, status: Status) {
        self.beyond.get_or_insert_default().status = Some(status);
    }

    /// A walk over its pages was made. What `MADV_FREE` has freed before it grew is left out of the series from its
    /// beginning: its first reading is no fall.
    pub fn read_rollup(&mut self, rollup: Rollup) {
        let rise = self.series.history.rise().max(0.0) as u64;
        let anon_then = self.memory().map_or(0, |memory| memory.anon.max(0) as u64);
        let beyond = self.beyond.get_or_insert_default();
        if beyond.rollup.is_none() {
            beyond.lazy_before = rollup.lazy_free.saturating_sub(rise);
        }
        (beyond.rollup, beyond.anon_then) = (Some(rollup), anon_then);
    }

    /// Bytes that were freed with `MADV_FREE` and are still resident. Between two walks over its pages, the part of
    /// anonymous memory stays the same.
    pub fn reclaimable(&self) -> Option<u64> {
        let beyond = self.beyond.as_ref()?;
        let (lazy, then) = (beyond.rollup?.lazy_free, beyond.anon_then);
        let anon = self.memory()?.anon.max(0) as u64;
        Some(if then == 0 { lazy } else { (lazy as f64 / then as f64 * anon as f64) as u64 }.min(anon))
    }

    /// What is assessed if its counters are `memory`: bytes that the machine cannot take back without swap. These are
    /// anonymous memory that is not free for the taking, swap, its part of shared memory, huge pages, pinned and locked
    /// memory, and page tables beyond those of dense memory.
    pub fn assessed_bytes(&self, memory: Memory) -> f64 {
        let dense = (memory.anon.max(0) as u64).saturating_add(memory.shmem.max(0) as u64) / DENSE;
        let tables = self.page_tables.unwrap_or(0).saturating_sub(dense.saturating_add(SPARSE));
        let beyond = self.beyond.as_ref().map_or(0.0, |beyond| beyond.bytes(memory));
        let lazy_before = self.beyond.as_ref().map_or(0, |beyond| beyond.lazy_before);
        let lazy = self.reclaimable().map_or(0, |lazy| lazy.saturating_sub(lazy_before));
        process_bytes(memory) + self.shared.bytes(memory.shmem) + tables as f64 + beyond - lazy as f64
    }

    /// Anonymous memory and swap that no other process shares, and all of it, at the last walk over its pages.
    pub fn own_part(&self) -> Option<(f64, f64)> {
        let beyond = self.beyond.as_ref()?;
        let rollup = beyond.rollup?;
        let swap = self.memory()?.swap.max(0) as f64;
        Some(((rollup.pss_anon + rollup.swap_pss) as f64, beyond.anon_then as f64 + swap))
    }

    /// What is assessed besides anonymous memory and swap.
    pub fn beyond_private(&self) -> f64 {
        self.memory().map_or(0.0, |memory| self.assessed_bytes(memory) - process_bytes(memory))
    }

    /// Its exact counters, read after the last scan. Before the first scan they have no meaning.
    pub fn read_exactly(&mut self, memory: Memory) {
        self.exact = self.counters.map(|counters| Exact { memory, counters });
    }

    /// The nearest limit above it, its group's or the machine's; `None` while its group's is not known.
    pub fn limit(&self, machine: &MachineMemory) -> Option<LimitState> {
        let nearest = self.group.as_ref()?.nearest.borrow();
        let group = nearest
            .as_ref()?
            .as_ref()
            .map(|limit| LimitState { limit: limit.limit, left: limit.limit.saturating_sub(limit.usage) });
        let machine = machine.available().map(|available| LimitState { limit: available, left: available });
        group.into_iter().chain(machine).min_by_key(|limit| limit.left)
    }

    /// The assessment of its series. If its group's limit is not known, the machine's memory is the limit.
    pub fn assess(&self, machine: &MachineMemory, now: u64) -> Assessment {
        let left = self.limit(machine).map(|limit| limit.left).or_else(|| machine.available());
        assess_life(&self.series, now, left.map(|left| left as f64))
    }

    /// What the process holds: the counters of the last scan, with the difference that exact counters had to a scan.
    /// `None` for a process that no scan has met.
    pub fn memory(&self) -> Option<Memory> {
        self.counters.map(|now| self.corrected(now))
    }

    /// Counters as a scan reads them, with the difference that exact counters had to a scan; never negative.
    fn corrected(&self, now: Memory) -> Memory {
        self.by_exact(now, |exact, then, now| exact.saturating_add(now.saturating_sub(then)).max(0))
    }

    /// Combines each counter: the last exact one, the scan's before it, and the one in `now`.
    fn by_exact(&self, now: Memory, combine: impl Fn(i64, i64, i64) -> i64) -> Memory {
        let Some(Exact { memory, counters }) = self.exact else { return now.without_negatives() };
        Memory {
            file: combine(memory.file, counters.file, now.file),
            anon: combine(memory.anon, counters.anon, now.anon),
            swap: combine(memory.swap, counters.swap, now.swap),
            shmem: combine(memory.shmem, counters.shmem, now.shmem),
            virt: combine(memory.virt, counters.virt, now.virt),
        }
    }

    /// Counters as a scan reads them, at `at`, when the process is killed. A process that is killed usually grows. Then a
    /// part of the difference to exact counters was growth between the scan and their reading: at most what has changed
    /// since. The least possible difference is used.
    pub fn killed(&self, at: u64, now: Memory) -> Memory {
        if self.series.window.is_flat(at) {
            return self.corrected(now);
        }
        self.by_exact(now, |exact, then, now| {
            let (one, other) = (exact.saturating_sub(then), exact.saturating_sub(now));
            now.saturating_add(0.clamp(one.min(other), one.max(other))).max(0)
        })
    }

    /// Whether a scan has met it.
    pub const fn is_met(&self) -> bool {
        self.counters.is_some()
    }

    /// Whether exact counters were ever read.
    pub const fn was_exact(&self) -> bool {
        self.exact.is_some()
    }

    /// Whether a scan has seen a change since the exact counters were read.
    pub fn is_outdated(&self) -> bool {
        self.counters.is_some_and(|now| self.exact.is_none_or(|exact| exact.counters != now))
    }
}

impl Beyond {
    /// Bytes of `status` that `memory` does not contain. Pinned pages are usually mapped, and then they are in it.
    fn bytes(&self, memory: Memory) -> f64 {
        let Some(status) = self.status else { return 0.0 };
        let mapped = memory.anon.saturating_add(memory.shmem).max(0) as u64;
        let locked_files = status.locked.saturating_sub(mapped).min(memory.file.max(0) as u64);
        status.hugetlb as f64
            + status.pinned.saturating_sub(mapped.saturating_add(status.hugetlb)) as f64
            + locked_files as f64
    }

    /// Whether it has memory that its counters do not contain.
    pub fn is_relevant(&self) -> bool {
        self.status.is_some_and(|status| (status.hugetlb, status.pinned, status.locked) != (0, 0, 0))
    }
}

/// Bytes of memory for each byte of the page tables that map it, if it is dense: 4 KiB map 2 MiB.
const DENSE: u64 = 512;

/// Page tables that every process may have beyond that: its mappings are far apart.
const SPARSE: u64 = 1 << 20;

/// Anonymous memory and swap, in bytes.
pub fn process_bytes(memory: Memory) -> f64 {
    memory.anon as f64 + memory.swap as f64
}
