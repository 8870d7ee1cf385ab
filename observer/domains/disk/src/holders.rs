//! From what the passes over holders write to facts: who holds which file in which way, and which files are held by
//! something that no process leads to.

use std::collections::{BTreeMap, BTreeSet};

use observer_common::{
    disk::{
        HELD_DESCRIPTOR, HELD_EXECUTABLE, HELD_MAPPING, HELD_RING, HELD_SOCKET, HELD_TOO_MANY, HeldRecord,
        InodeId, LISTED_END, LISTED_SWAP, ListedRecord,
    },
    names::{ProgramName, disk as names},
    task::TaskId,
};

use super::bytes::Members as _;
use observer_core::{
    bytes::{Reader, met},
    domain::{Decoded, Malformed},
    facts::{
        Fact,
        disk::{Descriptor, DiskFact, File, Hold, InodeScanResult, ListedInode},
    },
};

/// `O_APPEND`, as the kernel has it on every architecture that it runs on with BPF.
const APPEND: u32 = 0o2000;

/// What the latest pass of each program found.
#[derive(Debug, Default)]
pub struct Holders {
    found: BTreeMap<ProgramName, BTreeSet<InodeId>>,
    /// Files below stacked ones: the row is the stacked file's.
    backing: BTreeMap<ProgramName, BTreeSet<InodeId>>,
    /// Listed so far, while the lists are being read: several passes do that together.
    listed: BTreeMap<InodeId, (File, ListedInode)>,
    /// What the listed ones keep their data in.
    below: BTreeSet<InodeId>,
    /// Filesystems of which it was told how many files are accounted for.
    accounted: BTreeSet<u32>,
}

/// More files than there are: the lists of such a filesystem are read.
pub const UNKNOWN: u64 = u64::MAX;

/// Passes whose holders can be asked through `/proc`, which then tells the path.
const REACHABLE: [ProgramName; 5] =
    [names::DESCRIPTOR, names::MAPPING, names::MAPPING_STACKED, names::MAPPER, names::EXECUTABLE];

impl Holders {
    /// What one pass tells of holders; the inodes that it found are returned.
    pub fn held(
        &mut self,
        program: ProgramName,
        bytes: &[u8],
        out: &mut Decoded,
    ) -> Result<&BTreeSet<InodeId>, Malformed> {
        let mut files: BTreeMap<InodeId, File> = BTreeMap::new();
        let mut holds: BTreeMap<(InodeId, TaskId, u32), Hold> = BTreeMap::new();
        let mut known = BTreeSet::new();
        let mut backing = BTreeSet::new();
        for mut reader in Reader::records(program.as_str(), bytes, size_of::<HeldRecord>())? {
            let record = reader.held()?;
            if record.backing != InodeId::default() {
                backing.insert(record.backing);
            }
            if program == names::INDIRECT && record.how == HELD_DESCRIPTOR {
                // The pass over descriptors told of it already.
                continue;
            }
            if known.insert(record.task.id) {
                out.facts.push(met(&record.task));
            }
            let HeldRecord { size, allocated, magic, .. } = record;
            files.insert(record.inode, File { size, allocated, magic });
            let key = (record.inode, record.task.id, record.how);
            match holds.get_mut(&key) {
                None => {
                    holds.insert(key, hold(&record)?);
                }
                Some(Hold::Descriptors(descriptors)) => descriptors.push(descriptor(&record)),
                Some(Hold::Mapping { start, end }) if record.start < *start => {
                    (*start, *end) = (record.start, record.end);
                }
                Some(_) => {}
            }
        }
        for (inode, file) in &files {
            out.facts.push(Fact::Disk(DiskFact::File { inode: *inode, file: *file }));
        }
        for ((inode, id, _), mut hold) in holds {
            if let Hold::Descriptors(descriptors) = &mut hold {
                // Threads that outlive their leader show one table several times: one thread of it is enough.
                descriptors.sort_unstable();
                descriptors.dedup_by_key(|descriptor| descriptor.fd);
            }
            out.facts.push(Fact::Disk(DiskFact::Holder { inode, id, hold }));
        }
        self.backing.insert(program, backing);
        let found = self.found.entry(program).or_default();
        *found = files.into_keys().collect();
        Ok(found)
    }

    /// What the lists of inodes tell of files that no other pass found, or found in a place that cannot be asked for the
    /// path. Before the record of their end, nothing: another pass goes on.
    pub fn listed(
        &mut self,
        program: ProgramName,
        bytes: &[u8],
        out: &mut Decoded,
    ) -> Result<BTreeSet<InodeId>, Malformed> {
        let mut reader = Reader::new(program.as_str(), bytes);
        let mut end = None;
        while !reader.is_empty() {
            let record = reader.listed()?;
            let name = reader.padded(record.name as usize)?;
            let ListedRecord { inode, size, allocated, magic, kind, .. } = record;
            if record.backing != InodeId::default() {
                self.below.insert(record.backing);
            }
            if kind == LISTED_END {
                end = Some(InodeScanResult { inodes: size, complete: allocated != 0 });
            } else {
                let listing = ListedInode { swap: kind == LISTED_SWAP, path: path(name) };
                self.listed.insert(inode, (File { size, allocated, magic }, listing));
            }
        }
        let Some(walk) = end else {
            out.partial = true;
            return Ok(BTreeSet::new());
        };
        self.backing.insert(program, std::mem::take(&mut self.below));
        let mut listed = std::mem::take(&mut self.listed);
        listed.retain(|inode, _| {
            !REACHABLE.iter().any(|pass| self.found_by(*pass, inode))
                && !self.backing.values().any(|files| files.contains(inode))
        });
        for (inode, (file, listing)) in &listed {
            if !self.found_by(names::INDIRECT, inode) {
                out.facts.push(Fact::Disk(DiskFact::File { inode: *inode, file: *file }));
            }
            let listing = listing.clone();
            out.facts.push(Fact::Disk(DiskFact::Listed { inode: *inode, listing }));
        }
        out.facts.push(Fact::Disk(DiskFact::Walked(walk)));
        let found: BTreeSet<InodeId> = listed.into_keys().collect();
        self.found.insert(program, found.clone());
        Ok(found)
    }

    /// By filesystem, how many files the lists need not be read for, because other passes find them and lead to their
    /// paths. Nothing of a filesystem of which the lists alone know a file: others may have come and gone meanwhile.
    pub fn accounted(&mut self) -> BTreeMap<u32, u64> {
        let reached = REACHABLE.iter().filter_map(|pass| self.found.get(pass)).flatten();
        let files: BTreeSet<&InodeId> = reached.chain(self.backing.values().flatten()).collect();
        let mut accounted: BTreeMap<u32, u64> = self.accounted.iter().map(|dev| (*dev, UNKNOWN)).collect();
        for inode in files {
            let files = accounted.entry(inode.dev).or_default();
            *files = if *files == UNKNOWN { 1 } else { *files + 1 };
        }
        for inode in self.found.get(&names::INODE_LIST).into_iter().flatten() {
            accounted.insert(inode.dev, UNKNOWN);
        }
        self.accounted = accounted.keys().copied().collect();
        accounted
    }

    /// Whether descriptors were ever looked at.
    pub fn looked(&self) -> bool {
        self.found.contains_key(&names::DESCRIPTOR)
    }

    /// Whether the latest pass of some program found it.
    pub fn has(&self, inode: &InodeId) -> bool {
        self.found.values().any(|found| found.contains(inode))
    }

    fn found_by(&self, program: ProgramName, inode: &InodeId) -> bool {
        self.found.get(&program).is_some_and(|found| found.contains(inode))
    }
}

/// Whether some process holds more than a pass could tell of.
pub fn are_too_many(program: ProgramName, bytes: &[u8]) -> Result<bool, Malformed> {
    for mut reader in Reader::records(program.as_str(), bytes, size_of::<HeldRecord>())? {
        if reader.held()?.how == HELD_TOO_MANY {
            return Ok(true);
        }
    }
    Ok(false)
}

fn hold(record: &HeldRecord) -> Result<Hold, Malformed> {
    Ok(match record.how {
        HELD_DESCRIPTOR => Hold::Descriptors(vec![descriptor(record)]),
        HELD_MAPPING => Hold::Mapping { start: record.start, end: record.end },
        HELD_EXECUTABLE => Hold::Executable,
        HELD_RING => Hold::Registered { ring: record.fd },
        HELD_SOCKET => Hold::InFlight { socket: record.fd },
        how => return Err(Malformed { text: format!("a file that is held in the unknown way {how}") }),
    })
}

fn descriptor(record: &HeldRecord) -> Descriptor {
    Descriptor {
        fd: record.fd,
        thread: record.thread,
        append: record.flags & APPEND != 0,
        writable: record.writable != 0,
    }
}

/// The path below the root of its filesystem, of components that come last first, each ended by a NUL.
fn path(components: &[u8]) -> Option<Vec<u8>> {
    let components = components.strip_suffix(b"\0")?;
    let mut path = Vec::with_capacity(components.len() + 1);
    for component in components.split(|byte| *byte == 0).rev() {
        path.push(b'/');
        path.extend(component);
    }
    Some(path)
}
