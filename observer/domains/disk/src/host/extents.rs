//! Finds the blocks of a file that other files share (reflinks, snapshots). They do not become free with the file.
//!
//! A query (`FIEMAP`) for the file's extents goes to the filesystem through a copy of the holder's own descriptor. No
//! file is opened, so no lease is broken and no monitor of opens is triggered. Only filesystems that the kernel of this
//! machine serves are queried; the caller ensures that.
//!
//! Not known: the shared part of a file that only mappings hold, or that has more extents than the limit.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, StatxFlags, statx},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use super::btrfs;
use crate::queries::{DiskQueries, FileHandle, ReachedBy, StatMode};
use observer_core::facts::{
    Fact,
    disk::{DiskFact, InodeId, Pins},
};
use observer_host::process::Clock;

/// `FS_IOC_FIEMAP` of `linux/fs.h`.
const FIEMAP: libc::c_ulong = 0xc020_660b;
/// `FIEMAP_EXTENT_LAST`, `…_ENCODED`, `…_DATA_INLINE`, `…_SHARED` of `linux/fiemap.h`.
const LAST: u32 = 0x1;
const ENCODED: u32 = 0x8;
const INLINE: u32 = 0x200;
const SHARED: u32 = 0x2000;

/// The limits of extents per call, and of calls per file: a file with more extents is not read to its end.
const A_CALL: usize = 128;
const CALLS: usize = 8;

/// The limits of shared extents with a query for their sharers, and of sharers with a name.
const SHARED_ASKED: usize = 4;
const SHARERS: usize = 4;

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

/// Answers the report's queries for the blocks of single files.
pub fn answer(root: &Path, clock: Clock, wants: &DiskQueries, out: &mut Vec<Fact>) {
    for handle in &wants.extents {
        let file = open(handle).filter(|file| is_meant(root, clock, handle, file));
        let extents = file.as_ref().and_then(extents);
        let pins = match (&file, &extents) {
            (Some(file), Some(extents)) => pins(file, handle.inode, extents),
            _ => Pins::default(),
        };
        let bytes = extents.and_then(|extents| shared(&extents));
        out.push(Fact::Disk(DiskFact::Shared { inode: handle.inode, bytes }));
        out.push(Fact::Disk(DiskFact::Pinned { inode: handle.inode, pins }));
    }
}

/// A copy of the holder's descriptor.
fn open(handle: &FileHandle) -> Option<OwnedFd> {
    let ReachedBy::Descriptor { thread, fd } = handle.through else { return None };
    // `PIDFD_THREAD`: before Linux 6.9, the descriptor table of a thread other than the first of its process cannot be
    // read.
    let by_thread = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());
    let flags = if thread == handle.holder.pid() { PidfdFlags::empty() } else { by_thread };
    let process = pidfd_open(Pid::from_raw(thread.cast_signed())?, flags).ok()?;
    pidfd_getfd(&process, fd.cast_signed(), PidfdGetfdFlags::empty()).ok()
}

fn is_meant(root: &Path, clock: Clock, handle: &FileHandle, file: &OwnedFd) -> bool {
    // The descriptor may refer to another file by now, so no server is queried: it may hang.
    let unasked = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let Ok(stat) = statx(file, "", unasked, StatxFlags::BASIC_STATS) else { return false };
    let folder = root.join("proc").join(handle.holder.pid().to_string());
    stat.stx_nlink == 0
        && (stat.stx_ino == handle.inode.ino || handle.ask == StatMode::Unnumbered)
        && clock.is(&folder, handle.holder)
}

/// Whether the data of a file is in its inode.
pub fn is_inline(handle: &FileHandle) -> bool {
    let extents = open(handle).and_then(|file| extents(&file));
    extents.is_some_and(|extents| extents.first().is_some_and(|extent| extent.flags & INLINE != 0))
}

/// Bytes of extents that remain when the file is gone: those that other files share, and data in the filesystem's own
/// structures. `None` if the size of some of them on the device is unknown.
fn shared(extents: &[Extent]) -> Option<u64> {
    if extents.iter().any(|extent| extent.flags & ENCODED != 0) {
        return None;
    }
    let shared = extents.iter().filter(|extent| extent.flags & (SHARED | INLINE) != 0);
    Some(shared.fold(0, |sum, extent| sum.saturating_add(extent.length)))
}

/// Reads from btrfs the size of compressed extents, and the files that share extents.
fn pins(file: &OwnedFd, inode: InodeId, extents: &[Extent]) -> Pins {
    let is_compressed = extents.iter().any(|extent| extent.flags & ENCODED != 0);
    let sizes = if is_compressed { btrfs::sizes(file, inode.ino) } else { None };
    let compressed = sizes.map(|sizes| {
        let own = extents.iter().filter(|extent| extent.flags & (SHARED | INLINE) == 0);
        let own: BTreeMap<u64, u64> = own
            .map(|extent| (extent.physical, sizes.get(&extent.physical).copied().unwrap_or(extent.length)))
            .collect();
        own.into_values().fold(0, u64::saturating_add)
    });
    let shared = extents.iter().filter(|extent| extent.flags & SHARED != 0);
    let mut sharers = BTreeSet::new();
    for extent in shared.take(SHARED_ASKED) {
        sharers.extend(btrfs::sharers(file, extent.physical));
    }
    Pins { compressed, sharers: sharers.into_iter().take(SHARERS).collect() }
}

/// The extents of a file; `None` if its filesystem does not report all of them.
fn extents(file: impl AsFd) -> Option<Vec<Extent>> {
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
    let mut all: Vec<Extent> = Vec::new();
    for _ in 0..CALLS {
        // SAFETY: the kernel reads the header of the map, and writes the header and at most as many extents as the
        // header says.
        let result = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), FIEMAP as _, &raw mut map) };
        if result != 0 {
            return None;
        }
        all.extend(map.extents.get(..map.mapped as usize)?);
        match all.last() {
            Some(last) if map.mapped > 0 && last.flags & LAST == 0 => {
                map.start = last.logical.saturating_add(last.length);
                map.length = u64::MAX - map.start;
            }
            _ => return Some(all),
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
        assert!(matches!(
            extents(std::fs::File::open(&path).unwrap()).and_then(|all| shared(&all)),
            Some(0) | None
        ));
        std::fs::remove_file(&path).unwrap();
        assert!(extents(std::fs::File::open("/proc/self/stat").unwrap()).is_none());
    }
}
