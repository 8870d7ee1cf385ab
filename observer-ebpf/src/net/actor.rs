//! Which process acts on a TCP socket, where the one that runs may be another one.
//!
//! The last process with a reference to a socket closes it. That can be one that only reads about descriptors of
//! others (a scan, `lsof`), or a child or parent of the process that moved the bytes.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::map, maps::LruHashMap};
use observer_common::net::{CONTROL_READER, SOCKET_ACCEPTED};

use crate::{
    access, control,
    memory::{CLAIMED, ConnectionOrigin},
    storage, store,
};

/// Processes that have forked lately, with the boot-clock nanoseconds of their last child.
#[map]
static NET_FORKED: LruHashMap<u64, u64> = LruHashMap::with_max_entries(1 << 10, 0);

#[inline(always)]
fn current() -> u64 {
    bpf_get_current_pid_tgid() >> 32
}

/// Remembers that the current process reads a scan. The scan refers to each file while it reads it. If the owner
/// closes a file at that moment, the reader closes it for good, but does not become its owner.
#[inline(always)]
pub fn read_by_current() {
    control::set(CONTROL_READER, current() as u32);
}

/// Whether the current process reads: a scan, or anything else that can refer to files of other processes. What it
/// releases belongs to another one.
#[inline(always)]
pub fn reads() -> bool {
    control::get(CONTROL_READER) == current() as u32 || access::is_reading()
}

/// The current process has a child that inherits its sockets, at `now`.
#[inline(always)]
pub fn forks(now: u64) {
    // The oldest entry makes room for a new one.
    let _ = NET_FORKED.insert(&current(), &now, 0);
}

/// The current process accepts the connection of `sk`. It becomes the owner unless another process acts.
///
/// # Safety
/// `sk` must point to a `sock`, as `store` demands it.
#[inline(always)]
pub unsafe fn accepts(origin: *mut ConnectionOrigin) {
    // SAFETY: the caller's promise.
    unsafe {
        if !origin.is_null() && (*origin).flags & SOCKET_ACCEPTED == 0 && storage::is_unclaimed(origin) {
            (*origin).owner = access::acting(access::leader());
            (*origin).flags |= SOCKET_ACCEPTED;
        }
    }
}

/// The current process ends the connection. Returns whether another process may have moved bytes of it, as far as no
/// scan shows it.
///
/// # Safety
/// `origin` must come from [`store::find_or_begin`].
#[inline(always)]
pub unsafe fn ends(origin: *mut ConnectionOrigin) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let current = current();
        if storage::is_anothers(origin, current) {
            return true;
        }
        storage::claim(origin);
        let opened = (*origin).opened;
        opened != 0 && NET_FORKED.get(&current).is_some_and(|forked| *forked > opened)
    }
}

/// The connection ends without a process that acts on it: it belongs to the one that accepted it.
///
/// # Safety
/// As for [`ends`].
#[inline(always)]
pub unsafe fn settle(origin: *mut ConnectionOrigin) {
    // SAFETY: the caller's promise.
    unsafe {
        if (*origin).flags & SOCKET_ACCEPTED != 0 && storage::is_unclaimed(origin) {
            store::exchange(&raw mut (*origin).claim, CLAIMED);
        }
    }
}
