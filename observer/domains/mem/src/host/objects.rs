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
    descriptors::{Descriptors, Sought, process},
    mapped::MappedFiles,
    socket_diag,
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
    /// Bytes of unaccounted memory and of slabs that are not reclaimable.
    pub unnamed: u64,
}

/// Finds objects, and keeps those of the last scan.
#[derive(Debug, Default)]
pub(super) struct Objects {
    last: Option<Scan>,
    /// Whether a scan has included processes.
    whole: bool,
    known: BTreeSet<ObjectId>,
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
    pub(super) fn tick(&mut self, root: &Path, now: u64, levels: Levels, out: &mut Vec<Fact>) {
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
        let mut ranked: Vec<MemoryObject> =
            found.into_values().filter(|object| object.bytes >= LEAST).collect();
        ranked.sort_by(|one, other| other.bytes.cmp(&one.bytes).then(one.id.cmp(&other.id)));
        ranked.truncate(MOST_OBJECTS);
        let kept: BTreeSet<ObjectId> = ranked.iter().map(|object| object.id).collect();
        for id in self.known.difference(&kept).filter(|_| !first) {
            out.push(Fact::Mem(MemFact::Object(Box::new(MemoryObject::gone(*id)))));
        }
        for mut object in ranked {
            object.appeared = !first && !self.known.contains(&object.id);
            out.push(Fact::Mem(MemFact::Object(Box::new(object))));
        }
        self.known = kept;
        let took = super::processor_time().saturating_sub(began);
        self.last = Some(Scan { at: now, took, levels });
    }

    fn due(&self, now: u64, levels: Levels) -> bool {
        let Some(last) = self.last else { return true };
        let pause = last.took.saturating_mul(PAUSE).min(PAUSE_MOST);
        let age = now.saturating_sub(last.at);
        let estimated = self.known.iter().any(|id| id.kind == ObjectKind::InFlight);
        age >= pause
            && (age >= ESTIMATE_AGE && estimated
                || levels.shared.abs_diff(last.levels.shared) >= SHARED_STEP
                || levels.unnamed.abs_diff(last.levels.unnamed) >= UNNAMED_STEP)
    }
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

/// Objects found through the descriptors of processes.
fn of_processes(
    root: &Path,
    levels: Levels,
    filesystems: &[Tmpfs],
    found: &mut BTreeMap<ObjectId, MemoryObject>,
) {
    let queues = socket_diag::unix_queues().unwrap_or_default();
    let rings = socket_diag::packet_rings().unwrap_or_default();
    let datagrams = udp_queues(root);
    let sockets = queues.iter().filter(|queue| queue.bytes >= LEAST / 16);
    let sockets = sockets.flat_map(|queue| [Some(queue.writer), queue.reader].into_iter().flatten());
    let sought = Sought {
        sockets: sockets
            .chain(rings.iter().map(|(inode, _)| *inode))
            .chain(datagrams.iter().map(|(inode, _)| *inode))
            .collect(),
        devices: filesystems.iter().map(|tmpfs| tmpfs.device).collect(),
        points: filesystems.iter().map(|tmpfs| tmpfs.point.clone()).collect(),
    };
    let mut held = Descriptors::default();
    for folder in process_folders(root) {
        held.read(&folder, &sought);
    }
    for ((device, inode), pid) in &held.files {
        let id = ObjectId { kind: ObjectKind::TmpfsFile, device: *device, number: *inode };
        if let Some(object) = found.get_mut(&id) {
            object.holder = Some(process(root, *pid));
        }
    }
    for (id, (bytes, name, pid)) in &held.objects {
        let mut object = MemoryObject::new(*id, *bytes, name.clone());
        object.holder = Some(process(root, *pid));
        found.insert(*id, object);
    }
    // Many small queues between two processes are one object, identified by the two processes.
    let holder = |inode: &u64| held.sockets.get(inode).map(|pid| process(root, *pid));
    let mut pairs: BTreeMap<(Option<u32>, Option<u32>), u64> = BTreeMap::new();
    for queue in &queues {
        let pid = |inode: &u64| held.sockets.get(inode).copied();
        let bytes = pairs.entry((queue.reader.as_ref().and_then(pid), pid(&queue.writer))).or_default();
        *bytes = bytes.saturating_add(queue.bytes);
    }
    let number = |reader: Option<u32>, writer: Option<u32>| {
        u64::from(reader.unwrap_or(0)) << 32 | u64::from(writer.unwrap_or(0))
    };
    for ((reader, writer), bytes) in pairs {
        let id = ObjectId { kind: ObjectKind::UnixSocket, device: 0, number: number(reader, writer) };
        let mut object = MemoryObject::new(id, bytes, b"unread in unix sockets".to_vec());
        object.holder = reader.map(|pid| process(root, pid));
        object.writer = writer.map(|pid| process(root, pid));
        found.insert(id, object);
    }
    let mut add = |kind, name: &[u8], inode: u64, bytes: u64| {
        let holder = holder(&inode);
        let pid = holder.as_ref().map_or(0, |holder| holder.pid);
        let id = ObjectId { kind, device: 0, number: pid.into() };
        let object = found.entry(id).or_insert_with(|| MemoryObject::new(id, 0, name.to_vec()));
        object.bytes = object.bytes.saturating_add(bytes);
        object.holder = holder;
    };
    rings
        .iter()
        .for_each(|(inode, bytes)| add(ObjectKind::PacketRing, b"rings of packet sockets", *inode, *bytes));
    datagrams
        .iter()
        .for_each(|(inode, bytes)| add(ObjectKind::UdpSocket, b"unread in UDP sockets", *inode, *bytes));
    let mut mapped = MappedFiles::default();
    let mut text = Text::default();
    process_folders(root).for_each(|folder| mapped.read(&mut text, &folder));
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
    for object in found.values_mut() {
        let pid = object.holder.as_ref().or(object.writer.as_ref()).map(|process| process.pid);
        let group = pid.and_then(|pid| fs::read(root.join(format!("proc/{pid}/cgroup"))).ok());
        object.cgroup = group.and_then(|lines| memory_group(&lines));
    }
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

/// UDP sockets with unread bytes: inode, bytes.
fn udp_queues(root: &Path) -> Vec<(u64, u64)> {
    let of = |file: &str| fs::read_to_string(root.join("proc/net").join(file)).unwrap_or_default();
    ["udp", "udp6", "udplite", "udplite6"]
        .iter()
        .flat_map(|file| of(file).lines().skip(1).filter_map(udp_queue).collect::<Vec<_>>())
        .filter(|(_, bytes)| *bytes >= LEAST / 16)
        .collect()
}

/// One line: number, addresses, state, `sent:received` in hexadecimal, …; the inode is the tenth word.
fn udp_queue(line: &str) -> Option<(u64, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (_, received) = words.get(4)?.split_once(':')?;
    Some((words.get(9)?.parse().ok()?, u64::from_str_radix(received, 16).ok()?))
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
    fn unread_datagrams_are_counted_by_inode() {
        let line = " 1370: 0100007F:3039 00000000:0000 07 00000000:00033C00 00:00000000 00000000     0        0 700123 2 0000 0";
        assert_eq!(udp_queue(line), Some((700_123, 0x33C00)));
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
