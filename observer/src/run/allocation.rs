//! Returns freed memory to the machine, except for what the next report needs again. A program that watches memory
//! should not keep it, and should not make the kernel clear the same pages for each report.

/// While observer starts, a piece of memory of this many bytes is mapped by itself, and returns to the kernel when it
/// is freed: growing tables leave their old memory behind.
const LARGE_AT_START: libc::c_int = 1 << 18;
/// The same after the start. Only a full report about very many things briefly needs as much, and no usual report does.
const LARGE: libc::c_int = 1 << 21;
/// If at least this many bytes at the end of the heap are free, they are returned too.
const FREE: libc::c_int = 4 << 20;

/// To be called at the start. By default, the C library keeps large pieces after the first one was freed.
pub fn at_start() {
    set(LARGE_AT_START);
}

/// To be called after the first report.
pub fn from_now_on() {
    set(LARGE);
}

fn set(large: libc::c_int) {
    #[cfg(target_env = "gnu")]
    // SAFETY: plain calls that set two numbers of the C library, which protects them with a lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, large);
        libc::mallopt(libc::M_TRIM_THRESHOLD, FREE);
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = (large, FREE);
}
