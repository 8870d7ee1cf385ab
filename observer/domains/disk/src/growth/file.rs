//! A growing file: its growth by process, its size and blocks, and its path.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::magic::{EXT4, Magic};
use observer_core::facts::{
    TaskId,
    disk::{FileGrowth, Found, Stat},
};

/// The smallest block in bytes, for a file with an estimate of its first blocks.
const PAGE: u64 = 4096;

/// The number of queries after each event: an event may precede the change that it reports.
const QUERIES: u8 = 2;

/// The state of a growing file.
#[derive(Debug, Default)]
pub struct GrowingFile {
    pub growing: FileGrowth,
    stat: Option<Stat>,
    pub path: Option<Vec<u8>>,
    /// What the kernel's name cache has about it, with its path from the root of its filesystem.
    pub cached: Option<Found>,
    /// Whether the last query of the host did not reach it.
    pub is_unreached: bool,
    /// Bytes of its blocks in the growth accounting; `None` until its first bytes are known.
    pub counted: Option<u64>,
    /// Bytes that each process had written when the previous report was delivered.
    previous: BTreeMap<TaskId, u64>,
    /// The number of queries still to be made.
    queries_left: u8,
    /// The time of the last query, nanoseconds of the boot clock.
    queried_at: u64,
    /// Whether the last answer contained its numbers.
    reached: bool,
    /// The number of reports in which it had grown.
    pub grew: u64,
    /// Its size in the previous report.
    last_size: Option<u64>,
    /// Whether it was empty at its first event: it was created or emptied while observed.
    pub made: bool,
    /// Whether it is unlinked: by its events or its link count, the later of the two.
    pub unlinked: bool,
}

impl GrowingFile {
    /// Takes in the totals of its events.
    pub fn take(&mut self, growing: &FileGrowth) {
        // A file that got a name after its last event stays named.
        if growing.unlinked != self.growing.unlinked {
            self.unlinked = growing.unlinked;
        }
        self.growing.clone_from(growing);
        self.queries_left = QUERIES;
        self.made = growing.first_size == 0;
    }

    /// Takes in the answer to a query. Returns whether the file is gone.
    pub fn found(&mut self, found: &Found) -> bool {
        let file = found.file();
        self.reached = file.is_some();
        let was_unlinked = self.unlinked;
        self.unlinked = found.unlinked().unwrap_or(self.unlinked);
        if let Some((stat, path)) = file {
            self.stat = Some(stat);
            // The path of an unlinked file is not that of the name that it has now.
            if path.is_some() || was_unlinked && !self.unlinked {
                self.path.clone_from(path);
            }
        }
        *found == Found::Gone
    }

    /// Whether a query may find something new: after an event, or for a name, which no event reports.
    pub fn needs_query(&self) -> bool {
        self.has_news() || self.unlinked
    }

    /// Whether an event has come since the last queries.
    pub fn has_news(&self) -> bool {
        self.queries_left > 0
    }

    /// The sort key of files to query, ascending: new events first, then the longest wait. So every file gets its turn,
    /// however many files grow all the time.
    pub fn turn(&self) -> (Reverse<u8>, u64) {
        (Reverse(self.queries_left), self.queried_at)
    }

    /// The file was queried at `at`. Answers are not counted: one that equals the last answer does not arrive.
    pub fn queried(&mut self, at: u64) {
        self.queries_left = self.queries_left.saturating_sub(1);
        self.queried_at = at;
    }

    pub fn magic(&self) -> Magic {
        Magic(self.growing.magic)
    }

    /// Its size in bytes, as far as known.
    pub fn size(&self) -> u64 {
        let seen = self.growing.size;
        match self.stat {
            // An answer from before the last event is out of date.
            Some(stat) if !self.is_stale() => stat.size,
            Some(stat) => stat.size.max(seen),
            None => seen,
        }
    }

    fn is_stale(&self) -> bool {
        self.queries_left == QUERIES || !self.reached
    }

    /// Bytes of its blocks, including delayed allocation; `None` before the first answer.
    pub fn allocated(&self) -> Option<u64> {
        self.stat.map(|stat| stat.allocated)
    }

    /// Its entry in the accounting: whether it counts as unlinked, and its bytes before the first event and now.
    pub fn counted_as(&self) -> (bool, Option<(u64, u64)>) {
        (self.unlinked, self.first_allocated().zip(self.counted))
    }

    /// Bytes of its blocks before its first event; `None` if they cannot be estimated.
    ///
    /// The block count of an inode lacks ext4's delayed allocation, and some filesystems do not count at all. If the
    /// file has no holes now, and none was seen being filled, it had none then: its whole size was allocated.
    pub fn first_allocated(&self) -> Option<u64> {
        let growing = &self.growing;
        if growing.first_size == 0 && growing.first_allocated == 0 {
            return Some(0);
        }
        let Some(stat) = self.stat else {
            return Some(growing.first_allocated).filter(|_| self.magic().counts_blocks());
        };
        let whole = growing.first_size.next_multiple_of(PAGE);
        let has_holes = stat.allocated < stat.size;
        Some(if self.magic().counts_blocks() {
            if has_holes || growing.had_hole {
                growing.first_allocated
            } else {
                growing.first_allocated.max(whole)
            }
        } else {
            stat.allocated.saturating_sub(stat.size.saturating_sub(growing.first_size))
        })
    }

    /// Bytes of blocks that it takes more, or less, than at its first event.
    pub fn grown(&self) -> Option<i64> {
        Some(self.allocated()?.cast_signed().saturating_sub(self.first_allocated()?.cast_signed()))
    }

    /// Whether its growth can be attributed to processes.
    pub fn is_attributed(&self) -> bool {
        self.growing.exact || self.growing.writers.len() <= 1
    }

    /// Every process that wrote to it, with the bytes by which it made the file grow; `None` if they are unknown.
    pub fn writers(&self) -> impl Iterator<Item = (TaskId, Option<u64>)> {
        self.growing.writers.iter().map(|(id, _)| (*id, self.written(*id)))
    }

    /// Bytes by which `id` made the file grow.
    pub fn written(&self, id: TaskId) -> Option<u64> {
        if !self.is_attributed() {
            return None;
        }
        let growing = &self.growing;
        let reported =
            growing.writers.iter().find(|(writer, _)| *writer == id).map_or(0, |(_, bytes)| *bytes);
        let since = self.size().saturating_sub(growing.size);
        let written = if growing.owner == Some(id) { reported.saturating_add(since) } else { reported };
        // The size stays if a hole is filled or space is reserved. A single writer is known without events.
        if written == 0 && growing.writers.len() == 1 && self.size() == growing.first_size {
            let taken = self.allocated()?.saturating_sub(self.first_allocated()?);
            return Some(taken);
        }
        Some(written)
    }

    /// Bytes that `id` wrote since the previous report.
    pub fn recent(&self, id: TaskId) -> Option<u64> {
        let before = self.previous.get(&id).copied().unwrap_or(0);
        self.written(id).map(|written| written.saturating_sub(before))
    }

    /// Bytes of its growth that cannot be attributed to a process.
    pub fn unattributed(&self) -> u64 {
        if self.is_attributed() { 0 } else { self.size().saturating_sub(self.growing.first_size) }
    }

    /// A report was delivered: rates start again.
    pub fn delivered(&mut self) {
        let written: Vec<_> = self.writers().collect();
        self.previous = written.into_iter().filter_map(|(id, bytes)| Some((id, bytes?))).collect();
        let size = self.size();
        self.grew += u64::from(self.last_size.is_some_and(|last| size > last));
        self.last_size = Some(size);
    }
}

impl Magic {
    /// Whether an inode of this filesystem counts its blocks, apart from delayed allocation.
    fn counts_blocks(self) -> bool {
        self == EXT4 || self.in_ram()
    }
}
