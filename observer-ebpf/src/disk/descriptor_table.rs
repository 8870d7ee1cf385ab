//! Which unlinked files processes hold by descriptors, read from the descriptor tables themselves.
//!
//! The kernel's own iterator over descriptors takes a reference to every file and returns it, under the lock of its
//! task: that costs three times as much as reading the link count. Here the tables are read without a lock, so a
//! result is checked again before it is reported: the task must still have the table, the table the file, the file
//! its inode.
//!
//! The kernel takes no more from one process than fits into its buffer. If a process holds more unlinked files than
//! that, a record says so, and user space runs the other iterator.

use aya_ebpf::{
    helpers::generated::bpf_probe_read_kernel,
    macros::map,
    maps::{Array, PerCpuArray},
};
use observer_common::disk::{HELD_DESCRIPTOR, HELD_TOO_MANY, HeldRecord, UNLINKED};
use observer_ebpf::{
    iterator,
    iterator::{Seq, repeat},
    read::{Probing, load, pointer},
    task::{self, TASK_LEADER},
};

use crate::{
    FILE_INODE, FILES_TABLE, INODE_NLINK, TABLE_FILES, TABLE_LENGTH, TABLE_OPEN, TASK_FILES, TASK_PID,
    growth::{EXT4, meet_with},
    indirect::probed,
    probe, read,
};

/// Descriptors that are checked together: one bit each of a word of the bitmap of open descriptors.
const TOGETHER: u32 = 64;
/// The most words that are checked: the most calls of `bpf_loop`.
const WORDS: u32 = 1 << 23;
/// The most descriptors that are reported of one process: the kernel's buffer has 32 KiB.
const MOST: u64 = 200;

#[repr(C)]
struct Scratch {
    record: HeldRecord,
    /// The last inode that was not unlinked: descriptors of one file are often adjacent.
    named: u64,
    slots: [u64; TOGETHER as usize],
}

#[map]
static TABLE: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// The scan in which a process held more than can be reported.
#[map]
static TOO_MANY: Array<u64> = Array::with_max_entries(1, 0);

/// The current table. Its members are words of eight bytes, because the verifier follows only those through the
/// stack.
struct Table {
    seq: Seq,
    task: *const u8,
    scratch: *mut Scratch,
    /// Addresses of the task's `files`, of the array of files, of the bitmap of open descriptors.
    files: u64,
    slots: u64,
    open: u64,
    /// The current descriptors: the number of the first, and which of them are open.
    first: u64,
    bits: u64,
    reported: u64,
    /// 1 when no more can be reported.
    full: u64,
}

/// Every descriptor of every process (and of every thread that has a table of its own).
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn disk_descriptor_table(context: *mut iterator::Task) -> i32 {
    // SAFETY: the kernel calls with the context of this iterator; a null task marks the end.
    unsafe {
        let (meta, task) = ((*context).meta, (*context).task);
        if task.is_null() {
            return 0;
        }
        let files = pointer(task, &TASK_FILES);
        if files.is_null() {
            return 0;
        }
        let leader = pointer(task, &TASK_LEADER);
        if leader != task && probe::<u64>(leader, &TASK_FILES) == files as u64 {
            return 0;
        }
        let (Some(scratch), Some(too_many)) = (TABLE.get_ptr_mut(0), TOO_MANY.get_ptr_mut(0)) else {
            return 0;
        };
        let session = (*meta).session_id;
        let table = pointer(files, &FILES_TABLE);
        if table.is_null() || *too_many == session {
            return 0;
        }
        let words = load::<u32>(table, &TABLE_LENGTH) / TOGETHER;
        // Always 0, which the verifier does not know: a known constant would make it check each value separately.
        let zero = u64::from((*scratch).record._pad);
        (*scratch).named = 0;
        let mut table = Table {
            seq: (*meta).seq,
            task,
            scratch,
            files: files as u64,
            slots: load(table, &TABLE_FILES),
            open: load(table, &TABLE_OPEN),
            first: zero,
            bits: zero,
            reported: zero,
            full: zero,
        };
        repeat(if words < WORDS { words } else { WORDS }, word, &raw mut table);
        if table.reported >= MOST {
            (*scratch).record.how = HELD_TOO_MANY;
            if iterator::write_to(table.seq, &(*scratch).record) {
                *too_many = session;
            }
        }
    }
    0
}

/// The descriptors of one word of bits; 1 when no more can be reported.
unsafe extern "C" fn word(number: u32, table: *mut Table) -> i64 {
    // SAFETY: the table is on the caller's stack, the scratch is this CPU's own, everything else is probed.
    unsafe {
        let table = &mut *table;
        let number = u64::from(number);
        table.bits = read((table.open + number * 8) as *const u64);
        if table.bits != 0 {
            table.first = number * u64::from(TOGETHER);
            let from = table.slots + table.first * 8;
            let slots = &raw mut (*table.scratch).slots;
            bpf_probe_read_kernel(slots.cast(), TOGETHER * 8, from as *const _);
            repeat(TOGETHER, slot, table);
        }
        i64::from(table.full != 0)
    }
}

/// One of the descriptors; 1 after the last open one, and when no more can be reported.
unsafe extern "C" fn slot(number: u32, table: *mut Table) -> i64 {
    // SAFETY: as for `word`.
    unsafe {
        let table = &mut *table;
        let number = u64::from(number & (TOGETHER - 1));
        let bits = table.bits >> number;
        if bits & 1 != 0 {
            let file = (*table.scratch).slots[number as usize];
            let inode: u64 = probe(file as *const u8, &FILE_INODE);
            if inode != (*table.scratch).named {
                if probe::<u32>(inode as *const u8, &INODE_NLINK) == 0 {
                    table.report(table.first + number, file, inode);
                } else {
                    (*table.scratch).named = inode;
                }
            }
        }
        i64::from(bits <= 1 || table.full != 0)
    }
}

impl Table {
    /// Reports a file that is probably unlinked, after another check.
    #[inline(always)]
    unsafe fn report(&mut self, fd: u64, file: u64, inode: u64) {
        // SAFETY: as for `word`; the task is the iterator's.
        unsafe {
            let record = &mut (*self.scratch).record;
            let again = probed(file as *const u8, record);
            if again.is_null()
                || again as u64 != inode
                || read((self.slots + fd * 8) as *const u64) != file
                || probe::<u64>(self.task, &TASK_FILES) != self.files
            {
                return;
            }
            if self.reported == 0 {
                // Once per process, and by probe reads: before Linux 7.0 each direct load of a pointer makes the
                // verifier search all types, as often as it reaches this point.
                record.task = task::record_by::<Probing>(self.task);
                record.thread = probe(self.task, &TASK_PID);
            }
            record.fd = fd as u32;
            record.how = HELD_DESCRIPTOR;
            if record.magic == EXT4 {
                meet_with(&record.inode, record.size, record.allocated, EXT4, UNLINKED);
            }
            self.reported += 1;
            self.full = u64::from(!iterator::write_to(self.seq, record) || self.reported >= MOST);
        }
    }
}
