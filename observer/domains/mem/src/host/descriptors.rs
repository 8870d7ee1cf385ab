//! Finds the processes that have memory objects open: one scan over the links in `/proc/PID/fd`.
//!
//! Only a pipe is queried through a copy of its descriptor: opening its link would add a reader or writer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _, unix::fs::MetadataExt as _},
    path::Path,
};

use observer_core::facts::mem::{ObjectId, ObjectKind, ObjectProcess};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// What a scan looks for, besides memfds, pipes and BPF maps.
pub(super) struct Sought {
    /// Inodes of sockets.
    pub sockets: BTreeSet<u64>,
    /// Devices of filesystems in RAM, and their mount points.
    pub devices: BTreeSet<u64>,
    pub points: Vec<Vec<u8>>,
}

/// The results of a scan. If several processes have one object, the first one is kept.
#[derive(Default)]
pub(super) struct Descriptors {
    /// Files by device and inode.
    pub files: BTreeMap<(u64, u64), u32>,
    /// Sockets by inode.
    pub sockets: BTreeMap<u64, u32>,
    /// Objects reachable only through descriptors: bytes, name, process.
    pub objects: BTreeMap<ObjectId, (u64, Vec<u8>, u32)>,
    /// Descriptors of sockets: process, descriptor.
    pub unix_like: Vec<(u32, u32)>,
    pipes: BTreeSet<u64>,
    maps: BTreeSet<u64>,
}

impl Descriptors {
    /// Adds the open files of the process with this folder.
    pub(super) fn read(&mut self, folder: &Path, sought: &Sought) {
        let number = |name: &std::ffi::OsStr| name.to_str()?.parse::<u32>().ok();
        let Some(pid) = folder.file_name().and_then(number) else { return };
        let mut pidfd = None;
        for entry in fs::read_dir(folder.join("fd")).into_iter().flatten().flatten() {
            let Some(descriptor) = number(&entry.file_name()) else { continue };
            let path = entry.path();
            let Ok(link) = fs::read_link(&path) else { continue };
            let link = link.as_os_str().as_bytes();
            if let Some(inode) = inode(link, b"socket:[") {
                self.unix_like.push((pid, descriptor));
                if sought.sockets.contains(&inode) {
                    self.sockets.entry(inode).or_insert(pid);
                }
            } else if let Some(inode) = inode(link, b"pipe:[") {
                if self.pipes.insert(inode)
                    && let Some(bytes) = pipe(&mut pidfd, pid, descriptor)
                {
                    self.add(ObjectKind::Pipe, pid, bytes, b"unread in pipes");
                }
            } else if link == b"anon_inode:bpf-map" {
                self.map(folder, pid, descriptor);
            } else if link.starts_with(b"/memfd:") {
                let Ok(metadata) = fs::metadata(&path) else { continue };
                let id = ObjectId { kind: ObjectKind::Memfd, device: metadata.dev(), number: metadata.ino() };
                let name = link.strip_suffix(b" (deleted)").unwrap_or(link);
                let name = name.strip_prefix(b"/").unwrap_or(name).to_vec();
                self.objects.entry(id).or_insert((metadata.blocks().saturating_mul(512), name, pid));
            } else if sought.points.iter().any(|point| link.starts_with(point)) {
                self.file(&path, link, pid, sought);
            }
        }
    }

    /// A file of a filesystem in RAM. An unlinked file is found only here.
    fn file(&mut self, path: &Path, link: &[u8], pid: u32, sought: &Sought) {
        let Ok(metadata) = fs::metadata(path) else { return };
        if !sought.devices.contains(&metadata.dev()) || !metadata.is_file() {
            return;
        }
        self.files.entry((metadata.dev(), metadata.ino())).or_insert(pid);
        if metadata.nlink() == 0 {
            let id = ObjectId { kind: ObjectKind::TmpfsFile, device: metadata.dev(), number: metadata.ino() };
            self.objects.entry(id).or_insert((metadata.blocks().saturating_mul(512), link.to_vec(), pid));
        }
    }

    /// A BPF map. Several descriptors of one map count once, by `map_id`.
    fn map(&mut self, folder: &Path, pid: u32, descriptor: u32) {
        let info = fs::read_to_string(folder.join(format!("fdinfo/{descriptor}"))).unwrap_or_default();
        let of = |name: &str| -> Option<u64> {
            info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        };
        if let (Some(number), Some(bytes)) = (of("map_id:"), of("memlock:"))
            && self.maps.insert(number)
        {
            self.add(ObjectKind::BpfMap, pid, bytes, b"maps of BPF programs");
        }
    }

    /// All objects of one kind and one process count as one object.
    fn add(&mut self, kind: ObjectKind, pid: u32, bytes: u64, name: &[u8]) {
        let id = ObjectId { kind, device: 0, number: pid.into() };
        let (sum, _, _) = self.objects.entry(id).or_insert_with(|| (0, name.to_vec(), pid));
        *sum = sum.saturating_add(bytes);
    }
}

/// The process, with its name while it exists.
pub(super) fn process(root: &Path, pid: u32) -> ObjectProcess {
    let mut comm = fs::read(root.join(format!("proc/{pid}/comm"))).unwrap_or_default();
    if comm.last() == Some(&b'\n') {
        comm.pop();
    }
    ObjectProcess { pid, comm }
}

/// The inode in a link such as `pipe:[12]`.
fn inode(link: &[u8], kind: &[u8]) -> Option<u64> {
    std::str::from_utf8(link.strip_prefix(kind)?.strip_suffix(b"]")?).ok()?.parse().ok()
}

/// Unread bytes of the pipe at `descriptor` of the process.
fn pipe(pidfd: &mut Option<OwnedFd>, pid: u32, descriptor: u32) -> Option<u64> {
    if pidfd.is_none() {
        *pidfd = pidfd_open(Pid::from_raw(pid.try_into().ok()?)?, PidfdFlags::empty()).ok();
    }
    let copy = pidfd_getfd(pidfd.as_ref()?, descriptor.try_into().ok()?, PidfdGetfdFlags::empty()).ok()?;
    rustix::io::ioctl_fionread(&copy).ok()
}
