//! Which part of a file's blocks other files share (reflinks, snapshots), and so does not come back with the file's end.
//!
//! The filesystem is asked for the file's extents (`FIEMAP`), through a copy of the holder's own descriptor: nothing is
//! opened, so no lease is broken and nobody who watches opens is asked. Only filesystems that this machine's own kernel
//! serves are asked, which the caller sees to.
//!
//! Not known: the part of a file that is held by mappings alone, or that is in more extents than are asked for.

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

/// Extents that one call tells of, and calls a file: a file in more pieces is not asked to its end.
const A_CALL: usize = 128;
const CALLS: usize = 8;

/// Shared extents whose sharers are asked for, and sharers that are named.
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

/// Answers what the report asked of the blocks of single files.
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
    // `PIDFD_THREAD`: before Linux 6.9 a thread that is not its process's first cannot be asked for a table of its own.
    let by_thread = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());
    let flags = if thread == handle.holder.pid() { PidfdFlags::empty() } else { by_thread };
    let process = pidfd_open(Pid::from_raw(thread.cast_signed())?, flags).ok()?;
    pidfd_getfd(&process, fd.cast_signed(), PidfdGetfdFlags::empty()).ok()
}

fn is_meant(root: &Path, clock: Clock, handle: &FileHandle, file: &OwnedFd) -> bool {
    // Whatever the descriptor stands for by now, no server is asked: it may hang.
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

/// Bytes of extents that stay when the file is gone: those that other files share, and data in the filesystem's own
/// structures. `None` where some do not say how much of the device they take.
fn shared(extents: &[Extent]) -> Option<u64> {
    if extents.iter().any(|extent| extent.flags & ENCODED != 0) {
        return None;
    }
    let shared = extents.iter().filter(|extent| extent.flags & (SHARED | INLINE) != 0);
    Some(shared.fold(0, |sum, extent| sum.saturating_add(extent.length)))
}

/// What btrfs has about compressed extents, and about who shares them.
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

/// The extents of a file; `None` where its filesystem cannot say, or not of all of them.
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
        // SAFETY: the kernel reads the head of the map, and writes into it and as many extents as it says there are.
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
