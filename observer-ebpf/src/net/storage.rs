//! What is remembered of a TCP socket: who owns it, when it was opened, what the last pass told of it.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_ktime_get_boot_ns};
use observer_common::{
    net::{SOCKET_SEEN, SocketRecord},
    task::TaskRecord,
};

use crate::{access, kept, socket::Activity};

/// Nobody has acted yet; somebody is being written down; `owner` is valid.
const UNCLAIMED: u64 = 0;
const CLAIMING: u64 = 1;
const CLAIMED: u64 = 2;

/// What [`kept`] keeps of a socket.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Storage {
    pub owner: TaskRecord,
    pub opened: u64,
    pub seen_tx: u64,
    pub seen_rx: u64,
    pub seen_retransmitted: u64,
    /// The counters when it was marked as shared.
    pub shared_tx: u64,
    pub shared_rx: u64,
    /// The process for which the last pass wrote it.
    pub holder: u64,
    /// The last pass that wrote it, one more than its epoch; 0 for none.
    pub pass: u32,
    /// `SOCKET_…`
    pub flags: u32,
    /// What [`crate::socket::activity`] was when the last pass wrote it.
    pub activity: Activity,
    pub _padding: u32,
    /// One of the three above. Two processes may act on a new socket at the same time; one of them writes.
    claim: u64,
}

/// A connection begins: what was remembered of an earlier one over the same socket ends.
///
/// # Safety
/// `storage` must come from [`kept::get_or_create`].
#[inline(always)]
pub unsafe fn open(storage: *mut Storage, flags: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        (*storage).opened = bpf_ktime_get_boot_ns();
        (*storage).flags = flags;
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
pub unsafe fn claim(storage: *mut Storage) {
    // SAFETY: the caller's promise.
    unsafe {
        let claim = &raw mut (*storage).claim;
        if claim.read_volatile() != UNCLAIMED {
            return;
        }
        match kept::exchange(claim, CLAIMING) {
            UNCLAIMED => {
                (*storage).owner = access::acting();
                claim.write_volatile(CLAIMED);
            }
            // Another one was faster and is done.
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
pub unsafe fn is_claimed(storage: *mut Storage) -> bool {
    // SAFETY: the caller's promise.
    unsafe { (&raw const (*storage).claim).read_volatile() == CLAIMED }
}

/// Whether the owner is known and is not the process `tgid`.
///
/// # Safety
/// As for [`open`].
#[inline(always)]
pub unsafe fn is_anothers(storage: *mut Storage, tgid: u64) -> bool {
    // SAFETY: the caller's promise.
    unsafe { is_claimed(storage) && (*storage).owner.id.tgid != tgid }
}

/// Whether what the current process moves is the owner's; the first to act becomes the owner.
///
/// # Safety
/// As for [`open`].
#[inline(always)]
pub unsafe fn belongs_to_current(storage: *mut Storage) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        if !is_claimed(storage) {
            claim(storage);
        }
        // The number is enough: it is not used again while the process that it belongs to uses the socket.
        (*storage).owner.id.tgid == bpf_get_current_pid_tgid() >> 32
    }
}

/// Adds what is remembered to a record of the socket.
///
/// # Safety
/// As for [`open`]; `record` must be valid.
#[inline(always)]
pub unsafe fn describe(storage: *mut Storage, record: *mut SocketRecord) {
    // SAFETY: the caller's promise.
    unsafe {
        if is_claimed(storage) {
            (*record).owner = (*storage).owner;
        }
        (*record).opened = (*storage).opened;
        (*record).flags = (*storage).flags;
    }
}

/// Remembers what a pass has told.
///
/// # Safety
/// As for [`open`].
#[inline(always)]
pub unsafe fn see(storage: *mut Storage, record: &SocketRecord) {
    // SAFETY: the caller's promise.
    unsafe {
        (*storage).seen_tx = record.tx;
        (*storage).seen_rx = record.rx;
        (*storage).seen_retransmitted = record.retransmitted;
        (*storage).flags |= SOCKET_SEEN;
    }
}
