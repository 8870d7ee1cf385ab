//! Connections that no pass needs to have met: what events learn of each, in a table with a place for each of the latest
//! sockets.
//!
//! A socket's number says which place is its own (the kernel numbers sockets one after the other, in runs of 4096 on each
//! CPU), and it is taken or it is not: nothing is searched, allocated or freed.
//! Where an older connection still has the place, what is learnt of the new one is kept elsewhere.

use aya_ebpf::{macros::map, maps::Array};
use observer_common::net::YOUNG_PLACES;
use observer_ebpf::atomic;

use crate::net::storage::Life;

/// No socket has this number.
const NOBODY: u64 = 0;

#[repr(C)]
#[derive(Clone, Copy)]
struct Place {
    /// Whose it is; zeroes follow where it is nobody's.
    cookie: u64,
    life: Life,
}

#[map]
static NET_YOUNG: Array<Place> = Array::with_max_entries(YOUNG_PLACES, 0);

#[inline(always)]
fn place(cookie: u64) -> *mut Place {
    NET_YOUNG.get_ptr_mut(cookie as u32 & (YOUNG_PLACES - 1)).unwrap_or(core::ptr::null_mut())
}

/// What is known of the connection of this socket; null where its place is not its own.
#[inline(always)]
pub fn find(cookie: u64) -> *mut Life {
    let place = place(cookie);
    // SAFETY: an element of the map.
    unsafe {
        if place.is_null() || (&raw const (*place).cookie).read_volatile() != cookie {
            return core::ptr::null_mut();
        }
        &raw mut (*place).life
    }
}

/// Zeroes for the connection of this socket; null where another has its place.
#[inline(always)]
pub fn begin(cookie: u64) -> *mut Life {
    let place = place(cookie);
    // SAFETY: an element of the map.
    unsafe {
        if place.is_null()
            || (&raw const (*place).cookie).read_volatile() != NOBODY
            || atomic::compare_exchange(&raw mut (*place).cookie, NOBODY, cookie) != NOBODY
        {
            return core::ptr::null_mut();
        }
        &raw mut (*place).life
    }
}

/// The socket ends: its place is another's to take.
#[inline(always)]
pub fn end(cookie: u64) {
    let place = place(cookie);
    // SAFETY: an element of the map; whoever takes the place next finds zeroes.
    unsafe {
        if !place.is_null() && (&raw const (*place).cookie).read_volatile() == cookie {
            (&raw mut (*place).life).write_volatile(core::mem::zeroed());
            atomic::exchange(&raw mut (*place).cookie, NOBODY);
        }
    }
}
