//! The kernel side of observer: what its objects share.
//!
//! An object serves one domain: `mem`, `disk`, `net`, `sites`, and `net_older` for kernels before 5.12. The alternatives
//! of a hook are programs that call one handler. Totals in maps are cumulative. A record in the ring buffer announces an
//! entry once per epoch, with the total so far. What could not be delivered is counted. Kernel memory is read at
//! offsets that user space found in the BTF of the running kernel.
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

/// The object calls helpers that the kernel reserves for programs under the GPL, so it declares a compatible licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
