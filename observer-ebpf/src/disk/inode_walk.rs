//! The walk through the lists that filesystems keep of all their inodes in memory.
//!
//! The lists are read without their locks, some thousand inodes per call of the program, so each step is checked: an
//! inode must belong to the filesystem, and the next one must follow it. If the position in a list is lost, the walk
//! starts this filesystem again; after some attempts it leaves the filesystem, and the final record reports that. The
//! walk asks nothing of a filesystem, so a server that does not answer has no effect.
//!
//! The kernel counts the unlinked inodes of a filesystem. If there are no more than other scans have found, the list
//! is not read. If all of them were found and still exist, it is read no further.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap},
};
use observer_ebpf::{
    iterator::repeat,
    rare,
    read::{load, pointer},
};

use crate::{
    DENTRY_INODE, DENTRY_SB, FS_MOUNT, INODE_COUNT, INODE_IN_LIST, INODE_MODE, INODE_NLINK, INODE_SB,
    KERNEL_OWN, MOUNT_SB, S_IFMT, S_IFREG, SB_BDEV, SB_DEV, SB_FLAGS, SB_IN_LIST, SB_INODES, SB_MAGIC,
    SB_ROOT, SB_UNLINKED, TASK_FS, growth::NO_PREALLOC, probe, read,
};

/// The most inodes of one scan; user space then runs another.
pub const A_PASS: u64 = 1 << 16;
/// How often the walk starts a filesystem again.
const ATTEMPTS: u64 = 8;
/// The most filesystems of a walk: more would mean that the list is lost.
const MOST: u64 = 1 << 14;
/// The most unlinked inodes of a filesystem that are remembered; if there are more, its list is read to the end.
const REMEMBERED: u64 = 64;
/// tmpfs, ramfs, hugetlbfs, overlay, btrfs, bcachefs: they have files, but no block device.
const WITHOUT_DEVICE: [u64; 6] =
    [0x0102_1994, 0x8584_58f6, 0x9584_58f6, 0x794c_7630, 0x9123_683e, 0xca45_1a4e];

/// The position in the lists.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Walk {
    /// The first filesystem, and the current one.
    first: u64,
    superblock: u64,
    /// The last entry of the list that was read; at its beginning, the head of the list.
    place: u64,
    /// Unlinked inodes of this filesystem that were found, and how many there were at the beginning of its list; a
    /// larger number than can be found if the list is read to its end.
    met: u64,
    unlinked: u64,
    /// Inodes read, in the whole walk and in this scan.
    pub inodes: u64,
    pub in_pass: u64,
    /// The current scan.
    pub session: u64,
    /// The inode at which the last call stopped; 0 for none.
    pub found: u64,
    superblocks: u64,
    attempts: u64,
    /// 1 during the walk.
    pub running: u64,
    /// 1 as long as every list was read to its end.
    pub complete: u64,
}

/// How many unlinked inodes the scans of processes have found, by the device of their filesystem, if the lists are
/// known to have no others. Written by user space.
#[map]
pub static ACCOUNTED: HashMap<u64, u64> = HashMap::with_max_entries(1 << 10, NO_PREALLOC);

/// The unlinked inodes that were found.
#[map]
static MET: Array<[u64; REMEMBERED as usize]> = Array::with_max_entries(1, 0);

/// Whether the address is that of a superblock: its root must refer back to it.
#[inline(always)]
pub unsafe fn is_superblock(superblock: u64) -> bool {
    // SAFETY: probing faults safely.
    unsafe {
        let root: u64 = probe(superblock as *const u8, &SB_ROOT);
        let back: u64 = probe(root as *const u8, &DENTRY_SB);
        superblock != 0 && back == superblock
    }
}

/// Begins with the filesystem of a task's root. All loads are direct, so a kernel without the lists rejects the
/// program.
#[inline(always)]
pub unsafe fn begin(task: *const u8, session: u64) -> Option<Walk> {
    // SAFETY: the task is the iterator's; the rest is typed, and checked for null.
    unsafe {
        let folder = pointer(task, &TASK_FS);
        if folder.is_null() {
            return None;
        }
        let mount = pointer(folder, &FS_MOUNT);
        if mount.is_null() {
            return None;
        }
        let superblock = pointer(mount, &MOUNT_SB);
        if superblock.is_null() {
            return None;
        }
        let root = pointer(superblock, &SB_ROOT);
        if root.is_null() {
            return None;
        }
        let inode = pointer(root, &DENTRY_INODE);
        if inode.is_null() {
            return None;
        }
        let (list, entry): (u64, u64) = (load(superblock, &SB_INODES), load(inode, &INODE_IN_LIST));
        if list == 0 || entry == 0 {
            return None;
        }
        let first = superblock as u64;
        Some(Walk {
            first,
            superblock: first,
            place: head_of(first),
            met: 0,
            unlinked: u64::MAX,
            inodes: 0,
            in_pass: 0,
            session,
            found: 0,
            superblocks: 0,
            attempts: 0,
            running: 1,
            complete: 1,
        })
    }
}

#[inline(always)]
fn head_of(superblock: u64) -> u64 {
    superblock + u64::from(SB_INODES.load())
}

#[inline(always)]
fn inode_at(place: u64) -> *const u8 {
    (place - u64::from(INODE_IN_LIST.load())) as *const u8
}

/// One word of an entry of a list: the address of the next or the previous entry.
#[inline(always)]
unsafe fn word(address: u64) -> u64 {
    // SAFETY: probing faults safely.
    unsafe { read(address as *const u64) }
}

/// Checks whether found inodes still are in the list of their filesystem, unlinked.
struct Check {
    superblock: u64,
    /// 1 if one is not.
    gone: u64,
}

unsafe extern "C" fn still_is(number: u32, check: *mut Check) -> i64 {
    // SAFETY: the check is on the caller's stack; probing faults safely.
    unsafe {
        let check = &mut *check;
        let Some(met) = MET.get_ptr(0) else { return 1 };
        let place = (*met)[(u64::from(number) & (REMEMBERED - 1)) as usize];
        let (next, inode) = (word(place), inode_at(place));
        if next == place
            || word(next + 8) != place
            || probe::<u64>(inode, &INODE_SB) != check.superblock
            || probe::<u32>(inode, &INODE_NLINK) != 0
        {
            check.gone = 1;
        }
        i64::from(check.gone != 0)
    }
}

impl Walk {
    /// Checks that the position where the last call stopped still exists.
    #[inline(always)]
    pub unsafe fn resume(&mut self) {
        // SAFETY: probing faults safely.
        unsafe {
            if !is_superblock(self.superblock) {
                // It was unmounted, so its link to the next one is lost too.
                self.running = 0;
                self.complete = 0;
                return;
            }
            let head = head_of(self.superblock);
            if self.place != head {
                let owner: u64 = probe(inode_at(self.place), &INODE_SB);
                if owner != self.superblock || word(word(self.place) + 8) != self.place {
                    self.again();
                }
            }
        }
    }

    /// The position in the list is lost: starts the filesystem again, or leaves it.
    #[inline(always)]
    unsafe fn again(&mut self) {
        self.attempts += 1;
        let superblock = self.superblock;
        rare!("the list of a filesystem's inodes changed where it was read: superblock {:x}", superblock);
        self.place = head_of(superblock);
        if self.attempts > ATTEMPTS {
            self.complete = 0;
            // SAFETY: the superblock was there at the beginning of this call.
            unsafe { self.leave() }
        }
    }

    /// Moves to the next filesystem.
    #[inline(always)]
    unsafe fn leave(&mut self) {
        // SAFETY: probing faults safely.
        unsafe {
            let list = u64::from(SB_IN_LIST.load());
            self.superblock = word(self.superblock + list) - list;
            self.place = head_of(self.superblock);
            self.attempts = 0;
            self.superblocks += 1;
            if self.superblock == self.first {
                self.running = 0;
            } else if self.superblocks > MOST || self.superblock.wrapping_add(list) == 0 {
                self.running = 0;
                self.complete = 0;
            }
        }
    }

    /// Whether the current filesystem can have deleted files. The head of the list of filesystems is none.
    #[inline(always)]
    unsafe fn has_files(&self) -> bool {
        // SAFETY: probing faults safely.
        unsafe {
            let superblock = self.superblock as *const u8;
            if !is_superblock(self.superblock) || probe::<u64>(superblock, &SB_FLAGS) & KERNEL_OWN != 0 {
                return false;
            }
            let magic: u64 = probe(superblock, &SB_MAGIC);
            probe::<u64>(superblock, &SB_BDEV) != 0 || WITHOUT_DEVICE.contains(&magic)
        }
    }

    /// Begins the list of the current filesystem, unless it cannot have unlinked files.
    #[inline(always)]
    unsafe fn enter(&mut self) -> bool {
        // SAFETY: probing faults safely.
        unsafe {
            if !self.has_files() {
                return false;
            }
            let superblock = self.superblock as *const u8;
            let unlinked: u64 = probe(superblock, &SB_UNLINKED);
            self.met = 0;
            self.unlinked = if unlinked > REMEMBERED { u64::MAX } else { unlinked };
            let dev = u64::from(probe::<u32>(superblock, &SB_DEV));
            unlinked != 0 && ACCOUNTED.get_ptr(&dev).is_none_or(|known| *known != unlinked)
        }
    }

    /// Whether the found inodes are all that exist: each still exists, and their number is the kernel's. If not, the
    /// list is read to its end.
    #[inline(always)]
    unsafe fn are_all(&mut self) -> bool {
        // SAFETY: probing faults safely.
        unsafe {
            let mut check = Check { superblock: self.superblock, gone: 0 };
            repeat(self.met as u32, still_is, &raw mut check);
            let unlinked: u64 = probe(self.superblock as *const u8, &SB_UNLINKED);
            let all = check.gone == 0 && unlinked == self.met;
            if !all {
                self.unlinked = u64::MAX;
            }
            all
        }
    }

    /// Moves to the next inode; returns it if it is unlinked and held.
    #[inline(always)]
    pub unsafe fn step(&mut self) -> *const u8 {
        // SAFETY: probing faults safely.
        unsafe {
            let head = head_of(self.superblock);
            let done =
                if self.place == head { !self.enter() } else { self.met == self.unlinked && self.are_all() };
            if done {
                self.leave();
                return core::ptr::null();
            }
            let next = word(self.place);
            if next == head {
                self.leave();
                return core::ptr::null();
            }
            let inode = inode_at(next);
            // An entry that was removed from the list meanwhile points to itself.
            if next == self.place || probe::<u64>(inode, &INODE_SB) != self.superblock {
                self.again();
                return core::ptr::null();
            }
            self.place = next;
            self.inodes += 1;
            self.in_pass += 1;
            if probe::<u32>(inode, &INODE_NLINK) != 0 {
                return core::ptr::null();
            }
            if let Some(met) = MET.get_ptr_mut(0) {
                (*met)[(self.met & (REMEMBERED - 1)) as usize] = next;
                self.met += 1;
            }
            if probe::<u16>(inode, &INODE_MODE) & S_IFMT != S_IFREG || probe::<i32>(inode, &INODE_COUNT) <= 0
            {
                return core::ptr::null();
            }
            inode
        }
    }
}
