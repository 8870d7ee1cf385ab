//! What is freed goes back to the machine: who watches memory should not keep it.

/// Bytes from which memory is the kernel's own, and goes back to it at once: what a report of very many things takes for a
/// moment, and nothing that an ordinary one does.
const LARGE: libc::c_int = 1 << 20;
/// Free bytes at the end of the heap from which they go back too.
const FREE: libc::c_int = 4 << 20;

/// Sets both, once. Left to itself, the C library learns from the first large piece that is freed to keep such pieces.
pub fn settle() {
    #[cfg(target_env = "gnu")]
    // SAFETY: plain calls that set two numbers; nothing else runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, FREE);
    }
}
