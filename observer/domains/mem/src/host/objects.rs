//! Memory that is not in processes: files in RAM, shared memory, and unread data.
//!
//! A scan visits the descriptors of every process. It runs only when the machine's shared or unaccounted memory has
//! changed, and rarely if it is expensive. Not visible: queues of sockets in other network namespaces, segments of
//! other IPC namespaces.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use super::{
    LEAST,
    descriptors::{Descriptors, process},
    mapped::MappedFiles,
    queues::{self, FilesInRam},
};
use observer_core::facts::{
    Fact,
    mem::{MemFact, MemoryObject, ObjectId, ObjectKind},
};
use observer_host::{cgroup::memory_group, mounts::Mounts, text::Text};

/// A scan is due if shared memory has changed by this many bytes since the last scan.
const SHARED_STEP: u64 = 1 << 20;
/// A scan is also due if unaccounted memory has changed by this many bytes. The accounts behind it are off by some
/// pages per CPU.
const UNNAMED_STEP: u64 = 4 << 20;
/// The pause before the next scan, as a multiple of the processor time of the last one. The pause has an upper limit,
/// in nanoseconds.
const PAUSE: u64 = 400;
const PAUSE_MOST: u64 = 30_000_000_000;
/// The pause is shorter by one factor for each of so many bytes without a name, up to this factor.
const URGENT: u64 = 8 << 20;
const MOST_URGENT: u64 = 4;
/// As `PAUSE`, for a scan of unread data in the processes that are known to have some.
const QUEUES_PAUSE: u64 = 200;
/// An object with an estimated size is read again after this many nanoseconds: other memory may have changed during the
/// scan.
const ESTIMATE_AGE: u64 = 5_000_000_000;
/// The first scan includes processes if this many bytes of shared memory are in no file and no segment.
const UNEXPLAINED: u64 = 64 << 20;
/// Limits of one scan: objects, files of one filesystem, mount namespaces.
const MOST_OBJECTS: usize = 256;
const MOST_FILES: usize = 50_000;
const MOST_NAMESPACES: usize = 256;

/// The values that decide whether a scan is due.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Levels {
    /// Bytes of shared memory of the machine.
    pub shared: u64,
    /// Bytes of unaccounted memory, with unread data, and of slabs that are not reclaimable.
    pub unnamed: u64,
}

/// Finds objects, and keeps those of the last scan.
#[derive(Debug, Default)]
pub(super) struct Objects {
    last: Option<Scan>,
    /// Whether a scan has included processes.
    whole: bool,
    known: BTreeSet<ObjectId>,
    /// The last scan of unread data.
    queues: Option<Scan>,
    /// Processes with unread data or rings, and the bytes of these.
    holders: BTreeSet<u32>,
    unread: u64,
}

#[derive(Clone, Copy, Debug)]
struct Scan {
    at: u64,
    took: u64,
    levels: Levels,
}

/// A tmpfs: its device number, its mount point, and the path by which observer reaches it.
struct Tmpfs {
    device: u64,
    point: Vec<u8>,
    path: PathBuf,
}

impl Objects {
    /// Scans if something has changed, and appends a fact for each object. An object that is gone has 0 bytes.
    pub(super) fn tick(&mut self, root: &Path, now: u64, mut levels: Levels, out: &mut Vec<Fact>) {
        let all = levels.unnamed;
        if self.queues_due(now, all) {
            self.scan_queues(root, now, all, out);
        }
        // Unread data of known processes is no reason to search all processes.
        levels.unnamed = all.saturating_sub(self.unread);
        if !self.due(now, levels) {
            return;
        }
        let began = super::processor_time();
        let first = self.last.is_none();
        let mut found = BTreeMap::new();
        let mut filesystems = own_tmpfs(root);
        segments(root, &mut found);
        filesystems.iter().for_each(|tmpfs| files(tmpfs, &mut found));
        let named: u64 =
            found.values().map(|object: &MemoryObject| object.bytes).fold(0, u64::saturating_add);
        if !first || levels.shared.saturating_sub(named) >= UNEXPLAINED {
            for tmpfs in foreign_tmpfs(root, &filesystems) {
                files(&tmpfs, &mut found);
                filesystems.push(tmpfs);
            }
            of_processes(root, levels, &filesystems, &mut found);
            // Objects in the first complete scan are not marked as new: they may have existed before.
            let whole = std::mem::replace(&mut self.whole, true);
            if !whole && levels.shared.saturating_sub(named) >= UNEXPLAINED && first {
                self.known.extend(found.keys());
            }
        }
        self.keep(found, |_| true, first, out);
        let took = super::processor_time().saturating_sub(began);
        levels.unnamed = all.saturating_sub(self.unread);
        self.last = Some(Scan { at: now, took, levels });
        self.queues = Some(Scan { at: now, took: 0, levels: Levels { unnamed: all, ..levels } });
    }

    /// Reads unread data again, in the processes in which the last scan found some.
    fn scan_queues(&mut self, root: &Path, now: u64, unnamed: u64, out: &mut Vec<Fact>) {
        let began = super::processor_time();
        let folders: Vec<PathBuf> =
            self.holders.iter().map(|pid| root.join("proc").join(pid.to_string())).collect();
        let mut found = BTreeMap::new();
        queues::read(root, &folders, FilesInRam::default(), &mut found);
        found.retain(|id, _| is_queue(id));
        found.values_mut().for_each(|object| charge(root, object));
        self.keep(found, is_queue, false, out);
        let took = super::processor_time().saturating_sub(began);
        self.queues = Some(Scan { at: now, took, levels: Levels { shared: 0, unnamed } });
    }

    /// Keeps the largest of the objects that a scan has `found`. `scanned`: the objects that the scan would have found.
    fn keep(
        &mut self,
        found: BTreeMap<ObjectId, MemoryObject>,
        scanned: impl Fn(&ObjectId) -> bool,
        first: bool,
        out: &mut Vec<Fact>,
    ) {
        let mut ranked: Vec<MemoryObject> =
            found.into_values().filter(|object| object.bytes >= LEAST).collect();
        ranked.sort_by(|one, other| other.bytes.cmp(&one.bytes).then(one.id.cmp(&other.id)));
        ranked.truncate(MOST_OBJECTS);
        let kept: BTreeSet<ObjectId> = ranked.iter().map(|object| object.id).collect();
        for id in self.known.difference(&kept).filter(|id| !first && scanned(id)) {
            out.push(Fact::Mem(MemFact::Object(Box::new(MemoryObject::gone(*id)))));
        }
        self.unread = 0;
        self.holders.clear();
        for object in ranked.iter().filter(|object| is_queue(&object.id)) {
            let pids = object.holder.iter().chain(&object.writer).map(|process| process.pid);
            self.holders.extend(pids);
            if object.holder.is_some() || object.writer.is_some() {
                self.unread = self.unread.saturating_add(object.bytes);
            }
        }
        for mut object in ranked {
            object.appeared = !first && !self.known.contains(&object.id);
            out.push(Fact::Mem(MemFact::Object(Box::new(object))));
        }
        self.known.retain(|id| !scanned(id));
        self.known.extend(kept);
    }

    fn due(&self, now: u64, levels: Levels) -> bool {
        let Some(last) = self.last else { return true };
        // The more memory has no name, the sooner it is searched.
        let unnamed = levels.unnamed.abs_diff(last.levels.unnamed);
        let pause =
            last.took.saturating_mul(PAUSE / (unnamed / URGENT).clamp(1, MOST_URGENT)).min(PAUSE_MOST);
        let age = now.saturating_sub(last.at);
        let estimated = self.known.iter().any(|id| id.kind == ObjectKind::InFlight);
        age >= pause
            && (age >= ESTIMATE_AGE && estimated
                || levels.shared.abs_diff(last.levels.shared) >= SHARED_STEP
                || unnamed >= UNNAMED_STEP)
    }

    /// Whether unread data has to be read again: the memory of known processes may be unread data, or no longer.
    fn queues_due(&self, now: u64, unnamed: u64) -> bool {
        let Some(last) = self.queues.filter(|_| !self.holders.is_empty()) else { return false };
        let pause = last.took.saturating_mul(QUEUES_PAUSE).min(PAUSE_MOST);
        now.saturating_sub(last.at) >= pause && unnamed.abs_diff(last.levels.unnamed) >= LEAST
    }
}

/// Whether an object is unread data or a ring: a scan of the processes that hold it finds its new size.
const fn is_queue(id: &ObjectId) -> bool {
    use ObjectKind::{PacketRing, Pipe, UdpSocket, UnixSocket};
    matches!(id.kind, PacketRing | Pipe | UdpSocket | UnixSocket)
}

/// Every tmpfs mounted in observer's mount namespace.
fn own_tmpfs(root: &Path) -> Vec<Tmpfs> {
    let mounts = Mounts::of(&root.join("proc/self"));
    mounts.iter().flat_map(|mounts| tmpfs_of(mounts, &BTreeSet::new(), root)).collect()
}

/// Every tmpfs mounted only in other mount namespaces, each reached through a process there.
fn foreign_tmpfs(root: &Path, own: &[Tmpfs]) -> Vec<Tmpfs> {
    let mut known: BTreeSet<u64> = own.iter().map(|tmpfs| tmpfs.device).collect();
    let namespace = |folder: &Path| fs::read_link(folder.join("ns/mnt")).ok();
    let mut namespaces: BTreeSet<PathBuf> = namespace(&root.join("proc/self")).into_iter().collect();
    let mut found = Vec::new();
    for folder in process_folders(root) {
        let Some(namespace) = namespace(&folder).filter(|namespace| !namespaces.contains(namespace)) else {
            continue;
        };
        if namespaces.len() > MOST_NAMESPACES {
            break;
        }
        namespaces.insert(namespace);
        let Some(mounts) = Mounts::of(&folder) else { continue };
        for tmpfs in tmpfs_of(&mounts, &known, &folder.join("root")) {
            known.insert(tmpfs.device);
            found.push(tmpfs);
        }
    }
    found
}

/// Each tmpfs of `mounts` that is not in `known`, once, with its path below `root`.
fn tmpfs_of(mounts: &Mounts, known: &BTreeSet<u64>, root: &Path) -> Vec<Tmpfs> {
    let mut seen = known.clone();
    let mut found = Vec::new();
    for mount in mounts.reached_locally().filter(|mount| mount.fs == b"tmpfs" && mount.root == b"/") {
        let below = mount.point.strip_prefix(b"/").unwrap_or(&mount.point);
        let path = root.join(std::ffi::OsStr::from_bytes(below));
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if seen.insert(metadata.dev()) {
            found.push(Tmpfs { device: metadata.dev(), point: mount.point.clone(), path });
        }
    }
    found
}

/// The files of `tmpfs`. In a very large filesystem, only a part of them is read.
fn files(tmpfs: &Tmpfs, found: &mut BTreeMap<ObjectId, MemoryObject>) {
    let used = rustix::fs::statvfs(&tmpfs.path)
        .map_or(0, |space| space.f_blocks.saturating_sub(space.f_bfree).saturating_mul(space.f_frsize));
    if used < LEAST {
        return;
    }
    let mut folders = vec![tmpfs.path.clone()];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            read += 1;
            if read > MOST_FILES {
                return;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            // Another filesystem can be mounted here.
            if metadata.dev() != tmpfs.device {
                continue;
            }
            let bytes = metadata.blocks().saturating_mul(512);
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if bytes >= LEAST {
                let path = entry.path();
                let below = path.strip_prefix(&tmpfs.path).unwrap_or(&path).as_os_str().as_bytes();
                let separator: &[u8] = if tmpfs.point.ends_with(b"/") { b"" } else { b"/" };
                let id =
                    ObjectId { kind: ObjectKind::TmpfsFile, device: tmpfs.device, number: metadata.ino() };
                let mut object = MemoryObject::new(id, bytes, [&tmpfs.point, separator, below].concat());
                object.mount = Some(tmpfs.point.clone());
                object.uid = Some(metadata.uid());
                found.insert(id, object);
            }
        }
    }
}

/// Segments of System V shared memory in observer's IPC namespace.
fn segments(root: &Path, found: &mut BTreeMap<ObjectId, MemoryObject>) {
    let text = fs::read_to_string(root.join("proc/sysvipc/shm")).unwrap_or_default();
    for (id, segment) in text.lines().skip(1).filter_map(|line| segment(root, line)) {
        found.insert(id, segment);
    }
}

/// One line: key, number, permissions, size, creator, last process, attachments, user, …, resident, swapped.
fn segment(root: &Path, line: &str) -> Option<(ObjectId, MemoryObject)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| words.get(at)?.parse::<u64>().ok();
    let id = ObjectId { kind: ObjectKind::SysV, device: 0, number: number(1)? };
    let mut object = MemoryObject::new(id, number(14)?, format!("shmid {}", id.number).into_bytes());
    let creator = u32::try_from(number(4)?).ok()?;
    object.writer = Some(process(root, creator));
    object.uid = number(7).and_then(|uid| uid.try_into().ok());
    Some((id, object))
}

/// Objects found through the descriptors and the mappings of processes.
fn of_processes(
    root: &Path,
    levels: Levels,
    filesystems: &[Tmpfs],
    found: &mut BTreeMap<ObjectId, MemoryObject>,
) {
    let folders: Vec<PathBuf> = process_folders(root).collect();
    let files = FilesInRam {
        devices: filesystems.iter().map(|tmpfs| tmpfs.device).collect(),
        points: filesystems.iter().map(|tmpfs| tmpfs.point.clone()).collect(),
    };
    let held = queues::read(root, &folders, files, found);
    let mut mapped = MappedFiles::default();
    let mut text = Text::default();
    folders.iter().for_each(|folder| mapped.read(&mut text, folder));
    let is_known = |device, number| {
        let of = |kind| found.contains_key(&ObjectId { kind, device, number });
        of(ObjectKind::TmpfsFile) || of(ObjectKind::Memfd)
    };
    let shared: Vec<(MemoryObject, u32)> = mapped.shared(is_known).collect();
    for (mut object, pid) in shared {
        object.holder = Some(process(root, pid));
        found.insert(object.id, object);
    }
    in_flight(root, levels, &held, found);
    found.values_mut().for_each(|object| charge(root, object));
}

/// Adds the control group of the holder or the writer.
fn charge(root: &Path, object: &mut MemoryObject) {
    let pid = object.holder.as_ref().or(object.writer.as_ref()).map(|process| process.pid);
    let group = pid.and_then(|pid| fs::read(root.join(format!("proc/{pid}/cgroup"))).ok());
    object.cgroup = group.and_then(|lines| memory_group(&lines));
}

/// An estimate of the memory of in-flight descriptors: shared memory that is in no file, no segment and no process.
fn in_flight(root: &Path, levels: Levels, held: &Descriptors, found: &mut BTreeMap<ObjectId, MemoryObject>) {
    use ObjectKind::{Memfd, SysV, TmpfsFile};
    let shared = found.values().filter(|object| matches!(object.id.kind, Memfd | SysV | TmpfsFile));
    let named = shared.map(|object| object.bytes).fold(0, u64::saturating_add);
    if levels.shared.saturating_sub(named) < 4 * LEAST {
        return;
    }
    let mut text = Text::default();
    let mut waiting: BTreeMap<u32, u64> = BTreeMap::new();
    let mut mapped = 0_u64;
    for folder in process_folders(root) {
        let status = text.str(&folder.join("status"));
        mapped =
            mapped.saturating_add(status.and_then(|status| super::field(status, "RssShmem")).unwrap_or(0));
    }
    for (pid, descriptor) in &held.unix_like {
        let path = root.join(format!("proc/{pid}/fdinfo/{descriptor}"));
        let info = text.str(&path).unwrap_or_default();
        let count = info.lines().find_map(|line| line.strip_prefix("scm_fds:")?.trim().parse::<u64>().ok());
        if let Some(count) = count.filter(|count| *count > 0) {
            *waiting.entry(*pid).or_default() += count;
        }
    }
    let bytes = levels.shared.saturating_sub(named).saturating_sub(mapped);
    if let Some((pid, count)) = waiting.iter().max_by_key(|(_, count)| **count) {
        let id = ObjectId { kind: ObjectKind::InFlight, device: 0, number: (*pid).into() };
        let name = format!("{count} descriptors in unix sockets");
        let mut object = MemoryObject::new(id, bytes, name.into_bytes());
        object.holder = Some(process(root, *pid));
        found.insert(id, object);
    }
}

/// The folders of all processes in `/proc`.
fn process_folders(root: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(root.join("proc")).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().as_bytes().first().is_some_and(u8::is_ascii_digit))
        .map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use observer_core::facts::mem::ObjectProcess;

    #[test]
    fn a_segment_is_what_is_resident_of_it() {
        let line = "         0          3   600             104857600 4194304 4194305      0     0     0     0     0 1 2 3             52428800                     0";
        let (id, object) = segment(Path::new("/nonexistent"), line).unwrap();
        assert_eq!((id.number, object.bytes, object.uid), (3, 50 << 20, Some(0)));
        assert_eq!(object.writer, Some(ObjectProcess { pid: 4_194_304, comm: Vec::new() }), "it has ended");
    }

    #[test]
    fn a_scan_is_due_when_memory_changed_and_not_before_its_pause() {
        let levels = Levels { shared: 10 << 20, unnamed: 10 << 20 };
        let scan = Scan { at: 1_000_000_000, took: 1_000_000, levels };
        let objects = Objects { last: Some(scan), ..Objects::default() };
        let more = Levels { shared: 11 << 20, ..levels };
        assert!(!objects.due(60_000_000_000, levels), "nothing changed");
        assert!(!objects.due(1_300_000_000, more), "400 times a millisecond have not passed");
        assert!(objects.due(1_400_000_000, more));
        assert!(!objects.due(9_000_000_000, Levels { unnamed: 12 << 20, ..levels }));
        assert!(objects.due(9_000_000_000, Levels { unnamed: 14 << 20, ..levels }));
    }
}
