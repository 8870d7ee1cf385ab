//! Which part of a file's blocks other files share (reflinks, snapshots), and so does not come back with the file's end.
//!
//! The filesystem is asked for the file's extents (`FIEMAP`), through a copy of the holder's own descriptor: nothing is
//! opened, so no lease is broken and nobody who watches opens is asked. Only filesystems that this machine's own kernel
//! serves are asked, which the caller sees to.
//!
//! Not known: the part of a file that is held by mappings alone, that is in more extents than are asked for, or whose
//! extents do not say how much of the disk they take (compressed ones).

use std::{os::fd::AsFd, path::Path};

use rustix::{
    fs::{AtFlags, StatxFlags, statx},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use crate::queries::{DiskQueries, FileHandle, ReachedBy, StatMode};
use observer_core::facts::{Fact, disk::DiskFact};
use observer_host::process::Clock;

/// `FS_IOC_FIEMAP` of `linux/fs.h`.
const FIEMAP: libc::c_ulong = 0xc020_660b;
/// `FIEMAP_EXTENT_LAST`, `…_ENCODED`, `…_SHARED` of `linux/fiemap.h`.
const LAST: u32 = 0x1;
const ENCODED: u32 = 0x8;
const SHARED: u32 = 0x2000;

/// Extents that one call tells of, and calls a file: a file in more pieces is not asked to its end.
const A_CALL: usize = 128;
const CALLS: usize = 8;

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Extent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved: [u64; 2],
    flags: u32,
    more: [u32; 3],
}

/// `struct fiemap`.
#[repr(C)]
struct Map {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    count: u32,
    reserved: u32,
    extents: [Extent; A_CALL],
}

/// Answers what the report asked of the blocks of single files.
pub fn answer(root: &Path, clock: Clock, wants: &DiskQueries, out: &mut Vec<Fact>) {
    out.extend(wants.extents.iter().map(|handle| {
        let bytes = ask(root, clock, handle);
        Fact::Disk(DiskFact::Shared { inode: handle.inode, bytes })
    }));
}

fn ask(root: &Path, clock: Clock, handle: &FileHandle) -> Option<u64> {
    let ReachedBy::Descriptor { thread, fd } = handle.through else { return None };
    // `PIDFD_THREAD`: before Linux 6.9 a thread that is not its process's first cannot be asked for a table of its own.
    let by_thread = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());
    let flags = if thread == handle.holder.pid() { PidfdFlags::empty() } else { by_thread };
    let process = pidfd_open(Pid::from_raw(thread.cast_signed())?, flags).ok()?;
    let file = pidfd_getfd(&process, fd.cast_signed(), PidfdGetfdFlags::empty()).ok()?;
    // Whatever the descriptor stands for by now, no server is asked: it may hang.
    let unasked = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = statx(&file, "", unasked, StatxFlags::BASIC_STATS).ok()?;
    let is_meant =
        stat.stx_nlink == 0 && (stat.stx_ino == handle.inode.ino || handle.ask == StatMode::Unnumbered);
    let folder = root.join("proc").join(handle.holder.pid().to_string());
    if !is_meant || !clock.is(&folder, handle.holder) {
        return None;
    }
    shared(&file)
}

/// Bytes of a file's blocks that other files share; `None` where its filesystem cannot say, or not of all of them.
fn shared(file: impl AsFd) -> Option<u64> {
    use std::os::fd::AsRawFd as _;
    let mut map = Map {
        start: 0,
        length: u64::MAX,
        flags: 0,
        mapped: 0,
        count: A_CALL as u32,
        reserved: 0,
        extents: [Extent::default(); A_CALL],
    };
    let mut sum = 0_u64;
    for _ in 0..CALLS {
        // SAFETY: the kernel reads the head of the map, and writes into it and as many extents as it says there are.
        let result = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), FIEMAP as _, &raw mut map) };
        if result != 0 {
            return None;
        }
        let told = map.extents.get(..map.mapped as usize)?;
        if told.iter().any(|extent| extent.flags & ENCODED != 0) {
            return None;
        }
        let shared = told.iter().filter(|extent| extent.flags & SHARED != 0);
        sum = shared.fold(sum, |sum, extent| sum.saturating_add(extent.length));
        match told.last() {
            Some(last) if last.flags & LAST == 0 => {
                map.start = last.logical.saturating_add(last.length);
                map.length = u64::MAX - map.start;
            }
            _ => return Some(sum),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_its_own_shares_nothing_and_what_is_no_file_does_not_say() {
        assert_eq!((size_of::<Extent>(), size_of::<Map>()), (56, 32 + A_CALL * 56));
        let path = std::env::temp_dir().join(format!("observer-extents-{}", std::process::id()));
        std::fs::write(&path, [1; 100_000]).unwrap();
        // A filesystem in memory has no extents.
        assert!(matches!(shared(std::fs::File::open(&path).unwrap()), Some(0) | None));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(shared(std::fs::File::open("/proc/self/stat").unwrap()), None);
    }
}
