//! The kernel side of the disk domain: who holds a file that no directory names any more, who deleted it, who writes.
//!
//! Sizes are the inode's own, read by iterators; events only say who and when.
#![no_std]
#![no_main]
#![cfg(target_arch = "bpf")]

use aya_ebpf::{
    helpers::{
        bpf_ktime_get_boot_ns, bpf_probe_read_kernel,
        generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
    },
    macros::{btf_tracepoint, map},
    maps::{HashMap, LruHashMap},
    programs::BtfTracePointContext,
};
use observer_common::{
    disk::{DeletionRecord, HeldRecord, InodeId, WROTE, WriterKey, WriterRecord, WriterTotal, WroteRecord},
    disk_fields,
    loss::Loss,
};
use observer_ebpf::{
    emit, fields_as_globals, iterator,
    read::{load, pointer},
    task::{self, TASK_FLAGS, TASK_LEADER},
};

disk_fields!(fields_as_globals);

/// `BPF_F_NO_PREALLOC`: few entries are expected, many are possible.
const NO_PREALLOC: u32 = 1;
/// `BPF_NOEXIST` of a map update.
const NOEXIST: u64 = 1;

/// The size of each nameless ext4 file when its growth was last ascribed. Entries are made by the iterators, by the
/// deletion or by the first event, and leave when the inode is freed.
#[map]
static SIZES: HashMap<InodeId, u64> = HashMap::with_max_entries(1 << 17, NO_PREALLOC);

/// Who made which file grow by how much. Cumulative; user space takes an entry away once the inode is gone.
#[map]
static WRITTEN: HashMap<WriterKey, WriterTotal> = HashMap::with_max_entries(1 << 17, NO_PREALLOC);

/// Who took the last name from a held file. Looked up by user space when a pass shows an inode that it did not know, so
/// only deletions of the last interval matter and the least recently used may go.
#[map]
static DELETIONS: LruHashMap<InodeId, DeletionRecord> = LruHashMap::with_max_entries(1 << 14, 0);

const S_IFMT: u16 = 0o170_000;
const S_IFREG: u16 = 0o100_000;
/// `FMODE_WRITE` of `file.f_mode`.
const WRITABLE: u32 = 2;
/// `SB_KERNMOUNT` and `SB_NOUSER`: superblocks that the kernel made for itself. memfd, System V shared memory and
/// shared anonymous memory live there with no link by birth: nobody deleted them.
const KERNEL_OWN: u64 = (1 << 22) | (1 << 31);
/// `EXT4_SUPER_MAGIC`.
const EXT4: u64 = 0xef53;
/// `i_blocks` counts in sectors.
const SECTOR: u64 = 512;

/// The identity of `inode`.
#[inline(always)]
unsafe fn inode_id(inode: *const u8) -> InodeId {
    // SAFETY: the caller passes a BTF-typed inode; an inode's superblock outlives it.
    unsafe {
        InodeId {
            dev: load(pointer(inode, &INODE_SB), &SB_DEV),
            generation: load(inode, &INODE_GENERATION),
            ino: load(inode, &INODE_INO),
        }
    }
}

#[inline(always)]
unsafe fn is_regular(inode: *const u8) -> bool {
    // SAFETY: the caller passes a BTF-typed inode.
    unsafe { load::<u16>(inode, &INODE_MODE) & S_IFMT == S_IFREG }
}

/// What a holder record says of `file`; `None` unless it is a regular file without a name that somebody deleted.
#[inline(always)]
unsafe fn held(task: *const u8, file: *const u8) -> Option<HeldRecord> {
    // SAFETY: task and file are BTF-typed and were handed out by an iterator, which holds them.
    unsafe {
        let inode = pointer(file, &FILE_INODE);
        if inode.is_null() || load::<u32>(inode, &INODE_NLINK) != 0 || !is_regular(inode) {
            return None;
        }
        let superblock = pointer(inode, &INODE_SB);
        if load::<u64>(superblock, &SB_FLAGS) & KERNEL_OWN != 0 {
            return None;
        }
        let mode: u32 = load(file, &FILE_MODE);
        let record = HeldRecord {
            task: task::record(task),
            inode: inode_id(inode),
            size: load(inode, &INODE_SIZE),
            allocated: load::<u64>(inode, &INODE_BLOCKS) * SECTOR,
            magic: load(superblock, &SB_MAGIC),
            thread: load(task, &TASK_PID),
            flags: load(file, &FILE_FLAGS),
            writable: u32::from(mode & WRITABLE != 0),
            ..HeldRecord::default()
        };
        Some(record)
    }
}

/// The size from which the growth of a file is ascribed from now on, where nobody knew it yet.
#[inline(always)]
fn know_size(inode: &InodeId, size: u64) {
    // Already there is as good; no room is counted, and the growth that is not ascribed where it happens.
    const EXISTS: i32 = -17;
    match SIZES.insert(inode, size, NOEXIST) {
        Ok(()) | Err(EXISTS) => {}
        Err(_) => emit::count(Loss::MapFull, 1),
    }
}

/// Every descriptor of every process (and of every thread that has a table of its own).
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub extern "C" fn disk_file(context: *mut iterator::TaskFile) -> i32 {
    // SAFETY: the kernel calls with the context of this iterator; null members mark the end.
    unsafe {
        let (meta, task, file, fd) = ((*context).meta, (*context).task, (*context).file, (*context).fd);
        if task.is_null() || file.is_null() {
            return 0;
        }
        let Some(mut record) = held(task, file) else { return 0 };
        record.fd = fd;
        if record.magic == EXT4 {
            know_size(&record.inode, record.size);
        }
        iterator::write(meta, &record);
    }
    0
}

/// Every mapping of every process: a file stays while it is mapped, whether a descriptor is open or not.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_vma")]
pub extern "C" fn disk_mapping(context: *mut iterator::TaskVma) -> i32 {
    // SAFETY: the kernel calls with the context of this iterator; null members mark the end.
    unsafe {
        let (meta, task, vma) = ((*context).meta, (*context).task, (*context).vma);
        if task.is_null() || vma.is_null() {
            return 0;
        }
        let file = pointer(vma, &VMA_FILE);
        if file.is_null() {
            return 0;
        }
        let Some(mut record) = held(task, file) else { return 0 };
        record.start = load(vma, &VMA_START);
        record.end = load(vma, &VMA_END);
        if record.magic == EXT4 {
            know_size(&record.inode, record.size);
        }
        iterator::write(meta, &record);
    }
    0
}

/// Bytes written of every thread; the leader's record carries what ended threads of its process wrote.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn disk_task(context: *mut iterator::Task) -> i32 {
    // SAFETY: the kernel calls with the context of this iterator; a null task marks the end.
    unsafe {
        let (meta, task) = ((*context).meta, (*context).task);
        if task.is_null() {
            return 0;
        }
        let mut written: u64 = load(task, &TASK_WRITTEN);
        let mut cancelled: u64 = load(task, &TASK_CANCELLED);
        let thread: u32 = load(task, &TASK_PID);
        if pointer(task, &TASK_LEADER) == task {
            let signal = pointer(task, &TASK_SIGNAL);
            if !signal.is_null() {
                written += load::<u64>(signal, &SIGNAL_WRITTEN);
                cancelled += load::<u64>(signal, &SIGNAL_CANCELLED);
            }
        }
        if written == 0 && cancelled == 0 {
            return 0;
        }
        let record = WriterRecord { task: task::record(task), written, cancelled, thread: u64::from(thread) };
        iterator::write(meta, &record);
    }
    0
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
unsafe fn resized(inode: *const u8, size: u64) {
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
            grew(id, size - before);
        }
    }
}

/// A buffered write of ext4 ends: the tracepoint is before the size changes, with what was really copied.
#[inline(always)]
fn write_end(context: &BtfTracePointContext) {
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
        resized(inode, if end > size { end } else { size });
    }
}

/// tracepoint `ext4_da_write_end(struct inode *inode, loff_t pos, unsigned int len, unsigned int copied)`
#[btf_tracepoint(function = "ext4_da_write_end")]
pub fn disk_delayed_write(context: BtfTracePointContext) -> i32 {
    write_end(&context);
    0
}

/// tracepoint `ext4_write_end`: the same without delayed allocation.
#[btf_tracepoint(function = "ext4_write_end")]
pub fn disk_write(context: BtfTracePointContext) -> i32 {
    write_end(&context);
    0
}

/// tracepoint `ext4_journalled_write_end`: the same with data in the journal.
#[btf_tracepoint(function = "ext4_journalled_write_end")]
pub fn disk_journalled_write(context: BtfTracePointContext) -> i32 {
    write_end(&context);
    0
}

/// tracepoint `ext4_mark_inode_dirty(struct inode *inode, unsigned long ip)`: after the size has changed by O_DIRECT,
/// fallocate or truncate, in the context of who did it.
#[btf_tracepoint(function = "ext4_mark_inode_dirty")]
pub fn disk_dirty(context: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a live inode.
    unsafe {
        let inode: *const u8 = context.arg(0);
        if is_watched(inode) {
            resized(inode, load(inode, &INODE_SIZE));
        }
    }
    0
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
unsafe fn grew(inode: InodeId, bytes: u64) {
    // SAFETY: the current task is alive; a value's fields are plain integers.
    unsafe {
        let current = task::current();
        let key = WriterKey { inode, task: task::id(current) };
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
                task: task::record(current),
                inode,
                bytes: (*total).bytes,
            };
            emit::emit(&record);
        }
    }
}

/// `TS_COMPAT` of `thread_info.status`: the task is in a 32-bit system call, whose numbers are others.
const COMPAT: u32 = 2;
/// `PF_IO_WORKER` of `task_struct.flags`: an io_uring worker, whose registers tell of no system call.
const IO_WORKER: u32 = 0x10;

/// Whether the current task may be taking a name away: in unlink or rename, or an io_uring worker.
#[inline(always)]
unsafe fn takes_names() -> bool {
    // SAFETY: the current task is alive, and its registers with it.
    unsafe {
        let current = task::current();
        if load::<u32>(current, &TASK_FLAGS) & IO_WORKER != 0 {
            return true;
        }
        let registers = bpf_task_pt_regs(bpf_get_current_task_btf()) as *const u8;
        let call: u64 = load(registers, &REGS_SYSCALL);
        if load::<u32>(current, &TASK_STATUS) & COMPAT != 0 {
            // unlink, rename, unlinkat, renameat, renameat2 of the 32-bit table
            matches!(call, 10 | 38 | 301 | 302 | 353)
        } else {
            // rename, unlink, unlinkat, renameat, renameat2 of the 64-bit table
            matches!(call, 82 | 87 | 263 | 264 | 316)
        }
    }
}

/// Whether more than the deletion itself refers to the name of `inode`: an open file or a mapping does.
///
/// An inode with several aliases cannot be told this way, so it counts as held.
#[inline(always)]
unsafe fn is_held(inode: *const u8) -> bool {
    // SAFETY: probing reads fault safely; the alias list is read once and not followed.
    unsafe {
        let alias: *const u8 = pointer(inode, &INODE_ALIAS);
        if alias.is_null() {
            return false;
        }
        let Ok(next) = bpf_probe_read_kernel(alias.cast::<u64>()) else { return true };
        if next != 0 {
            return true;
        }
        let dentry = (alias as u64) - u64::from(DENTRY_ALIAS.load());
        let count = (dentry + u64::from(DENTRY_COUNT.load())) as *const u32;
        bpf_probe_read_kernel(count).is_ok_and(|count| count > 1)
    }
}

/// A regular file may lose its last name now, by the current task.
#[inline(always)]
unsafe fn name_taken(inode: *const u8) {
    // SAFETY: the inode is BTF-typed and alive while its change time is set.
    unsafe {
        // tmpfs sets the time before it takes the link, ext4 after.
        if load::<u32>(inode, &INODE_NLINK) > 1 || !is_regular(inode) || !takes_names() || !is_held(inode) {
            return;
        }
        deleted(inode);
    }
}

/// Remembers who deleted `inode`, and the size from which its growth is ascribed.
#[inline(always)]
unsafe fn deleted(inode: *const u8) {
    // SAFETY: the inode is BTF-typed and alive.
    unsafe {
        let id = inode_id(inode);
        let record = DeletionRecord { task: task::record(task::current()), at: bpf_ktime_get_boot_ns() };
        if DELETIONS.insert(&id, record, 0).is_err() {
            emit::count(Loss::MapFull, 1);
        }
        if load::<u64>(pointer(inode, &INODE_SB), &SB_MAGIC) == EXT4 && load::<u32>(inode, &INODE_NLINK) == 0
        {
            know_size(&id, load(inode, &INODE_SIZE));
        }
    }
}

/// tracepoint `ctime_ns_xchg(struct inode *inode, u32 old, u32 new, u32 current)`, kernels >= 6.13: the change time of an
/// inode on ext4, xfs, btrfs and tmpfs moved. Each unlink and each rename over a file sets it.
#[btf_tracepoint(function = "ctime_ns_xchg")]
pub fn disk_changed(context: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a live inode.
    unsafe { name_taken(context.arg(0)) }
    0
}

/// tracepoint `ctime_xchg_skip(struct inode *inode, struct timespec64 *ctime)`: it was set to what it was.
#[btf_tracepoint(function = "ctime_xchg_skip")]
pub fn disk_unchanged(context: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a live inode.
    unsafe { name_taken(context.arg(0)) }
    0
}

/// tracepoint `inode_set_ctime_to_ts(struct inode *inode, struct timespec64 *ctime)`: the same on every other filesystem.
#[btf_tracepoint(function = "inode_set_ctime_to_ts")]
pub fn disk_set(context: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a live inode.
    unsafe { name_taken(context.arg(0)) }
    0
}

/// tracepoint `ext4_unlink_exit(struct dentry *dentry, int ret)`: needs no probing read and exists on every kernel, tells
/// of ext4 alone and not of a rename over a file.
#[btf_tracepoint(function = "ext4_unlink_exit")]
pub fn disk_ext4_unlink(context: BtfTracePointContext) -> i32 {
    // SAFETY: the dentry is alive; its inode is not null after an unlink that succeeded.
    unsafe {
        let dentry: *const u8 = context.arg(0);
        if context.arg::<i32>(1) != 0 {
            return 0;
        }
        let inode = pointer(dentry, &DENTRY_INODE);
        // The look-up of unlink itself holds one reference to the name; one more is an open file or a mapping.
        if inode.is_null()
            || load::<u32>(inode, &INODE_NLINK) != 0
            || !is_regular(inode)
            || load::<u32>(dentry, &DENTRY_COUNT) < 2
        {
            return 0;
        }
        deleted(inode);
    }
    0
}
