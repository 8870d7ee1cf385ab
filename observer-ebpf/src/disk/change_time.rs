//! Which processes work on files of filesystems that do not report each write.
//!
//! The change time of an inode moves in the context of the writing process, before the data, once per clock tick. A
//! page of a file becomes dirty in the context of the process that wrote it. Either event means that this process
//! works on the file, and neither excludes others. On tmpfs the growth of writers that take turns is known by it; where
//! they write at once, and elsewhere, the bytes of each are unknown.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use observer_common::disk::{EXACT, TURNS};
use observer_ebpf::read::{Direct, MemoryAccess, Probing, exists, load};

use crate::{
    INODE_GENERATION, ITER_INODE, KERNEL_OWN, OVERLAY, SB_FLAGS,
    deletion::{is_worker, removes_names},
    growth::{EXT4, TMPFS, XFS, is_repeated, magic, superblock, works_with},
    is_regular,
};

// What is written to an overlay is written to the filesystem below it, and reported there.

// Files of these take no space, and reading a folder creates an inode, with a change time, for each entry.
/// `PROC_SUPER_MAGIC`.
const PROC: u64 = 0x9fa0;
/// `SYSFS_MAGIC`.
const SYSFS: u64 = 0x6265_6572;
/// `CGROUP_SUPER_MAGIC` and `CGROUP2_SUPER_MAGIC`.
const CGROUPS_V1: u64 = 0x0027_e0eb;
const CGROUPS_V2: u64 = 0x6367_7270;
/// `I_DIRTY_PAGES`: reads make an inode dirty too, by its access time, but none of its pages.
const PAGES: i32 = 4;

#[inline(always)]
unsafe fn worked_on<R: MemoryAccess>(inode: *const u8, superblock: *const u8, magic: u64) {
    // SAFETY: the caller passes a live inode and its superblock.
    unsafe {
        if !is_regular::<Direct>(inode)
            || matches!(magic, EXT4 | OVERLAY | PROC | SYSFS | CGROUPS_V1 | CGROUPS_V2)
        {
            return;
        }
        if load::<u64>(superblock, &SB_FLAGS) & KERNEL_OWN != 0 {
            return;
        }
        // On tmpfs there is at most one event per tick, so every one counts.
        if magic == TMPFS || !is_repeated::<R>(inode) {
            let events = match magic {
                TMPFS => TURNS,
                // iomap reports each write to a file of xfs, where it exists.
                XFS if exists(&ITER_INODE) => EXACT,
                _ => 0,
            };
            works_with::<R>(inode, superblock, true, events);
        }
    }
}

/// The change time moved. If only the name was removed, the process did not work on the file. What an io_uring worker
/// does is unknown, so it counts as work: if it removed a name, one more process seems to work on the file, with a
/// growth of 0.
#[inline(always)]
unsafe fn changed(inode: *const u8) {
    // SAFETY: the caller passes a live inode.
    unsafe {
        let superblock = superblock::<Direct>(inode);
        let magic = magic::<Direct>(superblock);
        // On tmpfs a new inode has a change time before it has its generation: see `creation`.
        if magic == TMPFS && load::<u32>(inode, &INODE_GENERATION) == 0 {
            return;
        }
        if magic != EXT4 && (is_worker() || !removes_names()) {
            worked_on::<Direct>(inode, superblock, magic);
        }
    }
}

/// tracepoint `ctime_ns_xchg(struct inode *inode, u32 old, u32 new, u32 current)`, kernels >= 6.13: on ext4, xfs,
/// btrfs and tmpfs
#[btf_tracepoint(function = "ctime_ns_xchg")]
pub fn disk_change_time(context: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a live inode.
    unsafe { changed(context.arg(0)) }
    0
}

/// tracepoint `inode_set_ctime_to_ts(struct inode *inode, struct timespec64 *ctime)`: the same on every other
/// filesystem.
#[btf_tracepoint(function = "inode_set_ctime_to_ts")]
pub fn disk_change_time_set(context: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a live inode.
    unsafe { changed(context.arg(0)) }
    0
}

/// tracepoint `writeback_mark_inode_dirty(struct inode *inode, int flags)`
#[btf_tracepoint(function = "writeback_mark_inode_dirty")]
pub fn disk_dirty_pages(context: BtfTracePointContext) -> i32 {
    dirty_pages::<Direct>(&context);
    0
}

/// The same by probe reads.
#[btf_tracepoint(function = "writeback_mark_inode_dirty")]
pub fn disk_dirty_pages_probing(context: BtfTracePointContext) -> i32 {
    dirty_pages::<Probing>(&context);
    0
}

#[inline(always)]
fn dirty_pages<R: MemoryAccess>(context: &BtfTracePointContext) {
    // SAFETY: the first argument is a live inode.
    unsafe {
        if context.arg::<i32>(1) & PAGES != 0 {
            let inode = context.arg(0);
            let superblock = superblock::<Direct>(inode);
            worked_on::<R>(inode, superblock, magic::<Direct>(superblock));
        }
    }
}
