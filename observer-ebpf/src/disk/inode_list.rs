//! Unlinked files of any holder, from the lists that filesystems keep of all their inodes in memory.
//!
//! This finds files behind loop devices, files that are swapped to, files that the kernel itself opened, and
//! descriptors in flight through sockets that are in flight themselves. It finds the file, not the holder.
//! `inode_walk` goes through the lists.

use aya_ebpf::{
    helpers::generated::bpf_seq_write,
    macros::map,
    maps::{Array, PerCpuArray},
};
use observer_common::disk::{InodeId, LISTED_END, LISTED_FILE, LISTED_SWAP, ListedRecord};
use observer_ebpf::{iterator, iterator::repeat, read::exists};

use crate::{
    DENTRY_ALIAS, DENTRY_INODE, INODE_ALIAS, INODE_FLAGS, INODE_SB, INODE_SIZE, OVERLAY, OVERLAY_INODE,
    OVERLAY_UPPER, SB_MAGIC, blocks,
    indirect::probed_id,
    inode_walk::{A_PASS, Walk, begin, is_superblock},
    path::{self, Path},
    probe,
};

/// The most inodes that one call skips before the next unlinked one.
const STEPS: u32 = 4096;
/// `S_SWAPFILE` of `inode.i_flags`.
const SWAP: u32 = 1 << 8;

/// The position in the lists.
#[map]
static WALK: Array<Walk> = Array::with_max_entries(1, 0);

#[repr(C)]
struct Scratch {
    record: ListedRecord,
    path: Path,
}

#[map]
static LISTED: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// A part of the walk: the program is called once per process, and each call takes a limited number of steps.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn disk_inode_list(context: *mut iterator::Task) -> i32 {
    // SAFETY: the kernel calls with the context of this iterator; a null task marks the end.
    unsafe {
        let (meta, task) = ((*context).meta, (*context).task);
        if task.is_null() {
            return 0;
        }
        let (Some(kept), Some(scratch)) = (WALK.get_ptr_mut(0), LISTED.get_ptr_mut(0)) else { return 0 };
        // It stays in the map, so the verifier knows none of its values. On the stack, it would check all steps
        // separately for each known value.
        let before = *kept;
        let mut walk = &mut *kept;
        let session = (*meta).session_id;
        if walk.session != session {
            walk.session = session;
            walk.in_pass = 0;
            if walk.running == 0 {
                let Some(begun) = begin(task, session) else { return 0 };
                *walk = begun;
            }
        }
        if walk.running == 0 || walk.in_pass >= A_PASS {
            return 0;
        }
        walk.resume();
        walk.found = 0;
        repeat(STEPS, step, &raw mut walk);
        // If the record does not fit, the next call writes it: it starts where this one did.
        if walk.found != 0 && !report(meta, scratch, walk.found as *const u8)
            || walk.running == 0 && !end(meta, walk)
        {
            *walk = before;
        }
    }
    0
}

/// One step; returns 1 at the end of the walk.
unsafe extern "C" fn step(_: u32, walk: *mut &mut Walk) -> i64 {
    // SAFETY: the reference is on the caller's stack.
    unsafe {
        let walk = &mut **walk;
        if walk.running != 0 {
            walk.found = walk.step() as u64;
        }
        i64::from(walk.running == 0 || walk.found != 0)
    }
}

/// Writes the record of an unlinked inode; returns whether it is written.
#[inline(always)]
unsafe fn report(meta: *mut iterator::Meta, scratch: *mut Scratch, inode: *const u8) -> bool {
    // SAFETY: the scratch is this CPU's own, everything else is probed.
    unsafe {
        let superblock = probe::<u64>(inode, &INODE_SB) as *const u8;
        let alias: u64 = probe(inode, &INODE_ALIAS);
        let name = if alias == 0 {
            0
        } else {
            path::read(alias.wrapping_sub(u64::from(DENTRY_ALIAS.load())), &raw mut (*scratch).path)
        };
        let magic: u64 = probe(superblock, &SB_MAGIC);
        let mut allocated = blocks::of(inode, superblock, magic);
        let mut backing = InodeId::default();
        if magic == OVERLAY && exists(&OVERLAY_INODE) && exists(&OVERLAY_UPPER) {
            let own = (inode as u64).wrapping_sub(u64::from(OVERLAY_INODE.load())) as *const u8;
            let upper = probe::<u64>(own, &OVERLAY_UPPER) as *const u8;
            let below = probe::<u64>(upper, &DENTRY_INODE) as *const u8;
            let superblock: u64 = probe(below, &INODE_SB);
            if is_superblock(superblock) {
                let superblock = superblock as *const u8;
                backing = probed_id(below, superblock);
                allocated = blocks::of(below, superblock, probe(superblock, &SB_MAGIC));
            }
        }
        let swap = probe::<u32>(inode, &INODE_FLAGS) & SWAP != 0;
        (*scratch).record = ListedRecord {
            inode: probed_id(inode, superblock),
            backing,
            size: probe(inode, &INODE_SIZE),
            allocated,
            magic,
            kind: if swap { LISTED_SWAP } else { LISTED_FILE },
            name,
        };
        let mut length = size_of::<ListedRecord>() as u32 + ((name + 7) & !7);
        if length > size_of::<Scratch>() as u32 {
            length = size_of::<Scratch>() as u32;
        }
        bpf_seq_write((*meta).seq.cast(), scratch.cast(), length) >= 0
    }
}

/// Writes the final record; returns whether it is written.
#[inline(always)]
unsafe fn end(meta: *mut iterator::Meta, walk: &Walk) -> bool {
    let record = ListedRecord {
        size: walk.inodes,
        allocated: walk.complete,
        kind: LISTED_END,
        ..ListedRecord::default()
    };
    // SAFETY: `meta` is the iterator's.
    unsafe { iterator::write(meta, &record) }
}
