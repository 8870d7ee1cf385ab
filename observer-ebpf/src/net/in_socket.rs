//! The memory of a TCP socket from 5.12 on. What scans store is in the socket itself and goes with it. What events
//! report is in a table if its entry is free, else in the socket too. Most connections end before a scan finds them,
//! and creating storage in a socket takes a quarter of a microsecond, as does freeing it.

use aya_ebpf::{
    bindings::BPF_SK_STORAGE_GET_F_CREATE,
    btf_maps::SkStorage,
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_storage_get},
    macros::btf_map,
};
use observer_common::loss::Loss;
use observer_ebpf::{atomic, lost};

use crate::{
    memory::{ConnectionOrigin, ScanMemory},
    recent,
};

#[btf_map]
static NET_SOCKETS: SkStorage<ScanMemory> = SkStorage::new();

/// What is stored of the socket at `sk`; null if nothing is.
///
/// # Safety
/// `sk` must be a BTF-typed pointer to a `sock`; so in every function here.
#[inline(always)]
pub unsafe fn get(sk: *const u8) -> *mut ScanMemory {
    // SAFETY: the caller's promise.
    unsafe { look_up(sk, 0) }
}

/// As [`get`]; new storage is zeroed. Null if there is no memory, or the socket may not have more
/// (`net.core.optmem_max`), which is counted.
#[inline(always)]
pub unsafe fn get_or_create(sk: *const u8) -> *mut ScanMemory {
    // SAFETY: the caller's promise.
    let storage = unsafe { look_up(sk, u64::from(BPF_SK_STORAGE_GET_F_CREATE)) };
    if storage.is_null() {
        lost!(Loss::MapFull, 1);
    }
    storage
}

/// What events have stored of the connection of the socket at `sk`; null if nothing is known.
#[inline(always)]
pub unsafe fn find(sk: *const u8) -> *mut ConnectionOrigin {
    // SAFETY: the caller's promise.
    unsafe {
        let origin = recent::find(cookie(sk));
        if origin.is_null() { get(sk).cast() } else { origin }
    }
}

/// As [`find`], by the context of a program of a control group, as far as it is in the table.
#[inline(always)]
pub unsafe fn find_by(context: *const u8) -> *mut ConnectionOrigin {
    // SAFETY: the helper takes the context in place of a socket.
    recent::find(unsafe { cookie(context) })
}

/// As [`find`]; new memory is zeroed. Null if there is none, which is counted.
#[inline(always)]
pub unsafe fn find_or_begin(sk: *const u8) -> *mut ConnectionOrigin {
    // SAFETY: the caller's promise.
    unsafe {
        let number = cookie(sk);
        let origin = recent::find(number);
        if !origin.is_null() {
            return origin;
        }
        // A scan found it before any event.
        let storage = get(sk);
        if !storage.is_null() {
            return storage.cast();
        }
        let origin = recent::begin(number);
        if origin.is_null() { get_or_create(sk).cast() } else { origin }
    }
}

#[inline(always)]
unsafe fn look_up(sk: *const u8, flags: u64) -> *mut ScanMemory {
    // SAFETY: the caller's promise; a null value asks for a zeroed one.
    unsafe {
        let map = core::ptr::from_ref(&NET_SOCKETS).cast_mut().cast();
        bpf_sk_storage_get(map, sk.cast_mut().cast(), core::ptr::null_mut(), flags).cast()
    }
}

/// The socket ends; the kernel frees what is stored in it.
#[inline(always)]
pub unsafe fn forget(sk: *const u8) {
    // SAFETY: the caller's promise.
    unsafe { recent::release(cookie(sk)) }
}

/// A number that identifies the socket for as long as the machine runs.
#[inline(always)]
pub unsafe fn cookie(sk: *const u8) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { bpf_get_socket_cookie(sk.cast_mut().cast()) }
}

/// Puts `value` at `word`, which is stored of a socket, and returns the old value.
///
/// # Safety
/// `word` must be an aligned word of what [`get`] returned.
#[inline(always)]
pub unsafe fn exchange(word: *mut u64, value: u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { atomic::exchange(word, value) }
}
