//! Who fills a filesystem: the process that made its files grow most since the last report.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::{growth::file::GrowingFile, report::reclaim, state::DiskState};
use observer_core::{
    context::Context,
    facts::{TaskId, disk::InodeId},
    text::printable,
    units,
};

/// The process that writes most, and its file that grows most.
pub struct MainWriter<'a> {
    pub id: TaskId,
    /// Bytes since the last report, in all files.
    recent: u64,
    inode: InodeId,
    file: &'a GrowingFile,
    files: usize,
}

impl<'a> MainWriter<'a> {
    /// The main writer of the filesystem `dev`; `None` if no process made a file grow.
    pub fn of(dev: u32, state: &'a DiskState) -> Option<Self> {
        let mut writers: BTreeMap<TaskId, (u64, usize)> = BTreeMap::new();
        let files = || state.growth.files.iter().filter(|(inode, _)| inode.dev == dev);
        for (_, file) in files() {
            for (id, _) in file.writers() {
                let recent = file.recent(id).unwrap_or(0);
                let sum = writers.entry(id).or_default();
                *sum = (sum.0.saturating_add(recent), sum.1 + usize::from(recent > 0));
            }
        }
        let (id, (recent, count)) =
            writers.into_iter().max_by_key(|(id, (recent, _))| (*recent, Reverse(*id)))?;
        let own = state.growth.files_of(id).filter(|(inode, _, _)| inode.dev == dev);
        let (inode, file, _) = own.max_by_key(|(_, file, written)| (file.recent(id), *written))?;
        (recent > 0).then_some(Self { id, recent, inode, file, files: count })
    }

    /// The end of a sentence: which process writes how much to which file.
    pub fn words(&self, state: &DiskState, context: &Context<'_>) -> String {
        let elapsed = context.now.since(context.previous).max(0.001);
        let rate = units::byte_rate(self.recent as f64 / elapsed);
        let path = self.file.path.as_deref().map(printable);
        let path = path.unwrap_or_else(|| format!("inode {} (path unknown)", self.inode.ino));
        let others = match self.files {
            0 | 1 => String::new(),
            more => format!(" and {}", units::counted(more as u64 - 1, "other file", "other files")),
        };
        let deleted = if self.file.unlinked { ", which is deleted" } else { "" };
        let at = state.files.get(&self.inode).and_then(|file| file.deleted).map(|deletion| deletion.at);
        let ago = at.map_or_else(String::new, |at| {
            format!(" ({} ago)", units::duration((context.now.boot.saturating_sub(at) as f64 / 1e9).floor()))
        });
        let ago = if self.file.unlinked { ago } else { String::new() };
        format!("{} writes {rate} to {path}{deleted}{ago}{others}", context.processes.introduced(self.id))
    }

    /// The command that frees the space or shows the writer.
    pub fn command(&self, state: &DiskState) -> String {
        let held = state.files.get(&self.inode).filter(|_| self.file.unlinked);
        held.and_then(reclaim::command).unwrap_or_else(|| format!("observer disk -p {}", self.id.pid()))
    }
}
