//! What deletions free on ext4: the blocks of unlinked inodes without holders.

use aya_ebpf::{
    macros::{btf_tracepoint, map},
    maps::HashMap,
    programs::BtfTracePointContext,
};
use observer_common::{
    disk::{FREED as KIND, FreedRecord, GONE, InodeId, WriterTotal},
    loss::Loss,
};
use observer_ebpf::{
    emit, lost,
    read::{Direct, load},
};

use crate::{
    INODE_BLOCKS, INODE_NLINK, SECTOR,
    growth::{FILES, NO_PREALLOC, NOEXIST, superblock},
    inode_id,
};

/// Bytes freed by device, of inodes that are not in `FILES`.
#[map]
pub static FREED: HashMap<u64, WriterTotal> = HashMap::with_max_entries(1 << 10, NO_PREALLOC);

/// tracepoint `ext4_evict_inode(struct inode *inode)`: the inode leaves memory, and the disk if it is unlinked; its
/// blocks still exist.
#[btf_tracepoint(function = "ext4_evict_inode")]
pub fn disk_evict(context: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is an inode without other references; values of maps are plain integers.
    unsafe {
        let inode: *const u8 = context.arg(0);
        if load::<u32>(inode, &INODE_NLINK) != 0 {
            return 0;
        }
        let id = inode_id::<Direct>(inode, superblock::<Direct>(inode));
        if let Some(total) = FILES.get_ptr_mut(&id) {
            (*total).flags |= GONE;
            announce(id);
            return 0;
        }
        let bytes = load::<u64>(inode, &INODE_BLOCKS) * SECTOR;
        if bytes > 0 {
            freed(id.dev, bytes);
        }
    }
    0
}

#[inline(always)]
unsafe fn freed(dev: u32, bytes: u64) {
    let key = u64::from(dev);
    if FREED.get_ptr_mut(&key).is_none() {
        let _ = FREED.insert(&key, WriterTotal::default(), NOEXIST);
    }
    let Some(total) = FREED.get_ptr_mut(&key) else {
        lost!(Loss::MapFull, 1);
        return;
    };
    // SAFETY: a map's value; the addition is atomic, because any CPU may free.
    unsafe {
        observer_ebpf::atomic::add(&raw mut (*total).bytes, bytes);
        let epoch = u64::from(emit::epoch()) + 1;
        if (*total).epoch != epoch {
            (*total).epoch = epoch;
            announce(InodeId { dev, ..InodeId::default() });
        }
    }
}

#[inline(always)]
fn announce(inode: InodeId) {
    emit::emit(&FreedRecord { header: emit::header::<FreedRecord>(KIND), inode });
}
