//! The disk space of a file that `statx` cannot reach, read from the filesystem's own structure around the inode if
//! the types of the kernel contain it.

use observer_ebpf::read::exists;

use crate::{
    EXT4_INODE, EXT4_PROMISED, INODE_BLOCKS, SB_BLOCK_BITS, SECTOR, XFS_BLOCKS, XFS_INODE, XFS_PROMISED,
    growth::EXT4, probe,
};

/// `XFS_SUPER_MAGIC`.
const XFS: u64 = 0x5846_5342;

/// Bytes of the blocks of `inode`, delayed allocation included. On xfs the generic inode has no such number.
///
/// # Safety
/// The pointers may be anything.
#[inline(always)]
pub unsafe fn of(inode: *const u8, superblock: *const u8, magic: u64) -> u64 {
    // SAFETY: probing faults safely.
    unsafe {
        let given = probe::<u64>(inode, &INODE_BLOCKS) * SECTOR;
        let bits = u32::from(probe::<u8>(superblock, &SB_BLOCK_BITS)) & 31;
        if magic == XFS && exists(&XFS_INODE) && exists(&XFS_BLOCKS) && exists(&XFS_PROMISED) {
            let own = (inode as u64).wrapping_sub(u64::from(XFS_INODE.load())) as *const u8;
            (probe::<u64>(own, &XFS_BLOCKS) + probe::<u64>(own, &XFS_PROMISED)) << bits
        } else if magic == EXT4 && exists(&EXT4_INODE) && exists(&EXT4_PROMISED) {
            let own = (inode as u64).wrapping_sub(u64::from(EXT4_INODE.load())) as *const u8;
            given + (u64::from(probe::<u32>(own, &EXT4_PROMISED)) << bits)
        } else {
            given
        }
    }
}
