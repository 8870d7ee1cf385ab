//! OpenJDK's virtual machine: the counters that it keeps for `jstat` in shared memory.
//!
//! They are read from the mapping itself. The file behind it is often gone: cleaners of `/tmp` remove it. Where there
//! is no such mapping, the JVM's own table of variables leads to the counters.
//! Serial, Parallel and G1 update the use of the old generation only when they collect, so its counter is what
//! survived. ZGC and Shenandoah update theirs all the time: that is no such number, and is not reported as one.

use std::{fs::File, time::Duration};

use observer_core::text;

use self::counters::Counters;
use crate::{
    heap::{Basis, Heap, Known, Reason},
    memory::Memory,
    process::{FileId, Mapping},
};

mod counters;
mod structs;

/// The counters fill 32 KiB, unless -XX:PerfDataMemorySize asks for more.
const MOST: u64 = 1 << 20;
/// While a collection ends, its counters change one after the other. Read again, so often at most.
const ATTEMPTS: usize = 4;
const COLLECTORS: usize = 8;
/// Values of `sun.gc.policy.name`. ZGC and Shenandoah have none.
const SERIAL: &[u8] = b"Copy:MSC";
const PARALLEL: &[u8] = b"ParScav:MSC";
const G1: &[u8] = b"GarbageFirst";
/// G1 adds some bytes to its sizes, which are multiples of a mebibyte.
const G1_UNIT: u64 = 4096;

/// Where a JVM keeps its counters.
#[derive(Clone, Copy, Debug)]
pub struct HotSpot {
    address: u64,
    size: usize,
}

/// Whether a mapped file is the library of a Java virtual machine.
pub fn is_library(path: &[u8]) -> bool {
    path.ends_with(b"/libjvm.so")
}

/// Whether a mapped file holds the counters: `/tmp/hsperfdata_USER/PID`.
pub fn is_counters(path: &[u8]) -> bool {
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    let mut parts = path.rsplit(|byte| *byte == b'/');
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    parts.next().is_some_and(is_number) && parts.next().is_some_and(|part| part.starts_with(b"hsperfdata_"))
}

impl HotSpot {
    /// The JVM with these mappings; `open` opens the file of one.
    ///
    /// # Errors
    /// [`Reason::NoCounters`] if it keeps no counters, and what opening and reading fail with.
    pub fn of(
        mappings: &[Mapping],
        memory: &Memory,
        open: impl Fn(&Mapping) -> Known<(File, FileId)>,
    ) -> Known<Self> {
        let (address, size) = match mappings.iter().find(|mapping| is_counters(&mapping.path)) {
            Some(mapping) => (mapping.start, mapping.end.saturating_sub(mapping.start)),
            None => {
                let is_start = |mapping: &&Mapping| mapping.offset == 0 && is_library(&mapping.path);
                let library = mappings.iter().find(is_start).ok_or(Reason::NoCounters)?;
                structs::counters(&open(library)?.0, library.start, memory)?.ok_or(Reason::NoCounters)?
            }
        };
        Ok(Self { address, size: usize::try_from(size.min(MOST)).unwrap_or(0) })
    }

    /// `java.version`, as far as the JVM has set it yet.
    pub fn version(&self, memory: &Memory) -> Option<String> {
        let bytes = memory.bytes(self.address, self.size).ok()?;
        let counters = Counters::parse(&bytes).ok()?;
        counters.text("java.property.java.version").map(text::printable)
    }

    /// # Errors
    /// [`Reason::Ended`], [`Reason::NotPermitted`] and [`Reason::Inconsistent`].
    pub fn heap(&self, memory: &Memory) -> Known<Heap> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let bytes = memory.bytes(self.address, self.size)?;
            let heap = Counters::parse(&bytes).map_err(Reason::Inconsistent).and_then(|read| heap(&read));
            if last.as_ref() == Some(&heap) {
                return heap;
            }
            last = Some(heap);
        }
        Err(Reason::Inconsistent("the JVM collects faster than its counters can be read"))
    }
}

/// One collector's counters, times in ticks.
struct Collector<'a> {
    name: &'a [u8],
    invocations: u64,
    time: u64,
    ended: u64,
}

fn heap(counters: &Counters<'_>) -> Known<Heap> {
    let number = |name: String| counters.number(&name);
    let space =
        |generation: u8, space: u8| number(format!("sun.gc.generation.{generation}.space.{space}.used"));
    let generations = |what: &str| {
        let [young, old] = [0, 1].map(|generation| number(format!("sun.gc.generation.{generation}.{what}")));
        old.map(|old| (young.unwrap_or(0), old))
    };
    let frequency = counters.number("sun.os.hrt.frequency").filter(|ticks| *ticks > 0);
    let frequency = frequency.ok_or(Reason::Inconsistent("the JVM's clock has no frequency"))?;
    let time = |ticks: u64| duration(ticks, frequency);
    let collectors: Vec<Collector<'_>> = (0..COLLECTORS)
        .filter_map(|index| {
            let of = |what: &str| format!("sun.gc.collector.{index}.{what}");
            Some(Collector {
                name: counters.text(&of("name"))?,
                invocations: counters.number(&of("invocations"))?,
                time: counters.number(&of("time"))?,
                ended: counters.number(&of("lastExitTime"))?,
            })
        })
        .collect();
    let policy = counters.text("sun.gc.policy.name").unwrap_or_default();
    let metadata = counters.number("sun.gc.metaspace.used");
    let mut heap = Heap {
        live: Err(Reason::NoCollection),
        basis: Basis::WholeHeap,
        live_after_full: None,
        objects: None,
        metadata,
        capacity: generations("capacity").map(|(young, old)| young.saturating_add(old)),
        // Serial and Parallel divide the heap. Elsewhere each generation may become the whole of it.
        limit: generations("maxCapacity").map(|(young, old)| match policy {
            SERIAL | PARALLEL => young.saturating_add(old),
            _ => young.max(old),
        }),
        collections: Ok(0),
        full_collections: Ok(0),
        paused: Ok(time(collectors.iter().fold(0, |sum, collector| sum.saturating_add(collector.time)))),
        last_full: None,
    };
    // The names of the collectors' pauses differ between JDK 11 and 17; their order does not.
    let (young, full) = match policy {
        SERIAL | PARALLEL | G1 => (collectors.first(), collectors.get(1)),
        _ => (None, None),
    };
    let (Some(young), Some(full)) = (young, full) else {
        let is = |start: &[u8]| collectors.iter().any(|collector| collector.name.starts_with(start));
        let name = match () {
            () if is(b"Z") => "ZGC",
            () if is(b"Shenandoah") => "Shenandoah",
            () => "This collector",
        };
        let reason = Reason::NotRecorded(name.to_owned());
        heap.live = Err(reason.clone());
        heap.collections = Err(reason.clone());
        heap.full_collections = Err(reason);
        return Ok(heap);
    };
    if policy == G1 {
        // A whole collection is the last resort of G1. Its concurrent cycles free old regions as well.
        for size in [&mut heap.capacity, &mut heap.limit] {
            *size = size.map(|bytes| bytes / G1_UNIT * G1_UNIT);
        }
    }
    heap.collections = Ok(young.invocations.saturating_add(full.invocations));
    heap.full_collections = Ok(full.invocations);
    if young.invocations + full.invocations == 0 {
        return Ok(heap);
    }
    let was_full = full.invocations > 0 && full.ended >= young.ended;
    let old = space(1, 0).ok_or(Reason::Inconsistent("the JVM counts no old generation"))?;
    let survivors = [space(0, 1), space(0, 2)].into_iter().flatten().fold(0, u64::saturating_add);
    let live = old.saturating_add(survivors);
    heap.live = Ok(live);
    heap.basis = if was_full { Basis::WholeHeap } else { Basis::YoungGeneration };
    if full.invocations > 0 {
        let recorded = counters.number("sun.gc.policy.liveAtLastFullGc");
        heap.live_after_full = if was_full { Some(live) } else { recorded };
        let started = counters.number("sun.rt.createVmBeginTime").map(Duration::from_millis);
        heap.last_full = started.and_then(|started| started.checked_add(time(full.ended)));
    }
    Ok(heap)
}

fn duration(ticks: u64, frequency: u64) -> Duration {
    let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(frequency);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Counters, counters::made, heap, is_counters};
    use crate::heap::{Basis, Heap, Reason};

    /// A JVM that ran `young` and `full` collections, the last of them at these ticks.
    fn jvm(policy: &str, young: (u64, u64), full: (u64, u64)) -> Result<Heap, Reason> {
        let bytes = made(
            &[
                ("sun.os.hrt.frequency", 1000),
                ("sun.rt.createVmBeginTime", 5000),
                ("sun.gc.generation.0.capacity", 100),
                ("sun.gc.generation.0.maxCapacity", 8192),
                ("sun.gc.generation.0.space.0.used", 77),
                ("sun.gc.generation.0.space.1.used", 3),
                ("sun.gc.generation.0.space.2.used", 0),
                ("sun.gc.generation.1.capacity", 8192),
                ("sun.gc.generation.1.maxCapacity", 8200),
                ("sun.gc.generation.1.space.0.used", 5000),
                ("sun.gc.collector.0.invocations", young.0),
                ("sun.gc.collector.0.time", 20),
                ("sun.gc.collector.0.lastExitTime", young.1),
                ("sun.gc.collector.1.invocations", full.0),
                ("sun.gc.collector.1.time", 30),
                ("sun.gc.collector.1.lastExitTime", full.1),
                ("sun.gc.policy.liveAtLastFullGc", 4000),
            ],
            &[
                ("sun.gc.policy.name", policy),
                ("sun.gc.collector.0.name", "young"),
                ("sun.gc.collector.1.name", "full"),
            ],
        );
        heap(&Counters::parse(&bytes).unwrap())
    }

    #[test]
    fn eden_is_not_live_and_survivors_are() {
        let heap = jvm("Copy:MSC", (2, 100), (1, 900)).unwrap();
        assert_eq!((heap.live, heap.basis), (Ok(5003), Basis::WholeHeap));
        assert_eq!(heap.live_after_full, Some(5003));
        assert_eq!(heap.last_full, Some(Duration::from_millis(5900)));
        assert_eq!((heap.collections, heap.full_collections), (Ok(3), Ok(1)));
        assert_eq!(heap.paused, Ok(Duration::from_millis(50)));
        assert_eq!((heap.capacity, heap.limit), (Some(8292), Some(16392)));
    }

    #[test]
    fn a_young_collection_after_a_full_one_leaves_garbage_in_the_old_generation() {
        let heap = jvm("ParScav:MSC", (2, 901), (1, 900)).unwrap();
        assert_eq!((heap.live, heap.basis), (Ok(5003), Basis::YoungGeneration));
        assert_eq!(heap.live_after_full, Some(4000), "as the JVM recorded it");
    }

    #[test]
    fn with_g1_each_generation_may_be_the_whole_heap() {
        let heap = jvm("GarbageFirst", (2, 900), (0, 0)).unwrap();
        assert_eq!((heap.capacity, heap.limit), (Some(8192), Some(8192)));
        assert_eq!((heap.live_after_full, heap.last_full), (None, None));
    }

    #[test]
    fn before_the_first_collection_and_with_an_unknown_collector_nothing_is_live() {
        assert_eq!(jvm("Copy:MSC", (0, 0), (0, 0)).unwrap().live, Err(Reason::NoCollection));
        let unknown = jvm("ParNew:CMS", (1, 5), (0, 0)).unwrap();
        assert_eq!(unknown.live, Err(Reason::NotRecorded("This collector".to_owned())));
        assert_eq!(unknown.collections, unknown.live);
    }

    #[test]
    fn numbers_at_the_end_of_their_range_do_not_overflow() {
        let most = i64::MAX as u64;
        jvm("ParScav:MSC", (most, most), (most, most)).unwrap();
    }

    #[test]
    fn counters_are_known_by_their_path() {
        assert!(is_counters(b"/tmp/hsperfdata_root/17"));
        assert!(is_counters(b"/tmp/hsperfdata_a b/17 (deleted)"));
        assert!(!is_counters(b"/tmp/hsperfdata_root/"));
        assert!(!is_counters(b"/tmp/hsperfdata/17"));
        assert!(!is_counters(b"17"));
    }
}
