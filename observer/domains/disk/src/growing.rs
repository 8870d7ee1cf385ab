//! A file that somebody works on: by how much who made it grow, what it takes, where it is.

use std::{cmp::Reverse, collections::BTreeMap};

use super::magic::{EXT4, Magic};
use observer_core::facts::{
    TaskId,
    disk::{FileGrowth, Found, Stat},
};

/// Blocks are at least this big where a file's first blocks have to be worked out.
const PAGE: u64 = 4096;

/// So often a file is asked for after each news of it: an event may come ahead of the change that it tells of.
const ASKED: u8 = 2;

/// What is known of a file that grows.
#[derive(Debug, Default)]
pub struct GrowingFile {
    pub growing: FileGrowth,
    stat: Option<Stat>,
    pub path: Option<Vec<u8>>,
    /// Bytes of its blocks that the account of its filesystem holds; `None` until it is known what it took at first.
    pub counted: Option<u64>,
    /// What each process had written when the previous report was delivered.
    previous: BTreeMap<TaskId, u64>,
    /// How often it is yet to be asked for.
    asks: u8,
    /// When it was last asked for, nanoseconds of the boot clock.
    asked_at: u64,
    /// Whether the last answer was its numbers.
    reached: bool,
    /// Reports in which it had grown.
    pub grew: u64,
    /// Its size in the previous report.
    last_size: Option<u64>,
    /// Whether the first thing known of it is that it was empty: it was made, or emptied, while observed.
    pub made: bool,
}

impl GrowingFile {
    /// Takes in what events tell.
    pub fn take(&mut self, growing: &FileGrowth) {
        self.growing.clone_from(growing);
        self.asks = ASKED;
        self.made = growing.first_size == 0;
    }

    /// Takes in what asking gave; whether it has gone.
    pub fn found(&mut self, found: &Found) -> bool {
        self.reached = matches!(found, Found::File { .. });
        if let Found::File { stat, path } = found {
            self.stat = Some(*stat);
            if path.is_some() {
                self.path.clone_from(path);
            }
        }
        *found == Found::Gone
    }

    /// Whether there may be news of it that only asking brings.
    pub fn is_to_be_asked(&self) -> bool {
        self.asks > 0
    }

    /// Its place among the files that are to be asked for, the first first: news that nobody asked after yet, then what
    /// waits longest, so that each has its turn however many grow all the time.
    pub fn turn(&self) -> (Reverse<u8>, u64) {
        (Reverse(self.asks), self.asked_at)
    }

    /// It has been asked for. An answer that is equal to the last one is not heard, so answers are not counted.
    pub fn asked(&mut self, at: u64) {
        self.asks = self.asks.saturating_sub(1);
        self.asked_at = at;
    }

    pub fn magic(&self) -> Magic {
        Magic(self.growing.magic)
    }

    /// Bytes of its size, as far as is known.
    pub fn size(&self) -> u64 {
        let seen = self.growing.size;
        match self.stat {
            // What was asked before the last event is older than that.
            Some(stat) if !self.is_stale() => stat.size,
            Some(stat) => stat.size.max(seen),
            None => seen,
        }
    }

    fn is_stale(&self) -> bool {
        self.asks == ASKED || !self.reached
    }

    /// Bytes of its blocks, promised ones included; `None` while nobody has asked for it.
    pub fn allocated(&self) -> Option<u64> {
        self.stat.map(|stat| stat.allocated)
    }

    /// Bytes of its blocks before anybody was seen to work on it; `None` while that cannot be worked out.
    ///
    /// An inode's own count lacks what ext4 has only promised, and is no count at all on some filesystems. Where the file
    /// has no holes now, and none was seen being filled, it had none then: all of its size was allocated.
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

    /// Whether it is known who wrote how much of it.
    pub fn is_attributed(&self) -> bool {
        self.growing.exact || self.growing.writers.len() <= 1
    }

    /// Every process that worked on it, with the bytes by which it made it grow; `None` where nobody can say.
    pub fn writers(&self) -> impl Iterator<Item = (TaskId, Option<u64>)> {
        self.growing.writers.iter().map(|(id, _)| (*id, self.written(*id)))
    }

    /// Bytes by which `id` made it grow.
    pub fn written(&self, id: TaskId) -> Option<u64> {
        if !self.is_attributed() {
            return None;
        }
        let growing = &self.growing;
        let told = growing.writers.iter().find(|(writer, _)| *writer == id).map_or(0, |(_, bytes)| *bytes);
        let since = self.size().saturating_sub(growing.size);
        let written = if growing.owner == Some(id) { told.saturating_add(since) } else { told };
        // A hole that is filled, or space that is reserved: the size stays. One writer needs no event to be told apart.
        if written == 0 && growing.writers.len() == 1 && self.size() == growing.first_size {
            let taken = self.allocated()?.saturating_sub(self.first_allocated()?);
            return Some(taken);
        }
        Some(written)
    }

    /// What `id` wrote since the previous report.
    pub fn recent(&self, id: TaskId) -> Option<u64> {
        let before = self.previous.get(&id).copied().unwrap_or(0);
        self.written(id).map(|written| written.saturating_sub(before))
    }

    /// Bytes by which it grew that nobody can be told to have written.
    pub fn unattributed(&self) -> u64 {
        if self.is_attributed() { 0 } else { self.size().saturating_sub(self.growing.first_size) }
    }

    /// A report was delivered: rates start anew.
    pub fn delivered(&mut self) {
        let written: Vec<_> = self.writers().collect();
        self.previous = written.into_iter().filter_map(|(id, bytes)| Some((id, bytes?))).collect();
        let size = self.size();
        self.grew += u64::from(self.last_size.is_some_and(|last| size > last));
        self.last_size = Some(size);
    }
}

impl Magic {
    /// Whether an inode's own count of its blocks is what it takes, but for what was only promised.
    fn counts_blocks(self) -> bool {
        self == EXT4 || self.in_ram()
    }
}
