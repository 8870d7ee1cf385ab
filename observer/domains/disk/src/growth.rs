//! The growing files, and the bytes that each process wrote to them.

use std::collections::{BTreeMap, BTreeSet};

use self::{accounting::GrowthAccounting, file::GrowingFile};
use observer_core::facts::{
    TaskId,
    disk::{FileGrowth, Found, InodeId},
};

pub mod accounting;
pub mod file;

/// The files that processes write to.
#[derive(Debug, Default)]
pub struct GrowingFiles {
    pub files: BTreeMap<InodeId, GrowingFile>,
    pub accounting: GrowthAccounting,
    /// Bytes that each process wrote to files that are no longer watched: in total, and since the last report.
    settled: BTreeMap<TaskId, (u64, u64)>,
    /// Files that are gone. They stay until the next report has been delivered.
    gone: BTreeSet<InodeId>,
    /// The files that each process wrote to.
    written_by: BTreeMap<TaskId, BTreeSet<InodeId>>,
    /// Processes that ended while their files are known, and whether a report has shown their exit.
    ended: BTreeMap<TaskId, bool>,
}

/// The bytes that one process wrote to files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrowthShare {
    /// Bytes by which it made files grow, in total and since the previous report.
    pub written: u64,
    pub recent: u64,
}

impl GrowingFiles {
    /// No files yet; growth looks back over `window` seconds.
    pub fn new(window: f64) -> Self {
        Self { accounting: GrowthAccounting::new(window), ..Self::default() }
    }

    pub fn take(&mut self, inode: InodeId, growing: &FileGrowth) {
        let file = self.files.entry(inode).or_default();
        let counted = file.counted_as();
        let before = std::mem::take(&mut file.growing.writers);
        file.take(growing);
        self.relink(inode, counted);
        if before.len() != growing.writers.len()
            || before.iter().zip(&growing.writers).any(|(a, b)| a.0 != b.0)
        {
            self.forget_writers(inode, &before);
            for (id, _) in &growing.writers {
                self.written_by.entry(*id).or_default().insert(inode);
            }
        }
    }

    fn forget_writers(&mut self, inode: InodeId, writers: &[(TaskId, u64)]) {
        for (id, _) in writers {
            let Some(files) = self.written_by.get_mut(id) else { continue };
            files.remove(&inode);
            if files.is_empty() {
                self.written_by.remove(id);
            }
        }
    }

    pub fn found(&mut self, inode: InodeId, found: &Found) {
        // The answer may be about a file that is no longer watched.
        let Some(file) = self.files.get_mut(&inode) else { return };
        let counted = file.counted_as();
        if file.found(found) {
            self.leave(inode, true);
        } else {
            self.relink(inode, counted);
            self.count(inode);
        }
    }

    /// Whether the last query reached the file on the host.
    pub fn reached(&mut self, inode: InodeId, reached: bool) {
        if let Some(file) = self.files.get_mut(&inode) {
            file.is_unreached = !reached;
        }
    }

    /// Whether the last query of the host did not reach the file.
    pub fn is_unreached(&self, inode: InodeId) -> bool {
        self.files.get(&inode).is_some_and(|file| file.is_unreached)
    }

    /// Moves the growth of a file to the other part of the accounting, if the file lost its last name or got a new one.
    fn relink(&mut self, inode: InodeId, (was_unlinked, growth): (bool, Option<(u64, u64)>)) {
        let Some(file) = self.files.get(&inode).filter(|file| file.unlinked != was_unlinked) else { return };
        if let Some((first, counted)) = growth {
            self.accounting.change(inode.dev, was_unlinked, counted, first);
            self.accounting.change(inode.dev, file.unlinked, first, counted);
        }
    }

    /// The file is no longer watched. `freed`: because it was freed.
    pub fn leave(&mut self, inode: InodeId, freed: bool) {
        let Some(file) = self.files.get_mut(&inode) else { return };
        if freed && let Some(counted) = file.counted.or(file.first_allocated()) {
            self.accounting.change(inode.dev, file.unlinked, counted, 0);
            file.counted = Some(0);
        }
        self.gone.insert(inode);
    }

    /// Adds the current bytes of the file to the accounting.
    fn count(&mut self, inode: InodeId) {
        let Some(file) = self.files.get_mut(&inode) else { return };
        let (Some(first), Some(now)) = (file.first_allocated(), file.allocated()) else { return };
        let before = file.counted.unwrap_or(first);
        self.accounting.change(inode.dev, file.unlinked, before, now);
        file.counted = Some(now);
    }

    /// The bytes that each process wrote to files while observed.
    pub fn shares(&self) -> BTreeMap<TaskId, GrowthShare> {
        let settled = self.settled.iter().map(|(id, (written, recent))| (*id, *written, *recent));
        let mut shares: BTreeMap<TaskId, GrowthShare> = BTreeMap::new();
        let files = self.files.values().flat_map(|file| {
            file.writers().map(|(id, bytes)| (id, bytes.unwrap_or(0), file.recent(id).unwrap_or(0)))
        });
        for (id, written, recent) in settled.chain(files) {
            let sum = shares.entry(id).or_default();
            sum.written = sum.written.saturating_add(written);
            sum.recent = sum.recent.saturating_add(recent);
        }
        shares
    }

    /// The files that `id` made grow, each with its bytes of growth.
    pub fn files_of(&self, id: TaskId) -> impl Iterator<Item = (InodeId, &GrowingFile, u64)> {
        let files = self.written_by.get(&id).into_iter().flatten().filter_map(move |inode| {
            let file = self.files.get(inode)?;
            Some((*inode, file, file.written(id)?))
        });
        files.filter(|(_, _, written)| *written > 0)
    }

    /// Bytes of growth that cannot be attributed to a process.
    pub fn unattributed(&self) -> u64 {
        self.files.values().map(GrowingFile::unattributed).fold(0, u64::saturating_add)
    }

    /// The path of the file with the most growth that cannot be attributed to a process.
    pub fn least_attributed(&self) -> Option<&[u8]> {
        let file = self.files.values().max_by_key(|file| file.unattributed())?;
        file.path.as_deref().filter(|_| file.unattributed() > 0)
    }

    /// Every process that wrote to a known file and is not known to have ended.
    pub fn writers(&self) -> BTreeSet<TaskId> {
        self.written_by.keys().filter(|id| !self.ended.contains_key(id)).copied().collect()
    }

    /// Whether a row names `id`.
    pub fn concerns(&self, id: TaskId) -> bool {
        self.settled.contains_key(&id) || self.written_by.contains_key(&id)
    }

    /// The process `id` has ended.
    pub fn ended(&mut self, id: TaskId) {
        if self.concerns(id) {
            self.ended.entry(id).or_insert(false);
        }
    }

    /// `None` until `id` ends; then whether a report has shown its exit.
    pub fn end_of(&self, id: TaskId) -> Option<bool> {
        self.ended.get(&id).copied()
    }

    /// A report was delivered: rates start again, and files that are gone are removed.
    pub fn delivered(&mut self) {
        for (_, recent) in self.settled.values_mut() {
            *recent = 0;
        }
        for inode in std::mem::take(&mut self.gone) {
            let Some(file) = self.files.remove(&inode) else { continue };
            self.forget_writers(inode, &file.growing.writers);
            for (id, written) in file.writers() {
                let sum = &mut self.settled.entry(id).or_default().0;
                *sum = sum.saturating_add(written.unwrap_or(0));
            }
        }
        // Once a report has shown the exit of a process, only its watched files keep the process.
        self.ended.values_mut().for_each(|shown| *shown = true);
        let ended = &self.ended;
        self.settled.retain(|id, _| !ended.contains_key(id));
        let written_by = &self.written_by;
        self.ended.retain(|id, _| written_by.contains_key(id));
        self.files.values_mut().for_each(GrowingFile::delivered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writers_of_a_file_are_known_as_long_as_the_file() {
        let mut growth = GrowingFiles::new(60.0);
        let id = |tgid| TaskId { start: 1, tgid };
        let inode = |ino| InodeId { ino, ..InodeId::default() };
        let growing = |writers: &[(TaskId, u64)]| FileGrowth {
            exact: true,
            owner: writers.last().map(|(id, _)| *id),
            writers: writers.to_vec(),
            ..FileGrowth::default()
        };
        growth.take(inode(1), &growing(&[(id(1), 5)]));
        growth.take(inode(1), &growing(&[(id(1), 5), (id(2), 6)]));
        growth.take(inode(2), &growing(&[(id(2), 7)]));
        let files = |growth: &GrowingFiles, id| {
            growth.files_of(id).map(|file| (file.0.ino, file.2)).collect::<Vec<_>>()
        };
        assert_eq!((files(&growth, id(1)), files(&growth, id(2))), (vec![(1, 5)], vec![(1, 6), (2, 7)]));
        assert_eq!(growth.writers(), [id(1), id(2)].into());
        // The file is watched again: its earlier writers are no longer known.
        growth.take(inode(1), &growing(&[(id(2), 1)]));
        assert_eq!((files(&growth, id(1)), growth.concerns(id(1))), (vec![], false));
        for _ in 0..2 {
            growth.leave(inode(1), true);
        }
        growth.delivered();
        assert_eq!(files(&growth, id(2)), [(2, 7)]);
        growth.ended(id(2));
        growth.leave(inode(2), true);
        growth.delivered();
        assert!(!growth.concerns(id(2)) && growth.writers().is_empty());
    }
}
