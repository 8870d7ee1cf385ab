//! The record, the control map and the kernel fields of the sites domain.

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{record::RecordHeader, task::TaskId};

/// [`FaultRecord`]: a watched process writes to a page for the first time.
pub const SITES_FAULT: u32 = 1;

/// Bytes of a stack in a record. 99 % of the stacks of C programs have less than 1 KiB at a fault, of Python 2.8 KiB, of
/// the JVM 4.6 KiB.
pub const STACK_BYTES: usize = 8192;

/// A value of the control map, by process id: how a process is watched.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct Watch {
    /// One fault in so many is reported, chosen at random; 0: none.
    pub period: u32,
    pub reserved: u32,
}

/// Frames of Python in a record.
pub const PYTHON_FRAMES: usize = 16;
/// [`PythonLayout::current`]: a thread leads to its frame directly.
pub const DIRECT: u32 = u32::MAX;

/// A value of the map of interpreters, by process id: where a version of CPython keeps its frames. Offsets in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct PythonLayout {
    /// The address of the pointer to the first thread.
    pub threads: u64,
    /// In a thread: the next one, its `pthread_self()`, and the pointer to its frame.
    pub next: u32,
    pub thread: u32,
    pub frame: u32,
    /// In what this pointer leads to: the pointer to the frame; or [`DIRECT`].
    pub current: u32,
    /// In a frame: its code object, the frame that called it, and its instruction.
    pub code: u32,
    pub previous: u32,
    pub instruction: u32,
    pub reserved: u32,
}

/// A frame of Python, innermost first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct PythonFrame {
    /// The address of its code object.
    pub code: u64,
    /// Its instruction, as the version keeps it: an address or an offset.
    pub instruction: u64,
}

/// What is known of a fault beside the stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct FaultHead {
    pub header: RecordHeader,
    pub id: TaskId,
    /// The address that is written to.
    pub address: u64,
    /// The thread's registers in user space.
    pub ip: u64,
    pub sp: u64,
    pub bp: u64,
    /// The thread's number in the initial pid namespace.
    pub thread: u32,
    /// The value of [`Watch::period`]: the fault stands for so many.
    pub period: u32,
    /// Bytes of the stack that were read, from `sp` on.
    pub stack_bytes: u32,
    /// 1 if the kernel itself wrote to the page, in a system call of the thread.
    pub by_kernel: u32,
    /// Frames of Python that were read.
    pub python_frames: u32,
    pub reserved: u32,
}

/// A fault, and the stack of its thread. Only the first `python_frames` and the first `stack_bytes` mean something.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct FaultRecord {
    pub head: FaultHead,
    pub python: [PythonFrame; PYTHON_FRAMES],
    pub stack: [u8; STACK_BYTES],
}

const _: () = assert!(size_of::<Watch>() == 8);
const _: () = assert!(size_of::<PythonLayout>() == 40);
const _: () = assert!(size_of::<FaultHead>() == 88);
const _: () = assert!(size_of::<FaultRecord>() == 88 + 16 * PYTHON_FRAMES + STACK_BYTES);

/// Names every kernel field of the domain once; `$with` makes a table of them (user space) or globals (kernel side).
#[macro_export]
macro_rules! sites_fields {
    ($with:path) => {
        $with! {
            TASK_MM: "task_struct.mm", 8;
            TASK_PID: "task_struct.pid", 4;
            TASK_FSBASE: "task_struct.thread.fsbase", 8;
            MM_START_STACK: "mm_struct.start_stack", 8;
            REGS_IP: "pt_regs.ip", 8;
            REGS_SP: "pt_regs.sp", 8;
            REGS_BP: "pt_regs.bp", 8;
        }
    };
}

sites_fields!(crate::fields_as_table);
