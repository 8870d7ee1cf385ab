//! What the mem domain's report asks its own reader.

use std::collections::BTreeSet;

use observer_core::{facts::TaskId, wants::DomainQueries};

/// Questions about processes, their control groups and the kernel's own memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemQueries {
    /// Processes whose exact memory counters are wanted: what the iterator reads lacks per-CPU parts from 6.2 on.
    pub counters: BTreeSet<TaskId>,
    /// Those of them whose memory beyond the counters is wanted too, by a walk over their pages.
    pub details: BTreeSet<TaskId>,
    /// cgroup paths whose memory limit and use are wanted.
    pub limits: BTreeSet<Vec<u8>>,
    /// The slab caches are wanted, one by one: the kernel counts their pages for every reader. These are known; of those
    /// among them that are gone it is wanted that they are.
    pub slabs: Option<BTreeSet<Vec<u8>>>,
}

impl DomainQueries for MemQueries {
    fn extend(&mut self, other: Self) {
        self.counters.extend(other.counters);
        self.details.extend(other.details);
        self.limits.extend(other.limits);
        if let Some(known) = other.slabs {
            self.slabs.get_or_insert_default().extend(known);
        }
    }
}
