//! From a task to the record that identifies its process.

use aya_ebpf::helpers::bpf_get_current_uid_gid;
use observer_common::{
    task::{COMM_LEN, TaskId, TaskRecord},
    task_fields,
};

use crate::{
    fields_as_globals,
    read::{Direct, MemoryAccess},
};

task_fields!(fields_as_globals);

/// `PF_KTHREAD` of `task_struct.flags`.
pub const KERNEL_THREAD: u32 = 0x0020_0000;

/// The task that runs now, typed by BTF.
#[inline(always)]
pub fn current() -> *const u8 {
    Direct::current()
}

/// The identity of the process that `task` is a thread of.
///
/// # Safety
/// `task` must be a BTF-typed pointer to a `task_struct`.
#[inline(always)]
pub unsafe fn id(task: *const u8) -> TaskId {
    // SAFETY: the caller's promise.
    unsafe { id_by::<Direct>(task) }
}

/// As [`id`], with the kind of memory read `R`.
///
/// # Safety
/// `task` must point to a `task_struct`, as `R` demands it.
#[inline(always)]
pub unsafe fn id_by<R: MemoryAccess>(task: *const u8) -> TaskId {
    // SAFETY: the caller's promise.
    unsafe { id_of::<R>(task, R::pointer(task, &TASK_LEADER)) }
}

/// As [`id_by`], of a task whose leader is known: before Linux 7.0 the verifier searches all types of the kernel
/// several times for each pointer that a program loads, so none is loaded twice.
///
/// # Safety
/// As for [`id_by`]; `leader` must be the task's.
#[inline(always)]
pub unsafe fn id_of<R: MemoryAccess>(task: *const u8, leader: *const u8) -> TaskId {
    // SAFETY: the caller's promise; a task's leader outlives it.
    unsafe {
        let tgid: u32 = R::load(task, &TASK_TGID);
        TaskId { start: R::load(leader, &TASK_START), tgid: u64::from(tgid) }
    }
}

/// The id of the process that `task` is a thread of.
///
/// # Safety
/// `task` must be a BTF-typed pointer to a `task_struct`.
#[inline(always)]
pub unsafe fn tgid(task: *const u8) -> u64 {
    // SAFETY: the caller's promise.
    u64::from(unsafe { Direct::load::<u32>(task, &TASK_TGID) })
}

/// Everything that names the process that `task` is a thread of.
///
/// # Safety
/// `task` must be a BTF-typed pointer to a `task_struct`.
#[inline(always)]
pub unsafe fn record(task: *const u8) -> TaskRecord {
    // SAFETY: the caller's promise.
    unsafe { record_by::<Direct>(task) }
}

/// As [`record`], with the kind of memory read `R`.
///
/// # Safety
/// `task` must point to a `task_struct`, as `R` demands it.
#[inline(always)]
pub unsafe fn record_by<R: MemoryAccess>(task: *const u8) -> TaskRecord {
    // SAFETY: the caller's promise.
    unsafe { record_of::<R>(task, R::pointer(task, &TASK_LEADER)) }
}

/// As [`record_by`], of a task whose leader is known.
///
/// # Safety
/// As for [`record_by`]; `leader` must be the task's.
#[inline(always)]
pub unsafe fn record_of<R: MemoryAccess>(task: *const u8, leader: *const u8) -> TaskRecord {
    // SAFETY: the caller's promise; a task's credentials outlive the program's run.
    unsafe { record_with::<R>(task, leader, R::load(R::pointer(task, &TASK_CRED), &CRED_UID)) }
}

/// As [`record_of`], for the task that runs now: a helper returns its user, so one pointer less is loaded.
///
/// # Safety
/// As for [`record_of`]; `task` must be the one that runs now.
#[inline(always)]
pub unsafe fn record_of_current<R: MemoryAccess>(task: *const u8, leader: *const u8) -> TaskRecord {
    // SAFETY: the caller's promise. The lower half is the user, in the initial user namespace as in the credentials.
    unsafe { record_with::<R>(task, leader, bpf_get_current_uid_gid() as u32) }
}

/// As [`record_of`], for a process that the current task has just created: it begins with the user of its parent.
///
/// # Safety
/// `child` must be such a process's first thread, as `R` demands it.
#[inline(always)]
pub unsafe fn record_of_child<R: MemoryAccess>(child: *const u8) -> TaskRecord {
    // SAFETY: the caller's promise; the first thread is the leader.
    unsafe { record_with::<R>(child, child, bpf_get_current_uid_gid() as u32) }
}

#[inline(always)]
unsafe fn record_with<R: MemoryAccess>(task: *const u8, leader: *const u8, uid: u32) -> TaskRecord {
    // SAFETY: the callers' promise; a task's leader outlives the program's run, and `comm` is 16 bytes.
    unsafe {
        let comm: [u64; 2] = R::load(leader, &TASK_COMM);
        let flags: u32 = R::load(task, &TASK_FLAGS);
        TaskRecord {
            id: id_of::<R>(task, leader),
            comm: core::mem::transmute::<[u64; 2], [u8; COMM_LEN]>(comm),
            uid,
            kernel_thread: u32::from(flags & KERNEL_THREAD != 0),
        }
    }
}
