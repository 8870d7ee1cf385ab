//! Decodes the maps `FILES`, `WRITTEN` and `FREED` into facts: which process made which file grow, and what deletions
//! freed.

use std::collections::BTreeMap;

use crate::magic::Magic;
use observer_common::{
    disk::{
        AskedInode, EXACT, FAULTED, FREED, FileTotal, FreedRecord, GONE, InodeId, MIXED, TURNS, UNLINKED,
        WROTE, WriterKey, WriterTotal, WroteRecord,
    },
    names::{MapName, disk as names},
    task::TaskId,
};
use observer_core::{
    bytes::{self, key, met},
    domain::{Decoded, Malformed},
    facts::{
        Fact,
        disk::{DiskFact, FileGrowth},
    },
};

/// A file without an event for this many nanoseconds is no longer watched, here and in the kernel; its next event
/// starts a new count. This is twice as long as ext4 delays allocation.
const IDLE: u64 = 60_000_000_000;

/// The limit of watched files; above it, those with the oldest last events are no longer watched.
const MANY: usize = 1 << 15;

/// Every watched file that processes write to.
#[derive(Debug, Default)]
pub struct GrowthDecoder {
    known: BTreeMap<InodeId, WatchedFile>,
    /// Files with an event since their path was last asked for, which no handle finds, and their addresses.
    unnamed: BTreeMap<InodeId, u64>,
    /// Whether the next scan of the name cache has files to answer for.
    asking: bool,
    /// The time of the latest record, nanoseconds of the boot clock. Without records, no file becomes idle.
    now: u64,
}

#[derive(Debug, Default)]
struct WatchedFile {
    total: FileTotal,
    writers: BTreeMap<TaskId, u64>,
    /// The time of its last event, nanoseconds of the boot clock.
    heard: u64,
}

impl GrowthDecoder {
    /// Takes an announcement of the ring buffer: the announced map entries are to be read.
    pub fn record(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        let what = "disk record";
        let header = bytes::header(what, bytes)?;
        self.now = self.now.max(header.at);
        let kind = header.kind;
        match kind {
            WROTE => {
                let WroteRecord { task, inode, previous, .. } = bytes::read(what, bytes)?;
                out.facts.push(met(&task));
                out.read.push((names::FILES, key(&inode)));
                let writers = [task.id, previous].into_iter().filter(|id| *id != TaskId::default());
                out.read.extend(writers.map(|task| (names::WRITTEN, key(&WriterKey { inode, task }))));
            }
            FREED => {
                let FreedRecord { inode, .. } = bytes::read(what, bytes)?;
                out.read.push(match inode.ino {
                    0 => (names::FREED, key(&u64::from(inode.dev))),
                    _ => (names::FILES, key(&inode)),
                });
            }
            _ => return Err(Malformed { text: format!("disk record of unknown kind {kind}") }),
        }
        Ok(())
    }

    /// Takes an entry of one of the maps. Returns its inode if that is unlinked.
    pub fn entry(
        &mut self,
        map: MapName,
        key: &[u8],
        value: &[u8],
        out: &mut Decoded,
    ) -> Result<Option<InodeId>, Malformed> {
        let inode = match map {
            names::FILES => {
                let inode = bytes::read("key of FILES", key)?;
                let total: FileTotal = bytes::read(map, value)?;
                let known = self.known.entry(inode).or_default();
                known.total = total;
                if total.inode != 0 && !Magic(total.magic).has_handles() {
                    self.unnamed.insert(inode, total.inode);
                }
                if total.owner != TaskId::default() {
                    known.wrote(total.owner, total.bytes);
                }
                inode
            }
            names::WRITTEN => {
                let WriterKey { inode, task } = bytes::read("key of WRITTEN", key)?;
                let WriterTotal { bytes, .. } = bytes::read(map, value)?;
                // The entry of the file is read first. Without it, this entry has no meaning.
                let Some(known) = self.known.get_mut(&inode) else { return Ok(None) };
                // The entry of the file has the bytes of its owner. This entry has more only if another process has
                // become the owner, and then the growth would count twice.
                if known.total.owner != task {
                    known.wrote(task, bytes);
                }
                inode
            }
            _ => {
                let dev: u64 = bytes::read("key of FREED", key)?;
                let WriterTotal { bytes, .. } = bytes::read(map, value)?;
                let dev = u32::try_from(dev).unwrap_or_default();
                out.facts.push(Fact::Disk(DiskFact::Freed { dev, bytes }));
                return Ok(None);
            }
        };
        let Some(known) = self.known.get_mut(&inode) else { return Ok(None) };
        known.heard = self.now;
        let growing = Box::new(known.growth());
        let unlinked = growing.unlinked;
        out.facts.push(Fact::Disk(DiskFact::FileGrowth { inode, growing }));
        Ok(unlinked.then_some(inode))
    }

    /// Whether there are files to ask the kernel's name cache for.
    pub fn asks(&self) -> bool {
        self.asking || !self.unnamed.is_empty()
    }

    /// The name cache has answered.
    pub fn answered(&mut self) {
        self.asking = false;
    }

    /// Takes at most `most` files to ask the kernel's name cache for. The others wait for the next report.
    pub fn take_unnamed(&mut self, most: usize) -> Vec<AskedInode> {
        let mut asked = Vec::new();
        while asked.len() < most
            && let Some((inode, address)) = self.unnamed.pop_first()
        {
            asked.push(AskedInode { inode, address });
        }
        self.asking = !asked.is_empty();
        asked
    }

    /// The scans of a report are complete. Files that are freed, or idle and not `held`, are no longer watched.
    pub fn scans_completed(&mut self, held: impl Fn(&InodeId) -> bool, out: &mut Decoded) {
        let now = self.now;
        let keeps = |inode: &InodeId, known: &WatchedFile, idle: u64| {
            let gone = known.total.flags & GONE != 0;
            !gone && (now - known.heard <= idle || known.total.flags & UNLINKED != 0 && held(inode))
        };
        let mut idle = IDLE;
        if self.known.len() > MANY {
            let mut heard: Vec<u64> = self.known.values().map(|known| known.heard).collect();
            heard.sort_unstable();
            idle = now - heard[heard.len() - MANY];
        }
        self.known.retain(|inode, known| {
            let keep = keeps(inode, known, idle);
            if !keep {
                self.unnamed.remove(inode);
                let freed = known.total.flags & GONE != 0;
                out.facts.push(Fact::Disk(DiskFact::GrowingGone { inode: *inode, freed }));
                out.remove.push((names::FILES, key(inode)));
                let keys = known.writers.keys().map(|task| WriterKey { inode: *inode, task: *task });
                out.remove.extend(keys.map(|writer| (names::WRITTEN, key(&writer))));
            }
            keep
        });
    }
}

impl WatchedFile {
    /// Takes a total of the process. Totals only grow, and an older one may be read later.
    fn wrote(&mut self, task: TaskId, bytes: u64) {
        let total = self.writers.entry(task).or_default();
        *total = bytes.max(*total);
    }

    fn growth(&self) -> FileGrowth {
        let total = &self.total;
        FileGrowth {
            magic: total.magic,
            size: total.size,
            first_size: total.first_size,
            first_allocated: total.first_blocks,
            had_hole: total.flags & FAULTED != 0,
            unlinked: total.flags & UNLINKED != 0,
            exact: total.flags & EXACT != 0 || total.flags & (TURNS | MIXED) == TURNS,
            appends: total.appends,
            owner: Some(total.owner).filter(|owner| *owner != TaskId::default()),
            writers: self.writers.iter().map(|(id, bytes)| (*id, *bytes)).collect(),
        }
    }
}
