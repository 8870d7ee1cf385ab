//! Recent connections: what events report of each, in a table with one entry for each of the latest sockets.
//!
//! The cookie of a socket selects its entry (the kernel numbers sockets consecutively, in runs of 4096 per CPU), and
//! the entry is free or taken: nothing is searched, allocated or freed. If an older connection still has the entry,
//! the new connection is stored in its socket.
//! is stored elsewhere.

use aya_ebpf::{macros::map, maps::Array};
use observer_common::net::RECENT_ENTRIES;
use observer_ebpf::atomic;

use crate::memory::ConnectionOrigin;

/// No socket has this cookie.
const FREE: u64 = 0;

#[repr(C)]
#[derive(Clone, Copy)]
struct RecentEntry {
    /// The socket that has the entry; if none has, [`FREE`], followed by zeroes.
    cookie: u64,
    origin: ConnectionOrigin,
}

#[map]
static NET_RECENT: Array<RecentEntry> = Array::with_max_entries(RECENT_ENTRIES, 0);

#[inline(always)]
fn entry(cookie: u64) -> *mut RecentEntry {
    NET_RECENT.get_ptr_mut(cookie as u32 & (RECENT_ENTRIES - 1)).unwrap_or(core::ptr::null_mut())
}

/// What is known of the connection of this socket; null if another socket has its entry.
#[inline(always)]
pub fn find(cookie: u64) -> *mut ConnectionOrigin {
    let entry = entry(cookie);
    // SAFETY: an element of the map.
    unsafe {
        if entry.is_null() || (&raw const (*entry).cookie).read_volatile() != cookie {
            return core::ptr::null_mut();
        }
        &raw mut (*entry).origin
    }
}

/// Zeroes for the connection of this socket; null if another socket has its entry.
#[inline(always)]
pub fn begin(cookie: u64) -> *mut ConnectionOrigin {
    let entry = entry(cookie);
    // SAFETY: an element of the map.
    unsafe {
        if entry.is_null()
            || (&raw const (*entry).cookie).read_volatile() != FREE
            || atomic::compare_exchange(&raw mut (*entry).cookie, FREE, cookie) != FREE
        {
            return core::ptr::null_mut();
        }
        &raw mut (*entry).origin
    }
}

/// The socket ends: its entry becomes free.
#[inline(always)]
pub fn release(cookie: u64) {
    let entry = entry(cookie);
    // SAFETY: an element of the map; the next socket of the entry finds zeroes.
    unsafe {
        if !entry.is_null() && (&raw const (*entry).cookie).read_volatile() == cookie {
            (&raw mut (*entry).origin).write_volatile(core::mem::zeroed());
            atomic::exchange(&raw mut (*entry).cookie, FREE);
        }
    }
}
