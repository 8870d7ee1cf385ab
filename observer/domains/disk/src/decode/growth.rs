//! From the maps `FILES`, `WRITTEN` and `FREED` to facts: who made which file grow, and what deletions freed.

use std::collections::BTreeMap;

use observer_common::{
    disk::{EXACT, FAULTED, FREED, FileTotal, FreedRecord, GONE, InodeId, NAMELESS, WROTE, WriterKey},
    disk::{WriterTotal, WroteRecord},
    names::{MapName, disk as names},
    task::TaskId,
};

use crate::bytes::{Members as _, inode_key, writer_key};
use observer_core::{
    bytes::{Reader, met},
    domain::{Decoded, Malformed},
    facts::{
        Fact,
        disk::{DiskFact, FileGrowth},
    },
};

/// A file of which nothing was heard for so many nanoseconds, twice as long as ext4 promises blocks, is not watched any more, here and in the kernel: when somebody
/// works on it again, it is met anew.
const IDLE: u64 = 60_000_000_000;

/// Of more files than this, those of which nothing was heard for longest are not watched any more.
const MANY: usize = 1 << 15;

/// Every file that somebody works on.
#[derive(Debug, Default)]
pub struct GrowthDecoder {
    known: BTreeMap<InodeId, Known>,
    /// The time of the latest record, nanoseconds of the boot clock: where nothing is heard, nothing gets older.
    now: u64,
}

#[derive(Debug, Default)]
struct Known {
    total: FileTotal,
    writers: BTreeMap<TaskId, u64>,
    /// When it was last heard of.
    heard: u64,
}

impl GrowthDecoder {
    /// A record of the ring: what it announces is to be read.
    pub fn record(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        let header = Reader::new("disk record", bytes).header()?;
        self.now = self.now.max(header.at);
        let kind = header.kind;
        match kind {
            WROTE => {
                let mut reader = Reader::of("disk record", bytes, size_of::<WroteRecord>())?;
                reader.header()?;
                let (task, inode, previous) = (reader.task()?, reader.inode()?, reader.task_id()?);
                out.facts.push(met(&task));
                out.read.push((names::FILES, inode_key(inode)));
                let writers = [task.id, previous].into_iter().filter(|id| *id != TaskId::default());
                out.read.extend(writers.map(|task| (names::WRITTEN, writer_key(WriterKey { inode, task }))));
            }
            FREED => {
                let mut reader = Reader::of("disk record", bytes, size_of::<FreedRecord>())?;
                reader.header()?;
                let inode = reader.inode()?;
                out.read.push(match inode.ino {
                    0 => (names::FREED, u64::from(inode.dev).to_ne_bytes().to_vec()),
                    _ => (names::FILES, inode_key(inode)),
                });
            }
            _ => return Err(Malformed { text: format!("disk record of unknown kind {kind}") }),
        }
        Ok(())
    }

    /// An entry of one of the maps; the inode that it is about, if that has no name.
    pub fn entry(
        &mut self,
        map: MapName,
        key: &[u8],
        value: &[u8],
        out: &mut Decoded,
    ) -> Result<Option<InodeId>, Malformed> {
        let inode = match map {
            names::FILES => {
                let inode = Reader::of("key of FILES", key, size_of::<InodeId>())?.inode()?;
                let total = Reader::of(map.as_str(), value, size_of::<FileTotal>())?.file_total()?;
                let known = self.known.entry(inode).or_default();
                known.total = total;
                if total.owner != TaskId::default() {
                    known.wrote(total.owner, total.bytes);
                }
                inode
            }
            names::WRITTEN => {
                let mut reader = Reader::of("key of WRITTEN", key, size_of::<WriterKey>())?;
                let (inode, task) = (reader.inode()?, reader.task_id()?);
                let bytes = Reader::of(map.as_str(), value, size_of::<WriterTotal>())?.u64()?;
                // Its file's entry is read first; where that is gone, so is what this one told.
                let Some(known) = self.known.get_mut(&inode) else { return Ok(None) };
                // Of its owner its own entry tells; this one knows more only if the owner is another by now, and then
                // what the file grew by would count twice.
                if known.total.owner != task {
                    known.wrote(task, bytes);
                }
                inode
            }
            _ => {
                let dev = Reader::of("key of FREED", key, size_of::<u64>())?.u64()?;
                let bytes = Reader::of(map.as_str(), value, size_of::<WriterTotal>())?.u64()?;
                let dev = u32::try_from(dev).unwrap_or_default();
                out.facts.push(Fact::Disk(DiskFact::Freed { dev, bytes }));
                return Ok(None);
            }
        };
        let Some(known) = self.known.get_mut(&inode) else { return Ok(None) };
        known.heard = self.now;
        let growing = Box::new(known.growing());
        let nameless = growing.nameless;
        out.facts.push(Fact::Disk(DiskFact::FileGrowth { inode, growing }));
        Ok(nameless.then_some(inode))
    }

    /// A report's passes are over: what is freed, or idle and not `held`, is not watched any more.
    pub fn passed(&mut self, held: impl Fn(&InodeId) -> bool, out: &mut Decoded) {
        let now = self.now;
        let keeps = |inode: &InodeId, known: &Known, idle: u64| {
            let gone = known.total.flags & GONE != 0;
            !gone && (now - known.heard <= idle || known.total.flags & NAMELESS != 0 && held(inode))
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
                let freed = known.total.flags & GONE != 0;
                out.facts.push(Fact::Disk(DiskFact::GrowingGone { inode: *inode, freed }));
                out.remove.push((names::FILES, inode_key(*inode)));
                let keys = known.writers.keys().map(|task| WriterKey { inode: *inode, task: *task });
                out.remove.extend(keys.map(|key| (names::WRITTEN, writer_key(key))));
            }
            keep
        });
    }
}

impl Known {
    /// Totals only grow; an older one may be read later.
    fn wrote(&mut self, task: TaskId, bytes: u64) {
        let total = self.writers.entry(task).or_default();
        *total = bytes.max(*total);
    }

    fn growing(&self) -> FileGrowth {
        let total = &self.total;
        FileGrowth {
            magic: total.magic,
            size: total.size,
            first_size: total.first_size,
            first_allocated: total.first_blocks,
            had_hole: total.flags & FAULTED != 0,
            nameless: total.flags & NAMELESS != 0,
            exact: total.flags & EXACT != 0,
            appends: total.appends,
            owner: Some(total.owner).filter(|owner| *owner != TaskId::default()),
            writers: self.writers.iter().map(|(id, bytes)| (*id, *bytes)).collect(),
        }
    }
}
