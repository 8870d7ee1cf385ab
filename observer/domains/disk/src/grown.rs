//! Every file that grows, and the accounts that they add up to.

use std::collections::{BTreeMap, BTreeSet};

use super::{account::Accounts, growing::GrowingFile};
use observer_core::facts::{
    TaskId,
    disk::{FileGrowth, Found, InodeId},
};

/// The files that somebody works on.
#[derive(Debug, Default)]
pub struct GrowingFiles {
    pub files: BTreeMap<InodeId, GrowingFile>,
    pub accounts: Accounts,
    /// What processes wrote into files that are not watched any more, and how much of that since the last report.
    settled: BTreeMap<TaskId, (u64, u64)>,
    /// Files that are gone, until the report that tells of them has been delivered.
    gone: BTreeSet<InodeId>,
    /// The files that each process worked on.
    worked_on: BTreeMap<TaskId, BTreeSet<InodeId>>,
    /// Processes that ended and of whom files still tell, and whether a report has told of their end.
    ended: BTreeMap<TaskId, bool>,
}

/// What one process wrote into files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrowthShare {
    /// Bytes by which it made files grow, and how much of that since the previous report.
    pub written: u64,
    pub recent: u64,
}

impl GrowingFiles {
    /// Nothing is known yet; growth looks back over `window` seconds.
    pub fn new(window: f64) -> Self {
        Self { accounts: Accounts::new(window), ..Self::default() }
    }

    pub fn take(&mut self, inode: InodeId, growing: &FileGrowth) {
        let file = self.files.entry(inode).or_default();
        let lost_its_name = growing.nameless && !file.growing.nameless;
        if lost_its_name && let (Some(first), Some(counted)) = (file.first_allocated(), file.counted) {
            self.accounts.change(inode.dev, false, counted, first);
            self.accounts.change(inode.dev, true, first, counted);
        }
        let before = std::mem::take(&mut file.growing.writers);
        file.take(growing);
        if before.len() != growing.writers.len()
            || before.iter().zip(&growing.writers).any(|(a, b)| a.0 != b.0)
        {
            self.forget_workers(inode, &before);
            for (id, _) in &growing.writers {
                self.worked_on.entry(*id).or_default().insert(inode);
            }
        }
    }

    fn forget_workers(&mut self, inode: InodeId, writers: &[(TaskId, u64)]) {
        for (id, _) in writers {
            let Some(files) = self.worked_on.get_mut(id) else { continue };
            files.remove(&inode);
            if files.is_empty() {
                self.worked_on.remove(id);
            }
        }
    }

    pub fn found(&mut self, inode: InodeId, found: &Found) {
        // An answer about a file that is not watched any more.
        let Some(file) = self.files.get_mut(&inode) else { return };
        if file.found(found) {
            self.leave(inode, true);
        } else {
            self.count(inode);
        }
    }

    /// It is not watched any more, perhaps because it is freed.
    pub fn leave(&mut self, inode: InodeId, freed: bool) {
        let Some(file) = self.files.get_mut(&inode) else { return };
        if freed && let Some(counted) = file.counted.or(file.first_allocated()) {
            self.accounts.change(inode.dev, file.growing.nameless, counted, 0);
            file.counted = Some(0);
        }
        self.gone.insert(inode);
    }

    /// Brings the account up to what the file takes now.
    fn count(&mut self, inode: InodeId) {
        let Some(file) = self.files.get_mut(&inode) else { return };
        let (Some(first), Some(now)) = (file.first_allocated(), file.allocated()) else { return };
        let before = file.counted.unwrap_or(first);
        self.accounts.change(inode.dev, file.growing.nameless, before, now);
        file.counted = Some(now);
    }

    /// What each process wrote into files while observed.
    pub fn work(&self) -> BTreeMap<TaskId, GrowthShare> {
        let settled = self.settled.iter().map(|(id, (written, recent))| (*id, *written, *recent));
        let mut work: BTreeMap<TaskId, GrowthShare> = BTreeMap::new();
        let files = self.files.values().flat_map(|file| {
            file.writers().map(|(id, bytes)| (id, bytes.unwrap_or(0), file.recent(id).unwrap_or(0)))
        });
        for (id, written, recent) in settled.chain(files) {
            let sum = work.entry(id).or_default();
            sum.written = sum.written.saturating_add(written);
            sum.recent = sum.recent.saturating_add(recent);
        }
        work
    }

    /// The files that `id` made grow, with the bytes of it.
    pub fn files_of(&self, id: TaskId) -> impl Iterator<Item = (InodeId, &GrowingFile, u64)> {
        let files = self.worked_on.get(&id).into_iter().flatten().filter_map(move |inode| {
            let file = self.files.get(inode)?;
            Some((*inode, file, file.written(id)?))
        });
        files.filter(|(_, _, written)| *written > 0)
    }

    /// Bytes by which files grew that nobody can be told to have written.
    pub fn unattributed(&self) -> u64 {
        self.files.values().map(GrowingFile::unattributed).fold(0, u64::saturating_add)
    }

    /// Everybody who works on a file that is known, and has not ended as far as is known.
    pub fn workers(&self) -> BTreeSet<TaskId> {
        self.worked_on.keys().filter(|id| !self.ended.contains_key(id)).copied().collect()
    }

    /// Whether a row tells of `id`.
    pub fn concerns(&self, id: TaskId) -> bool {
        self.settled.contains_key(&id) || self.worked_on.contains_key(&id)
    }

    /// A process has ended.
    pub fn ended(&mut self, id: TaskId) {
        if self.concerns(id) {
            self.ended.entry(id).or_insert(false);
        }
    }

    /// Whether `id` has ended, and whether a report has told of that.
    pub fn end_of(&self, id: TaskId) -> Option<bool> {
        self.ended.get(&id).copied()
    }

    /// A report was delivered: rates start anew, what is gone leaves.
    pub fn delivered(&mut self) {
        for (_, recent) in self.settled.values_mut() {
            *recent = 0;
        }
        for inode in std::mem::take(&mut self.gone) {
            let Some(file) = self.files.remove(&inode) else { continue };
            self.forget_workers(inode, &file.growing.writers);
            for (id, written) in file.writers() {
                let sum = &mut self.settled.entry(id).or_default().0;
                *sum = sum.saturating_add(written.unwrap_or(0));
            }
        }
        // Once a report has told of an end, what the process did is history, save in files that are still watched.
        self.ended.values_mut().for_each(|told| *told = true);
        let ended = &self.ended;
        self.settled.retain(|id, _| !ended.contains_key(id));
        let at_work = &self.worked_on;
        self.ended.retain(|id, _| at_work.contains_key(id));
        self.files.values_mut().for_each(GrowingFile::delivered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_worked_on_a_file_is_known_as_long_as_the_file() {
        let mut grown = GrowingFiles::new(60.0);
        let id = |tgid| TaskId { start: 1, tgid };
        let inode = |ino| InodeId { ino, ..InodeId::default() };
        let growing = |writers: &[(TaskId, u64)]| FileGrowth {
            exact: true,
            owner: writers.last().map(|(id, _)| *id),
            writers: writers.to_vec(),
            ..FileGrowth::default()
        };
        grown.take(inode(1), &growing(&[(id(1), 5)]));
        grown.take(inode(1), &growing(&[(id(1), 5), (id(2), 6)]));
        grown.take(inode(2), &growing(&[(id(2), 7)]));
        let files = |grown: &GrowingFiles, id| {
            grown.files_of(id).map(|file| (file.0.ino, file.2)).collect::<Vec<_>>()
        };
        assert_eq!((files(&grown, id(1)), files(&grown, id(2))), (vec![(1, 5)], vec![(1, 6), (2, 7)]));
        assert_eq!(grown.workers(), [id(1), id(2)].into());
        // Watched anew: who worked on it before is not told of any more.
        grown.take(inode(1), &growing(&[(id(2), 1)]));
        assert_eq!((files(&grown, id(1)), grown.concerns(id(1))), (vec![], false));
        for _ in 0..2 {
            grown.leave(inode(1), true);
        }
        grown.delivered();
        assert_eq!(files(&grown, id(2)), [(2, 7)]);
        grown.ended(id(2));
        grown.leave(inode(2), true);
        grown.delivered();
        assert!(!grown.concerns(id(2)) && grown.workers().is_empty());
    }
}
