//! Every file that grows, and the accounts that they add up to.

use std::collections::{BTreeMap, BTreeSet};

use super::{account::Accounts, growing::GrowingFile};
use crate::observation::{
    TaskId,
    disk::{Found, Growing, InodeId},
};

/// The files that somebody works on.
#[derive(Debug, Default)]
pub struct Grown {
    pub files: BTreeMap<InodeId, GrowingFile>,
    pub accounts: Accounts,
    /// What processes wrote into files that are not watched any more, and how much of that since the last report.
    settled: BTreeMap<TaskId, (u64, u64)>,
    /// Files that are gone, until the report that tells of them has been delivered.
    gone: Vec<InodeId>,
    /// Processes that ended and of whom files still tell, and whether a report has told of their end.
    ended: BTreeMap<TaskId, bool>,
}

/// What one process wrote into files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Bytes by which it made files grow, and how much of that since the previous report.
    pub written: u64,
    pub recent: u64,
}

impl Grown {
    /// Nothing is known yet; growth looks back over `window` seconds.
    pub fn new(window: f64) -> Self {
        Self { accounts: Accounts::new(window), ..Self::default() }
    }

    pub fn take(&mut self, inode: InodeId, growing: &Growing) {
        let file = self.files.entry(inode).or_default();
        let lost_its_name = growing.nameless && !file.growing.nameless;
        if lost_its_name && let (Some(first), Some(counted)) = (file.first_allocated(), file.counted) {
            self.accounts.change(inode.dev, false, counted, first);
            self.accounts.change(inode.dev, true, first, counted);
        }
        file.take(growing);
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
        if !self.gone.contains(&inode) {
            self.gone.push(inode);
        }
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
    pub fn work(&self) -> BTreeMap<TaskId, Work> {
        let settled = self.settled.iter().map(|(id, (written, recent))| (*id, *written, *recent));
        let mut work: BTreeMap<TaskId, Work> = BTreeMap::new();
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
        let files = self.files.iter().filter_map(move |(inode, file)| {
            let written = file.growing.writers.iter().any(|(writer, _)| *writer == id);
            Some((*inode, file, if written { file.written(id)? } else { return None }))
        });
        files.filter(|(_, _, written)| *written > 0)
    }

    /// Bytes by which files grew that nobody can be told to have written.
    pub fn unattributed(&self) -> u64 {
        self.files.values().map(GrowingFile::unattributed).fold(0, u64::saturating_add)
    }

    /// Everybody who works on a file that is known, and has not ended as far as is known.
    pub fn workers(&self) -> BTreeSet<TaskId> {
        let writers = self.files.values().flat_map(|file| file.growing.writers.iter().map(|(id, _)| *id));
        writers.filter(|id| !self.ended.contains_key(id)).collect()
    }

    /// Whether a row tells of `id`.
    pub fn concerns(&self, id: TaskId) -> bool {
        self.settled.contains_key(&id)
            || self.files.values().any(|file| file.growing.writers.iter().any(|(writer, _)| *writer == id))
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
            for (id, written) in file.writers() {
                let sum = &mut self.settled.entry(id).or_default().0;
                *sum = sum.saturating_add(written.unwrap_or(0));
            }
        }
        // Once a report has told of an end, what the process did is history, save in files that are still watched.
        self.ended.values_mut().for_each(|told| *told = true);
        let ended = &self.ended;
        self.settled.retain(|id, _| !ended.contains_key(id));
        let at_work: BTreeSet<TaskId> =
            self.files.values().flat_map(|file| file.growing.writers.iter().map(|(id, _)| *id)).collect();
        self.ended.retain(|id, _| at_work.contains(id));
        self.files.values_mut().for_each(GrowingFile::delivered);
    }
}
