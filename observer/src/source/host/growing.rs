//! What files that grow are and take: `statx` and the path of a file of which the kernel side told the number.
//!
//! Number and generation are a file handle on the filesystems that most machines have, so a file is found whoever wrote
//! to it, and whether it is open or not. Elsewhere it is looked for among the descriptors of who worked on it, and known
//! by its path from then on. Only filesystems that this machine's own kernel serves are asked, which the caller sees to.

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

use super::process::Clock;
use crate::{
    observation::{
        Observation, TaskId,
        disk::{DiskFact, Found, InodeId, Stat},
        process::ProcessFact,
    },
    wants::{NumberedFile, Wants},
};

/// What the kernel puts behind the path of a file without a name.
const MARK: &[u8] = b" (deleted)";

/// So many descriptors of a process are looked at for one that leads to a file.
const DESCRIPTORS: usize = 4096;

/// Answers what the report asked of files that grow, and of those who make them grow.
pub fn answer(root: &Path, wants: &Wants, out: &mut Vec<Observation>) {
    if !wants.growing.is_empty() {
        let mut seeker =
            Seeker { root, clock: Clock::of(root), mounts: HashMap::new(), descriptors: HashMap::new() };
        out.extend(wants.growing.iter().map(|file| {
            let found = seeker.find(file);
            Observation::Disk(DiskFact::Found { inode: file.inode, found })
        }));
        // Space that is read after the files adds up with them.
        super::disk::space(root, out);
    }
    if !wants.alive.is_empty() {
        let (clock, processes) = (Clock::of(root), root.join("proc"));
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let at = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
        let ended = wants.alive.iter().filter(|id| !clock.is(&processes.join(id.pid().to_string()), **id));
        out.extend(ended.map(|id| Observation::Process(ProcessFact::Ended { id: *id, at })));
    }
}

/// What all files of one answer are looked for with.
struct Seeker<'a> {
    root: &'a Path,
    clock: Clock,
    /// A descriptor of each mount by its point.
    mounts: HashMap<Vec<u8>, Option<OwnedFd>>,
    /// What the descriptors of each process lead to.
    descriptors: HashMap<TaskId, Vec<(PathBuf, Vec<u8>)>>,
}

/// Why a handle leads nowhere.
enum Failure {
    /// The file is freed.
    Gone,
    /// Handles are not for this filesystem, or this user.
    Unreached,
}

impl Seeker<'_> {
    fn find(&mut self, file: &NumberedFile) -> Found {
        if let Some(path) = &file.path
            && let Some(stat) = self.at(path, file)
        {
            return Found::File { stat: numbers(&stat), path: Some(path.clone()) };
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

    /// The file at `path`, if it is the one that is meant.
    fn at(&self, path: &[u8], file: &NumberedFile) -> Option<Statx> {
        let path = self.root.join(OsStr::from_bytes(path.strip_prefix(b"/")?));
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = rustix::fs::statx(CWD, path, flags, StatxFlags::BASIC_STATS).ok()?;
        is(&stat, file).then_some(stat)
    }

    fn by_handle(&mut self, file: &NumberedFile) -> Result<Found, Failure> {
        let root = self.root;
        let mount = self.mounts.entry(file.mount.clone()).or_insert_with(|| {
            let point = root.join(OsStr::from_bytes(file.mount.strip_prefix(b"/")?));
            rustix::fs::open(point, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
        });
        let mount = mount.as_ref().ok_or(Failure::Unreached)?;
        let opened = open_by_handle(mount, file.inode)?;
        let stat = rustix::fs::statx(&opened, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
        let stat = stat.ok().filter(|stat| is(stat, file)).ok_or(Failure::Unreached)?;
        let link = self.root.join(format!("proc/self/fd/{}", opened.as_raw_fd()));
        let path = fs::read_link(link).ok().map(|path| path.into_os_string().into_encoded_bytes());
        let path = path.and_then(|path| self.believed(path, &stat, file));
        Ok(Found::File { stat: numbers(&stat), path })
    }

    /// A path that the kernel gave, if it leads to the file, or is the last that it had.
    fn believed(&self, path: Vec<u8>, stat: &Statx, file: &NumberedFile) -> Option<Vec<u8>> {
        if stat.stx_nlink == 0 {
            return Some(path.strip_suffix(MARK)?.to_vec());
        }
        // What is not in the cache of names has none; what lies outside this mount is not reached by its path.
        self.at(&path, file).map(|_| path)
    }

    fn by_descriptor(&mut self, file: &NumberedFile) -> Option<Found> {
        for worker in &file.workers {
            let (root, clock) = (self.root, self.clock);
            let descriptors =
                self.descriptors.entry(*worker).or_insert_with(|| descriptors(root, clock, *worker));
            // Nothing is asked of what lies on other filesystems: it may hang.
            let below = descriptors.iter().filter(|(_, target)| {
                file.mount == b"/"
                    || target.strip_prefix(&*file.mount).is_some_and(|rest| rest.starts_with(b"/"))
            });
            for (link, target) in below.cloned().collect::<Vec<_>>() {
                let stat = rustix::fs::statx(CWD, &link, AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS);
                let Some(stat) = stat.ok().filter(|stat| is(stat, file)) else { continue };
                let path = self.believed(target, &stat, file);
                return Some(Found::File { stat: numbers(&stat), path });
            }
        }
        None
    }
}

/// The links of a process's descriptors, and where they lead.
fn descriptors(root: &Path, clock: Clock, id: TaskId) -> Vec<(PathBuf, Vec<u8>)> {
    let process = root.join("proc").join(id.pid().to_string());
    let Ok(entries) = fs::read_dir(process.join("fd")) else { return Vec::new() };
    let links = entries.flatten().take(DESCRIPTORS).filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?.into_os_string().into_encoded_bytes();
        target.starts_with(b"/").then(|| (entry.path(), target))
    });
    let links = links.collect();
    if clock.is(&process, id) { links } else { Vec::new() }
}

fn is(stat: &Statx, file: &NumberedFile) -> bool {
    let same_device = (stat.stx_dev_major, stat.stx_dev_minor) == (file.inode.major(), file.inode.minor());
    stat.stx_ino == file.inode.ino && (same_device || !file.is_numbered)
}

fn numbers(stat: &Statx) -> Stat {
    // Blocks are counted in sectors of 512 bytes, whatever the filesystem's own are.
    Stat { size: stat.stx_size, allocated: stat.stx_blocks * 512 }
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
    // SAFETY: the handle lives through the call and is as long as it says; the result is checked before it is owned.
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

    fn numbered(path: &Path) -> NumberedFile {
        let stat = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS).unwrap();
        NumberedFile {
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
        let mut seeker =
            Seeker { root, clock: Clock::of(root), mounts: HashMap::new(), descriptors: HashMap::new() };
        let path = Some(name.as_os_str().as_bytes().to_vec());
        let file = NumberedFile { path: path.clone(), ..numbered(&name) };
        let Found::File { stat, path: found } = seeker.find(&file) else { panic!("it is there") };
        assert_eq!((stat.size, found), (5000, path));

        let other = folder.join("other");
        fs::write(&other, "another file").unwrap();
        fs::rename(&other, &name).unwrap();
        assert_eq!(seeker.find(&file), Found::Unreached, "the name is another file's by now");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn nobody_is_asked_for_a_number_that_no_handle_has() {
        let big = InodeId { ino: 1 << 32, ..InodeId::default() };
        let here = fs::File::open("/").unwrap();
        assert!(matches!(open_by_handle(here, big), Err(Failure::Unreached)));
    }
}
