//! Control groups with a limit: what is charged to them, which of it is shared memory, and how fast it grows.
//!
//! Files in RAM are charged to the group of the process that wrote them. They can fill a group although no process of
//! it grows.

use std::collections::BTreeMap;

use observer_core::{
    facts::mem::GroupMemory,
    trend::{
        series::Series,
        verdict::{Assessment, assess_life},
    },
};

/// All groups with a limit, by path.
#[derive(Debug, Default)]
pub(super) struct LimitedGroups {
    known: BTreeMap<Vec<u8>, LimitedGroup>,
}

/// One group with a limit.
#[derive(Debug)]
pub(super) struct LimitedGroup {
    pub memory: GroupMemory,
    /// Bytes charged to the group.
    pub series: Series,
    /// Kills up to the last sample.
    counted: Option<u64>,
}

impl LimitedGroups {
    pub(super) fn take(&mut self, group: &[u8], memory: GroupMemory, window: f64) {
        if let Some(known) = self.known.get_mut(group) {
            known.memory = memory;
        } else {
            let series = Series::new(window);
            self.known.insert(group.to_vec(), LimitedGroup { memory, series, counted: memory.kills });
        }
    }

    /// Continues every series to `now`. Returns the groups in which the kernel has killed a process since the last
    /// sample.
    pub(super) fn sample(&mut self, now: u64) -> Vec<Vec<u8>> {
        let mut killed = Vec::new();
        for (group, known) in &mut self.known {
            let bytes = known.memory.usage as f64;
            known.series.push(now, bytes, bytes);
            if known.memory.kills > known.counted {
                killed.push(group.clone());
            }
            known.counted = known.memory.kills;
        }
        killed
    }

    /// Removes groups that are not `in_use`.
    pub(super) fn retain(&mut self, in_use: impl Fn(&[u8]) -> bool) {
        self.known.retain(|group, _| in_use(group));
    }

    pub(super) fn get(&self, group: &[u8]) -> Option<&LimitedGroup> {
        self.known.get(group)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&[u8], &LimitedGroup)> {
        self.known.iter().map(|(group, known)| (group.as_slice(), known))
    }
}

impl LimitedGroup {
    /// Bytes left until the limit.
    pub(super) const fn left(&self) -> u64 {
        self.memory.limit.saturating_sub(self.memory.usage)
    }

    /// The share of the limit that is in use.
    pub(super) fn share(&self) -> f64 {
        self.memory.usage as f64 / self.memory.limit.max(1) as f64
    }

    pub(super) fn assessment(&self, now: u64) -> Assessment {
        assess_life(&self.series, now, Some(self.left() as f64))
    }

    /// Shared memory and files in RAM, if they are half of the group's memory or more.
    pub(super) fn mostly_shared(&self) -> Option<u64> {
        self.memory.shmem.filter(|shmem| *shmem >= self.memory.usage / 2 && *shmem > 0)
    }
}
