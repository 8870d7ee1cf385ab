//! The control map: numbers that user space hands to the programs, and that the programs hand to each other.

use aya_ebpf::{macros::map, maps::Array};
use observer_common::net::CONTROL_VALUES;

#[map]
pub static CONTROL: Array<u32> = Array::with_max_entries(CONTROL_VALUES, 0);

/// The number at index `place` (`CONTROL_…`); 0 until it is set.
#[inline(always)]
pub fn get(place: u32) -> u32 {
    CONTROL.get(place).copied().unwrap_or(0)
}

/// Sets the number at index `place`.
#[inline(always)]
pub fn set(place: u32, number: u32) {
    if let Some(order) = CONTROL.get_ptr_mut(place) {
        // SAFETY: an element of the map, written whole.
        unsafe { order.write_volatile(number) }
    }
}
