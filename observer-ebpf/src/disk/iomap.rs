//! Growth through iomap: every write on xfs, O_DIRECT on ext4.
//!
//! `iomap_iter` runs before each part of a write and after the last one, in the context of the writing process. The
//! inode is locked if its size changes. Reads take the same path; the flags of the operation distinguish them.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use observer_ebpf::read::{Direct, load, pointer};

use crate::{
    ITER_FLAGS, ITER_INODE,
    growth::{EXT4, XFS, is_repeated, magic, superblock, works_on},
    is_regular,
};

/// `IOMAP_WRITE` and `IOMAP_ZERO`.
const CHANGES: u32 = 1 | 2;

/// tracepoint `iomap_iter(struct iomap_iter *iter, const void *ops, unsigned long caller)`, kernels >= 5.15
#[btf_tracepoint(function = "iomap_iter")]
pub fn disk_iomap(context: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a live iterator, and its inode is held by the operation.
    unsafe {
        let iter: *const u8 = context.arg(0);
        if load::<u32>(iter, &ITER_FLAGS) & CHANGES == 0 {
            return 0;
        }
        let inode = pointer(iter, &ITER_INODE);
        let superblock = superblock::<Direct>(inode);
        if !is_regular::<Direct>(inode) || !matches!(magic::<Direct>(superblock), EXT4 | XFS) {
            return 0;
        }
        if !is_repeated::<Direct>(inode) {
            works_on::<Direct>(inode, superblock, true, true);
        }
    }
    0
}
