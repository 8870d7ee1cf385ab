//! Which process makes which file grow.
//!
//! The size of the inode gives the growth; events only split it among processes. An event runs before a change, in
//! the context of the process that is about to make it: the growth since the last event belongs to the process of
//! that event. Writers that make a file longer exclude each other, so no growth is attributed to another process. The
//! growth since the last event is computed by the reader of the size.
//!
//! A file that one process appends to costs little: each CPU stores for which file and process it last did the work
//! here, and while nothing else happens to the file, there is nothing to do.

use aya_ebpf::{
    helpers::bpf_ktime_get_boot_ns,
    macros::map,
    maps::{Array, HashMap, PerCpuArray},
};
use observer_common::{
    disk::{
        EXACT, FAULTED, FileTotal, GONE, InodeId, MIXED, TURNS, UNLINKED, WROTE, WriterKey, WriterTotal,
        WroteRecord,
    },
    loss::Loss,
    task::TaskId,
};
use observer_ebpf::{
    emit, lost,
    read::{MemoryAccess, exists},
    task::{self, TASK_LEADER},
};

use crate::{
    INODE_BLOCKS, INODE_GENERATION, INODE_INO, INODE_LOCKER, INODE_NLINK, INODE_SB, INODE_SIZE, SB_MAGIC,
    SECTOR, TASK_STARTED, inode_id,
};

/// `BPF_F_NO_PREALLOC`: few entries are expected, many are possible.
pub const NO_PREALLOC: u32 = 1;
/// `BPF_NOEXIST` of a map update.
pub const NOEXIST: u64 = 1;

/// Every file that a process works on, and every held unlinked file. User space removes an entry after the file is
/// freed, or long after the last event.
#[map]
pub static FILES: HashMap<InodeId, FileTotal> = HashMap::with_max_entries(1 << 17, NO_PREALLOC);

/// Growth of a file by each process that is not its owner now. Cumulative; removed with the file.
#[map]
pub static WRITTEN: HashMap<WriterKey, WriterTotal> = HashMap::with_max_entries(1 << 17, NO_PREALLOC);

/// The latest work on each CPU.
#[map]
static LATEST: PerCpuArray<Latest> = PerCpuArray::with_max_entries(1, 0);

/// One element: how often a file has changed its owner. It invalidates what the CPUs remember.
#[map]
static PASSED_ON: Array<u64> = Array::with_max_entries(1, 0);

/// Which task worked on which inode, and under which conditions.
#[repr(C)]
#[derive(Clone, Copy)]
struct Latest {
    /// Addresses, which may be reused for another inode or task: inode number and start time distinguish them.
    inode: u64,
    task: u64,
    started: u64,
    ino: u64,
    generation: u32,
    epoch: u32,
    passed_on: u64,
    dev: u32,
    /// [`EXACT`] if its event was one of those that come before every change.
    events: u32,
    /// Its size at the last event, and how many events since the work found it longer than at the event before.
    size: u64,
    appends: u64,
}

/// Two writers whose events are closer than this many nanoseconds may have written in one tick of the kernel's clock:
/// a few ticks at 100 Hz.
const APART: u64 = 30_000_000;

/// `EXT4_SUPER_MAGIC`.
pub const EXT4: u64 = 0xef53;
/// `XFS_SUPER_MAGIC`.
pub const XFS: u64 = 0x5846_5342;
/// `TMPFS_MAGIC`.
pub const TMPFS: u64 = 0x0102_1994;
/// `RWSEM_OWNER_FLAGS_MASK`: bits of the owner's address that mean something else.
const LOCK_FLAGS: u64 = 7;

/// The superblock of the inode's filesystem. Loaded once per program: before Linux 7.0 the verifier searches all
/// types of the kernel several times for each pointer that a program loads.
#[inline(always)]
pub unsafe fn superblock<R: MemoryAccess>(inode: *const u8) -> *const u8 {
    // SAFETY: the caller passes a live inode; its superblock outlives it.
    unsafe { R::entered(inode, &INODE_SB) }
}

/// The magic number of a filesystem.
#[inline(always)]
pub unsafe fn magic<R: MemoryAccess>(superblock: *const u8) -> u64 {
    // SAFETY: the caller passes an inode's superblock.
    unsafe { R::entered(superblock, &SB_MAGIC) }
}

/// Whether the current task has locked the inode for a change; reads and write-back do not lock it.
#[inline(always)]
pub unsafe fn is_locked_by_current<R: MemoryAccess>(inode: *const u8) -> bool {
    // SAFETY: the caller passes a BTF-typed inode.
    unsafe {
        !exists(&INODE_LOCKER) || R::entered::<u64>(inode, &INODE_LOCKER) & !LOCK_FLAGS == R::current() as u64
    }
}

/// Makes an entry for a file that has none. An existing entry is left as it is. If the map is full, the loss is
/// counted, and the file's size gives the growth that is not attributed.
#[inline(always)]
pub unsafe fn meet<R: MemoryAccess>(inode: *const u8, magic: u64, id: &InodeId, faulted: bool) {
    // SAFETY: the caller passes a BTF-typed inode.
    unsafe {
        let flags = unlinked_flag::<R>(inode) | if faulted { FAULTED } else { 0 };
        let allocated = R::entered::<u64>(inode, &INODE_BLOCKS) * SECTOR;
        meet_with(id, R::entered(inode, &INODE_SIZE), allocated, magic, flags);
    }
}

/// The current task has just made the file `id` at the address `inode`, on a filesystem with events of kind [`TURNS`].
#[inline(always)]
pub unsafe fn made<R: MemoryAccess>(id: InodeId, inode: u64, magic: u64) {
    // SAFETY: the current task is alive; the fields of a map's value are plain integers.
    unsafe {
        let current = R::current();
        let leader = R::pointer(current, &TASK_LEADER);
        meet_with(&id, 0, 0, magic, TURNS);
        let Some(total) = FILES.get_ptr_mut(&id) else { return };
        let total = &mut *total;
        if total.owner.tgid != 0 {
            return;
        }
        total.owner = task::id_of::<R>(current, leader);
        total.inode = inode;
        total.at = bpf_ktime_get_boot_ns();
        total.epoch = u64::from(emit::epoch()) + 1;
        emit::emit(&WroteRecord {
            header: emit::header::<WroteRecord>(WROTE),
            task: task::record_of_current::<R>(current, leader),
            inode: id,
            previous: TaskId::default(),
        });
    }
}

/// As [`meet`], given the size of the inode and the bytes of its blocks.
#[inline(always)]
pub fn meet_with(id: &InodeId, size: u64, allocated: u64, magic: u64, flags: u64) {
    const EXISTS: i32 = -17;
    let total = FileTotal {
        size,
        counted: size,
        first_size: size,
        first_blocks: allocated,
        magic,
        flags,
        ..FileTotal::default()
    };
    match FILES.insert(id, total, NOEXIST) {
        Ok(()) | Err(EXISTS) => {}
        Err(_) => lost!(Loss::MapFull, 1),
    }
}

#[inline(always)]
unsafe fn unlinked_flag<R: MemoryAccess>(inode: *const u8) -> u64 {
    // SAFETY: the caller passes a live inode.
    if unsafe { R::entered::<u32>(inode, &INODE_NLINK) } == 0 { UNLINKED } else { 0 }
}

/// Whether the latest work on this CPU was by this task on this inode, and nothing has happened since that affects
/// it.
#[inline(always)]
pub unsafe fn is_repeated<R: MemoryAccess>(inode: *const u8) -> bool {
    // SAFETY: the caller passes a BTF-typed inode, the current task is alive, and the element is this CPU's own.
    unsafe {
        let Some(latest) = LATEST.get_ptr_mut(0) else { return false };
        let latest = &mut *latest;
        let current = R::current();
        let repeated = latest.inode == inode as u64
            && latest.task == current as u64
            && latest.ino == R::entered::<u64>(inode, &INODE_INO)
            && latest.started == R::load::<u64>(current, &TASK_STARTED)
            && latest.epoch == emit::epoch()
            && latest.generation == R::entered::<u32>(inode, &INODE_GENERATION)
            && PASSED_ON.get(0).is_some_and(|passed_on| *passed_on == latest.passed_on);
        if repeated {
            let size: u64 = R::entered(inode, &INODE_SIZE);
            latest.appends += u64::from(size > latest.size);
            latest.size = size;
        }
        repeated
    }
}

/// As [`is_repeated`], and that work had an event of those that come before every change.
#[inline(always)]
pub unsafe fn is_repeated_exactly<R: MemoryAccess>(inode: *const u8) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        LATEST.get(0).is_some_and(|latest| latest.events & EXACT as u32 != 0) && is_repeated::<R>(inode)
    }
}

/// Adds the appends that this CPU has counted to their file: the next event may be about another.
#[inline(always)]
unsafe fn count_appends() {
    // SAFETY: the element is this CPU's own; the value is a map's, and the addition is atomic, because the file may
    // belong to another owner by now.
    unsafe {
        let Some(latest) = LATEST.get_ptr_mut(0) else { return };
        let latest = &mut *latest;
        if latest.appends == 0 {
            return;
        }
        let id = InodeId { dev: latest.dev, generation: latest.generation, ino: latest.ino };
        if let Some(total) = FILES.get_ptr_mut(&id) {
            observer_ebpf::atomic::add(&raw mut (*total).appends, latest.appends);
            if (*total).counted < latest.size {
                (*total).counted = latest.size;
            }
        }
        latest.appends = 0;
    }
}

/// The current task is about to work on `inode`, a regular file of `superblock`. `first`: this event may create the
/// entry of the file, because the file cannot have changed yet. `exact`: events come before every change.
#[inline(always)]
pub unsafe fn works_on<R: MemoryAccess>(inode: *const u8, superblock: *const u8, first: bool, exact: bool) {
    // SAFETY: the caller's promise.
    unsafe { works_with::<R>(inode, superblock, first, if exact { EXACT } else { 0 }) }
}

/// As [`works_on`]; `events` is what is known of the events of this filesystem: [`EXACT`], [`TURNS`] or nothing.
#[inline(always)]
pub unsafe fn works_with<R: MemoryAccess>(inode: *const u8, superblock: *const u8, first: bool, events: u64) {
    // SAFETY: the caller passes a BTF-typed inode; the fields of a map's value are plain integers.
    unsafe {
        let current = R::current();
        // Before the branches: the verifier searches for its type once per path that reaches it.
        let leader = R::pointer(current, &TASK_LEADER);
        count_appends();
        let id = inode_id::<R>(inode, superblock);
        let total = match FILES.get_ptr_mut(&id) {
            Some(total) => total,
            None if first => {
                meet::<R>(inode, magic::<R>(superblock), &id, !is_locked_by_current::<R>(inode));
                match FILES.get_ptr_mut(&id) {
                    Some(total) => total,
                    None => return,
                }
            }
            None => return,
        };
        let total = &mut *total;
        if total.flags & GONE != 0 {
            return;
        }
        let size: u64 = R::entered(inode, &INODE_SIZE);
        if size > total.size {
            total.bytes += size - total.size;
        }
        // At least one append made it longer since the last count.
        if size > total.counted {
            total.appends += 1;
        }
        total.size = size;
        total.counted = size;
        total.inode = inode as u64;
        total.flags = unlinked_flag::<R>(inode) | total.flags & (EXACT | FAULTED | TURNS | MIXED) | events;
        let runs = task::id_of::<R>(current, leader);
        let previous = total.owner;
        let passes = previous.tgid != runs.tgid || previous.start != runs.start;
        if events == TURNS {
            let now = bpf_ktime_get_boot_ns();
            // A shell makes the file that its command then writes to: it is still empty.
            if passes && size > 0 && now - total.at < APART {
                total.flags |= MIXED;
            }
            total.at = now;
        }
        if passes {
            pass_on(total, id, runs);
        }
        let epoch = emit::epoch();
        remember::<R>(inode, id.dev, current, epoch, events as u32);
        if total.epoch != u64::from(epoch) + 1 {
            total.epoch = u64::from(epoch) + 1;
            let record = WroteRecord {
                header: emit::header::<WroteRecord>(WROTE),
                task: task::record_of_current::<R>(current, leader),
                inode: id,
                previous,
            };
            emit::emit(&record);
        }
    }
}

/// Stores this work as the latest of this CPU.
#[inline(always)]
unsafe fn remember<R: MemoryAccess>(inode: *const u8, dev: u32, current: *const u8, epoch: u32, events: u32) {
    // SAFETY: as for `is_repeated`. If another task runs on this CPU between the writes, the element matches neither.
    unsafe {
        let (Some(latest), Some(passed_on)) = (LATEST.get_ptr_mut(0), PASSED_ON.get(0)) else { return };
        *latest = Latest {
            inode: inode as u64,
            task: current as u64,
            started: R::load(current, &TASK_STARTED),
            ino: R::entered(inode, &INODE_INO),
            generation: R::entered(inode, &INODE_GENERATION),
            epoch,
            passed_on: *passed_on,
            dev,
            events,
            size: R::entered(inode, &INODE_SIZE),
            appends: 0,
        };
    }
}

/// Makes the process `next` the owner.
#[inline(always)]
fn pass_on(total: &mut FileTotal, inode: InodeId, next: TaskId) {
    if total.owner.tgid != 0 {
        let key = WriterKey { inode, task: total.owner };
        let written = WriterTotal { bytes: total.bytes, epoch: total.epoch };
        if WRITTEN.insert(&key, written, 0).is_err() {
            lost!(Loss::MapFull, 1);
            lost!(Loss::Unattributed, total.bytes);
        }
    }
    let before = match WRITTEN.get_ptr(&WriterKey { inode, task: next }) {
        // SAFETY: a map's value, plain integers.
        Some(before) => unsafe { *before },
        None => WriterTotal::default(),
    };
    total.owner = next;
    total.bytes = before.bytes;
    total.epoch = before.epoch;
    if let Some(passed_on) = PASSED_ON.get_ptr_mut(0) {
        // SAFETY: a map's value; the addition is atomic, because any CPU may do it.
        unsafe { observer_ebpf::atomic::add(passed_on, 1) }
    }
}
