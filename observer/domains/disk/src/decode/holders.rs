//! Decodes scans of holders into facts: how each process holds each file, and which files no process holds.

use std::collections::{BTreeMap, BTreeSet};

use observer_common::{
    disk::{
        HELD_DESCRIPTOR, HELD_EXECUTABLE, HELD_MAPPING, HELD_RING, HELD_SOCKET, HELD_TOO_MANY, HeldRecord,
        InodeId, LISTED_END, LISTED_NAMED, LISTED_SWAP, ListedRecord,
    },
    names::{ProgramName, disk as names},
    task::TaskId,
};

use observer_core::{
    bytes::{self, met},
    domain::{Decoded, Malformed},
    facts::{
        Fact,
        disk::{Descriptor, DiskFact, File, Found, Hold, InodeScanResult, ListedInode, Stat},
    },
};

/// `O_APPEND`, with the value of every architecture on which the kernel runs BPF.
const APPEND: u32 = 0o2000;

/// The results of the latest scan of each program.
#[derive(Debug, Default)]
pub struct HolderDecoder {
    found: BTreeMap<ProgramName, BTreeSet<InodeId>>,
    /// Files below stacked ones: the row belongs to the stacked file.
    backing: BTreeMap<ProgramName, BTreeSet<InodeId>>,
    /// Files listed so far: one reading of the inode lists takes several runs of the iterator.
    listed: BTreeMap<InodeId, (File, ListedInode)>,
    /// The files that contain the data of the listed ones.
    below: BTreeSet<InodeId>,
    /// Filesystems for which the number of files was passed to the programs.
    accounted: BTreeSet<u32>,
}

/// The number of files that is passed if it is unknown. It exceeds any real number, so the list of the filesystem is
/// read.
pub const UNKNOWN: u64 = u64::MAX;

/// Scans of holders that have a path in `/proc`.
const REACHABLE: [ProgramName; 5] =
    [names::DESCRIPTOR, names::MAPPING, names::MAPPING_STACKED, names::MAPPER, names::EXECUTABLE];

impl HolderDecoder {
    /// Takes one scan of holders. Returns the inodes that it found.
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
        for record in bytes::records::<HeldRecord>(program, bytes)? {
            if record.backing != InodeId::default() {
                backing.insert(record.backing);
            }
            if program == names::INDIRECT && record.how == HELD_DESCRIPTOR {
                // The scan of descriptors has reported this file.
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
                // Threads that outlive their leader report one descriptor table several times; one copy is enough.
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

    /// Takes a scan of the inode lists: files that no other scan found, or found only with a holder that has no path in
    /// `/proc`. There are no facts until the record of the end arrives: before it, another run continues.
    pub fn listed(
        &mut self,
        program: ProgramName,
        mut bytes: &[u8],
        out: &mut Decoded,
    ) -> Result<BTreeSet<InodeId>, Malformed> {
        let mut end = None;
        while !bytes.is_empty() {
            let (record, rest) = bytes::read_front(program, bytes)?;
            let ListedRecord { inode, backing, size, allocated, magic, kind, name } = record;
            let (name, rest) = bytes::split_padded(program, rest, name as usize)?;
            bytes = rest;
            if backing != InodeId::default() {
                self.below.insert(backing);
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
            !REACHABLE.iter().any(|scan| self.found_by(*scan, inode))
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

    /// By filesystem, the number of files that other scans find with their paths, so that its list need not be read. A
    /// filesystem with a file that only its list contains is always read: other files may have come and gone in the
    /// meantime.
    pub fn accounted(&mut self) -> BTreeMap<u32, u64> {
        let reached = REACHABLE.iter().filter_map(|scan| self.found.get(scan)).flatten();
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

    /// Whether descriptors were ever scanned.
    pub fn has_scanned(&self) -> bool {
        self.found.contains_key(&names::DESCRIPTOR)
    }

    /// Whether the latest scan of any program found the inode.
    pub fn has(&self, inode: &InodeId) -> bool {
        self.found.values().any(|found| found.contains(inode))
    }

    fn found_by(&self, program: ProgramName, inode: &InodeId) -> bool {
        self.found.get(&program).is_some_and(|found| found.contains(inode))
    }
}

/// Whether a process holds more files than the scan could report.
pub fn are_too_many(program: ProgramName, bytes: &[u8]) -> Result<bool, Malformed> {
    Ok(bytes::records::<HeldRecord>(program, bytes)?.any(|record| record.how == HELD_TOO_MANY))
}

fn hold(record: &HeldRecord) -> Result<Hold, Malformed> {
    Ok(match record.how {
        HELD_DESCRIPTOR => Hold::Descriptors(vec![descriptor(record)]),
        HELD_MAPPING => Hold::Mapping { start: record.start, end: record.end },
        HELD_EXECUTABLE => Hold::Executable,
        HELD_RING => Hold::Registered { ring: record.fd },
        HELD_SOCKET => Hold::InFlight { socket: record.fd },
        how => return Err(Malformed { text: format!("a file that is held in an unknown manner: {how}") }),
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

/// Takes the answers of the kernel's name cache.
pub fn cached(mut bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
    while !bytes.is_empty() {
        let (record, rest) = bytes::read_front(names::PATH, bytes)?;
        let ListedRecord { inode, size, allocated, kind, name, .. } = record;
        let (name, rest) = bytes::split_padded(names::PATH, rest, name as usize)?;
        bytes = rest;
        let (stat, path) = (Stat { size, allocated }, path(name));
        let found =
            if kind == LISTED_NAMED { Found::Named { stat, path } } else { Found::Unlinked { stat, path } };
        out.facts.push(Fact::Disk(DiskFact::Cached { inode, found }));
    }
    Ok(())
}

/// The path below the root of its filesystem. `components`: in reverse order, each followed by a NUL.
fn path(components: &[u8]) -> Option<Vec<u8>> {
    let components = components.strip_suffix(b"\0")?;
    let mut path = Vec::with_capacity(components.len() + 1);
    for component in components.split(|byte| *byte == 0).rev() {
        path.push(b'/');
        path.extend(component);
    }
    Some(path)
}
