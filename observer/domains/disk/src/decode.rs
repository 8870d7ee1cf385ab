//! Decodes the records of the disk object into facts.

use std::collections::{BTreeMap, BTreeSet};

use observer_common::{
    disk::{ASKED_INODES, AskedInode, DeletionRecord, InodeId, WriterRecord},
    names::{MapName, ProgramName, disk as names},
    task::TaskId,
};

use self::{growth::GrowthDecoder, holders::HolderDecoder};
use super::queries::DiskQueries;
use observer_core::{
    bytes::{self, key, met},
    domain::{Decode, Decoded, Malformed, ScanPlan},
    facts::{Fact, disk::DiskFact},
    hook::HookKind,
};

mod growth;
mod holders;

/// A process that wrote fewer bytes since it started is not reported: most processes of a busy machine are short-lived
/// and write little.
const LITTLE: u64 = 1 << 20;

/// The number of lookups for the deletion of an inode. The last name is gone before the program that reports it has
/// run, and the deleting process may be preempted in between.
const LOOKS: u8 = 3;

/// The decoder of the disk object's records.
#[derive(Debug, Default)]
pub struct DiskDecoder {
    holders: HolderDecoder,
    /// The number of lookups for the deletion of each inode. An entry that was found no longer changes.
    looked_up: BTreeMap<InodeId, u8>,
    growth: GrowthDecoder,
    /// Whether the latest scan of descriptor tables reported all of them.
    tables_are_complete: bool,
}

impl Decode for DiskDecoder {
    fn record(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        self.growth.record(bytes, out)
    }

    fn scan(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        match program {
            names::DESCRIPTOR_TABLE => {
                out.instead_of = Some(names::DESCRIPTOR);
                self.tables_are_complete = !holders::are_too_many(program, bytes)?;
                // Otherwise the scan of descriptors follows, and reports these files too.
                if self.tables_are_complete {
                    let found = self.holders.held(names::DESCRIPTOR, bytes, out)?.clone();
                    self.look_up_all(found, out);
                }
            }
            names::DESCRIPTOR
            | names::MAPPING
            | names::MAPPING_STACKED
            | names::MAPPER
            | names::EXECUTABLE
            | names::INDIRECT => {
                let found = self.holders.held(program, bytes, out)?.clone();
                self.look_up_all(found, out);
            }
            names::INODE_LIST => {
                let found = self.holders.listed(program, bytes, out)?;
                self.look_up_all(found, out);
            }
            names::PATH => {
                self.growth.answered();
                holders::cached(bytes, out)?;
            }
            names::WRITER => tasks(bytes, out)?,
            _ => {
                return Err(Malformed { text: format!("a scan of {program}, which is no iterator of disk") });
            }
        }
        Ok(())
    }

    fn needs_scan(&self, kind: HookKind, program: ProgramName, plan: ScanPlan<'_>) -> bool {
        let asked = |of: fn(&DiskQueries) -> bool| plan.queries.own().is_some_and(of);
        match kind {
            HookKind::Scan if program == names::DESCRIPTOR => !self.tables_are_complete,
            // The first scan gives the baseline.
            HookKind::Scan if program == names::WRITER => plan.first || asked(|queries| queries.writers),
            HookKind::ScanOnDemand if program == names::PATH => self.growth.asks(),
            HookKind::ScanOnDemand => plan.usual(kind) || asked(|queries| queries.mappings),
            HookKind::ScanRarely => plan.usual(kind) || asked(|queries| queries.inodes),
            _ => plan.usual(kind),
        }
    }

    fn prepare(&mut self, kind: HookKind, _plan: ScanPlan<'_>, out: &mut Decoded) {
        let bytes = |number: u64| number.to_ne_bytes().to_vec();
        match kind {
            HookKind::ScanOnDemand => {
                let asked = self.growth.take_unnamed(ASKED_INODES as usize - 1).into_iter();
                let ended = asked.chain([AskedInode::default()]);
                let entries = (0u32..).zip(ended);
                out.write.extend(
                    entries.map(|(place, asked)| (names::ASKED, place.to_ne_bytes().to_vec(), key(&asked))),
                );
            }
            HookKind::ScanRarely => {
                let entries = self.holders.accounted().into_iter();
                out.write
                    .extend(entries.map(|(dev, files)| (names::ACCOUNTED, bytes(dev.into()), bytes(files))));
            }
            _ => {}
        }
    }

    fn scans_completed(&mut self, out: &mut Decoded) {
        let held = |inode: &InodeId| self.holders.has(inode);
        self.growth.scans_completed(held, out);
        // Without a scan of holders, no file is known to be gone.
        if self.holders.has_scanned() {
            self.looked_up.retain(|inode, _| held(inode));
        }
    }

    fn entry(&mut self, map: MapName, key: &[u8], value: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        match map {
            names::FILES | names::WRITTEN | names::FREED => {
                if let Some(unlinked) = self.growth.entry(map, key, value, out)? {
                    self.look_up(unlinked, out);
                }
            }
            names::DELETIONS => {
                let inode = bytes::read("key of DELETIONS", key)?;
                let DeletionRecord { task, at } = bytes::read(map, value)?;
                self.looked_up.insert(inode, LOOKS);
                out.facts.push(met(&task));
                out.facts.push(Fact::Disk(DiskFact::Deleted { inode, by: task.id, at }));
            }
            _ => return Err(Malformed { text: format!("an entry of {map}, which is no map of disk") }),
        }
        Ok(())
    }
}

impl DiskDecoder {
    /// Looks up which process deleted an inode, unless that is known or the limit of lookups is reached.
    fn look_up(&mut self, inode: InodeId, out: &mut Decoded) {
        let looks = self.looked_up.entry(inode).or_default();
        if *looks < LOOKS {
            *looks += 1;
            out.read.push((names::DELETIONS, key(&inode)));
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
    for record in bytes::records::<WriterRecord>(names::WRITER, bytes)? {
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
