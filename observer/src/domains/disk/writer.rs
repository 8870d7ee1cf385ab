//! How much each process writes to storage.

use std::collections::BTreeMap;

use crate::observation::TaskId;

/// Every process of which it is known, with what it wrote since it started.
#[derive(Debug, Default)]
pub struct Writers {
    known: BTreeMap<TaskId, Written>,
    /// Whether a base line was delivered: a process met later started, or became a writer, while observed.
    based: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Written {
    now: u64,
    /// When observation of it began, and at the previous report.
    first: u64,
    previous: u64,
}

impl Writers {
    pub fn take(&mut self, id: TaskId, bytes: u64) {
        let based = self.based;
        let written = self.known.entry(id).or_insert_with(|| {
            // What a process wrote before observation began is not its work while observed.
            let before = if based { 0 } else { bytes };
            Written { now: bytes, first: before, previous: before }
        });
        written.now = bytes;
    }

    pub fn gone(&mut self, id: TaskId) {
        self.known.remove(&id);
    }

    /// Every process that wrote while observed: bytes in all, and since the previous report.
    pub fn iter(&self) -> impl Iterator<Item = (TaskId, u64, u64)> {
        let written = self.known.iter().map(|(id, written)| {
            let since = |before: u64| written.now.saturating_sub(before);
            (*id, since(written.first), since(written.previous))
        });
        written.filter(|(_, bytes, _)| *bytes > 0)
    }

    /// A report was delivered: rates start anew.
    pub fn delivered(&mut self) {
        self.based = true;
        for written in self.known.values_mut() {
            written.previous = written.now;
        }
    }
}
