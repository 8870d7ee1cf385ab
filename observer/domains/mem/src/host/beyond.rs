//! Memory of a process that its counters lack. `status` has huge pages, pinned and locked memory; `smaps_rollup` has
//! the process's share of shared pages, and memory freed with `MADV_FREE`.
//!
//! For `smaps_rollup` the kernel walks all page tables of the process. The pause before the next reading of a process
//! is therefore many times the duration of the last readings of all processes.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    time::{Duration, Instant},
};

use super::field;
use observer_core::facts::{
    Fact, TaskId,
    mem::{MemFact, Rollup, Status},
};
use observer_host::{process::Clock, text::Text};

/// The shortest pause between two readings of a process.
const PAUSE: Duration = Duration::from_secs(2);
/// The pause is also at least this many times the duration of the last readings of all processes together.
const PAUSE_FACTOR: u32 = 200;

/// The last reading of each process: its time and its duration.
#[derive(Debug, Default)]
pub(super) struct Rollups {
    last: HashMap<TaskId, (Instant, Duration)>,
}

impl Rollups {
    /// Reads the processes in `processes` that are due. A process that is gone, or that this user may not read, has no
    /// result.
    pub(super) fn answer(
        &mut self,
        root: &Path,
        clock: Clock,
        processes: &BTreeSet<TaskId>,
        out: &mut Vec<Fact>,
    ) {
        let mut text = Text::default();
        let together: Duration = self.last.values().map(|(_, took)| *took).sum();
        let pause = PAUSE.max(together * PAUSE_FACTOR);
        self.last.retain(|id, (at, _)| processes.contains(id) || at.elapsed() < pause);
        for id in processes {
            let began = Instant::now();
            if self.last.get(id).is_some_and(|(at, _)| began.duration_since(*at) < pause) {
                continue;
            }
            let folder = root.join("proc").join(id.pid().to_string());
            let read = text.str(&folder.join("smaps_rollup")).and_then(rollup);
            self.last.insert(*id, (began, began.elapsed()));
            if let Some(rollup) = read.filter(|_| clock.is(&folder, *id)) {
                out.push(Fact::Mem(MemFact::Rollup { id: *id, rollup }));
            }
        }
    }
}

fn rollup(smaps: &str) -> Option<Rollup> {
    let field = |name| field(smaps, name);
    // The shares by kind exist since Linux 5.9.
    Some(Rollup {
        pss: field("Pss")?,
        pss_anon: field("Pss_Anon")?,
        pss_shmem: field("Pss_Shmem")?,
        swap_pss: field("SwapPss").unwrap_or(0),
        lazy_free: field("LazyFree").unwrap_or(0),
        anon: field("Anonymous")?,
    })
}

/// Parses the text of `status`. A kernel without huge pages lacks their line.
pub(super) fn status(text: &str) -> Status {
    let field = |name| field(text, name).unwrap_or(0);
    Status {
        hugetlb: field("HugetlbPages"),
        pinned: field("VmPin"),
        locked: field("VmLck"),
        peak: field("VmHWM"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_a_walk_over_pages_are_read() {
        let text = "00400000-7ffc [rollup]\nRss: 9 kB\nPss: 8 kB\nPss_Anon: 3 kB\nPss_File: 1 kB\n\
                    Pss_Shmem: 4 kB\nAnonymous: 6 kB\nLazyFree: 2 kB\nSwapPss: 1 kB\n";
        let kib = 1024;
        let sums = Rollup {
            pss: 8 * kib,
            pss_anon: 3 * kib,
            pss_shmem: 4 * kib,
            swap_pss: kib,
            lazy_free: 2 * kib,
            anon: 6 * kib,
        };
        assert_eq!(rollup(text), Some(sums));
        assert_eq!(rollup("Rss: 9 kB\n"), None);
    }
}
