//! How events and scans change what is stored of a TCP socket.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_ktime_get_boot_ns};
use observer_common::net::{SOCKET_SEEN, SocketRecord};

use crate::{
    access,
    memory::{CLAIMED, CLAIMING, ConnectionOrigin, ScanMemory, UNCLAIMED},
    store,
};

/// Stores that a connection is opened.
///
/// # Safety
/// `origin` must come from [`store::find_or_begin`].
#[inline(always)]
pub unsafe fn open(origin: *mut ConnectionOrigin, flags: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        (*origin).opened = bpf_ktime_get_boot_ns();
        (*origin).flags = flags;
    }
}

/// Clears what scans stored of an earlier connection of the same socket, because another one begins.
///
/// # Safety
/// `storage` must come from [`store::get`].
#[inline(always)]
pub unsafe fn unsee(storage: *mut ScanMemory) {
    // SAFETY: the caller's promise.
    unsafe {
        (*storage).flags = 0;
        (*storage).seen_tx = 0;
        (*storage).seen_rx = 0;
        (*storage).seen_retransmitted = 0;
    }
}

/// Makes the current process the owner, unless there is one.
///
/// # Safety
/// As for [`open`]; the current process must be one that acts on the socket.
#[inline(always)]
pub unsafe fn claim(origin: *mut ConnectionOrigin) {
    // SAFETY: the caller's promise.
    unsafe {
        let claim = &raw mut (*origin).claim;
        if claim.read_volatile() != UNCLAIMED {
            return;
        }
        match store::exchange(claim, CLAIMING) {
            UNCLAIMED => {
                (*origin).owner = access::acting(access::leader());
                claim.write_volatile(CLAIMED);
            }
            // Another process was faster and has written its record.
            CLAIMED => claim.write_volatile(CLAIMED),
            _ => {}
        }
    }
}

/// Whether the owner is known.
///
/// # Safety
/// As for [`open`].
#[inline(always)]
pub unsafe fn is_claimed(origin: *mut ConnectionOrigin) -> bool {
    // SAFETY: the caller's promise.
    unsafe { (&raw const (*origin).claim).read_volatile() == CLAIMED }
}

/// Whether no process has acted.
///
/// # Safety
/// As for [`open`].
#[inline(always)]
pub unsafe fn is_unclaimed(origin: *mut ConnectionOrigin) -> bool {
    // SAFETY: the caller's promise.
    unsafe { (&raw const (*origin).claim).read_volatile() == UNCLAIMED }
}

/// Whether the owner is known and is not the process `tgid`.
///
/// # Safety
/// As for [`open`].
#[inline(always)]
pub unsafe fn is_anothers(origin: *mut ConnectionOrigin, tgid: u64) -> bool {
    // SAFETY: the caller's promise.
    unsafe { is_claimed(origin) && (*origin).owner.id.tgid != tgid }
}

/// Whether bytes that the current process moves belong to the owner; the first process to act becomes the owner.
///
/// # Safety
/// As for [`open`].
#[inline(always)]
pub unsafe fn belongs_to_current(origin: *mut ConnectionOrigin) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        if !is_claimed(origin) {
            claim(origin);
        }
        // The process id is enough: it is not reused while the process uses the socket.
        (*origin).owner.id.tgid == bpf_get_current_pid_tgid() >> 32
    }
}

/// Adds what is stored to a record of the socket.
///
/// # Safety
/// As for [`open`] and [`unsee`]; `record` must be valid.
#[inline(always)]
pub unsafe fn describe(origin: *mut ConnectionOrigin, storage: *mut ScanMemory, record: *mut SocketRecord) {
    // SAFETY: the caller's promise.
    unsafe {
        if is_claimed(origin) {
            (*record).owner = (*origin).owner;
        }
        (*record).opened = (*origin).opened;
        (*record).flags = (*origin).flags | (*storage).flags;
    }
}

/// Stores what a scan has reported.
///
/// # Safety
/// As for [`unsee`].
#[inline(always)]
pub unsafe fn see(storage: *mut ScanMemory, record: &SocketRecord) {
    // SAFETY: the caller's promise.
    unsafe {
        (*storage).seen_tx = record.tx;
        (*storage).seen_rx = record.rx;
        (*storage).seen_retransmitted = record.retransmitted;
        (*storage).flags |= SOCKET_SEEN;
    }
}
