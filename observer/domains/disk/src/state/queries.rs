//! The host queries of the disk domain for its next report: files in their turns, mappings, inode lists, names.
//!
//! No fact between a query and its report changes which files were queried. So the state knows them when the report is
//! due.

use crate::views;
use std::collections::BTreeSet;

use super::DiskState;
use crate::{
    file::HeldFile,
    growth::file::GrowingFile,
    inode_scan::Need,
    mounted,
    queries::{DiskQueries, FileHandle, GrowingFileQuery, StatMode},
};
use observer_core::{
    context::Context,
    facts::{TaskId, disk::InodeId, session::Timestamp},
    queries::HostQueries,
    report::Report,
};

/// The limit of files per report that are queried for their exact blocks; each query costs about ten microseconds.
/// Among deleted files the largest are queried; growing files take turns.
pub const FILES_A_REPORT: usize = 1000;

/// The limit of files per report that are queried for shared extents. A file with many extents may cost as much as all
/// other queries.
const EXTENTS: usize = 16;

/// Nanoseconds between two readings of mappings without a sign of a change.
const MAPPINGS_EVERY: u64 = 10_000_000_000;

/// The same while no holder of a file allows a query for its numbers.
const UNREACHABLE_EVERY: u64 = 2_000_000_000;

impl DiskState {
    /// The host queries for the rows of `shown`, which are about `inodes`.
    pub(crate) fn queries_of(
        &self,
        shown: &Report,
        inodes: &[InodeId],
        context: &Context<'_>,
    ) -> HostQueries {
        let mut queries = DiskQueries {
            mappings: self.wants_mappings(context.now),
            inodes: self.wants_inodes(context.now),
            writers: self.queries_for(views::DISK),
            loops: self.files.values().any(|file| file.holders.is_empty() && file.listing.is_some()),
            ..DiskQueries::default()
        };
        let rows = shown.tables.iter().flat_map(|table| &table.rows);
        let mut named: BTreeSet<TaskId> = rows.flat_map(|row| row.processes.iter().copied()).collect();
        if self.queries_for(views::DELETED_OPEN) {
            let deleters = self.held().filter_map(|(_, file)| file.deleted.map(|deletion| deletion.by));
            named.extend(deleters);
        }
        if self.records {
            named.extend(self.growth.writers());
            named.extend(self.writers.iter().map(|(id, _)| id));
        }
        let names = named.into_iter().filter(|id| context.processes.unread(*id)).collect();
        queries.growing = self.growing_queries();
        if self.queries_for(views::DISK) {
            queries.alive = self.growth.writers();
        }
        queries.files =
            self.largest().iter().filter_map(|inode| self.files.get(inode)?.handle(*inode)).collect();
        queries.extents = self.extents(context.now);
        queries.files.extend(inodes.iter().filter_map(|inode| {
            let file = self.files.get(inode).filter(|file| file.path().is_none())?;
            file.handle(*inode)
        }));
        HostQueries::of_names(names, context.request.cmdline).with(queries)
    }

    /// Growing files that need a query, sorted by turn: the first [`FILES_A_REPORT`] are queried.
    fn in_turn(&self) -> Vec<InodeId> {
        let concerns =
            |file: &GrowingFile| self.queries_for(views::DISK) || !self.holders_by_scan && file.unlinked;
        let files = self.growth.files.iter().filter(|(inode, file)| {
            concerns(file) && file.needs_query() && self.spaces.get(inode.dev).is_some()
        });
        let mut files: Vec<_> = files.map(|(inode, file)| (file.turn(), *inode)).collect();
        files.sort_unstable();
        files.into_iter().map(|(_, inode)| inode).collect()
    }

    /// Notes which files were queried: no fact since the query has changed the order.
    pub(super) fn note_queries(&mut self, moment: Timestamp) {
        for (index, inode) in self.in_turn().into_iter().enumerate() {
            let Some(file) = self.growth.files.get_mut(&inode) else { continue };
            if index < FILES_A_REPORT {
                file.queried(moment.boot);
            } else if file.has_news() {
                self.late.insert(inode.dev, moment.boot);
            }
        }
    }

    /// The newest path of a file in the kernel's name cache, as seen from here.
    fn cached_path(&self, inode: InodeId, file: &GrowingFile) -> Option<Vec<u8>> {
        let (_, path) = file.cached.as_ref()?.file()?;
        mounted::below(&self.mounts, inode.dev, path.as_ref()?)
    }

    fn growing_queries(&self) -> BTreeSet<GrowingFileQuery> {
        let files = self.in_turn().into_iter().take(FILES_A_REPORT).filter_map(|inode| {
            let file = self.growth.files.get(&inode)?;
            let mount = mounted::of(&self.mounts, inode.dev, None)?;
            Some(GrowingFileQuery {
                inode,
                mount: mount.point.clone(),
                has_handle: file.magic().has_handles(),
                is_numbered: file.magic().ask() == StatMode::Everything,
                path: self.cached_path(inode, file).or_else(|| file.path.clone()),
                workers: file.growing.writers.iter().map(|(id, _)| *id).collect(),
            })
        });
        files.collect()
    }

    /// Whether to scan holders without a descriptor: from time to time, often while no other scan reads a file's
    /// numbers, and with the inode lists, which count only for files without a holder.
    pub(super) fn wants_mappings(&self, now: Timestamp) -> bool {
        let unreachable = self.held().any(|(_, file)| !file.holders.is_empty() && file.unreachable());
        let every = if unreachable { UNREACHABLE_EVERY } else { MAPPINGS_EVERY };
        self.recheck
            || self.lists_by_scan && self.wants_inodes(now)
            || now.boot >= self.mapped_at.saturating_add(every)
    }

    pub(super) fn wants_inodes(&self, now: Timestamp) -> bool {
        let sought = |file: &HeldFile| file.listing.is_none() && file.unreachable() && file.path().is_none();
        let need = if self.lists_by_scan && self.held().any(|(_, file)| sought(file)) {
            Need::Sought
        } else if self.held().any(|(_, file)| file.listing.is_some()) {
            Need::Known
        } else {
            Need::None
        };
        self.lists.due(now.boot, need)
    }

    /// The files that are queried for shared extents, the largest first. No fact after the query changes the selection.
    pub(super) fn extents(&self, now: Timestamp) -> BTreeSet<FileHandle> {
        if !self.queries_for(views::DELETED_OPEN) {
            return BTreeSet::new();
        }
        let files = self.held().filter(|(_, file)| file.needs_extents_query(now.boot));
        let mut files: Vec<_> = files
            .filter_map(|(inode, file)| Some((std::cmp::Reverse(file.weight()), file.handle(inode)?)))
            .collect();
        files.sort_unstable();
        files.into_iter().take(EXTENTS).map(|(_, handle)| handle).collect()
    }

    /// The deleted files that are queried for their exact blocks.
    pub(super) fn largest(&self) -> BTreeSet<InodeId> {
        let mut files: Vec<_> = self.held().map(|(inode, file)| (file.weight(), inode)).collect();
        files.sort_unstable_by(|left, right| right.cmp(left));
        files.into_iter().take(FILES_A_REPORT).map(|(_, inode)| inode).collect()
    }
}
