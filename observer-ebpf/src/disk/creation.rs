//! Which process makes which file on tmpfs.
//!
//! A small file is made and written within one tick of the kernel's clock, so its only event is that of the new inode,
//! which has no generation yet. The change time of the folder is set next, by the same task; then the file has its
//! identity, and is still empty.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::map, maps::LruHashMap};
use observer_common::disk::InodeId;
use observer_ebpf::read::{Direct, Probing, load};

use crate::{
    INODE_GENERATION, INODE_INO, INODE_SB, KERNEL_OWN, SB_DEV, SB_FLAGS,
    growth::{TMPFS, made, magic, superblock},
    is_folder, is_regular, probe,
};

/// The file that a task is making.
#[map]
static MAKING: LruHashMap<u64, Making> = LruHashMap::with_max_entries(1 << 10, 0);

#[repr(C)]
#[derive(Clone, Copy)]
struct Making {
    /// The address of its inode, and its number.
    inode: u64,
    ino: u64,
}

/// The change time of an inode was set.
#[inline(always)]
pub unsafe fn seen(inode: *const u8) {
    // SAFETY: the caller passes a live inode; probing faults safely.
    unsafe {
        let folder = is_folder(inode);
        if !folder && !(is_regular::<Direct>(inode) && load::<u32>(inode, &INODE_GENERATION) == 0) {
            return;
        }
        let superblock = superblock::<Direct>(inode);
        if magic::<Direct>(superblock) != TMPFS || load::<u64>(superblock, &SB_FLAGS) & KERNEL_OWN != 0 {
            return;
        }
        let task = bpf_get_current_pid_tgid();
        if !folder {
            let making = Making { inode: inode as u64, ino: load(inode, &INODE_INO) };
            // Without the entry, the file is known from its next event on.
            let _ = MAKING.insert(&task, making, 0);
            return;
        }
        let Some(making) = MAKING.get(&task) else { return };
        let Making { inode: address, ino } = *making;
        let _ = MAKING.remove(&task);
        let file = address as *const u8;
        let generation: u32 = probe(file, &INODE_GENERATION);
        let is_there = probe::<u64>(file, &INODE_INO) == ino
            && probe::<u64>(file, &INODE_SB) == superblock as u64
            && generation != 0;
        if is_there {
            made::<Probing>(InodeId { dev: load(superblock, &SB_DEV), generation, ino }, address, TMPFS);
        }
    }
}
