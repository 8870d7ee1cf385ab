//! Where what is remembered of a TCP socket is kept: in the socket itself. No table that fills up, gone with the socket.

use aya_ebpf::{
    bindings::BPF_SK_STORAGE_GET_F_CREATE,
    btf_maps::SkStorage,
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_storage_get},
    macros::btf_map,
};
use observer_ebpf::atomic;

use crate::storage::Storage;

#[btf_map]
static NET_SOCKETS: SkStorage<Storage> = SkStorage::new();

/// What is remembered of the socket at `sk`; null if nothing is.
///
/// # Safety
/// `sk` must be a BTF-typed pointer to a `sock`; so in every function here.
#[inline(always)]
pub unsafe fn get(sk: *const u8) -> *mut Storage {
    // SAFETY: the caller's promise.
    unsafe { look_up(sk, 0) }
}

/// As [`get`], zeroed where it is new; null if there is no memory, or the socket is being freed.
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

/// The socket ends, and what was remembered of it by itself.
#[inline(always)]
pub unsafe fn forget(_sk: *const u8) {}

/// The number that names the socket for as long as the machine runs.
#[inline(always)]
pub unsafe fn cookie(sk: *const u8) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { bpf_get_socket_cookie(sk.cast_mut().cast()) }
}

/// Puts `value` at `word`, which is remembered of a socket, and returns what was there.
///
/// # Safety
/// `word` must be an aligned word of what [`get`] returned.
#[inline(always)]
pub unsafe fn exchange(word: *mut u64, value: u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { atomic::exchange(word, value) }
}
