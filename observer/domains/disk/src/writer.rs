//! The bytes that each process writes to storage.

use std::collections::BTreeMap;

use observer_core::facts::TaskId;

/// Every process with known writes, and its bytes since it started.
#[derive(Debug, Default)]
pub struct Writers {
    known: BTreeMap<TaskId, WriterState>,
    /// The start of observation, nanoseconds of the boot clock.
    pub began: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct WriterState {
    now: u64,
    /// Bytes when observation of it began, and at the previous report.
    first: u64,
    previous: u64,
    ended: bool,
}

/// The bytes that one process wrote while observed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct WriteTotals {
    /// Bytes in total, and since the previous report.
    pub bytes: u64,
    pub recent: u64,
    /// Whether it ended since the previous report.
    pub ended: bool,
}

impl Writers {
    pub fn take(&mut self, id: TaskId, bytes: u64) {
        let began = self.began;
        let written = self.known.entry(id).or_insert_with(|| {
            // Bytes from before observation began do not count. A process that wrote little has no facts until it has
            // written more.
            let before = if id.start >= began { 0 } else { bytes };
            WriterState { now: bytes, first: before, previous: before, ended: false }
        });
        written.now = bytes;
    }

    pub fn gone(&mut self, id: TaskId) {
        if let Some(written) = self.known.get_mut(&id) {
            written.ended = true;
        }
    }

    /// Every process that wrote while observed.
    pub fn iter(&self) -> impl Iterator<Item = (TaskId, WriteTotals)> {
        let written = self.known.iter().map(|(id, written)| {
            let since = |before: u64| written.now.saturating_sub(before);
            let bytes = since(written.first);
            (*id, WriteTotals { bytes, recent: since(written.previous), ended: written.ended })
        });
        written.filter(|(_, wrote)| wrote.bytes > 0)
    }

    /// Whether a row names `id`.
    pub fn concerns(&self, id: TaskId) -> bool {
        self.known.contains_key(&id)
    }

    /// A report was delivered: rates start again, and ended processes are removed.
    pub fn delivered(&mut self) {
        self.known.retain(|_, written| !written.ended);
        for written in self.known.values_mut() {
            written.previous = written.now;
        }
    }
}
