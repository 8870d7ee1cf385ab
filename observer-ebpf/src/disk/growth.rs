//! Who makes a nameless file of ext4 grow.
//!
//! The size of the inode at each event, less its size at the last one, is the work of the task that runs: extending
//! writers of one inode exclude each other. A buffered write is told of before the size changes, everything else after.
//! A page fault in a shared mapping may look at the size amid another task's write, and would be ascribed what that one
//! has added so far: a matter of nanoseconds, not met in tests.

use aya_ebpf::{
    macros::{btf_tracepoint, map},
    maps::HashMap,
    programs::BtfTracePointContext,
};
use observer_common::{
    disk::{InodeId, WROTE, WriterKey, WriterTotal, WroteRecord},
    loss::Loss,
};
use observer_ebpf::{
    emit,
    read::{Direct, Probing, Reader, load},
    task,
};

use crate::{INODE_NLINK, INODE_SIZE, inode_id, is_regular};

/// `BPF_F_NO_PREALLOC`: few entries are expected, many are possible.
const NO_PREALLOC: u32 = 1;
/// `BPF_NOEXIST` of a map update.
pub const NOEXIST: u64 = 1;

/// The size of each nameless ext4 file when its growth was last ascribed. Entries are made by the iterators, by the
/// deletion or by the first event, and leave when the inode is freed.
#[map]
static SIZES: HashMap<InodeId, u64> = HashMap::with_max_entries(1 << 17, NO_PREALLOC);

/// Who made which file grow by how much. Cumulative; user space takes an entry away once the inode is gone.
#[map]
static WRITTEN: HashMap<WriterKey, WriterTotal> = HashMap::with_max_entries(1 << 17, NO_PREALLOC);

/// `EXT4_SUPER_MAGIC`.
pub const EXT4: u64 = 0xef53;
/// The size from which the growth of a file is ascribed from now on, where nobody knew it yet.
#[inline(always)]
pub fn know_size(inode: &InodeId, size: u64) {
    // Already there is as good; no room is counted, and the growth that is not ascribed where it happens.
    const EXISTS: i32 = -17;
    match SIZES.insert(inode, size, NOEXIST) {
        Ok(()) | Err(EXISTS) => {}
        Err(_) => emit::count(Loss::MapFull, 1),
    }
}

/// Whether growth of `inode`, an inode of ext4, is ascribed: a regular file without a name.
#[inline(always)]
unsafe fn is_watched(inode: *const u8) -> bool {
    // SAFETY: the caller passes a BTF-typed inode.
    unsafe { load::<u32>(inode, &INODE_NLINK) == 0 && is_regular(inode) }
}

/// The size of a watched inode is `size` now, by the current task. Extending writers exclude each other, so what was
/// added since the last time is its work.
#[inline(always)]
unsafe fn resized<R: Reader>(inode: *const u8, size: u64) {
    // SAFETY: the caller passes a BTF-typed inode.
    unsafe {
        let id = inode_id(inode);
        let Some(last) = SIZES.get_ptr_mut(&id) else {
            know_size(&id, size);
            return;
        };
        let before = *last;
        if size == before {
            return;
        }
        *last = size;
        if size > before {
            grew::<R>(id, size - before);
        }
    }
}

/// A buffered write of ext4 ends: the tracepoint is before the size changes, with what was really copied.
#[inline(always)]
fn write_end<R: Reader>(context: &BtfTracePointContext) {
    // SAFETY: the first argument is a live inode.
    unsafe {
        let inode: *const u8 = context.arg(0);
        if !is_watched(inode) {
            return;
        }
        let position: u64 = context.arg(1);
        let copied: u32 = context.arg(3);
        let end = position + u64::from(copied);
        let size: u64 = load(inode, &INODE_SIZE);
        resized::<R>(inode, if end > size { end } else { size });
    }
}

/// tracepoint `ext4_da_write_end(struct inode *inode, loff_t pos, unsigned int len, unsigned int copied)`
#[btf_tracepoint(function = "ext4_da_write_end")]
pub fn disk_delayed_write(context: BtfTracePointContext) -> i32 {
    write_end::<Direct>(&context);
    0
}

/// The same by probing reads.
#[btf_tracepoint(function = "ext4_da_write_end")]
pub fn disk_delayed_write_probing(context: BtfTracePointContext) -> i32 {
    write_end::<Probing>(&context);
    0
}

/// tracepoint `ext4_write_end`: the same without delayed allocation.
#[btf_tracepoint(function = "ext4_write_end")]
pub fn disk_write(context: BtfTracePointContext) -> i32 {
    write_end::<Direct>(&context);
    0
}

/// The same by probing reads.
#[btf_tracepoint(function = "ext4_write_end")]
pub fn disk_write_probing(context: BtfTracePointContext) -> i32 {
    write_end::<Probing>(&context);
    0
}

/// tracepoint `ext4_journalled_write_end`: the same with data in the journal.
#[btf_tracepoint(function = "ext4_journalled_write_end")]
pub fn disk_journalled_write(context: BtfTracePointContext) -> i32 {
    write_end::<Direct>(&context);
    0
}

/// The same by probing reads.
#[btf_tracepoint(function = "ext4_journalled_write_end")]
pub fn disk_journalled_write_probing(context: BtfTracePointContext) -> i32 {
    write_end::<Probing>(&context);
    0
}

/// tracepoint `ext4_mark_inode_dirty(struct inode *inode, unsigned long ip)`: after the size has changed by O_DIRECT,
/// fallocate or truncate, in the context of who did it.
#[btf_tracepoint(function = "ext4_mark_inode_dirty")]
pub fn disk_dirty(context: BtfTracePointContext) -> i32 {
    dirtied::<Direct>(&context);
    0
}

/// The same by probing reads.
#[btf_tracepoint(function = "ext4_mark_inode_dirty")]
pub fn disk_dirty_probing(context: BtfTracePointContext) -> i32 {
    dirtied::<Probing>(&context);
    0
}

#[inline(always)]
fn dirtied<R: Reader>(context: &BtfTracePointContext) {
    // SAFETY: the first argument is a live inode.
    unsafe {
        let inode: *const u8 = context.arg(0);
        if is_watched(inode) {
            resized::<R>(inode, load(inode, &INODE_SIZE));
        }
    }
}

/// tracepoint `ext4_free_inode(struct inode *inode)`: nobody holds the inode any more, and its blocks are free.
#[btf_tracepoint(function = "ext4_free_inode")]
pub fn disk_free(context: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is an inode that nobody else refers to any more.
    unsafe {
        let inode: *const u8 = context.arg(0);
        if load::<u32>(inode, &INODE_NLINK) == 0 && is_regular(inode) {
            // Most freed inodes were never held without a name, and have no entry.
            let _ = SIZES.remove(inode_id(inode));
        }
    }
    0
}

/// Ascribes growth to the task that runs now, and announces it once an epoch.
#[inline(always)]
unsafe fn grew<R: Reader>(inode: InodeId, bytes: u64) {
    // SAFETY: the current task is alive; a value's fields are plain integers.
    unsafe {
        let current = R::current();
        let key = WriterKey { inode, task: task::id_by::<R>(current) };
        let total = match WRITTEN.get_ptr_mut(&key) {
            Some(total) => total,
            None => {
                let _ = WRITTEN.insert(&key, WriterTotal::default(), NOEXIST);
                match WRITTEN.get_ptr_mut(&key) {
                    Some(total) => total,
                    None => {
                        emit::count(Loss::MapFull, 1);
                        emit::count(Loss::Unattributed, bytes);
                        return;
                    }
                }
            }
        };
        (*total).bytes += bytes;
        let epoch = u64::from(emit::epoch()) + 1;
        if (*total).epoch != epoch {
            (*total).epoch = epoch;
            let record = WroteRecord {
                header: emit::header::<WroteRecord>(WROTE),
                task: task::record_by::<R>(current),
                inode,
                bytes: (*total).bytes,
            };
            emit::emit(&record);
        }
    }
}
