//! The memory of a TCP socket before 5.12: in a map, by the address of the socket, until the socket is destroyed.
//!
//! Programs of this kind can get the kernel's own cookie only from 5.12 on. Here, a socket with an entry in the map
//! gets a unique number; any other socket has the number of its inode.

use aya_ebpf::{
    bindings::BPF_NOEXIST, helpers::generated::bpf_ktime_get_boot_ns, macros::map, maps::HashMap,
};
use observer_common::loss::Loss;
use observer_ebpf::lost;

use crate::{
    access::{load, pointer},
    fields::{FILE_INODE, INODE_INO, SOCK_SOCKET, SOCKET_FILE},
    memory::{ConnectionOrigin, ScanMemory},
};

const ENTRIES: u32 = 1 << 16;
/// `BPF_F_NO_PREALLOC`
const ON_DEMAND: u32 = 1;
/// An odd number whose bits are half ones: multiplying by it loses nothing and leaves no pattern.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The value of the map.
#[repr(C)]
#[derive(Clone, Copy)]
struct SocketEntry {
    storage: ScanMemory,
    cookie: u64,
}

#[map]
static NET_SOCKETS: HashMap<u64, SocketEntry> = HashMap::with_max_entries(ENTRIES, ON_DEMAND);

/// What is stored of the socket at `sk`; null if nothing is.
///
/// # Safety
/// `sk` must be the address of a `sock`; so in every function here.
#[inline(always)]
pub unsafe fn get(sk: *const u8) -> *mut ScanMemory {
    NET_SOCKETS.get_ptr_mut(&(sk as u64)).map_or(core::ptr::null_mut(), |entry| entry.cast())
}

/// As [`get`]; a new entry is zeroed. Null if the map is full, which is counted.
#[inline(always)]
pub unsafe fn get_or_create(sk: *const u8) -> *mut ScanMemory {
    let address = sk as u64;
    if let Some(entry) = NET_SOCKETS.get_ptr_mut(&address) {
        return entry.cast();
    }
    // SAFETY: a helper without arguments; integers, of which zeroes are values.
    let (now, storage) = unsafe { (bpf_ktime_get_boot_ns(), core::mem::zeroed()) };
    // Two sockets never have one address at the same nanosecond, so the number is unique.
    let entry = SocketEntry { storage, cookie: address ^ now.wrapping_mul(SPREAD) };
    // Fails if another CPU was faster: then the entry exists.
    let _ = NET_SOCKETS.insert(&address, &entry, u64::from(BPF_NOEXIST));
    match NET_SOCKETS.get_ptr_mut(&address) {
        Some(entry) => entry.cast(),
        None => {
            lost!(Loss::MapFull, 1);
            core::ptr::null_mut()
        }
    }
}

/// What events have stored of the connection of the socket at `sk`; null if nothing is known.
#[inline(always)]
pub unsafe fn find(sk: *const u8) -> *mut ConnectionOrigin {
    // SAFETY: the caller's promise.
    unsafe { get(sk).cast() }
}

/// Null: programs of control groups cannot find the entry, and are not loaded.
#[inline(always)]
pub unsafe fn find_by(_context: *const u8) -> *mut ConnectionOrigin {
    core::ptr::null_mut()
}

/// As [`find`]; a new entry is zeroed. Null if the map is full, which is counted.
#[inline(always)]
pub unsafe fn find_or_begin(sk: *const u8) -> *mut ConnectionOrigin {
    // SAFETY: the caller's promise.
    unsafe { get_or_create(sk).cast() }
}

/// The socket ends: its address will be reused.
#[inline(always)]
pub unsafe fn forget(sk: *const u8) {
    let _ = NET_SOCKETS.remove(&(sk as u64));
}

/// A number that identifies the socket for as long as the machine runs; without an entry or an inode, one that
/// identifies it while it exists.
#[inline(always)]
pub unsafe fn cookie(sk: *const u8) -> u64 {
    if let Some(entry) = NET_SOCKETS.get_ptr(&(sk as u64)) {
        // SAFETY: a value of the map.
        return unsafe { (*entry).cookie };
    }
    // SAFETY: the caller's promise; a null on the way reads as null.
    let inode: u64 = unsafe {
        let file = pointer(pointer(sk, &SOCK_SOCKET), &SOCKET_FILE);
        load(pointer(file, &FILE_INODE), &INODE_INO)
    };
    if inode != 0 { inode } else { sk as u64 }
}

/// Puts `value` at `word`, which is stored of a socket, and returns the old value. Not atomic, which needs 5.12: of
/// two processes that act on a new socket at the same moment, either may be recorded.
///
/// # Safety
/// `word` must be an aligned word of what [`get`] returned.
#[inline(always)]
pub unsafe fn exchange(word: *mut u64, value: u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        let before = word.read_volatile();
        word.write_volatile(value);
        before
    }
}
