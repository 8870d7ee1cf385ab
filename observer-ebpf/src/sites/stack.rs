//! A copy of the stack of the current thread.

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use observer_common::sites::STACK_BYTES;

/// What is read at once. A piece that ends in a page that is not in memory is lost as a whole, so it is small.
const PIECE: usize = 1024;

/// Bytes behind the start of a stack that its first frame still reaches: the count and the list of arguments of the
/// main thread.
const BEFORE_START: u64 = 128;

/// The address at which the stack of a thread begins; the stack grows from there to lower addresses.
#[inline(always)]
pub fn end(main_thread: bool, start_stack: u64, fs: u64) -> u64 {
    // The C libraries put the description of a thread, which `fs` leads to, right behind its stack.
    if main_thread { start_stack + BEFORE_START } else { fs }
}

/// Copies the stack from `sp` on, to `end` at most if that is near. Returns the number of bytes. Nothing behind it is
/// written.
///
/// # Safety
/// `to` must be writable.
#[inline(always)]
pub unsafe fn copy(sp: u64, end: u64, to: *mut [u8; STACK_BYTES]) -> u32 {
    let mut done: u32 = 0;
    for piece in 0..STACK_BYTES / PIECE {
        let from = sp + (piece * PIECE) as u64;
        // A stack that is not where it is expected (of a coroutine, of a signal handler) has another end.
        if sp < end && from >= end {
            break;
        }
        // SAFETY: the helper checks the address to read; the caller promises the other one.
        let read = unsafe {
            let to = to.cast::<u8>().add(piece * PIECE);
            bpf_probe_read_user(to.cast(), PIECE as u32, from as *const _)
        };
        if read != 0 {
            break;
        }
        done += PIECE as u32;
    }
    done
}
