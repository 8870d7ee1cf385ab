//! Which process removed the last name of a file that is held.
//!
//! Each unlink, and each rename over a file, sets the change time of the inode in the context of the process, on
//! every filesystem. Other calls set it too; the system call that the task is in distinguishes them. A live file that
//! was renamed leaves an entry that is never looked up.

use aya_ebpf::{
    helpers::{
        bpf_ktime_get_boot_ns, bpf_probe_read_kernel,
        generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
    },
    macros::{btf_tracepoint, fexit, map},
    maps::LruHashMap,
    programs::{BtfTracePointContext, FExitContext},
};
use observer_common::{
    disk::{DeletionRecord, InodeId},
    loss::Loss,
};
use observer_ebpf::{
    lost,
    read::{Direct, MemoryAccess, Probing, load, pointer},
    task::{self, TASK_FLAGS, TASK_LEADER},
};

use crate::{
    DENTRY_ALIAS, DENTRY_COUNT, DENTRY_INODE, INODE_ALIAS, INODE_GENERATION, INODE_INO, INODE_NLINK,
    INODE_SB, REGS_SYSCALL, SB_DEV, SB_MAGIC, TASK_STATUS, creation,
    growth::{EXT4, NOEXIST, meet},
    is_regular, probe,
};

/// Which process removed the last name of a held file. User space looks it up when a scan finds a new unlinked inode,
/// so only deletions since the last report matter, and the least recently used entry may be replaced.
#[map]
pub static DELETIONS: LruHashMap<InodeId, DeletionRecord> = LruHashMap::with_max_entries(1 << 14, 0);

/// `TS_COMPAT` of `thread_info.status`: the task is in a 32-bit system call, which has other numbers.
const COMPAT: u32 = 2;
/// `PF_IO_WORKER` of `task_struct.flags`: an io_uring worker, whose registers hold no system call.
const IO_WORKER: u32 = 0x10;
/// The x32 ABI sets this bit in the number of a system call.
const X32: u64 = 0x4000_0000;

/// Whether the current task is an io_uring worker, or polls the queue of an io_uring instance.
#[inline(always)]
pub unsafe fn is_worker() -> bool {
    // SAFETY: the current task is alive.
    unsafe { load::<u32>(task::current(), &TASK_FLAGS) & IO_WORKER != 0 }
}

/// Whether the current task may be removing a name: in unlink or rename, or as an io_uring worker.
#[inline(always)]
pub unsafe fn removes_names() -> bool {
    // SAFETY: the current task is alive, and its registers with it.
    unsafe {
        if is_worker() {
            return true;
        }
        let current = task::current();
        let registers = bpf_task_pt_regs(bpf_get_current_task_btf()) as *const u8;
        let call = load::<u64>(registers, &REGS_SYSCALL) & !X32;
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
/// This test does not work for an inode with several aliases, so such an inode counts as held.
#[inline(always)]
unsafe fn is_held(inode: *const u8) -> bool {
    // SAFETY: probe reads fault safely; the alias list is read once and not followed.
    unsafe {
        let alias: u64 = probe(inode, &INODE_ALIAS);
        if alias == 0 {
            return false;
        }
        let Ok(next) = bpf_probe_read_kernel(alias as *const u64) else { return true };
        if next != 0 {
            return true;
        }
        let dentry = alias - u64::from(DENTRY_ALIAS.load());
        let count = (dentry + u64::from(DENTRY_COUNT.load())) as *const u32;
        bpf_probe_read_kernel(count).is_ok_and(|count| count > 1)
    }
}

/// The current task may remove the last name of a regular file now.
#[inline(always)]
unsafe fn name_removed(inode: *const u8) {
    // SAFETY: the inode is BTF-typed and alive while its change time is set.
    unsafe {
        // tmpfs sets the time before it takes the link, ext4 after.
        let links: u32 = load(inode, &INODE_NLINK);
        if links > 1 || !is_regular::<Direct>(inode) || !removes_names() || !is_held(inode) {
            return;
        }
        // An io_uring worker that finds no link left may be writing to the file, so a known process stays. Probe
        // reads are acceptable, because held files are seldom deleted; before Linux 7.0 the verifier searches the
        // kernel's types by name for each pointer that is read directly.
        deleted::<Probing>(inode, if links == 0 && is_worker() { NOEXIST } else { 0 });
    }
}

/// The change time of an inode was set.
#[inline(always)]
unsafe fn changed(inode: *const u8) {
    // SAFETY: the caller passes a live inode.
    unsafe {
        creation::seen(inode);
        name_removed(inode);
    }
}

/// Remembers which process deleted `inode`, and the size from which its growth is attributed.
#[inline(always)]
unsafe fn deleted<R: MemoryAccess>(inode: *const u8, flags: u64) {
    // SAFETY: the inode is BTF-typed and alive.
    unsafe {
        let superblock = R::pointer(inode, &INODE_SB);
        let id = InodeId {
            dev: R::load(superblock, &SB_DEV),
            generation: load(inode, &INODE_GENERATION),
            ino: load(inode, &INODE_INO),
        };
        let current = R::current();
        let leader = R::pointer(current, &TASK_LEADER);
        let record = DeletionRecord {
            task: task::record_of_current::<R>(current, leader),
            at: bpf_ktime_get_boot_ns(),
        };
        if DELETIONS.insert(&id, record, flags).is_err() && flags == 0 {
            lost!(Loss::MapFull, 1);
        }
        if R::load::<u64>(superblock, &SB_MAGIC) == EXT4 && load::<u32>(inode, &INODE_NLINK) == 0 {
            meet::<Direct>(inode, EXT4, &id, false);
        }
    }
}

/// tracepoint `ctime_ns_xchg(struct inode *inode, u32 old, u32 new, u32 current)`, kernels >= 6.13: the change time
/// of an inode on ext4, xfs, btrfs and tmpfs moved. Each unlink and each rename over a file sets it.
#[btf_tracepoint(function = "ctime_ns_xchg")]
pub fn disk_changed(context: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a live inode.
    unsafe { changed(context.arg(0)) }
    0
}

/// tracepoint `ctime_xchg_skip(struct inode *inode, struct timespec64 *ctime)`: it was set to its current value.
#[btf_tracepoint(function = "ctime_xchg_skip")]
pub fn disk_unchanged(context: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a live inode.
    unsafe { changed(context.arg(0)) }
    0
}

/// tracepoint `inode_set_ctime_to_ts(struct inode *inode, struct timespec64 *ctime)`: the same on every other
/// filesystem.
#[btf_tracepoint(function = "inode_set_ctime_to_ts")]
pub fn disk_set(context: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a live inode.
    unsafe { changed(context.arg(0)) }
    0
}

/// The return of `drop_nlink(struct inode *inode)`: what unlink, and rename over a file, call on every filesystem.
#[fexit(function = "drop_nlink")]
pub fn disk_dropped_probing(context: FExitContext) -> i32 {
    // SAFETY: the argument is a live inode, and the current task has removed its link.
    unsafe {
        let inode: *const u8 = context.arg(0);
        if load::<u32>(inode, &INODE_NLINK) == 0 && is_regular::<Direct>(inode) && is_held(inode) {
            deleted::<Probing>(inode, 0);
        }
    }
    0
}

/// The same without probe reads: whether the file is held is unknown, so each file that loses its last name is
/// remembered.
#[fexit(function = "drop_nlink")]
pub fn disk_dropped(context: FExitContext) -> i32 {
    // SAFETY: as above.
    unsafe {
        let inode: *const u8 = context.arg(0);
        // A file that is created without a name (`O_TMPFILE`) loses its initial link, and was never in a directory.
        if load::<u32>(inode, &INODE_NLINK) == 0
            && is_regular::<Direct>(inode)
            && !pointer(inode, &INODE_ALIAS).is_null()
        {
            deleted::<Direct>(inode, 0);
        }
    }
    0
}

/// tracepoint `ext4_unlink_exit(struct dentry *dentry, int ret)`: needs no probe read and exists on every kernel, but
/// covers only ext4, and not a rename over a file.
#[btf_tracepoint(function = "ext4_unlink_exit")]
pub fn disk_ext4_unlink(context: BtfTracePointContext) -> i32 {
    unlinked::<Direct>(&context);
    0
}

/// The same by probe reads.
#[btf_tracepoint(function = "ext4_unlink_exit")]
pub fn disk_ext4_unlink_probing(context: BtfTracePointContext) -> i32 {
    unlinked::<Probing>(&context);
    0
}

#[inline(always)]
fn unlinked<R: MemoryAccess>(context: &BtfTracePointContext) {
    // SAFETY: the dentry is alive; its inode is not null after an unlink that succeeded.
    unsafe {
        let dentry: *const u8 = context.arg(0);
        if context.arg::<i32>(1) != 0 {
            return;
        }
        let inode = pointer(dentry, &DENTRY_INODE);
        // The look-up of unlink itself holds one reference to the name; one more is an open file or a mapping.
        if inode.is_null()
            || load::<u32>(inode, &INODE_NLINK) != 0
            || !is_regular::<Direct>(inode)
            || load::<u32>(dentry, &DENTRY_COUNT) < 2
        {
            return;
        }
        deleted::<R>(inode, 0);
    }
}
