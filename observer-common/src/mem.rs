//! The records, map values and kernel fields of the mem domain.

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{record::RecordHeader, task::TaskRecord};

/// [`MemRecord`]: the process lives; the map entry has the newest totals.
pub const MEM_ANNOUNCED: u32 = 1;
/// [`MemRecord`]: the last thread has exited; the totals are final.
pub const MEM_ENDED: u32 = 2;

/// [`OomRecord`]: the kernel has chosen the victim of an OOM kill.
pub const MEM_OOM: u32 = 3;

/// Sizes in system calls are rounded up to it, as the kernel does; system calls are decoded on x86-64 only.
pub const PAGE_SIZE: u64 = 4096;

/// Cumulative totals of one process, in bytes, and the values that its next event is compared with.
///
/// They are based on the kernel's own count: `mm->data_vm` counts private writable mappings. What was unmapped
/// follows from it (see [`MemTotals::unmapped`]), so holes, partial unmapping and mappings replaced by `MAP_FIXED`
/// are exact without reading any mapping.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct MemTotals {
    pub task: TaskRecord,
    /// Private writable anonymous memory, by mmap, mremap and brk.
    pub mapped: i64,
    /// File mappings, shared or private.
    pub mapped_file: i64,
    /// Private mappings without any access (`PROT_NONE`): address space, no memory.
    pub reserved: i64,
    /// The part of `mapped_file` that `data_vm` counts, private and writable, less what was unmapped of it since.
    pub private_file: i64,
    /// What mprotect made private and writable, less what it made read-only.
    pub protected: i64,
    /// `data_vm` when observation of the process began; exec moves it by what it replaced.
    pub base: i64,
    /// `data_vm` at the last event.
    pub now: i64,
    /// `mm->brk` at the last event, an address.
    pub brk: u64,
    /// When the last thread exited, in nanoseconds of the boot clock; 0 while the process lives.
    pub ended: u64,
    /// The largest resident size, known at the exit; 0 before.
    pub peak: u64,
    /// Epoch of the last announcement.
    pub announced: u64,
}

impl MemTotals {
    /// Private writable memory that was given back or replaced, by munmap, mremap, brk and `MAP_FIXED`: what was
    /// added and no longer exists. Threads that map at the same time can make it negative while one of them is
    /// between the change and its record.
    #[must_use]
    pub const fn unmapped(&self) -> i64 {
        self.mapped + self.private_file + self.protected - (self.now - self.base)
    }
}

/// A record of the ring buffer: a process's totals so far.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct MemRecord {
    pub header: RecordHeader,
    pub totals: MemTotals,
}

/// What the iterator writes for each process with memory. Before Linux 6.2 it also writes a record for each thread
/// that keeps changes of the counters for a while: only `rss`, with these changes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct MemTaskRecord {
    pub task: TaskRecord,
    /// Resident pages and swap entries in the kernel's order: file, anonymous, swap, shared memory. From 6.2 on they
    /// lack per-CPU remainders, and can be negative.
    pub rss: [i64; 4],
    /// `mm->total_vm`, pages.
    pub total_vm: u64,
    /// `mm->data_vm`, pages.
    pub data_vm: u64,
    /// Bytes of page tables.
    pub page_tables: u64,
}

/// An OOM kill: the victim, and the process that requested memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct OomRecord {
    pub header: RecordHeader,
    /// Before 6.9 the kernel gives a thread's number only: it is the `tgid` here, and the start is 0.
    pub victim: TaskRecord,
    pub trigger: TaskRecord,
    /// What the victim holds, as in [`MemTaskRecord::rss`]; all 0 if that is not known.
    pub rss: [i64; 4],
}

const _: () = assert!(size_of::<OomRecord>() == 128);
const _: () = assert!(size_of::<MemTotals>() == 128);
const _: () = assert!(size_of::<MemRecord>() == 144);
const _: () = assert!(size_of::<MemTaskRecord>() == 96);

/// Names every kernel field of the domain once; `$with` makes a table of them (user space) or globals (kernel side).
#[macro_export]
macro_rules! mem_fields {
    ($with:path) => {
        $with! {
            TASK_MM: "task_struct.mm", 8;
            TASK_SIGNAL: "task_struct.signal", 8;
            TASK_SYSCALL_ABI: "task_struct.thread_info.status", 4;
            SIGNAL_LIVE: "signal_struct.live", 4;
            SIGNAL_MAX_RSS: "signal_struct.maxrss", 8;
            TASK_RSS: "task_struct.rss_stat.count", 16;
            MM_OWNER: "mm_struct.owner", 8;
            MM_RSS: "mm_struct.rss_stat.count", 0;
            MM_RSS_STRIDE: "mm_struct.rss_stat[] | mm_struct.rss_stat.count[]", 0;
            MM_TOTAL_VM: "mm_struct.total_vm", 8;
            MM_DATA_VM: "mm_struct.data_vm", 8;
            MM_PAGE_TABLES: "mm_struct.pgtables_bytes", 8;
            MM_BRK: "mm_struct.brk", 8;
            REGS_ORIG_AX: "pt_regs.orig_ax", 8;
            REGS_BX: "pt_regs.bx", 8;
            REGS_CX: "pt_regs.cx", 8;
            REGS_DX: "pt_regs.dx", 8;
            REGS_SI: "pt_regs.si", 8;
            REGS_DI: "pt_regs.di", 8;
            REGS_R10: "pt_regs.r10", 8;
        }
    };
}

mem_fields!(crate::fields_as_table);
