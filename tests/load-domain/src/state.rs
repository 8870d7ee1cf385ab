//! What is known of the processor time of each process.

use std::collections::BTreeMap;

use observer_core::facts::TaskId;

/// Every process, by its identity.
#[derive(Debug, Default)]
pub struct LoadState {
    pub processes: BTreeMap<TaskId, ProcessTime>,
    /// The boot-clock nanoseconds of the last report.
    delivered: Option<u64>,
}

/// Nanoseconds for which a process has run.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessTime {
    pub total: u64,
    /// At the last report; `None` if the process was there then and was not seen.
    pub before: Option<u64>,
    /// It is gone: what it ran after the last scan that found it is not known.
    pub ended: bool,
}

impl LoadState {
    /// All processes have run for so long.
    pub fn total(&self) -> u64 {
        self.processes.values().map(|time| time.total).fold(0, u64::saturating_add)
    }

    /// Takes the fact that the process `id` has run for so many nanoseconds; `None` where it is gone.
    pub fn take(&mut self, id: TaskId, nanoseconds: Option<u64>) {
        let begun = self.delivered.is_some_and(|delivered| id.start > delivered);
        match nanoseconds {
            Some(nanoseconds) => {
                let unseen = ProcessTime { before: begun.then_some(0), ..ProcessTime::default() };
                let time = self.processes.entry(id).or_insert(unseen);
                // A thread that ends during a scan can be missing from it.
                time.total = time.total.max(nanoseconds);
            }
            None => {
                if let Some(time) = self.processes.get_mut(&id) {
                    time.ended = true;
                }
            }
        }
    }

    /// The report of this moment, boot-clock nanoseconds, has been delivered.
    pub fn deliver(&mut self, now: u64) {
        self.delivered = Some(now);
        self.processes.retain(|_, time| {
            time.before = Some(time.total);
            !time.ended
        });
    }
}
