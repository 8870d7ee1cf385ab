//! TCP sockets that several processes hold, or that are open without a descriptor: only on these, each send and
//! receive counts.
//!
//! Once the programs of send and receive are attached, a scan that finds a socket with a second holder marks it. From
//! the counters at that moment on, bytes that processes other than the owner move are added up. A call that is
//! running at that moment can be on either side of it.

use observer_common::net::{CONTROL_SHARING, CONTROL_WATCHED, SOCKET_HIDDEN, SOCKET_SHARED, SocketRecord};

use crate::{control, memory::ScanMemory, storage, store};

/// Whether any socket was ever marked.
#[inline(always)]
pub fn exists() -> bool {
    control::get(CONTROL_SHARING) != 0
}

/// Whether `sk` is marked and the bytes that the current process moves through it do not belong to its owner; the
/// first process to act becomes the owner.
///
/// # Safety
/// `sk` must point to a `sock`, as [`crate::access`] demands it.
#[inline(always)]
pub unsafe fn is_others(sk: *const u8) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let storage = store::get(sk);
        if storage.is_null() || (*storage).flags & (SOCKET_SHARED | SOCKET_HIDDEN) == 0 {
            return false;
        }
        let origin = store::find(sk);
        !origin.is_null() && !storage::belongs_to_current(origin)
    }
}

/// Marks a socket that a scan has found with a second holder, if the programs of send and receive are attached.
///
/// # Safety
/// `storage` must be the storage of the socket that `record` describes in its current state.
#[inline(always)]
pub unsafe fn mark(storage: *mut ScanMemory, record: *mut SocketRecord) {
    // SAFETY: the caller's promise.
    unsafe {
        if (*storage).flags & SOCKET_SHARED == 0 && control::get(CONTROL_WATCHED) != 0 {
            control::set(CONTROL_SHARING, 1);
            // Bytes that were written and not sent yet, and bytes that have arrived and were not read yet.
            (*storage).shared_tx = (*record).tx.wrapping_add(u64::from((*record).unsent));
            (*storage).shared_rx = (*record).rx.saturating_sub(u64::from((*record).queued));
            (*storage).flags |= SOCKET_SHARED;
        }
    }
}

/// Marks a socket that is open without a descriptor, so that the first to act on it becomes its owner.
///
/// # Safety
/// As for [`mark`].
#[inline(always)]
pub unsafe fn hide(storage: *mut ScanMemory) {
    // SAFETY: the caller's promise.
    unsafe {
        control::set(CONTROL_SHARING, 1);
        (*storage).flags |= SOCKET_HIDDEN;
    }
}
