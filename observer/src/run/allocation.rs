//! What is freed goes back to the machine, but for what the next report takes again: who watches memory should not keep it,
//! nor have the kernel clear the same pages for each report.

/// Bytes from which a piece of memory is the kernel's own, and goes back to it at once, while observer starts: tables that
/// grow leave behind what they were.
const LARGE_AT_START: libc::c_int = 1 << 18;
/// The same from then on: what a report of everything among very many things takes for a moment, and nothing that each one
/// does.
const LARGE: libc::c_int = 1 << 21;
/// Free bytes at the end of the heap from which they go back too.
const FREE: libc::c_int = 4 << 20;

/// At the start. Left to itself, the C library learns from the first large piece that is freed to keep such pieces.
pub fn at_start() {
    set(LARGE_AT_START);
}

/// Once the first report is out.
pub fn from_now_on() {
    set(LARGE);
}

fn set(large: libc::c_int) {
    #[cfg(target_env = "gnu")]
    // SAFETY: plain calls that set two numbers of the C library, which has a lock for them.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, large);
        libc::mallopt(libc::M_TRIM_THRESHOLD, FREE);
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = (large, FREE);
}
