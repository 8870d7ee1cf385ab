//! Unlinked files that an indirect holder holds: an io_uring instance that they are registered with, a unix socket in
//! which they are in flight, an overlay file that stores its data in them. A descriptor refers to the indirect
//! holder.
//!
//! The lists are read without their locks, and an entry can change meanwhile. So a file counts only if it leads to a
//! superblock with a valid root. Of each io_uring instance and each socket, 128 files are reported. `inode_list`
//! finds the others, and files in a socket that is in flight itself.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use observer_common::disk::{HELD_RING, HELD_SOCKET, HeldRecord, InodeId};
use observer_ebpf::{
    iterator,
    iterator::{Seq, repeat},
    read::{exists, load, pointer},
    task,
};

use crate::{
    CONTROL_FILES, DENTRY_NAME, FILE_DENTRY, FILE_FLAGS, FILE_INODE, FILE_MODE, FILE_PRIVATE, FILES_COUNT,
    FILES_FIRST, INODE_BLOCKS, INODE_GENERATION, INODE_INO, INODE_MODE, INODE_NLINK, INODE_SB, INODE_SIZE,
    KERNEL_OWN, NODE_FILE, OVERLAY, RING_FILES, RING_NODES, RING_SLOTS, S_IFMT, S_IFREG, SB_DEV, SB_FLAGS,
    SB_MAGIC, SECTOR, SK_FAMILY, SK_QUEUE, SKB_CONTROL, SKB_NEXT, SOCKET_SK, TASK_PID, WRITABLE, blocks,
    held, inode_walk::is_superblock, probe, read,
};

const S_IFSOCK: u16 = 0o140_000;
/// `ANON_INODE_FS_MAGIC`.
const ANONYMOUS: u64 = 0x0904_1934;
/// `AF_UNIX`.
const UNIX: u16 = 1;
/// The most slots of an io_uring instance, and the most steps through a socket's queue. No instance has more slots.
const SLOTS: u32 = 1 << 15;
const QUEUED: u32 = 4096;
/// The most files reported of one indirect holder: the output of one call must fit into the kernel's buffer.
const MOST: u64 = 128;
/// Flags in the lowest bits of the address of a registered file.
const SLOT_FLAGS: u64 = 7;
/// `SCM_MAX_FD`
const MOST_FILES: u64 = 253;
/// `[io_urin`: the beginning of the name of an io_uring instance's file.
const RING_NAME: u64 = u64::from_ne_bytes(*b"[io_urin");

#[map]
static INDIRECT: PerCpuArray<HeldRecord> = PerCpuArray::with_max_entries(1, 0);

/// The files of each indirect holder that a descriptor of any process refers to.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub extern "C" fn disk_indirect(context: *mut iterator::TaskFile) -> i32 {
    // SAFETY: the kernel calls with the context of this iterator; null members mark the end.
    unsafe {
        let (meta, task, file, fd) = ((*context).meta, (*context).task, (*context).file, (*context).fd);
        if task.is_null() || file.is_null() {
            return 0;
        }
        let inode = pointer(file, &FILE_INODE);
        if inode.is_null() {
            return 0;
        }
        let mode: u16 = load(inode, &INODE_MODE);
        let magic: u64 = load(pointer(inode, &INODE_SB), &SB_MAGIC);
        let Some(record) = INDIRECT.get_ptr_mut(0) else { return 0 };
        // Always 0, which the verifier does not know: a known constant would make it check each value separately.
        let zero = u64::from((*record)._pad);
        let mut holder = IndirectHolder {
            seq: (*meta).seq,
            task,
            fd: u64::from(fd),
            reported: zero,
            list: zero,
            head: zero,
            buffer: zero,
            left: zero,
        };
        if mode & S_IFMT == S_IFSOCK {
            holder.socket(file);
        } else if magic == ANONYMOUS {
            holder.ring(file);
        } else if magic == OVERLAY && load::<u32>(inode, &INODE_NLINK) == 0 {
            holder.overlay(file);
        }
    }
    0
}

/// The descriptor of an indirect holder, and where the list of its files is.
struct IndirectHolder {
    seq: Seq,
    task: *const u8,
    /// This and the following members are words of eight bytes, because the verifier follows only those through the
    /// stack.
    fd: u64,
    /// Files reported so far.
    reported: u64,
    /// The address of a list of files, or of nodes with files.
    list: u64,
    /// For a socket: the head of its queue, the next buffer, and how many files of the last one are left.
    head: u64,
    buffer: u64,
    left: u64,
}

/// Slot `slot` of an io_uring instance; 1 when enough files are reported.
unsafe extern "C" fn slot(slot: u32, holder: *mut IndirectHolder) -> i64 {
    // SAFETY: the holder is on the caller's stack, everything behind it is probed.
    unsafe {
        let holder = &mut *holder;
        let mut entry: u64 = read((holder.list + u64::from(slot) * 8) as *const u64);
        if exists(&RING_NODES) && entry != 0 {
            entry = probe(entry as *const u8, &NODE_FILE);
        }
        if entry != 0 {
            holder.report(entry & !SLOT_FLAGS, HELD_RING);
        }
        i64::from(holder.reported >= MOST)
    }
}

/// The next file, or the next buffer, of a socket's queue; 1 at its end, and when enough files are reported.
unsafe extern "C" fn queued(_: u32, holder: *mut IndirectHolder) -> i64 {
    // SAFETY: the holder is on the caller's stack, everything behind it is probed.
    unsafe {
        let holder = &mut *holder;
        if holder.left > 0 {
            holder.left -= 1;
            let entry: u64 = read((holder.list + u64::from(holder.left) * 8) as *const u64);
            holder.report(entry, HELD_SOCKET);
            return i64::from(holder.reported >= MOST);
        }
        let buffer = holder.buffer;
        if buffer == holder.head || buffer == 0 {
            return 1;
        }
        let control = buffer + u64::from(SKB_CONTROL.load());
        let files: u64 = probe(control as *const u8, &CONTROL_FILES);
        if files != 0 {
            let count = u64::from(probe::<u16>(files as *const u8, &FILES_COUNT));
            holder.left = if count > MOST_FILES { 0 } else { count };
            holder.list = files + u64::from(FILES_FIRST.load());
        }
        holder.buffer = probe(buffer as *const u8, &SKB_NEXT);
        0
    }
}

/// The inode of a possible file; null unless its superblock is valid.
#[inline(always)]
unsafe fn inode_of(file: u64) -> *const u8 {
    // SAFETY: probing faults safely.
    unsafe {
        let inode: u64 = probe(file as *const u8, &FILE_INODE);
        let superblock: u64 = probe(inode as *const u8, &INODE_SB);
        if is_superblock(superblock) { inode as *const u8 } else { core::ptr::null() }
    }
}

#[inline(always)]
pub(crate) unsafe fn probed_id(inode: *const u8, superblock: *const u8) -> InodeId {
    // SAFETY: probing faults safely.
    unsafe {
        InodeId {
            dev: probe(superblock, &SB_DEV),
            generation: probe(inode, &INODE_GENERATION),
            ino: probe(inode, &INODE_INO),
        }
    }
}

/// As [`held`], for a possible file: returns its inode and fills the record, except the holder and how it holds the
/// file. Null unless it is certainly a regular file that was deleted.
#[inline(always)]
pub(crate) unsafe fn probed(file: *const u8, record: &mut HeldRecord) -> *const u8 {
    // SAFETY: probing faults safely.
    unsafe {
        let inode = probe::<u64>(file, &FILE_INODE) as *const u8;
        let links: u32 = probe(inode, &INODE_NLINK);
        let mode: u16 = probe(inode, &INODE_MODE);
        let superblock: u64 = probe(inode, &INODE_SB);
        if links != 0 || mode & S_IFMT != S_IFREG || !is_superblock(superblock) {
            return core::ptr::null();
        }
        let superblock = superblock as *const u8;
        if probe::<u64>(superblock, &SB_FLAGS) & KERNEL_OWN != 0 {
            return core::ptr::null();
        }
        let opened: u32 = probe(file, &FILE_MODE);
        record.inode = probed_id(inode, superblock);
        record.backing = InodeId::default();
        record.size = probe(inode, &INODE_SIZE);
        record.allocated = probe::<u64>(inode, &INODE_BLOCKS) * SECTOR;
        record.magic = probe(superblock, &SB_MAGIC);
        record.flags = probe(file, &FILE_FLAGS);
        record.writable = u32::from(opened & WRITABLE != 0);
        inode
    }
}

impl IndirectHolder {
    /// Reports a possible file if it is an unlinked one.
    #[inline(always)]
    unsafe fn report(&mut self, file: u64, how: u32) {
        // SAFETY: probing faults safely, the task is the iterator's.
        unsafe {
            // The record is too large for the stack, which is shared with the caller.
            let Some(record) = INDIRECT.get_ptr_mut(0) else { return };
            let record = &mut *record;
            let inode = probed(file as *const u8, record);
            if inode.is_null() {
                return;
            }
            record.task = task::record(self.task);
            record.thread = load(self.task, &TASK_PID);
            let superblock = probe::<u64>(inode, &INODE_SB) as *const u8;
            record.allocated = blocks::of(inode, superblock, record.magic);
            if record.magic == OVERLAY {
                below(probe::<u64>(file as *const u8, &FILE_PRIVATE) as *const u8, record);
            }
            record.fd = self.fd as u32;
            record.how = how;
            iterator::write_to(self.seq, record);
            self.reported += 1;
        }
    }

    /// Reports the files that are registered with an io_uring instance.
    #[inline(always)]
    unsafe fn ring(&mut self, file: *const u8) {
        // SAFETY: the file is the iterator's, everything behind it is probed.
        unsafe {
            let dentry = pointer(file, &FILE_DENTRY);
            let name: u64 = probe(dentry, &DENTRY_NAME);
            let name: u64 = read(name as *const u64);
            if name != RING_NAME {
                return;
            }
            let ring: *const u8 = pointer(file, &FILE_PRIVATE);
            let slots: u32 = probe(ring, &RING_SLOTS);
            self.list = slot_list(ring);
            repeat(if slots < SLOTS { slots } else { SLOTS }, slot, self);
        }
    }

    /// Reports the files in flight in the queue of a unix socket.
    #[inline(always)]
    unsafe fn socket(&mut self, file: *const u8) {
        // SAFETY: the file is the iterator's, everything behind it is probed.
        unsafe {
            let socket: *const u8 = pointer(file, &FILE_PRIVATE);
            let sock = probe::<u64>(socket, &SOCKET_SK) as *const u8;
            if probe::<u16>(sock, &SK_FAMILY) != UNIX {
                return;
            }
            // The queue's head begins like a buffer, with the next buffer.
            let head = sock as u64 + u64::from(SK_QUEUE.load());
            self.head = head;
            self.buffer = probe(head as *const u8, &SKB_NEXT);
            repeat(QUEUED, queued, self);
        }
    }

    /// Reports a file of an overlay, with the file below it.
    #[inline(always)]
    unsafe fn overlay(&self, file: *const u8) {
        // SAFETY: task and file are the iterator's, everything behind them is probed.
        unsafe {
            let Some(mut record) = held(self.task, file) else { return };
            record.fd = self.fd as u32;
            below(pointer(file, &FILE_PRIVATE), &mut record);
            iterator::write_to(self.seq, &record);
        }
    }
}

/// Adds the file below an overlay's file to the record: the file with the blocks. `private` is the `private_data` of
/// the overlay's file: the address of the file below, or of a structure that begins with that address (6.13).
#[inline(always)]
unsafe fn below(private: *const u8, record: &mut HeldRecord) {
    // SAFETY: everything is probed.
    unsafe {
        let mut inode = inode_of(private as u64);
        if inode.is_null() {
            inode = inode_of(read(private.cast::<u64>()));
        }
        if !inode.is_null() {
            let superblock = probe::<u64>(inode, &INODE_SB) as *const u8;
            record.backing = probed_id(inode, superblock);
            record.allocated = blocks::of(inode, superblock, probe(superblock, &SB_MAGIC));
        }
    }
}

/// The address of the list of the files that are registered with an io_uring instance, or of the nodes with these
/// files. Kernels with another shape lack `bpf_loop`.
#[inline(always)]
unsafe fn slot_list(ring: *const u8) -> u64 {
    // SAFETY: probing faults safely.
    unsafe {
        if exists(&RING_NODES) {
            // From 6.13 on: nodes, each with its file.
            probe(ring, &RING_NODES)
        } else if exists(&RING_FILES) {
            // From 5.15 on: one flat table.
            probe(ring, &RING_FILES)
        } else {
            0
        }
    }
}
