//! The disk domain's kernel object: which processes hold unlinked files, delete files, and write.
//!
//! Sizes are those of the inode, read by the iterators here and by user space. Events only report the process and the
//! time: `deletion` the process that removed the last name; `growth` the process that makes a file longer, on events
//! in `ext4`, `iomap` and `change_time`; `freed` the blocks that deletions free.
#![no_std]
#![no_main]
#![cfg(target_arch = "bpf")]

use core::mem::MaybeUninit;

use aya_ebpf::{Global, helpers::generated::bpf_probe_read_kernel};
use observer_common::{
    disk::{HELD_EXECUTABLE, HELD_MAPPING, HeldRecord, InodeId, WriterRecord},
    disk_fields, disk_maps, disk_programs, symbols_exist,
};
use observer_ebpf::{
    fields_as_globals, iterator,
    read::{Direct, MemoryAccess, exists, load, pointer},
    task::{self, TASK_LEADER},
};

use crate::growth::{EXT4, meet};

mod asked;
mod blocks;
mod btrfs;
mod change_time;
mod creation;
mod deletion;
mod descriptor_table;
mod ext4;
mod freed;
mod growth;
mod indirect;
mod inode_list;
mod inode_walk;
mod iomap;
mod path;

disk_fields!(fields_as_globals);

/// Every program and map that user space names is in this object.
mod names {
    use super::{
        asked::*, btrfs::*, change_time::*, deletion::*, descriptor_table::*, disk_maps, disk_programs,
        ext4::*, freed::*, growth::*, indirect::*, inode_list::*, inode_walk::*, iomap::*, symbols_exist, *,
    };

    disk_programs!(symbols_exist);
    disk_maps!(symbols_exist);
}

const S_IFMT: u16 = 0o170_000;
const S_IFREG: u16 = 0o100_000;
const S_IFDIR: u16 = 0o040_000;
/// `OVERLAYFS_SUPER_MAGIC`.
pub(crate) const OVERLAY: u64 = 0x794c_7630;
/// `FMODE_WRITE` of `file.f_mode`.
const WRITABLE: u32 = 2;
/// `SB_KERNMOUNT` and `SB_NOUSER`: superblocks that the kernel made for itself. memfd, System V shared memory and
/// shared anonymous memory are there, without a link from the start: they were not deleted.
pub(crate) const KERNEL_OWN: u64 = (1 << 22) | (1 << 31);
/// `i_blocks` counts in sectors.
pub(crate) const SECTOR: u64 = 512;

/// The identity of `inode`, which is in the filesystem of `superblock`.
#[inline(always)]
pub(crate) unsafe fn inode_id<R: MemoryAccess>(inode: *const u8, superblock: *const u8) -> InodeId {
    // SAFETY: the caller passes a live inode and its superblock, which outlives it.
    unsafe {
        InodeId {
            dev: R::entered(superblock, &SB_DEV),
            generation: R::entered(inode, &INODE_GENERATION),
            ino: R::entered(inode, &INODE_INO),
        }
    }
}

#[inline(always)]
pub(crate) unsafe fn is_regular<R: MemoryAccess>(inode: *const u8) -> bool {
    // SAFETY: the caller passes a live inode.
    unsafe { R::entered::<u16>(inode, &INODE_MODE) & S_IFMT == S_IFREG }
}

#[inline(always)]
pub(crate) unsafe fn is_folder(inode: *const u8) -> bool {
    // SAFETY: the caller passes a BTF-typed inode.
    unsafe { load::<u16>(inode, &INODE_MODE) & S_IFMT == S_IFDIR }
}

/// The holder record of `file`; `None` unless it is a regular file that was deleted.
#[inline(always)]
unsafe fn held(task: *const u8, file: *const u8) -> Option<HeldRecord> {
    // SAFETY: task and file are BTF-typed and were handed out by an iterator, which holds them.
    unsafe {
        let inode = pointer(file, &FILE_INODE);
        if inode.is_null() || load::<u32>(inode, &INODE_NLINK) != 0 || !is_regular::<Direct>(inode) {
            return None;
        }
        let superblock = pointer(inode, &INODE_SB);
        if load::<u64>(superblock, &SB_FLAGS) & KERNEL_OWN != 0 {
            return None;
        }
        let mode: u32 = load(file, &FILE_MODE);
        let record = HeldRecord {
            task: task::record(task),
            inode: inode_id::<Direct>(inode, superblock),
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
            meet::<Direct>(pointer(file, &FILE_INODE), EXT4, &record.inode, false);
        }
        iterator::write(meta, &record);
    }
    0
}

/// Every mapping of every process: a mapping holds its file even after the descriptor is closed.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_vma")]
pub extern "C" fn disk_mapping(context: *mut iterator::TaskVma) -> i32 {
    // SAFETY: the kernel calls with the context of this iterator.
    unsafe { mapping(context, |_, _| {}) }
}

/// The same. If overlayfs mapped a file of the filesystem below, the record is of the overlay's file, as for
/// descriptors.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_vma")]
pub extern "C" fn disk_mapping_stacked(context: *mut iterator::TaskVma) -> i32 {
    // SAFETY: the kernel calls with the context of this iterator, and `stacked` probes.
    unsafe { mapping(context, |file, record| stacked(file, record)) }
}

#[inline(always)]
unsafe fn mapping(context: *mut iterator::TaskVma, correct: impl Fn(*const u8, &mut HeldRecord)) -> i32 {
    // SAFETY: the context is the iterator's; null members mark the end.
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
        record.how = HELD_MAPPING;
        record.start = load(vma, &VMA_START);
        record.end = load(vma, &VMA_END);
        if record.magic == EXT4 {
            meet::<Direct>(pointer(file, &FILE_INODE), EXT4, &record.inode, false);
        }
        named(file, &mut record);
        correct(file, &mut record);
        iterator::write(meta, &record);
    }
    0
}

/// Every process that has memory, by one of its threads, for kernels on which no program can read the mappings: user
/// space reads them in `/proc`, and makes the records that [`disk_mapping`] would write.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn disk_mapper(context: *mut iterator::Task) -> i32 {
    // SAFETY: the kernel calls with the context of this iterator; a null task marks the end.
    unsafe {
        let (meta, task) = ((*context).meta, (*context).task);
        if task.is_null() || pointer(task, &TASK_MM).is_null() {
            return 0;
        }
        // The leader represents its threads, unless it has ended before them.
        let leader = pointer(task, &TASK_LEADER);
        if leader == task || pointer(leader, &TASK_MM).is_null() {
            let record = HeldRecord {
                task: task::record(task),
                thread: load(task, &TASK_PID),
                ..HeldRecord::default()
            };
            iterator::write(meta, &record);
        }
    }
    0
}

/// Replaces the file in a record by the overlay's file: before Linux 6.8, a file that overlayfs maps has the inode of
/// the filesystem below and the name of the overlay's file.
#[inline(always)]
unsafe fn named(file: *const u8, record: &mut HeldRecord) {
    // SAFETY: the file is BTF-typed, and holds its name.
    unsafe {
        let dentry = pointer(file, &FILE_DENTRY);
        if dentry.is_null() {
            return;
        }
        let inode = pointer(dentry, &DENTRY_INODE);
        if inode.is_null() {
            return;
        }
        let superblock = pointer(inode, &INODE_SB);
        let magic: u64 = load(superblock, &SB_MAGIC);
        if magic == OVERLAY {
            record.backing = record.inode;
            record.inode = inode_id::<Direct>(inode, superblock);
            record.size = load(inode, &INODE_SIZE);
            record.allocated = load::<u64>(inode, &INODE_BLOCKS) * SECTOR;
            record.magic = magic;
        }
    }
}

/// The executable of every process: the process holds it even if its text is unmapped.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn disk_executable(context: *mut iterator::Task) -> i32 {
    // SAFETY: the kernel calls with the context of this iterator; a null task marks the end.
    unsafe {
        let (meta, task) = ((*context).meta, (*context).task);
        if task.is_null() {
            return 0;
        }
        // Any thread will do: the leader of a process may have ended before the others.
        let memory = pointer(task, &TASK_MM);
        if memory.is_null() {
            return 0;
        }
        let file = pointer(memory, &MM_EXECUTABLE);
        if file.is_null() {
            return 0;
        }
        let Some(mut record) = held(task, file) else { return 0 };
        record.how = HELD_EXECUTABLE;
        iterator::write(meta, &record);
    }
    0
}

/// A member of a kernel object without a type known to the verifier; 0 if it cannot be read.
#[inline(always)]
pub(crate) unsafe fn probe<T: Copy + Default>(base: *const u8, field: &Global<u32>) -> T {
    // SAFETY: probing faults safely.
    unsafe { read(base.wrapping_add(field.load() as usize).cast()) }
}

/// The number at an address; 0 if it cannot be read. The result of the helper is ignored: a branch at each read would
/// double the paths that the verifier follows.
#[inline(always)]
pub(crate) unsafe fn read<T: Copy + Default>(address: *const T) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper checks the address and writes every byte, zeroes after a fault; numbers alone are read.
    unsafe {
        bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, address.cast());
        value.assume_init()
    }
}

/// Replaces the file in a record by the overlay's file, if `file` is a file of the filesystem below.
///
/// The bit of `f_mode` that marks such a file differs between kernels. So the memory after the file is taken for the
/// path that such a file has, and used if it leads to a file of an overlay.
#[inline(always)]
unsafe fn stacked(file: *const u8, record: &mut HeldRecord) {
    // SAFETY: the file is held by the mapping, its path by the file, and probing faults safely.
    unsafe {
        if !exists(&BACKING_DENTRY) {
            return;
        }
        let dentry = probe::<u64>(file, &BACKING_DENTRY) as *const u8;
        let inode = probe::<u64>(dentry, &DENTRY_INODE) as *const u8;
        let superblock = probe::<u64>(inode, &INODE_SB) as *const u8;
        let magic: u64 = probe(superblock, &SB_MAGIC);
        if magic != OVERLAY {
            return;
        }
        record.backing = record.inode;
        record.inode = InodeId {
            dev: probe(superblock, &SB_DEV),
            generation: probe(inode, &INODE_GENERATION),
            ino: probe(inode, &INODE_INO),
        };
        record.size = probe(inode, &INODE_SIZE);
        record.allocated = probe::<u64>(inode, &INODE_BLOCKS) * SECTOR;
        record.magic = magic;
    }
}

/// Bytes written by every thread; the leader's record includes the ended threads of its process.
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
        let leader = pointer(task, &TASK_LEADER);
        if leader == task {
            let signal = pointer(task, &TASK_SIGNAL);
            if !signal.is_null() {
                written += load::<u64>(signal, &SIGNAL_WRITTEN);
                cancelled += load::<u64>(signal, &SIGNAL_CANCELLED);
            }
        }
        if written == 0 && cancelled == 0 {
            return 0;
        }
        let task = task::record_of::<Direct>(task, leader);
        let record = WriterRecord { task, written, cancelled, thread: u64::from(thread) };
        iterator::write(meta, &record);
    }
    0
}
