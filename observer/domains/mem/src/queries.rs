//! The host queries of the mem domain's report.

use std::collections::BTreeSet;

use observer_core::{facts::TaskId, queries::DomainQueries};

/// Queries about processes, their control groups and the kernel's own memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemQueries {
    /// Processes to read exact counters for: from 6.2 on, the iterator's counters lack per-CPU remainders.
    pub counters: BTreeSet<TaskId>,
    /// Processes among `counters` to read further memory for, by a page walk.
    pub details: BTreeSet<TaskId>,
    /// Processes whose runtimes are asked for their heaps, if they have any.
    pub heaps: BTreeSet<TaskId>,
    /// cgroup paths to read the memory limit and use for.
    pub limits: BTreeSet<Vec<u8>>,
    /// Whether to read each slab cache: the kernel counts their pages for every reader. The value is the set of known
    /// caches; those that are gone are reported as gone.
    pub slabs: Option<BTreeSet<Vec<u8>>>,
}

impl DomainQueries for MemQueries {
    fn extend(&mut self, other: Self) {
        self.counters.extend(other.counters);
        self.details.extend(other.details);
        self.heaps.extend(other.heaps);
        self.limits.extend(other.limits);
        if let Some(known) = other.slabs {
            self.slabs.get_or_insert_default().extend(known);
        }
    }
}
