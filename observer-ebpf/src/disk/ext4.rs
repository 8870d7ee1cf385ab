//! Growth on ext4. Its tracepoints run before every change of size, in the context of the process that makes it.
//!
//! A buffered write, fallocate, and a block for a page fault are reported before the size changes; O_DIRECT is in
//! `iomap`. Every other change of size first starts a handle of the journal (Linux 6.3), with the inode locked. If
//! another task faults in a page of a shared mapping after the event of a write and before its change of size, the write
//! is attributed to that task. The window lasts nanoseconds; no test has hit it.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use observer_ebpf::read::{Direct, MemoryAccess, Probing, load};

use crate::{
    INODE_NLINK,
    growth::{is_locked_by_current, is_repeated, superblock, works_on},
    is_regular,
};

/// Two programs on one tracepoint: by direct reads, and by probe reads for kernels before 5.11.
macro_rules! tracepoint {
    ($name:tt, $direct:ident, $probing:ident, $handler:ident) => {
        #[btf_tracepoint(function = $name)]
        pub fn $direct(context: BtfTracePointContext) -> i32 {
            // SAFETY: the first argument is a live inode.
            unsafe { $handler::<Direct>(context.arg(0)) }
            0
        }

        #[btf_tracepoint(function = $name)]
        pub fn $probing(context: BtfTracePointContext) -> i32 {
            // SAFETY: the first argument is a live inode.
            unsafe { $handler::<Probing>(context.arg(0)) }
            0
        }
    };
}

// `ext4_da_write_end(struct inode *inode, loff_t pos, unsigned int len, unsigned int copied)`
tracepoint!("ext4_da_write_end", disk_delayed_write, disk_delayed_write_probing, begins);
// The same without delayed allocation, and with data in the journal.
tracepoint!("ext4_write_end", disk_write, disk_write_probing, begins);
tracepoint!("ext4_journalled_write_end", disk_journalled_write, disk_journalled_write_probing, begins);
// `ext4_fallocate_enter(struct inode *inode, loff_t offset, loff_t len, int mode)`
tracepoint!("ext4_fallocate_enter", disk_fallocate, disk_fallocate_probing, begins);
// `ext4_da_reserve_space(struct inode *inode, …)`: a block is reserved, also by a page fault.
tracepoint!("ext4_da_reserve_space", disk_reserve, disk_reserve_probing, begins);
// `ext4_truncate_enter(struct inode *inode)`: the size is already smaller, the blocks still exist.
tracepoint!("ext4_truncate_enter", disk_truncate, disk_truncate_probing, cuts);
// `ext4_journal_start_inode(struct inode *inode, …)`: metadata is about to change.
tracepoint!("ext4_journal_start_inode", disk_journal, disk_journal_probing, changes);
// `ext4_mark_inode_dirty(struct inode *inode, unsigned long ip)`: it has changed.
tracepoint!("ext4_mark_inode_dirty", disk_dirty, disk_dirty_probing, changes);

#[inline(always)]
unsafe fn begins<R: MemoryAccess>(inode: *const u8) {
    // SAFETY: the caller passes a live inode.
    unsafe {
        if !is_repeated::<R>(inode) && is_regular::<Direct>(inode) {
            works_on::<R>(inode, superblock::<Direct>(inode), true, true);
        }
    }
}

#[inline(always)]
unsafe fn cuts<R: MemoryAccess>(inode: *const u8) {
    // SAFETY: the caller passes a live inode.
    unsafe {
        // A file that is freed is also cut to nothing, by its last holder.
        if is_regular::<Direct>(inode) {
            works_on::<R>(inode, superblock::<Direct>(inode), load::<u32>(inode, &INODE_NLINK) != 0, true);
        }
    }
}

#[inline(always)]
unsafe fn changes<R: MemoryAccess>(inode: *const u8) {
    // SAFETY: the caller passes a live inode.
    unsafe {
        // A reader marks a file dirty by its access time, without the lock.
        if is_regular::<Direct>(inode) && is_locked_by_current::<R>(inode) && !is_repeated::<R>(inode) {
            works_on::<R>(inode, superblock::<Direct>(inode), false, true);
        }
    }
}
