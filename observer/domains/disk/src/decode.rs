//! From the bytes of the disk object to facts.

use std::collections::{BTreeMap, BTreeSet};

use observer_common::{
    disk::{DeletionRecord, InodeId, WriterRecord},
    task::TaskId,
};

use self::growth::{FILES, FREED, GrowthDecoder, WRITTEN};
use super::{
    bytes::{Members as _, inode_key},
    holders::{self, Holders},
};
use observer_core::{
    bytes::{Reader, met},
    domain::{Decode, Decoded, Malformed, ScanPlan},
    facts::{Fact, disk::DiskFact},
};

mod growth;

const DELETIONS: &str = "DELETIONS";
const ACCOUNTED: &str = "ACCOUNTED";

/// The pass over descriptors, and the one by their tables, which is cheaper and cannot always tell everything.
const DESCRIPTORS: &str = "disk_file";
const TABLES: &str = "disk_tables";
/// The pass over what processes write.
const WRITERS: &str = "disk_task";

/// A process that wrote less than so many bytes since it started is not told of: most processes of a busy machine live
/// for a moment and write a few lines.
const LITTLE: u64 = 1 << 20;

/// So often the deletion of an inode is looked up. The last name is gone before the program that tells of it has run, and
/// whoever deletes may be preempted in between.
const LOOKS: u8 = 3;

/// Decodes what the disk object writes.
#[derive(Debug, Default)]
pub struct DiskDecoder {
    holders: Holders,
    /// How often the deletion of each inode was looked up. Once found, its entry does not change any more.
    looked_up: BTreeMap<InodeId, u8>,
    growth: GrowthDecoder,
    /// The latest pass over tables has told everything that there was.
    told_by_tables: bool,
}

impl Decode for DiskDecoder {
    fn record(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        self.growth.record(bytes, out)
    }

    fn pass(&mut self, program: &str, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        match program {
            TABLES => {
                self.told_by_tables = !holders::are_too_many(program, bytes)?;
                // Else nothing yet: the other pass tells of these too.
                if self.told_by_tables {
                    let found = self.holders.held(DESCRIPTORS, bytes, out)?.clone();
                    self.look_up_all(found, out);
                }
            }
            DESCRIPTORS
            | "disk_mapping"
            | "disk_mapping_stacked"
            | "disk_mapper"
            | "disk_executable"
            | "disk_carried" => {
                let found = self.holders.held(program, bytes, out)?.clone();
                self.look_up_all(found, out);
            }
            "disk_listed" => {
                let found = self.holders.listed(program, bytes, out)?;
                self.look_up_all(found, out);
            }
            WRITERS => tasks(bytes, out)?,
            _ => {
                return Err(Malformed { text: format!("a pass of {program}, which is no iterator of disk") });
            }
        }
        Ok(())
    }

    fn needs_scan(&self, program: &str, round: ScanPlan) -> bool {
        match program {
            DESCRIPTORS => !self.told_by_tables,
            WRITERS => round.writers,
            _ => true,
        }
    }

    fn found(&mut self) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
        let bytes = |number: u64| number.to_ne_bytes().to_vec();
        let entries = self.holders.accounted().into_iter();
        entries.map(|(dev, files)| (ACCOUNTED, bytes(dev.into()), bytes(files))).collect()
    }

    fn stands_for(&self, program: &'static str) -> &'static str {
        if program == TABLES { DESCRIPTORS } else { program }
    }

    fn passed(&mut self, out: &mut Decoded) {
        let held = |inode: &InodeId| self.holders.has(inode);
        self.growth.passed(held, out);
        // Where no pass tells of holders, nothing is known to be gone.
        if self.holders.looked() {
            self.looked_up.retain(|inode, _| held(inode));
        }
    }

    fn entry(&mut self, map: &str, key: &[u8], value: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        match map {
            FILES | WRITTEN | FREED => {
                if let Some(nameless) = self.growth.entry(map, key, value, out)? {
                    self.look_up(nameless, out);
                }
            }
            DELETIONS => {
                let inode = Reader::of("key of DELETIONS", key, size_of::<InodeId>())?.inode()?;
                let mut reader = Reader::of(map, value, size_of::<DeletionRecord>())?;
                let task = reader.task()?;
                self.looked_up.insert(inode, LOOKS);
                out.facts.push(met(&task));
                let fact = DiskFact::Deleted { inode, by: task.id, at: reader.u64()? };
                out.facts.push(Fact::Disk(fact));
            }
            _ => return Err(Malformed { text: format!("an entry of {map}, which is no map of disk") }),
        }
        Ok(())
    }

    fn attributing_maps(&self) -> &'static [&'static str] {
        &[FILES, WRITTEN]
    }

    fn totals(&self) -> &'static [&'static str] {
        &[FILES, WRITTEN, FREED]
    }
}

impl DiskDecoder {
    /// Asks who deleted an inode, unless that is known or was asked often enough.
    fn look_up(&mut self, inode: InodeId, out: &mut Decoded) {
        let looks = self.looked_up.entry(inode).or_default();
        if *looks < LOOKS {
            *looks += 1;
            out.read.push((DELETIONS, inode_key(inode)));
        }
    }

    fn look_up_all(&mut self, inodes: BTreeSet<InodeId>, out: &mut Decoded) {
        for inode in inodes {
            self.look_up(inode, out);
        }
    }
}

/// Bytes written to storage, by process: the sum over its threads.
fn tasks(bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
    let mut processes: BTreeMap<TaskId, WriterRecord> = BTreeMap::new();
    for mut reader in Reader::records(WRITERS, bytes, size_of::<WriterRecord>())? {
        let record = reader.writer()?;
        let first = WriterRecord { written: 0, cancelled: 0, ..record };
        let sum = processes.entry(record.task.id).or_insert(first);
        sum.written += record.written;
        sum.cancelled += record.cancelled;
    }
    for WriterRecord { task, written, cancelled, .. } in processes.into_values() {
        if written >= LITTLE {
            out.facts.push(met(&task));
            out.facts.push(Fact::Disk(DiskFact::Written { id: task.id, written, cancelled }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
