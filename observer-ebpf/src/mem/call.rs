//! System calls that change address space: which they are, where their arguments are, and what each adds to totals.

use observer_common::mem::PAGE_SIZE;
use observer_ebpf::read::load;

use crate::{REGS_BX, REGS_CX, REGS_DI, REGS_DX, REGS_R10, REGS_SI};

const PROT_WRITE: u64 = 2;
const MAP_TYPE: u64 = 0x0f;
const MAP_PRIVATE: u64 = 0x02;
const MAP_DROPPABLE: u64 = 0x08;
pub const MAP_FIXED: u64 = 0x10;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_GROWSDOWN: u64 = 0x0100;
const MAP_HUGETLB: u64 = 0x4_0000;
const MREMAP_DONTUNMAP: u64 = 4;
/// The kind of a system call that changes address space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Mmap,
    /// A mapping by a call with its arguments in user memory: only the change of `data_vm` shows its size.
    MmapUnread,
    Munmap,
    Mremap,
    Brk,
    Mprotect,
}

/// The ABI, and so the registers of the arguments.
#[derive(Clone, Copy)]
pub enum Abi {
    Native,
    Compat,
}

/// Argument `INDEX` of a system call.
#[inline(always)]
pub unsafe fn argument<const INDEX: usize>(regs: *const u8, abi: Abi) -> u64 {
    let field = match (abi, INDEX) {
        (Abi::Native, 0) => &REGS_DI,
        (Abi::Native, 1) => &REGS_SI,
        (Abi::Native, 2) => &REGS_DX,
        (Abi::Native, _) => &REGS_R10,
        (Abi::Compat, 0) => &REGS_BX,
        (Abi::Compat, 1) => &REGS_CX,
        (Abi::Compat, 2) => &REGS_DX,
        (Abi::Compat, _) => &REGS_SI,
    };
    // SAFETY: the caller's promise that `regs` is a BTF-typed `pt_regs`.
    let value: u64 = unsafe { load(regs, field) };
    match abi {
        Abi::Native => value,
        Abi::Compat => value & 0xffff_ffff,
    }
}

#[inline(always)]
const fn pages_up(bytes: u64) -> u64 {
    (bytes + PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

/// What a successful call adds to the totals.
#[derive(Clone, Copy, Default)]
pub struct Added {
    pub mapped: i64,
    pub mapped_file: i64,
    pub reserved: i64,
    pub private_file: i64,
    pub protected: i64,
}

impl Added {
    /// By the arguments of the call if they are sufficient, else by the change of `data_vm` since the last event.
    ///
    /// `first` to `third` are the call's second to fourth argument (munmap has its first as `third`).
    #[inline(always)]
    pub fn by(call: Call, first: u64, second: u64, third: u64, result: u64, change: i64, brk: u64) -> Self {
        let mut added = Self::default();
        match call {
            Call::Mmap => {
                let (length, protection, flags) = (first, second, third);
                let kind = flags & MAP_TYPE;
                let private = (kind == MAP_PRIVATE || kind == MAP_DROPPABLE) && flags & MAP_GROWSDOWN == 0;
                let length = pages_up(length) as i64;
                // Huge pages round up further than can be known here: then the change of `data_vm` is more exact.
                let length = if flags & MAP_HUGETLB != 0 && change > length { change } else { length };
                if flags & MAP_ANONYMOUS == 0 {
                    added.mapped_file = length;
                    if private && protection & PROT_WRITE != 0 {
                        added.private_file = length;
                    }
                } else if private && protection & PROT_WRITE != 0 {
                    added.mapped = length;
                } else if private && protection == 0 {
                    added.reserved = length;
                }
            }
            Call::MmapUnread => added.mapped = change.max(0),
            Call::Munmap => {}
            Call::Mremap => {
                let (old, new) = (pages_up(first) as i64, pages_up(second) as i64);
                let most = if third & MREMAP_DONTUNMAP != 0 { new } else { (new - old).max(0) };
                added.mapped = change.max(0).min(most);
            }
            Call::Brk if brk != 0 => {
                added.mapped = (pages_up(result) as i64 - pages_up(brk) as i64).max(0);
            }
            Call::Brk => {}
            Call::Mprotect => added.protected = change,
        }
        added
    }
}
