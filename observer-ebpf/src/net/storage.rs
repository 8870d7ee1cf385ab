//! What is remembered of a TCP socket: who owns it, when it was opened, what the last pass told of it.
//!
//! It lives in the socket (socket storage): no table that fills up, gone with the socket.

use aya_ebpf::{
    bindings::BPF_SK_STORAGE_GET_F_CREATE,
    btf_maps::SkStorage,
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{bpf_ktime_get_boot_ns, bpf_sk_storage_get},
    },
    macros::btf_map,
};
use observer_common::{
    net::{SOCKET_SEEN, SocketRecord},
    task::TaskRecord,
};
use observer_ebpf::{atomic, task};

use crate::socket::Activity;

/// Nobody has acted yet; somebody is being written down; `owner` is valid.
const UNCLAIMED: u64 = 0;
const CLAIMING: u64 = 1;
const CLAIMED: u64 = 2;

/// The value of the socket storage.
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

#[btf_map]
static NET_SOCKETS: SkStorage<Storage> = SkStorage::new();

/// The storage of the socket at `sk`; null if there is none.
///
/// # Safety
/// `sk` must be a BTF-typed pointer to a `sock`.
#[inline(always)]
pub unsafe fn get(sk: *const u8) -> *mut Storage {
    // SAFETY: the caller's promise.
    unsafe { look_up(sk, 0) }
}

/// The storage of the socket at `sk`, zeroed where it is new; null if there is no memory, or the socket is being freed.
///
/// # Safety
/// As for [`get`].
#[inline(always)]
pub unsafe fn get_or_create(sk: *const u8) -> *mut Storage {
    // SAFETY: the caller's promise.
    unsafe { look_up(sk, u64::from(BPF_SK_STORAGE_GET_F_CREATE)) }
}

#[inline(always)]
unsafe fn look_up(sk: *const u8, flags: u64) -> *mut Storage {
    // SAFETY: the caller's promise; a null value asks for a zeroed one.
    unsafe {
        let map = core::ptr::from_ref(&NET_SOCKETS).cast_mut().cast();
        bpf_sk_storage_get(map, sk.cast_mut().cast(), core::ptr::null_mut(), flags).cast()
    }
}

/// A connection begins: what was remembered of an earlier one over the same socket ends.
///
/// # Safety
/// `storage` must come from [`get_or_create`].
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
        match atomic::exchange(claim, CLAIMING) {
            UNCLAIMED => {
                (*storage).owner = task::record(task::current());
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
