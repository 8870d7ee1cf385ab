//! Atomic operations on map elements; the compiler offers none for this target.

/// Adds `amount` to what is at `total`: the one atomic instruction that every kernel with eBPF has.
///
/// # Safety
/// `total` must point to an aligned word of a map element.
#[inline(always)]
pub unsafe fn add(total: *mut u64, amount: u64) {
    // SAFETY: the caller's promise.
    unsafe { core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) total, in(reg) amount) }
}

/// Replaces the value at `word` by `value` if it is `expected`; returns the old value. Kernels from 5.12.
///
/// # Safety
/// As for [`add`].
#[inline(always)]
pub unsafe fn compare_exchange(word: *mut u64, expected: u64, value: u64) -> u64 {
    let mut before = expected;
    // SAFETY: the caller's promise; the instruction compares with register 0, and leaves there what it found.
    unsafe {
        core::arch::asm!("r0 = cmpxchg_64({0} + 0, r0, {1})", in(reg) word, in(reg) value, inout("r0") before);
    }
    before
}

/// Replaces the value at `word` by `value`; returns the old value. Kernels from 5.12.
///
/// # Safety
/// As for [`add`].
#[inline(always)]
pub unsafe fn exchange(word: *mut u64, value: u64) -> u64 {
    let mut value = value;
    // SAFETY: the caller's promise.
    unsafe { core::arch::asm!("{1} = xchg_64({0} + 0, {1})", in(reg) word, inout(reg) value) }
    value
}
