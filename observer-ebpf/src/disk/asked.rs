//! The paths of growing files that user space asks for: of filesystems on which inode number and generation are no file
//! handle.
//!
//! A file is asked for by the address that an event had. Its memory may belong to another inode by now, so the identity
//! is compared, and the name must refer back to the inode. A file that every process has closed is found like this as
//! well, as long as its inode is in memory. Events pay nothing for the path.

use aya_ebpf::{
    helpers::generated::bpf_seq_write,
    macros::map,
    maps::{Array, PerCpuArray},
};
use observer_common::disk::{ASKED_INODES, AskedInode, InodeId, LISTED_NAMED, LISTED_UNLINKED, ListedRecord};
use observer_ebpf::iterator::{self, Seq, repeat};

use crate::{
    DENTRY_ALIAS, DENTRY_INODE, INODE_ALIAS, INODE_NLINK, INODE_SB, INODE_SIZE, SB_MAGIC, blocks,
    indirect::probed_id,
    inode_walk::is_superblock,
    path::{self, Path},
    probe,
};

/// The most answers of one call: there is a call for each process.
const A_CALL: u32 = 16;

/// The inodes to look up, up to the first address of 0. Written by user space.
#[map]
pub static ASKED: Array<AskedInode> = Array::with_max_entries(ASKED_INODES, 0);

/// The scan, and the number of inodes that it has looked up.
#[repr(C)]
#[derive(Clone, Copy)]
struct Place {
    session: u64,
    next: u64,
}

#[map]
static PLACE: Array<Place> = Array::with_max_entries(1, 0);

#[repr(C)]
struct Scratch {
    record: ListedRecord,
    path: Path,
}

#[map]
static ANSWER: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// A part of the answers: the program is called once per process.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn disk_path(context: *mut iterator::Task) -> i32 {
    // SAFETY: the kernel calls with the context of this iterator; a null task marks the end.
    unsafe {
        let (meta, task) = ((*context).meta, (*context).task);
        if task.is_null() {
            return 0;
        }
        let (Some(place), Some(scratch)) = (PLACE.get_ptr_mut(0), ANSWER.get_ptr_mut(0)) else { return 0 };
        if (*place).session != (*meta).session_id {
            *place = Place { session: (*meta).session_id, next: 0 };
        }
        let mut answers = Answers { seq: (*meta).seq, place, scratch };
        repeat(A_CALL, next, &raw mut answers);
    }
    0
}

struct Answers {
    seq: Seq,
    place: *mut Place,
    scratch: *mut Scratch,
}

/// Answers for the next inode; returns 1 after the last one.
unsafe extern "C" fn next(_: u32, answers: *mut Answers) -> i64 {
    // SAFETY: the answers are on the caller's stack, and refer to elements of maps.
    unsafe {
        let answers = &mut *answers;
        let Some(asked) = ASKED.get((*answers.place).next as u32) else { return 1 };
        // If the record does not fit, the next call writes it.
        if asked.address == 0
            || !answer(answers.seq, answers.scratch, asked.address as *const u8, asked.inode)
        {
            return 1;
        }
        (*answers.place).next += 1;
        0
    }
}

/// Writes the record of an inode, unless another one has its memory by now; returns whether the next one follows.
#[inline(always)]
unsafe fn answer(seq: Seq, scratch: *mut Scratch, inode: *const u8, id: InodeId) -> bool {
    // SAFETY: the scratch is this CPU's own, everything else is probed.
    unsafe {
        let superblock = probe::<u64>(inode, &INODE_SB);
        if !is_superblock(superblock) || probed_id(inode, superblock as *const u8) != id {
            return true;
        }
        let superblock = superblock as *const u8;
        let named = probe::<u32>(inode, &INODE_NLINK) != 0;
        let alias: u64 = probe(inode, &INODE_ALIAS);
        let dentry = alias.wrapping_sub(u64::from(DENTRY_ALIAS.load()));
        let leads_back = alias != 0 && probe::<u64>(dentry as *const u8, &DENTRY_INODE) == inode as u64;
        let name = if leads_back { path::read(dentry, &raw mut (*scratch).path) } else { 0 };
        let magic: u64 = probe(superblock, &SB_MAGIC);
        (*scratch).record = ListedRecord {
            inode: id,
            size: probe(inode, &INODE_SIZE),
            allocated: blocks::of(inode, superblock, magic),
            magic,
            kind: if named { LISTED_NAMED } else { LISTED_UNLINKED },
            name,
            ..ListedRecord::default()
        };
        let mut length = size_of::<ListedRecord>() as u32 + ((name + 7) & !7);
        if length > size_of::<Scratch>() as u32 {
            length = size_of::<Scratch>() as u32;
        }
        bpf_seq_write(seq.cast(), scratch.cast(), length) >= 0
    }
}
