//! The frames of Python of the current thread. They are read while the thread is in the kernel, so none of them changes
//! meanwhile.

use aya_ebpf::{helpers::bpf_probe_read_user, macros::map, maps::HashMap};
use observer_common::sites::{DIRECT, PYTHON_FRAMES, PythonFrame, PythonLayout};

/// Threads that are searched for the current one.
const MOST_THREADS: u32 = 64;

/// Processes that run CPython, by process id, written by user space.
#[map]
pub static SITES_PYTHON: HashMap<u32, PythonLayout> = HashMap::with_max_entries(1024, 0);

/// Writes the frames of the thread with this `fs`, which is also its `pthread_self()`. Returns their number.
///
/// # Safety
/// `to` must be writable.
#[inline(always)]
pub unsafe fn frames(tgid: u32, fs: u64, to: *mut [PythonFrame; PYTHON_FRAMES]) -> u32 {
    // SAFETY: user space writes the entry before the process is watched.
    let Some(layout) = (unsafe { SITES_PYTHON.get(&tgid) }) else { return 0 };
    let mut thread = read(layout.threads);
    for _ in 0..MOST_THREADS {
        if thread == 0 || read(at(thread, layout.thread)) == fs {
            break;
        }
        thread = read(at(thread, layout.next));
    }
    if thread == 0 {
        return 0;
    }
    let mut frame = read(at(thread, layout.frame));
    if layout.current != DIRECT {
        frame = read(at(frame, layout.current));
    }
    let mut done = 0;
    for place in 0..PYTHON_FRAMES {
        if frame == 0 {
            break;
        }
        let found = PythonFrame {
            code: read(at(frame, layout.code)),
            instruction: read(at(frame, layout.instruction)),
        };
        // SAFETY: the caller's promise.
        unsafe { to.cast::<PythonFrame>().add(place).write(found) }
        done += 1;
        frame = read(at(frame, layout.previous));
    }
    done
}

#[inline(always)]
fn at(address: u64, offset: u32) -> u64 {
    address.wrapping_add(u64::from(offset))
}

/// A word of the process; 0 if it cannot be read.
#[inline(always)]
fn read(address: u64) -> u64 {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(address as *const u64) }.unwrap_or(0)
}
