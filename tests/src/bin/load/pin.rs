//! CPU affinity of a load, because measurements of a few nanoseconds must not depend on the scheduler.

use anyhow::{Result, ensure};

/// Pins this thread to the last processor.
pub fn to_last_processor() -> Result<()> {
    // SAFETY: the first call returns the number of processors of the machine, because this thread may already be pinned
    // to one; the set is a plain value.
    let result = unsafe {
        let last = libc::sysconf(libc::_SC_NPROCESSORS_ONLN) as usize - 1;
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(last, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set)
    };
    ensure!(result == 0, "sched_setaffinity: {}", std::io::Error::last_os_error());
    Ok(())
}
