//! The kernel side of observer: what its objects share.
//!
//! An object is one domain (`mem`, `disk`, `net`; `net_older` is that of kernels before 5.12): its hooks have several ways in and one handler each. Totals in maps are cumulative; a
//! record in the ring announces an entry once an epoch and carries the total so far; what could not be delivered is
//! counted. Kernel memory is read at offsets that user space resolved in the running kernel's BTF.
#![no_std]
#![feature(asm_experimental_arch)]

#[cfg(target_arch = "bpf")]
pub mod atomic;
pub mod emit;
pub mod iterator;
pub mod log;
pub mod read;
pub mod task;

/// Never reached: every operation that could panic is absent from the object (the verifier would refuse the loop).
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// Helpers for programs under the GPL are used, so the object says that it may be taken under it.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
