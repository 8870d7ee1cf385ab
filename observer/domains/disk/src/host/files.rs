//! Reads the disk domain's part of `/proc` and of filesystems: mounts, free space, and `statx` of unlinked files.
//!
//! A query to a network or FUSE filesystem hangs if its server does not answer. So such filesystems are never queried
//! for their space, and their files only for their last path, which the kernel has without the server.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, StatxFlags};

use super::extents;
use crate::queries::{DiskQueries, FileHandle, ReachedBy, StatMode};
use observer_core::facts::{
    Fact,
    disk::{Answer, DiskFact, Space, Stat},
};
use observer_host::{
    mounts::{Mounts, is_local},
    process::Clock,
};

/// The suffix that the kernel appends to the path of an unlinked file. Exactly one is removed: the name of the file
/// itself may have been `x (deleted)`.
pub(super) const MARK: &[u8] = b" (deleted)";

/// All mounts, and the space of local filesystems.
pub fn tick(root: &Path, mounts: &Mounts, out: &mut Vec<Fact>) {
    space(root, mounts, out);
    out.push(Fact::Disk(DiskFact::Mounts(mounts.all().cloned().collect())));
}

/// The space of local filesystems only.
pub fn space(root: &Path, mounts: &Mounts, out: &mut Vec<Fact>) {
    out.extend(
        spaces(root, mounts).into_iter().map(|(dev, space)| Fact::Disk(DiskFact::Space { dev, space })),
    );
}

/// Answers the report's queries for single files. A file that is gone has an empty answer.
pub fn answer(root: &Path, clock: Clock, wants: &DiskQueries, out: &mut Vec<Fact>) {
    out.extend(wants.files.iter().map(|handle| {
        let answer = ask(root, clock, handle).unwrap_or_default();
        Fact::Disk(DiskFact::Asked { inode: handle.inode, answer })
    }));
}

/// Reads the path first, then `statx`, then the holder: each later check also covers the values read before.
fn ask(root: &Path, clock: Clock, handle: &FileHandle) -> Option<Answer> {
    let link = link(root, handle);
    let path = match fs::read_link(&link) {
        // The link of a live file has no suffix: the descriptor number belongs to another file by now.
        Ok(path) => Some(path.as_os_str().as_bytes().strip_suffix(MARK)?.to_vec()),
        // The path is longer than the one page that the kernel writes; the file exists.
        Err(error)
            if error.raw_os_error() == Some(libc::ENAMETOOLONG) && handle.ask == StatMode::Everything =>
        {
            None
        }
        Err(_) => return None,
    };
    let stat = match handle.ask {
        StatMode::Path => None,
        StatMode::Everything | StatMode::Unnumbered => Some(stat(&link, handle)?),
    };
    let stat = stat.map(|stat| if handle.may_be_inline { without_inline(stat, handle) } else { stat });
    let process = root.join("proc").join(handle.holder.pid().to_string());
    clock.is(&process, handle.holder).then_some(Answer { stat, path })
}

fn link(root: &Path, handle: &FileHandle) -> PathBuf {
    root.join(match handle.through {
        ReachedBy::Descriptor { thread, fd } => format!("proc/{thread}/fd/{fd}"),
        ReachedBy::Executable => format!("proc/{}/exe", handle.holder.pid()),
        ReachedBy::Mapping { start, end } => {
            format!("proc/{}/map_files/{start:x}-{end:x}", handle.holder.pid())
        }
    })
}

/// Size and blocks; `None` if the link leads to another file by now.
fn stat(link: &Path, handle: &FileHandle) -> Option<Stat> {
    let stat = rustix::fs::statx(CWD, link, AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS).ok()?;
    // `statx` counts blocks in sectors of 512 bytes, whatever the block size of the filesystem.
    let answer = |blocks: u64| Some(Stat { size: stat.stx_size, allocated: blocks * 512 });
    let named = stat.stx_nlink > 0;
    match handle.ask {
        StatMode::Everything => {
            let found = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
            let same = found == (handle.inode.major(), handle.inode.minor(), handle.inode.ino);
            if same && !named { answer(stat.stx_blocks) } else { None }
        }
        // An overlay drops a file of its lower layer, where the file keeps its name: no space becomes free.
        StatMode::Unnumbered => answer(if named { 0 } else { stat.stx_blocks }),
        StatMode::Path => None,
    }
}

/// ext4 counts the size of a file with its data in the inode as blocks, although the file takes none.
fn without_inline(stat: Stat, handle: &FileHandle) -> Stat {
    let size = stat.size.next_multiple_of(512);
    if stat.allocated < size || stat.size == 0 || !extents::is_inline(handle) {
        return stat;
    }
    Stat { allocated: stat.allocated - size, ..stat }
}

/// The space of each local filesystem that one of its mounts makes reachable.
fn spaces(root: &Path, mounts: &Mounts) -> BTreeMap<u32, Space> {
    let mut spaces = BTreeMap::new();
    for (_, mount) in mounts.visible() {
        if !is_local(mount) || spaces.contains_key(&mount.dev) {
            continue;
        }
        let point = Path::new(OsStr::from_bytes(&mount.point));
        let Ok(point) = point.strip_prefix("/") else { continue };
        if let Some(space) = statvfs(&root.join(point)) {
            spaces.insert(mount.dev, space);
        }
    }
    spaces
}

pub(super) fn statvfs(point: &Path) -> Option<Space> {
    let stat = rustix::fs::statvfs(point).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Some(Space {
        size: bytes(stat.f_blocks),
        used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        available: bytes(stat.f_bavail),
        inodes: stat.f_files,
        inodes_used: stat.f_files.saturating_sub(stat.f_ffree),
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;
    use observer_core::facts::{TaskId, disk::InodeId};

    #[test]
    fn a_network_filesystem_is_never_asked() {
        let spaces = |text: &str| spaces(Path::new("/"), &Mounts::read(text.as_bytes()));
        let mount = |fs: &str| format!("1 0 8:1 / / rw - {fs} none rw\n");
        for remote in ["nfs4", "cifs", "fuse.sshfs", "9p", "ceph", "autofs"] {
            assert!(spaces(&mount(remote)).is_empty(), "{remote}");
        }
        assert_eq!(spaces(&mount("ext4")).len(), 1);
        let over = "2 1 0:9 / / rw - nfs4 none rw\n";
        let below = spaces(&(mount("ext4") + over));
        assert!(below.is_empty(), "what is mounted over it would be asked instead");
    }

    /// This process, as the kernel side identifies it, with the resolution of `/proc`.
    fn this_process() -> TaskId {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let ticks: u64 = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap();
        TaskId { start: ticks * 10_000_000, tgid: u64::from(std::process::id()) }
    }

    #[test]
    fn a_file_without_a_name_is_asked_through_its_holder_and_only_believed_if_it_is_the_same() {
        let folder = std::env::temp_dir().join(format!("observer-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let name = folder.join(OsStr::from_bytes(b"\xff (deleted)"));
        fs::write(&name, [1; 5000]).unwrap();
        let file = fs::File::open(&name).unwrap();
        fs::remove_file(&name).unwrap();
        fs::remove_dir(&folder).unwrap();
        let own = rustix::fs::statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).unwrap();
        let dev = own.stx_dev_major << 20 | own.stx_dev_minor;
        let handle = FileHandle {
            inode: InodeId { dev, generation: 0, ino: own.stx_ino },
            holder: this_process(),
            through: ReachedBy::Descriptor { thread: std::process::id(), fd: file.as_raw_fd() as u32 },
            ask: StatMode::Everything,
            may_be_inline: true,
        };
        let root = Path::new("/");
        let answer = ask(root, Clock::of(root), &handle).unwrap();
        assert_eq!(answer.path.as_deref(), Some(name.as_os_str().as_bytes()));
        assert_eq!(answer.stat, Some(Stat { size: 5000, allocated: own.stx_blocks * 512 }));

        let another = InodeId { ino: handle.inode.ino + 1, ..handle.inode };
        assert_eq!(ask(root, Clock::of(root), &FileHandle { inode: another, ..handle }), None);
        let earlier = TaskId { start: 10_000_000, ..handle.holder };
        assert_eq!(ask(root, Clock::of(root), &FileHandle { holder: earlier, ..handle }), None);
        let path_only = ask(root, Clock::of(root), &FileHandle { ask: StatMode::Path, ..handle }).unwrap();
        assert_eq!((path_only.stat, path_only.path), (None, answer.path));

        let live = fs::File::open("/proc/self/exe").unwrap();
        let through = ReachedBy::Descriptor { thread: std::process::id(), fd: live.as_raw_fd() as u32 };
        for question in [StatMode::Path, StatMode::Unnumbered, StatMode::Everything] {
            let handle = FileHandle { through, ask: question, ..handle };
            assert_eq!(ask(root, Clock::of(root), &handle), None, "the number is a live file's by now");
        }
    }
}
