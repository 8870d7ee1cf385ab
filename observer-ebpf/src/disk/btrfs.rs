//! Growth on btrfs. A write marks the range that it changes in the inode's tree of extents, before the size changes and
//! with the inode locked; so do fallocate, truncation and reflinks. Readers and write-back mark ranges too, without the
//! lock.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use observer_ebpf::read::{Untyped, load, member};

use crate::{
    BTRFS_INODE, TREE_INODE, TREE_OWNER,
    growth::{is_locked_by_current, is_repeated_exactly, superblock, works_on},
    is_regular, probe,
};

/// `IO_TREE_INODE_IO` of `extent_io_tree.owner`: the tree has an inode.
const OF_INODE: u8 = 3;

/// tracepoint `btrfs_set_extent_bit(const struct extent_io_tree *tree, u64 start, u64 len, unsigned set_bits)`
#[btf_tracepoint(function = "btrfs_set_extent_bit")]
pub fn disk_btrfs_extent(context: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a live tree, in an inode if its owner says so; probing faults safely.
    unsafe {
        let tree: *const u8 = context.arg(0);
        if load::<u8>(tree, &TREE_OWNER) != OF_INODE {
            return 0;
        }
        // In a union, whose first member has another type.
        let own = probe::<u64>(tree, &TREE_INODE) as *const u8;
        let inode = member(own, &BTRFS_INODE);
        if is_locked_by_current::<Untyped>(inode)
            && is_regular::<Untyped>(inode)
            && !is_repeated_exactly::<Untyped>(inode)
        {
            works_on::<Untyped>(inode, superblock::<Untyped>(inode), true, true);
        }
    }
    0
}
