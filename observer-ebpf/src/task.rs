//! From a task to the record that says who it is.

use aya_ebpf::helpers::generated::bpf_get_current_task_btf;
use observer_common::{
    task::{COMM_LEN, TaskId, TaskRecord},
    task_fields,
};

use crate::{
    fields_as_globals,
    read::{load, member, pointer},
};

task_fields!(fields_as_globals);

/// `PF_KTHREAD` of `task_struct.flags`.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// The task that runs now, typed by BTF.
#[inline(always)]
pub fn current() -> *const u8 {
    // SAFETY: a helper without arguments; the result is never null.
    unsafe { bpf_get_current_task_btf().cast() }
}

/// The identity of the process that `task` is a thread of.
///
/// # Safety
/// `task` must be a BTF-typed pointer to a `task_struct`.
#[inline(always)]
pub unsafe fn id(task: *const u8) -> TaskId {
    // SAFETY: the caller's promise; a task's leader outlives it.
    unsafe {
        let tgid: u32 = load(task, &TASK_TGID);
        TaskId { start: load(pointer(task, &TASK_LEADER), &TASK_START), tgid: u64::from(tgid) }
    }
}

/// Everything that names the process that `task` is a thread of.
///
/// # Safety
/// `task` must be a BTF-typed pointer to a `task_struct`.
#[inline(always)]
pub unsafe fn record(task: *const u8) -> TaskRecord {
    // SAFETY: the caller's promise; a task's leader and credentials outlive the program's run, and `comm` is 16 bytes.
    unsafe {
        let comm = member(pointer(task, &TASK_LEADER), &TASK_COMM).cast::<u64>();
        let comm = core::mem::transmute::<[u64; 2], [u8; COMM_LEN]>([*comm, *comm.add(1)]);
        let flags: u32 = load(task, &TASK_FLAGS);
        TaskRecord {
            id: id(task),
            comm,
            uid: load(pointer(task, &TASK_CRED), &CRED_UID),
            kernel_thread: u32::from(flags & KERNEL_THREAD != 0),
        }
    }
}
