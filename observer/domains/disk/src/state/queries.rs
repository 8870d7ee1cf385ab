//! What the disk domain asks of the world for its next report: files by their turns, mappings, lists of inodes, names.
//!
//! Nothing that comes between a question and its report changes which files were asked for: so the state knows them, once
//! the answers are there, without being told.

use std::collections::BTreeSet;

use super::DiskState;
use crate::{file::HeldFile, growth::file::GrowingFile, inode_scan::Need, mounted};
use observer_core::{
    domain::Context,
    facts::{TaskId, disk::InodeId, session::Timestamp},
    report::Report,
    view::View,
    wants::{FileHandle, GrowingFileQuery, HostQueries, StatMode},
};

/// So many files are asked for their exact blocks at each report: each costs some ten microseconds. Of those without a
/// name the biggest are, of those that grow each in its turn.
pub const FILES_A_REPORT: usize = 1000;

/// So many files are asked at each report which part of their blocks others share: where much is shared, each may cost
/// as much as all else.
const EXTENTS: usize = 16;

/// Nanoseconds after which mappings are read again though nothing hints at a change of them.
const MAPPINGS_EVERY: u64 = 10_000_000_000;

/// The same while a file is held by something that cannot be asked for its numbers.
const UNREACHABLE_EVERY: u64 = 2_000_000_000;

impl DiskState {
    /// What the rows of `shown`, which are about `inodes`, still lack.
    pub(crate) fn queries(&self, shown: &Report, inodes: &[InodeId], context: &Context<'_>) -> HostQueries {
        let mut queries = HostQueries {
            mappings: self.wants_mappings(context.now),
            inodes: self.wants_inodes(context.now),
            writers: self.asks_for(View::Disk),
            loops: self.files.values().any(|file| file.holders.is_empty() && file.listing.is_some()),
            ..HostQueries::default()
        };
        let rows = shown.tables.iter().flat_map(|table| &table.rows);
        let mut human: BTreeSet<TaskId> = rows.flat_map(|row| row.processes.iter().copied()).collect();
        if self.asks_for(View::DeletedOpen) {
            let deleters = self.held().filter_map(|(_, file)| file.deleted.map(|deletion| deletion.by));
            human.extend(deleters);
        }
        if self.records {
            human.extend(self.growth.writers());
            human.extend(self.writers.iter().map(|(id, _)| id));
        }
        queries.names = human.into_iter().filter(|id| context.processes.unread(*id)).collect();
        queries.growing = self.to_be_asked();
        if self.asks_for(View::Disk) {
            queries.alive = self.growth.writers();
        }
        queries.cmdline = context.request.cmdline;
        queries.files =
            self.biggest().iter().filter_map(|inode| self.files.get(inode)?.handle(*inode)).collect();
        queries.extents = self.extents(context.now);
        queries.files.extend(inodes.iter().filter_map(|inode| {
            let file = self.files.get(inode).filter(|file| file.path().is_none())?;
            file.handle(*inode)
        }));
        queries
    }

    /// Files that grow and of which there may be news that only asking brings, in the order of their turns: the first
    /// [`FILES_A_REPORT`] of them are asked for.
    fn in_turn(&self) -> Vec<InodeId> {
        let concerns =
            |file: &GrowingFile| self.asks_for(View::Disk) || !self.holders_by_pass && file.growing.nameless;
        let files = self.growth.files.iter().filter(|(inode, file)| {
            concerns(file) && file.needs_query() && self.spaces.get(inode.dev).is_some()
        });
        let mut files: Vec<_> = files.map(|(inode, file)| (file.turn(), *inode)).collect();
        files.sort_unstable();
        files.into_iter().map(|(_, inode)| inode).collect()
    }

    /// Notes whose turn it was: nothing that came since they were asked for has changed the order.
    pub(super) fn asked(&mut self, moment: Timestamp) {
        for (place, inode) in self.in_turn().into_iter().enumerate() {
            if place >= FILES_A_REPORT {
                self.late.insert(inode.dev, moment.boot);
            } else if let Some(file) = self.growth.files.get_mut(&inode) {
                file.queried(moment.boot);
            }
        }
    }

    fn to_be_asked(&self) -> BTreeSet<GrowingFileQuery> {
        let files = self.in_turn().into_iter().take(FILES_A_REPORT).filter_map(|inode| {
            let file = self.growth.files.get(&inode)?;
            let mount = mounted::of(&self.mounts, inode.dev, None)?;
            Some(GrowingFileQuery {
                inode,
                mount: mount.point.clone(),
                has_handle: file.magic().has_handles(),
                is_numbered: file.magic().ask() == StatMode::Everything,
                path: file.path.clone(),
                workers: file.growing.writers.iter().map(|(id, _)| *id).collect(),
            })
        });
        files.collect()
    }

    /// Whether holders without descriptor are looked for: now and then, often while a file's numbers are read by no other
    /// pass, and whenever the lists are read, of which only what no process holds is told.
    pub(super) fn wants_mappings(&self, now: Timestamp) -> bool {
        let unreachable = self.held().any(|(_, file)| !file.holders.is_empty() && file.unreachable());
        let every = if unreachable { UNREACHABLE_EVERY } else { MAPPINGS_EVERY };
        self.recheck
            || self.lists_by_pass && self.wants_inodes(now)
            || now.boot >= self.mapped_at.saturating_add(every)
    }

    pub(super) fn wants_inodes(&self, now: Timestamp) -> bool {
        let sought = |file: &HeldFile| file.listing.is_none() && file.unreachable() && file.path().is_none();
        let need = if self.lists_by_pass && self.held().any(|(_, file)| sought(file)) {
            Need::Sought
        } else if self.held().any(|(_, file)| file.listing.is_some()) {
            Need::Known
        } else {
            Need::None
        };
        self.lists.due(now.boot, need)
    }

    /// The files that are asked which part of their blocks others share, the biggest first: as with their turn among the
    /// files that grow, nothing that comes after the question changes the answer to which they are.
    pub(super) fn extents(&self, now: Timestamp) -> BTreeSet<FileHandle> {
        if !self.asks_for(View::DeletedOpen) {
            return BTreeSet::new();
        }
        let files = self.held().filter(|(_, file)| file.is_to_be_asked_for_extents(now.boot));
        let mut files: Vec<_> = files
            .filter_map(|(inode, file)| Some((std::cmp::Reverse(file.weight()), file.handle(inode)?)))
            .collect();
        files.sort_unstable();
        files.into_iter().take(EXTENTS).map(|(_, handle)| handle).collect()
    }

    /// The files that are asked for their exact blocks.
    pub(super) fn biggest(&self) -> BTreeSet<InodeId> {
        let mut files: Vec<_> = self.held().map(|(inode, file)| (file.weight(), inode)).collect();
        files.sort_unstable_by(|left, right| right.cmp(left));
        files.into_iter().take(FILES_A_REPORT).map(|(_, inode)| inode).collect()
    }
}
