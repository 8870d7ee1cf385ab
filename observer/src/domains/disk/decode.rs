//! From the bytes of the disk object to facts.

use std::collections::{BTreeMap, BTreeSet};

use observer_common::{
    disk::{DeletionRecord, InodeId, WROTE, WriterKey, WriterRecord, WriterTotal, WroteRecord},
    task::TaskId,
};

use super::{
    bytes::{Members as _, inode_key, writer_key},
    holders::Holders,
};
use crate::{
    domains::{
        Decode, Decoded, Malformed,
        bytes::{Reader, met},
    },
    observation::{Observation, disk::DiskFact},
};

const DELETIONS: &str = "DELETIONS";
const WRITTEN: &str = "WRITTEN";

/// A process that wrote less than so many bytes since it started is not told of: most processes of a busy machine live
/// for a moment and write a few lines.
const LITTLE: u64 = 1 << 20;

/// Decodes what the disk object writes.
#[derive(Debug, Default)]
pub struct DiskDecoder {
    holders: Holders,
    /// Inodes whose deletion was looked up: its entry does not change any more.
    looked_up: BTreeSet<InodeId>,
    /// The entries of the map `WRITTEN`, by inode.
    writers: BTreeMap<InodeId, BTreeMap<TaskId, u64>>,
}

impl Decode for DiskDecoder {
    fn record(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        let mut reader = Reader::of("disk record", bytes, size_of::<WroteRecord>())?;
        let kind = reader.header()?.kind;
        if kind != WROTE {
            return Err(Malformed { text: format!("disk record of unknown kind {kind}") });
        }
        let (task, inode, written) = (reader.task()?, reader.inode()?, reader.u64()?);
        out.facts.push(met(&task));
        self.wrote(WriterKey { inode, task: task.id }, written, out);
        // The entry may have grown since it was announced.
        out.read.push((WRITTEN, writer_key(WriterKey { inode, task: task.id })));
        self.look_up(inode, out);
        Ok(())
    }

    fn pass(&mut self, program: &str, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        match program {
            "disk_file" | "disk_mapping" | "disk_mapping_stacked" | "disk_executable" | "disk_carried" => {
                let found = self.holders.held(program, bytes, out)?.clone();
                self.look_up_all(found, out);
            }
            "disk_listed" => {
                let found = self.holders.listed(program, bytes, out)?;
                self.look_up_all(found, out);
            }
            "disk_task" => tasks(bytes, out)?,
            _ => {
                return Err(Malformed { text: format!("a pass of {program}, which is no iterator of disk") });
            }
        }
        Ok(())
    }

    fn passed(&mut self, out: &mut Decoded) {
        // Where no pass tells of holders, nothing is known to be gone.
        if self.holders.looked() {
            self.forget(out);
        }
    }

    fn entry(&mut self, map: &str, key: &[u8], value: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        match map {
            WRITTEN => {
                let mut reader = Reader::of("key of WRITTEN", key, size_of::<WriterKey>())?;
                let key = WriterKey { inode: reader.inode()?, task: reader.task_id()? };
                let written = Reader::of(map, value, size_of::<WriterTotal>())?.u64()?;
                self.wrote(key, written, out);
            }
            DELETIONS => {
                let inode = Reader::of("key of DELETIONS", key, size_of::<InodeId>())?.inode()?;
                let mut reader = Reader::of(map, value, size_of::<DeletionRecord>())?;
                let task = reader.task()?;
                out.facts.push(met(&task));
                let fact = DiskFact::Deleted { inode, by: task.id, at: reader.u64()? };
                out.facts.push(Observation::Disk(fact));
            }
            _ => return Err(Malformed { text: format!("an entry of {map}, which is no map of disk") }),
        }
        Ok(())
    }

    fn totals(&self) -> &'static [&'static str] {
        &[WRITTEN]
    }
}

impl DiskDecoder {
    /// The total of a writer; all writers of the inode are told of together.
    fn wrote(&mut self, key: WriterKey, written: u64, out: &mut Decoded) {
        let writers = self.writers.entry(key.inode).or_default();
        // A record that was announced earlier may be read later: totals only grow.
        let total = writers.entry(key.task).or_default();
        *total = written.max(*total);
        let written = writers.iter().map(|(id, written)| (*id, *written)).collect();
        out.facts.push(Observation::Disk(DiskFact::Writers { inode: key.inode, written }));
    }

    /// Asks who deleted an inode that was not known before.
    fn look_up(&mut self, inode: InodeId, out: &mut Decoded) {
        if self.looked_up.insert(inode) {
            out.read.push((DELETIONS, inode_key(inode)));
        }
    }

    fn look_up_all(&mut self, inodes: BTreeSet<InodeId>, out: &mut Decoded) {
        for inode in inodes {
            self.look_up(inode, out);
        }
    }

    /// Drops what is known of inodes that nobody holds any more, here and in the kernel.
    fn forget(&mut self, out: &mut Decoded) {
        let held = |inode: &InodeId| self.holders.has(inode);
        self.looked_up.retain(held);
        self.writers.retain(|inode, writers| {
            let keep = held(inode);
            if !keep {
                let keys = writers.keys().map(|task| WriterKey { inode: *inode, task: *task });
                out.remove.extend(keys.map(|key| (WRITTEN, writer_key(key))));
            }
            keep
        });
    }
}

/// Bytes written to storage, by process: the sum over its threads.
fn tasks(bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
    let mut processes: BTreeMap<TaskId, WriterRecord> = BTreeMap::new();
    for mut reader in Reader::records("disk_task", bytes, size_of::<WriterRecord>())? {
        let record = reader.writer()?;
        let first = WriterRecord { written: 0, cancelled: 0, ..record };
        let sum = processes.entry(record.task.id).or_insert(first);
        sum.written += record.written;
        sum.cancelled += record.cancelled;
    }
    for WriterRecord { task, written, cancelled, .. } in processes.into_values() {
        if written >= LITTLE {
            out.facts.push(met(&task));
            out.facts.push(Observation::Disk(DiskFact::Written { id: task.id, written, cancelled }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
