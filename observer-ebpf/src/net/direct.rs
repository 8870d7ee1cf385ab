//! How this object reads kernel memory: by direct reads, from pointers whose type the verifier knows.

use aya_ebpf::helpers::generated::{
    bpf_get_current_task_btf, bpf_skc_to_tcp_sock, bpf_sock_from_file, bpf_task_pt_regs,
};
use observer_common::task::{TaskId, TaskRecord};
pub use observer_ebpf::read::{load, pointer};
use observer_ebpf::{
    iterator,
    read::{Direct, MemoryAccess as _},
    task::{self, TASK_FLAGS, TASK_LEADER},
};

use crate::fields::{REGISTERS_CALL, SOCKET_SK};

/// `PF_EXITING` of `task_struct.flags`.
const EXITING: u32 = 4;
/// Numbers of system calls that read about descriptors of other processes in `/proc`, or run an iterator: `read`, `open`,
/// `stat`, `lstat`, `pread64`, `getdents`, `readlink`, `getdents64`, `openat`, `newfstatat`, `readlinkat`, `statx`,
/// `openat2`, `pidfd_getfd`.
const READING: [u64; 14] = [0, 2, 4, 6, 17, 78, 89, 217, 257, 262, 267, 332, 437, 438];

/// The `sock` behind an open file; null if the file is not a socket.
///
/// # Safety
/// `file` must be a BTF-typed pointer to a `file`.
#[inline(always)]
pub unsafe fn socket_of(file: *const u8) -> *const u8 {
    // SAFETY: the caller's promise.
    unsafe {
        let socket = bpf_sock_from_file(file.cast_mut().cast());
        if socket.is_null() { core::ptr::null() } else { pointer(socket.cast(), &SOCKET_SK) }
    }
}

/// The current socket of the iterator, of any of TCP's kinds (full, request, time-wait); null at the end of its scan.
///
/// # Safety
/// `context` must be the iterator's own.
#[inline(always)]
pub unsafe fn met_socket(context: *mut iterator::Tcp) -> *const u8 {
    // SAFETY: the caller's promise.
    unsafe { (*context).sk_common }
}

/// The `tcp_sock` that begins at `sk`; null if there is none.
///
/// # Safety
/// `sk` must be a BTF-typed pointer to a `sock` or a `sock_common`.
#[inline(always)]
pub unsafe fn tcp_sock(sk: *const u8) -> *const u8 {
    // SAFETY: the caller's promise.
    unsafe { bpf_skc_to_tcp_sock(sk.cast_mut().cast()).cast::<u8>().cast_const() }
}

/// The first argument at the attach point of the program, which is a pointer.
///
/// # Safety
/// `context` must be the program's own.
#[inline(always)]
pub unsafe fn first_argument(context: *mut core::ffi::c_void) -> *const u8 {
    // SAFETY: the caller's promise: the context is an array of arguments.
    unsafe { *context.cast::<*const u8>() }
}

/// Whether the current process is in a system call that reads about files, and does not close any. A signal can end it
/// there, which closes its own.
#[inline(always)]
pub fn is_reading() -> bool {
    // SAFETY: typed by BTF; every task has registers.
    unsafe {
        let task = bpf_get_current_task_btf();
        let call: u64 = load(bpf_task_pt_regs(task) as *const u8, &REGISTERS_CALL);
        READING.contains(&call) && load::<u32>(task.cast(), &TASK_FLAGS) & EXITING == 0
    }
}

/// The first thread of the current process, which identifies it.
#[inline(always)]
pub fn leader() -> *const u8 {
    // SAFETY: typed by BTF.
    unsafe { Direct::pointer(Direct::current(), &TASK_LEADER) }
}

/// The current process, given its [`leader`].
#[inline(always)]
pub unsafe fn acting(leader: *const u8) -> TaskRecord {
    // SAFETY: as above.
    unsafe { task::record_of_current::<Direct>(Direct::current(), leader) }
}

/// The identity of the current process, given its [`leader`].
#[inline(always)]
pub unsafe fn acting_id(leader: *const u8) -> TaskId {
    // SAFETY: as above.
    unsafe { task::id_of::<Direct>(Direct::current(), leader) }
}
