//! What user space tells the programs, and they tell one another: single numbers that any of them may look at.

use aya_ebpf::{macros::map, maps::Array};
use observer_common::net::CONTROL_VALUES;

#[map]
pub static CONTROL: Array<u32> = Array::with_max_entries(CONTROL_VALUES, 0);

/// The number at `place`; 0 until somebody says otherwise.
#[inline(always)]
pub fn get(place: u32) -> u32 {
    CONTROL.get(place).copied().unwrap_or(0)
}

/// Sets the number at `place`.
#[inline(always)]
pub fn set(place: u32, number: u32) {
    if let Some(order) = CONTROL.get_ptr_mut(place) {
        // SAFETY: an element of the map, written whole.
        unsafe { order.write_volatile(number) }
    }
}
