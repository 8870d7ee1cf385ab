//! The state of one process's memory.
//!
//! A scan reads the kernel's counters without their per-CPU remainders. Exact counters are read from time to time.
//! Their difference to the scan is added to later scans.

use std::{cell::RefCell, ops::Deref, rc::Rc};

use super::{heap::HeapSeries, machine::MachineMemory, shared::SharedPart};
use observer_core::{
    facts::{
        mem::{Limit, Memory, Rollup, RuntimeHeap, Status, Totals},
        process::Comm,
    },
    trend::{
        envelope::MIN_GROWTH,
        series::Series,
        verdict::{Assessment, assess_life},
    },
};

/// A program: its name and the user ID that runs it.
pub type Program = (Comm, u32);

/// A control group.
#[derive(Debug)]
pub struct Group {
    pub name: Vec<u8>,
    /// The nearest limit, if any; the outer `None` while it is not known.
    pub nearest: RefCell<Option<Option<Limit>>>,
}

/// The state of one process's memory.
#[derive(Debug)]
pub struct ProcessMemory {
    /// The program that it runs, if known.
    pub program: Option<Program>,
    /// The counters of the last scan.
    counters: Option<Memory>,
    pub page_tables: Option<u64>,
    exact: Option<Exact>,
    /// `None` for most processes: they map nothing while observed.
    pub totals: Option<Box<Totals>>,
    pub group: Option<Rc<Group>>,
    /// The part of its shared memory that is attributed to it.
    pub shared: SharedPart,
    /// Known for rows that are shown, and for processes with memory that their counters lack.
    pub beyond: Option<Box<Beyond>>,
    /// The heap of its runtime, if it has one that was read.
    pub heap: Option<Box<HeapSeries>>,
    /// The series of [`ProcessMemory::assessed_bytes`].
    pub series: Series,
    /// The last assessment of the series; `None` if the series was flat.
    pub assessment: Option<Box<Assessment>>,
    pub ended: bool,
}

/// Memory of a process that its counters lack.
#[derive(Clone, Debug, Default)]
pub struct Beyond {
    pub status: Option<Status>,
    pub rollup: Option<Rollup>,
    /// Bytes of `lazy_free` that do not count: they were there before the process grew.
    lazy_before: u64,
    /// The series up to the sample with the last page walk, and the time of that sample.
    walked: Option<(Series, u64)>,
    /// Whether `rollup` was read after the last sample.
    fresh: bool,
}

/// Exact counters, and the counters of the last scan before them.
#[derive(Clone, Copy, Debug)]
struct Exact {
    memory: Memory,
    counters: Memory,
}

/// An assessment: the one of this report, or one made on demand.
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

/// A limit and the rest below it, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitState {
    pub limit: u64,
    pub left: u64,
    /// The control group that sets the limit; `None` for the machine.
    pub group: Option<Vec<u8>>,
}

impl ProcessMemory {
    /// A process without known memory. Its trends look back over `window` seconds.
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
            heap: None,
            series: Series::new(window),
            assessment: None,
            ended: false,
        }
    }

    /// Takes in the counters of a scan, and the bytes of page tables.
    pub fn read(&mut self, memory: Memory, page_tables: u64) {
        self.counters = Some(memory);
        self.page_tables = Some(page_tables);
    }

    /// Takes in the values of `status`.
    pub fn read_status(&mut self, status: Status) {
        self.beyond.get_or_insert_default().status = Some(status);
    }

    /// Takes in the values of `smaps_rollup`. Memory that `MADV_FREE` freed before the process grew is excluded from
    /// the whole series, so that the first reading is no fall.
    pub fn read_rollup(&mut self, rollup: Rollup) {
        let rise = self.series.history.rise().max(0.0) as u64;
        let beyond = self.beyond.get_or_insert_default();
        if beyond.rollup.is_none() {
            beyond.lazy_before = rollup.lazy_free.saturating_sub(rise);
        }
        (beyond.rollup, beyond.fresh) = (Some(rollup), true);
    }

    /// Takes in a reading of the heap of its runtime; `None` if it has a runtime no longer.
    pub fn read_heap(&mut self, heap: Option<&RuntimeHeap>, window: f64) {
        match (&mut self.heap, heap) {
            (Some(known), Some(heap)) if known.latest.runtime == heap.runtime => known.read(heap),
            (known, heap) => {
                *known = heap.map(|heap| Box::new(HeapSeries::new(heap.clone(), window)));
            }
        }
    }

    /// Continues the series to `now`.
    ///
    /// Between two page walks, memory that was freed with `MADV_FREE` looks like growth. A process with such memory has
    /// values only at page walks, and what its series got since the previous walk is removed.
    pub fn sample(&mut self, now: u64) {
        if let Some(heap) = &mut self.heap {
            heap.sample(now);
        }
        let Some(memory) = self.memory() else { return };
        let asked = self.totals.as_ref().map_or(0.0, |totals| totals.asked());
        let walk = self.beyond.as_ref().and_then(|beyond| Some((beyond.fresh, beyond.freed()?)));
        let Some((fresh, rollup)) = walk else {
            self.series.push(now, self.assessed_bytes(memory), asked);
            return self.walked(now);
        };
        let then = self.beyond.as_mut().filter(|_| fresh).and_then(|beyond| beyond.walked.take());
        let waits = self.beyond.as_ref().and_then(|beyond| beyond.walked.as_ref());
        if waits.is_some_and(|(_, at)| now.saturating_sub(*at) < WALK_AGE) {
            return;
        }
        let anon = if fresh { rollup.anon as i64 } else { memory.anon };
        let bytes = self.assessed_bytes(Memory { anon, ..memory });
        if let Some((series, _)) = then {
            self.series = series;
        }
        let last = self.series.window.latest().filter(|last| (bytes - last).abs() < FREED_NOISE);
        self.series.push(now, last.unwrap_or(bytes), asked);
        self.walked(now);
    }

    /// Keeps the series if a page walk belongs to the sample at `now`.
    fn walked(&mut self, now: u64) {
        if let Some(beyond) = self.beyond.as_mut().filter(|beyond| beyond.fresh) {
            beyond.fresh = false;
            beyond.walked = Some((self.series.clone(), now));
        }
    }

    /// Whether the last page walk found memory that was freed with `MADV_FREE`.
    pub fn has_freed(&self) -> bool {
        self.beyond.as_ref().is_some_and(|beyond| beyond.freed().is_some())
    }

    /// Bytes that were freed with `MADV_FREE` and are still resident. Between two page walks, they are assumed to stay
    /// the same share of anonymous memory.
    pub fn reclaimable(&self) -> Option<u64> {
        self.freed_of(self.memory()?.anon)
    }

    /// The part of `anon` bytes of anonymous memory that was freed with `MADV_FREE`; `None` without a page walk.
    fn freed_of(&self, anon: i64) -> Option<u64> {
        let rollup = self.beyond.as_ref()?.rollup?;
        let (lazy, then, anon) = (rollup.lazy_free, rollup.anon, anon.max(0) as u64);
        Some(if then == 0 { lazy } else { (lazy as f64 / then as f64 * anon as f64) as u64 }.min(anon))
    }

    /// The assessed bytes for the counters `memory`: those that the machine cannot take back without swap. These are
    /// anonymous memory without lazily freed pages, swap, the process's part of shared memory, huge pages, pinned and
    /// locked memory, and page tables in excess of those of dense memory.
    pub fn assessed_bytes(&self, memory: Memory) -> f64 {
        let dense = (memory.anon.max(0) as u64).saturating_add(memory.shmem.max(0) as u64) / DENSE;
        let tables = self.page_tables.unwrap_or(0).saturating_sub(dense.saturating_add(SPARSE));
        let beyond = self.beyond.as_ref().map_or(0.0, |beyond| beyond.bytes(memory));
        let lazy_before = self.beyond.as_ref().map_or(0, |beyond| beyond.lazy_before);
        let lazy = self.freed_of(memory.anon).map_or(0, |lazy| lazy.saturating_sub(lazy_before));
        process_bytes(memory) + self.shared.bytes(memory.shmem) + tables as f64 + beyond - lazy as f64
    }

    /// Bytes of anonymous memory and swap at the last page walk: the process's proportional share, and all of it.
    pub fn own_part(&self) -> Option<(f64, f64)> {
        let beyond = self.beyond.as_ref()?;
        let rollup = beyond.rollup?;
        let swap = self.memory()?.swap.max(0) as f64;
        Some(((rollup.pss_anon + rollup.swap_pss) as f64, rollup.anon as f64 + swap))
    }

    /// The assessed bytes that are not anonymous memory or swap.
    pub fn beyond_private(&self) -> f64 {
        self.memory().map_or(0.0, |memory| self.assessed_bytes(memory) - process_bytes(memory))
    }

    /// Takes in exact counters, read after the last scan. Before the first scan they are ignored.
    pub fn read_exactly(&mut self, memory: Memory) {
        self.exact = self.counters.map(|counters| Exact { memory, counters });
    }

    /// The nearest limit above the process, its group's or the machine's; `None` while the group's is not known.
    pub fn limit(&self, machine: &MachineMemory) -> Option<LimitState> {
        let nearest = self.group.as_ref()?.nearest.borrow();
        let group = nearest.as_ref()?.as_ref().map(|limit| LimitState {
            limit: limit.limit,
            left: limit.limit.saturating_sub(limit.usage),
            group: Some(limit.group.clone()),
        });
        let machine = machine.available().map(|left| LimitState { limit: left, left, group: None });
        group.into_iter().chain(machine).min_by_key(|limit| limit.left)
    }

    /// Assesses the series. If the group's limit is not known, the machine's memory is the limit.
    pub fn assess(&self, machine: &MachineMemory, now: u64) -> Assessment {
        let left = self.limit(machine).map(|limit| limit.left).or_else(|| machine.available());
        assess_life(&self.series, now, left.map(|left| left as f64))
    }

    /// The memory of the process: the counters of the last scan, corrected by the last exact ones. `None` if no scan
    /// has found the process.
    pub fn memory(&self) -> Option<Memory> {
        self.counters.map(|now| self.corrected(now))
    }

    /// The counters `now` of a scan, plus the difference between the last exact counters and their scan; never
    /// negative.
    fn corrected(&self, now: Memory) -> Memory {
        self.by_exact(now, |exact, then, now| exact.saturating_add(now.saturating_sub(then)).max(0))
    }

    /// Combines each counter: the last exact one, that of the scan before it, and the one in `now`.
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

    /// Corrects `now`, the scan counters of a process that is killed at `at`. Such a process usually grows. A part of
    /// the difference between the exact counters and the scan was then growth between the two readings, but at most the
    /// change since. The smallest possible difference is used.
    pub fn killed(&self, at: u64, now: Memory) -> Memory {
        if self.series.window.is_flat(at) {
            return self.corrected(now);
        }
        self.by_exact(now, |exact, then, now| {
            let (one, other) = (exact.saturating_sub(then), exact.saturating_sub(now));
            now.saturating_add(0.clamp(one.min(other), one.max(other))).max(0)
        })
    }

    /// Whether a scan has found the process.
    pub const fn is_met(&self) -> bool {
        self.counters.is_some()
    }

    /// Whether exact counters were ever read.
    pub const fn was_exact(&self) -> bool {
        self.exact.is_some()
    }

    /// Whether a scan has seen a change since exact counters were read.
    pub fn is_outdated(&self) -> bool {
        self.counters.is_some_and(|now| self.exact.is_none_or(|exact| exact.counters != now))
    }
}

impl Beyond {
    /// Bytes of `status` that `memory` lacks. Pinned pages are usually mapped, and then `memory` contains them.
    fn bytes(&self, memory: Memory) -> f64 {
        let Some(status) = self.status else { return 0.0 };
        let mapped = memory.anon.saturating_add(memory.shmem).max(0) as u64;
        let locked_files = status.locked.saturating_sub(mapped).min(memory.file.max(0) as u64);
        status.hugetlb as f64
            + status.pinned.saturating_sub(mapped.saturating_add(status.hugetlb)) as f64
            + locked_files as f64
    }

    /// The last page walk, if it found memory that was freed with `MADV_FREE`.
    fn freed(&self) -> Option<Rollup> {
        self.rollup.filter(|rollup| rollup.lazy_free as f64 >= MIN_GROWTH)
    }

    /// Whether the process has memory that its counters lack.
    pub fn is_relevant(&self) -> bool {
        self.status.is_some_and(|status| (status.hugetlb, status.pinned, status.locked) != (0, 0, 0))
    }
}

/// Bytes of dense memory that one byte of page tables maps: 4 KiB map 2 MiB.
const DENSE: u64 = 512;

/// Bytes of page tables that any process may have in addition, because its mappings are far apart.
const SPARSE: u64 = 1 << 20;

/// A series with memory freed by `MADV_FREE` waits this many nanoseconds for a page walk. A walk over very large memory
/// is rarer; an estimate is then used.
const WALK_AGE: u64 = 10_000_000_000;

/// With memory freed by `MADV_FREE`, smaller changes do not count: each CPU holds some freed pages in a batch, and the
/// kernel shows them as freed only when the batch is full.
const FREED_NOISE: f64 = MIN_GROWTH;

/// Anonymous memory and swap, in bytes.
pub fn process_bytes(memory: Memory) -> f64 {
    memory.anon as f64 + memory.swap as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: i64 = 1 << 20;
    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn memory_that_is_freed_all_the_time_is_flat_and_a_leak_beside_it_is_not() {
        for leaked in [0, 4] {
            let mut process = ProcessMemory::new(None, 60.0);
            for second in 0..40_i64 {
                let freed = 8 * MIB * second;
                let anon = 2 * MIB + freed + leaked * MIB * second;
                process.read(Memory { anon, ..Memory::default() }, 0);
                // A page walk every third second; some of the pages are not counted as freed yet.
                if second % 3 == 0 {
                    let lazy_free = (freed - (second % 2) * MIB / 8).max(0) as u64;
                    process.read_rollup(Rollup { anon: anon as u64, lazy_free, ..Rollup::default() });
                }
                process.sample(second as u64 * SECOND);
            }
            let growth = process.series.window.growth(40 * SECOND).unwrap();
            assert!((growth - (leaked * 39 * MIB) as f64).abs() < MIB as f64 / 4.0, "{growth}");
        }
    }

    #[test]
    fn a_process_with_freed_memory_that_is_no_longer_walked_still_grows() {
        let mut process = ProcessMemory::new(None, 60.0);
        for second in 0..40_i64 {
            let anon = 4 * MIB + second * MIB;
            process.read(Memory { anon, ..Memory::default() }, 0);
            if second == 0 {
                process.read_rollup(Rollup { anon: anon as u64, lazy_free: 2 << 20, ..Rollup::default() });
            }
            process.sample(second as u64 * SECOND);
        }
        assert!(process.series.window.growth(40 * SECOND).unwrap() > 15.0 * MIB as f64);
    }
}
