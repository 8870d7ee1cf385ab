//! What BPF iterators hand to their programs, and how a program answers.

use aya_ebpf::helpers::generated::{bpf_loop, bpf_seq_write};
use observer_common::loss::Loss;

use crate::lost;

/// `struct bpf_iter_meta`.
#[repr(C)]
pub struct Meta {
    pub seq: Seq,
    pub session_id: u64,
    pub seq_num: u64,
}

/// Context of `iter/task`.
#[repr(C)]
pub struct Task {
    pub meta: *mut Meta,
    pub task: *const u8,
}

/// Context of `iter/task_file`.
#[repr(C)]
pub struct TaskFile {
    pub meta: *mut Meta,
    pub task: *const u8,
    pub fd: u32,
    _pad: u32,
    pub file: *const u8,
}

/// Context of `iter/task_vma`.
#[repr(C)]
pub struct TaskVma {
    pub meta: *mut Meta,
    pub task: *const u8,
    pub vma: *const u8,
}

/// Context of `iter/tcp`.
#[repr(C)]
pub struct Tcp {
    pub meta: *mut Meta,
    pub sk_common: *const u8,
    pub uid: u32,
}

/// Calls `callback` up to `times` times, until it returns 1 (Linux 5.17). The verifier checks the callback once, not
/// per call.
///
/// # Safety
/// `context` must be on the stack.
#[inline(always)]
pub unsafe fn repeat<T>(times: u32, callback: unsafe extern "C" fn(u32, *mut T) -> i64, context: *mut T) {
    // SAFETY: the callback has the shape that the helper calls; the caller promises the rest.
    unsafe { bpf_loop(times, callback as *mut _, context.cast(), 0) };
}

/// Where an iterator's program writes.
pub type Seq = *mut core::ffi::c_void;

/// Writes a record to the reader of the iterator; `false` if it is not written, or not yet.
///
/// # Safety
/// `meta` must come from the iterator's context.
#[inline(always)]
pub unsafe fn write<T>(meta: *mut Meta, record: &T) -> bool {
    // SAFETY: the caller's promise.
    unsafe { write_to((*meta).seq, record) }
}

/// As [`write`], where the context's `seq` has been loaded: the verifier looks at a callback often, and before Linux
/// 7.0 it searches the kernel's types by name for each pointer that a program loads from what it trusts.
///
/// A full buffer is no loss: the kernel hands the buffer out and calls the program for the same object again.
///
/// # Safety
/// `seq` must come from the iterator's context.
#[inline(always)]
pub unsafe fn write_to<T>(seq: Seq, record: &T) -> bool {
    // SAFETY: `seq` is the iterator's own, and `record` is initialised memory of the size given.
    let result = unsafe {
        bpf_seq_write(seq.cast(), core::ptr::from_ref(record).cast_mut().cast(), size_of::<T>() as u32)
    };
    // -EOVERFLOW asks for another call; anything else would be a record that never arrives.
    const OVERFLOW: i64 = -75;
    if result < 0 && result as i64 != OVERFLOW {
        lost!(Loss::Unread, 1);
    }
    result >= 0
}
