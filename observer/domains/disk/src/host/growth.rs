//! Reads the size, blocks and path of growing files, which the kernel side identifies by inode number.
//!
//! On the most common filesystems, number and generation are a file handle. It finds the file whichever process wrote
//! to it, and whether or not it is open. On other filesystems, the file is searched among the descriptors of its
//! writers, and then found by its path. Only filesystems that the kernel of this machine serves are queried; the caller
//! ensures that.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    os::{
        fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Statx, StatxFlags};

use super::files::{MARK, space};
use crate::queries::{DiskQueries, GrowingFileQuery};
use observer_core::facts::{
    Fact, TaskId,
    disk::{DiskFact, Found, InodeId, Stat},
    process::ProcessFact,
};
use observer_host::{
    mounted::Mounted,
    mounts::Mounts,
    process::{Clock, ended},
};

/// The limit of descriptors per process that are searched for a file.
const DESCRIPTORS: usize = 4096;

/// Answers the report's queries for growing files and for the processes that write to them.
pub fn answer(root: &Path, clock: Clock, mounted: &mut Mounted, wants: &DiskQueries, out: &mut Vec<Fact>) {
    if !wants.growing.is_empty()
        && let Some(mounts) = mounted.known()
    {
        let mut seeker = GrowingFileReader::new(root, clock, mounts);
        out.extend(wants.growing.iter().map(|file| {
            let found = seeker.find(file);
            Fact::Disk(DiskFact::Found { inode: file.inode, found })
        }));
        // Space is read after the files, so that the two add up.
        space(root, mounts, out);
    }
    if !wants.alive.is_empty() {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let at = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
        let ended = ended(root, clock, wants.alive.iter().copied()).into_iter();
        out.extend(ended.map(|id| Fact::Process(ProcessFact::Ended { id, at })));
    }
}

/// The inputs for all files of one answer.
struct GrowingFileReader<'a> {
    root: &'a Path,
    clock: Clock,
    mounts: &'a Mounts,
    /// A descriptor of a mount, by device.
    opened: HashMap<u32, Option<OwnedFd>>,
    /// The targets of the descriptors of each process.
    descriptors: HashMap<TaskId, Vec<Descriptor>>,
}

/// A descriptor of a process, with a path as its target.
#[derive(Clone)]
struct Descriptor {
    link: PathBuf,
    target: Vec<u8>,
    /// The ID of the mount through which the file was opened, and the device of that mount.
    mount: u64,
    dev: u32,
}

/// The reason why a handle opens no file.
enum Failure {
    /// The file is freed.
    Gone,
    /// This filesystem has no handles, or this user may not open them.
    Unreached,
}

impl<'a> GrowingFileReader<'a> {
    fn new(root: &'a Path, clock: Clock, mounts: &'a Mounts) -> Self {
        Self { root, clock, mounts, opened: HashMap::new(), descriptors: HashMap::new() }
    }

    fn find(&mut self, file: &GrowingFileQuery) -> Found {
        if let Some(path) = &file.path
            && let Some(stat) = self.at(path, file)
        {
            return found(&stat, Some(path.clone()));
        }
        if file.has_handle {
            match self.by_handle(file) {
                Ok(found) => return found,
                Err(Failure::Gone) => return Found::Gone,
                Err(Failure::Unreached) => {}
            }
        }
        self.by_descriptor(file).unwrap_or(Found::Unreached)
    }

    /// The file at `path`, if it is the right one. A path on another filesystem is not queried: the query may hang.
    fn at(&self, path: &[u8], file: &GrowingFileQuery) -> Option<Statx> {
        if let Some(process) = process_of(path) {
            let beginning = format!("/proc/{process}/root");
            let inside = path.strip_prefix(beginning.as_bytes())?;
            let mounts = Mounts::of(&self.root.join("proc").join(process))?;
            mounts.reached_locally_at(inside).filter(|mount| mount.dev == file.inode.dev)?;
        } else {
            self.mounts.at(path).filter(|mount| mount.dev == file.inode.dev)?;
        }
        let path = self.root.join(OsStr::from_bytes(path.strip_prefix(b"/")?));
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = rustix::fs::statx(CWD, path, flags, StatxFlags::BASIC_STATS).ok()?;
        is(&stat, file).then_some(stat)
    }

    fn by_handle(&mut self, file: &GrowingFileQuery) -> Result<Found, Failure> {
        let (root, mounts) = (self.root, self.mounts);
        let opened = self.opened.entry(file.inode.dev);
        let mount = opened.or_insert_with(|| open_mount(root, mounts, file));
        let mount = mount.as_ref().ok_or(Failure::Unreached)?;
        let opened = open_by_handle(mount, file.inode)?;
        let stat = rustix::fs::statx(&opened, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
        let stat = stat.ok().filter(|stat| is(stat, file)).ok_or(Failure::Unreached)?;
        let link = self.root.join(format!("proc/self/fd/{}", opened.as_raw_fd()));
        let path = fs::read_link(link).ok().map(|path| path.into_os_string().into_encoded_bytes());
        let process = process_of(&file.mount).map(str::to_owned);
        let path = path.and_then(|path| self.believed(path, &stat, file, process));
        Ok(found(&stat, path))
    }

    /// A path from the kernel, if it leads to the file or is the last path of an unlinked file. In another mount
    /// namespace, the path goes through the root of `process` there.
    fn believed(
        &self,
        path: Vec<u8>,
        stat: &Statx,
        file: &GrowingFileQuery,
        process: Option<String>,
    ) -> Option<Vec<u8>> {
        if stat.stx_nlink == 0 {
            return Some(path.strip_suffix(MARK)?.to_vec());
        }
        // A file that is not in the name cache has no path. A path outside this mount does not lead to the file.
        if self.at(&path, file).is_some() {
            return Some(path);
        }
        let there = [format!("/proc/{}/root", process?).as_bytes(), &path].concat();
        self.at(&there, file).is_some().then_some(there)
    }

    fn by_descriptor(&mut self, file: &GrowingFileQuery) -> Option<Found> {
        for worker in &file.workers {
            let (root, clock) = (self.root, self.clock);
            let descriptors =
                self.descriptors.entry(*worker).or_insert_with(|| descriptors(root, clock, *worker));
            // Other filesystems are not queried: they may hang.
            let own = descriptors.iter().filter(|descriptor| descriptor.dev == file.inode.dev);
            for Descriptor { link, target, mount, .. } in own.cloned().collect::<Vec<_>>() {
                let flags = AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
                let asked = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
                let stat = rustix::fs::statx(CWD, &link, flags, asked).ok();
                // The descriptor number may belong to another file by now.
                let stat = stat.filter(|stat| stat.stx_mnt_id == mount && is(stat, file));
                let Some(stat) = stat else { continue };
                let path = self.believed(target, &stat, file, Some(worker.pid().to_string()));
                return Some(found(&stat, path));
            }
        }
        None
    }
}

/// The links of a process's descriptors, and their targets.
fn descriptors(root: &Path, clock: Clock, id: TaskId) -> Vec<Descriptor> {
    let process = root.join("proc").join(id.pid().to_string());
    let Some(mounts) = Mounts::of(&process) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(process.join("fd")) else { return Vec::new() };
    let links = entries.flatten().take(DESCRIPTORS).filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?.into_os_string().into_encoded_bytes();
        // Read before any query about the target: a network filesystem may hang.
        let mount = Some(entry.file_name()).filter(|_| target.starts_with(b"/"));
        let mount = mount_number(&fs::read(process.join("fdinfo").join(mount?)).ok()?)?;
        Some(Descriptor { link: entry.path(), target, mount, dev: mounts.device(mount)? })
    });
    let links = links.collect();
    if clock.is(&process, id) { links } else { Vec::new() }
}

/// The mount ID in the text of a `fdinfo` file.
fn mount_number(text: &[u8]) -> Option<u64> {
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"mnt_id:"))?;
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}

/// A mount of the file's filesystem that a path leads to: the one that is shown, otherwise any.
fn open_mount(root: &Path, mounts: &Mounts, file: &GrowingFileQuery) -> Option<OwnedFd> {
    // In another mount namespace, the mount point contains the root of a process there.
    if let Some(process) = process_of(&file.mount) {
        let theirs = Mounts::of(&root.join("proc").join(process))?;
        let point = match file.mount.strip_prefix(format!("/proc/{process}/root").as_bytes())? {
            b"" => b"/",
            point => point,
        };
        let (number, mount) = theirs.visible().find(|(_, mount)| mount.point == point)?;
        let is_meant = mount.dev == file.inode.dev && theirs.reached_locally_at(point).is_some();
        return if is_meant { open_point(root, &file.mount, number) } else { None };
    }
    let own = || mounts.visible().filter(|(_, mount)| mount.dev == file.inode.dev);
    let (number, mount) = own().find(|(_, mount)| mount.point == file.mount).or_else(|| own().next())?;
    open_point(root, &mount.point, number)
}

/// The process in `/proc/PROCESS/root/…`, a mount point in another mount namespace.
fn process_of(point: &[u8]) -> Option<&str> {
    let (process, rest) = std::str::from_utf8(point.strip_prefix(b"/proc/")?).ok()?.split_once('/')?;
    (rest == "root" || rest.starts_with("root/")).then_some(process)
}

/// The folder at `point`, if it is still the mount with the ID `number`.
fn open_point(root: &Path, point: &[u8], number: u64) -> Option<OwnedFd> {
    let point = root.join(OsStr::from_bytes(point.strip_prefix(b"/")?));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(point, flags, Mode::empty()).ok()?;
    // Another filesystem may have been mounted over it in the meantime.
    let stat = rustix::fs::statx(&opened, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    (stat.stx_mnt_id == number).then_some(opened)
}

fn is(stat: &Statx, file: &GrowingFileQuery) -> bool {
    let same_device = (stat.stx_dev_major, stat.stx_dev_minor) == (file.inode.major(), file.inode.minor());
    stat.stx_ino == file.inode.ino && (same_device || !file.is_numbered)
}

/// The answer about a file that was reached.
fn found(stat: &Statx, path: Option<Vec<u8>>) -> Found {
    // `statx` counts blocks in sectors of 512 bytes, whatever the block size of the filesystem.
    let numbers = Stat { size: stat.stx_size, allocated: stat.stx_blocks * 512 };
    if stat.stx_nlink == 0 {
        Found::Unlinked { stat: numbers, path }
    } else {
        Found::Named { stat: numbers, path }
    }
}

/// `struct file_handle` with the handle of most filesystems: `FILEID_INO32_GEN`.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    inode: u32,
    generation: u32,
}

fn open_by_handle(mount: impl AsFd, inode: InodeId) -> Result<OwnedFd, Failure> {
    let number = u32::try_from(inode.ino).map_err(|_| Failure::Unreached)?;
    let handle = Handle { bytes: 8, kind: 1, inode: number, generation: inode.generation };
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: the handle lives through the call and has the stated length; the result is checked before it is owned.
    let fd = unsafe {
        libc::syscall(libc::SYS_open_by_handle_at, mount.as_fd().as_raw_fd(), &raw const handle, flags)
    };
    if fd < 0 {
        let error = std::io::Error::last_os_error();
        let gone = matches!(error.raw_os_error(), Some(libc::ESTALE | libc::ENOENT));
        return Err(if gone { Failure::Gone } else { Failure::Unreached });
    }
    // SAFETY: the descriptor is new, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(path: &Path) -> GrowingFileQuery {
        let stat = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS).unwrap();
        GrowingFileQuery {
            inode: InodeId {
                dev: stat.stx_dev_major << 20 | stat.stx_dev_minor,
                generation: 0,
                ino: stat.stx_ino,
            },
            mount: b"/".to_vec(),
            has_handle: false,
            is_numbered: true,
            path: None,
            workers: Vec::new(),
        }
    }

    #[test]
    fn a_path_is_believed_while_it_leads_to_the_file() {
        let folder = std::env::temp_dir().join(format!("observer-growing-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let name = folder.join(OsStr::from_bytes(b"a\xff\n (deleted)"));
        fs::write(&name, [1; 5000]).unwrap();
        let root = Path::new("/");
        let mounts = Mounts::of(Path::new("/proc/self")).unwrap();
        let mut seeker = GrowingFileReader::new(root, Clock::of(root), &mounts);
        let path = Some(name.as_os_str().as_bytes().to_vec());
        let file = GrowingFileQuery { path: path.clone(), ..numbered(&name) };
        let Found::Named { stat, path: found } = seeker.find(&file) else { panic!("it is there") };
        assert_eq!((stat.size, found), (5000, path));

        let other = folder.join("other");
        fs::write(&other, "another file").unwrap();
        fs::rename(&other, &name).unwrap();
        assert_eq!(seeker.find(&file), Found::Unreached, "the name is another file's by now");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_descriptor_is_only_followed_to_the_filesystem_that_is_meant() {
        let name = std::env::temp_dir().join(format!("observer-descriptor-{}", std::process::id()));
        let held = fs::File::create(&name).unwrap();
        held.set_len(4711).unwrap();
        let own = fs::read_to_string("/proc/self/stat").unwrap();
        let ticks: u64 = own.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap();
        let worker = TaskId { start: ticks * 10_000_000, tgid: u64::from(std::process::id()) };
        let file = GrowingFileQuery { workers: vec![worker], is_numbered: false, ..numbered(&name) };
        let (root, mounts) = (Path::new("/"), Mounts::of(Path::new("/proc/self")).unwrap());
        let mut seeker = GrowingFileReader::new(root, Clock::of(root), &mounts);
        let Found::Named { stat, path } = seeker.find(&file) else { panic!("it is open") };
        assert_eq!((stat.size, path.as_deref()), (4711, Some(name.as_os_str().as_bytes())));
        // The same inode number on another filesystem, which the query also expects at `/`.
        let other = GrowingFileQuery { inode: InodeId { dev: 0xfff, ..file.inode }, ..file };
        assert_eq!(seeker.find(&other), Found::Unreached);
        fs::remove_file(&name).unwrap();
    }

    #[test]
    fn nobody_is_asked_for_a_number_that_no_handle_has() {
        let big = InodeId { ino: 1 << 32, ..InodeId::default() };
        let here = fs::File::open("/").unwrap();
        assert!(matches!(open_by_handle(here, big), Err(Failure::Unreached)));
    }
}
