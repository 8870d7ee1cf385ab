//! Many descriptors, and after the last of them a deleted file.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::AsRawFd as _,
    path::Path,
};

use anyhow::{Result, ensure};
use observer_tests::workload::{hear, tell};
use serde_json::json;

use super::{pipe, truth_of};

/// Descriptors for a process's own use.
const OWN: usize = 64;

/// Opens this many descriptors of live files, in as many processes as the limit requires. The process that starts last
/// has the deleted file at its highest descriptor.
pub fn run(folder: &Path, count: usize) -> Result<()> {
    let each = limit()? - OWN;
    let path = folder.join("crowd");
    let file = File::create_new(&path)?;
    (&file).write_all(&[7; 5000])?;
    std::fs::remove_file(&path)?;
    let truth = truth_of(&file)?;
    let (mut ready, said) = pipe()?;
    let (wait, end) = pipe()?;
    let mut pids = Vec::new();
    let mut left = count;
    while left > 0 {
        let own = left.min(each);
        left -= own;
        // SAFETY: this process has one thread.
        let pid = unsafe { libc::fork() };
        ensure!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid == 0 {
            drop(end);
            let hold = || member(own, (left == 0).then_some(&file), &said, &wait);
            std::process::exit(i32::from(hold().is_err()));
        }
        pids.push(pid);
    }
    drop((file, said));
    let mut bytes = vec![0; pids.len()];
    ready.read_exact(&mut bytes)?;
    let mut ready = truth;
    ready["ready"] = json!(true);
    ready["holder"] = json!(pids.last());
    tell(ready);
    while hear().is_some() {
        tell(json!({}));
    }
    drop(end);
    for pid in pids {
        // SAFETY: a child of this process; its state is not wanted.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    }
    Ok(())
}

/// One process of the crowd; it ends when its parent does.
fn member(count: usize, file: Option<&File>, said: &File, wait: &File) -> Result<()> {
    let live = File::open("/dev/null")?;
    for _ in 0..count {
        copy(&live)?;
    }
    if let Some(file) = file {
        copy(file)?;
        // SAFETY: the descriptor is not used again.
        unsafe { libc::close(file.as_raw_fd()) };
    }
    let (mut said, mut wait) = (said, wait);
    said.write_all(&[1])?;
    let _ = wait.read(&mut [0])?;
    Ok(())
}

fn copy(file: &File) -> Result<i32> {
    // SAFETY: a call without memory.
    let copy = unsafe { libc::dup(file.as_raw_fd()) };
    ensure!(copy >= 0, "dup: {}", std::io::Error::last_os_error());
    Ok(copy)
}

/// The limit of descriptors of a process, after raising it to its maximum.
fn limit() -> Result<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid limit.
    unsafe {
        ensure!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0);
        limit.rlim_cur = limit.rlim_max;
        ensure!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0);
    }
    Ok(limit.rlim_cur.min(300_000) as usize)
}
