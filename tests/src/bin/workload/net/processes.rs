//! Several processes that count sent and received bytes in shared memory.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::FromRawFd as _,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

/// The maximum of processes of one workload.
const PLACES: usize = 16;

/// Sent and received payload bytes of one process.
#[derive(Debug, Default)]
pub struct Count {
    pid: AtomicU64,
    pub tcp_tx: AtomicU64,
    pub tcp_rx: AtomicU64,
    pub udp_tx: AtomicU64,
    pub udp_rx: AtomicU64,
    /// Retransmitted bytes by the kernel's count, if the process read it.
    pub retransmitted: AtomicU64,
}

/// Adds to a count.
pub fn add(to: &AtomicU64, bytes: usize) {
    to.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// The processes of a workload. They stay idle until this one exits.
pub struct Processes {
    counts: &'static [Count],
    started: usize,
    done: (File, File),
    /// Closed on exit of this process, which the others wait for.
    hold: (File, File),
}

impl Processes {
    pub fn new() -> Result<Self> {
        let size = size_of::<Count>() * PLACES;
        // SAFETY: fresh memory of this size, zeroed, which is a valid array of counts.
        let counts = unsafe {
            let memory = libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            ensure!(memory != libc::MAP_FAILED, "no shared memory");
            std::slice::from_raw_parts(memory.cast::<Count>(), PLACES)
        };
        Ok(Self { counts, started: 0, done: pipe()?, hold: pipe()? })
    }

    /// Starts a process that does `work` and then stays idle until the workload ends; with `ends`, it exits at once.
    pub fn start(&mut self, ends: bool, work: impl FnOnce(&'static Count) -> Result<()>) -> Result<()> {
        let count = self.counts.get(self.started).context("too many processes")?;
        self.started += 1;
        // SAFETY: this process has one thread, so the child may do whatever its parent may.
        match unsafe { libc::fork() } {
            -1 => Err(std::io::Error::last_os_error()).context("fork"),
            0 => {
                if !ends {
                    // Work that never returns also ends with the workload.
                    // SAFETY: a plain call.
                    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                }
                count.pid.store(u64::from(std::process::id()), Ordering::Relaxed);
                let result = work(count);
                if let Err(error) = &result {
                    eprintln!("workload: {error:#}");
                }
                let verdict: u8 = u8::from(result.is_err());
                // Another descriptor of the writing end would keep the pipe open forever.
                // SAFETY: the descriptor is this process's own copy.
                unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&self.hold.1)) };
                let mut done = &self.done.1;
                let _ = done.write_all(&[verdict]);
                if !ends {
                    let mut hold = &self.hold.0;
                    let _ = hold.read(&mut [0]);
                }
                // SAFETY: ends this process without running what belongs to its parent.
                unsafe { libc::_exit(0) }
            }
            _ => Ok(()),
        }
    }

    /// Waits until this many processes have done their work.
    pub fn wait(&mut self, processes: usize) -> Result<()> {
        let mut verdicts = vec![0; processes];
        self.done.0.read_exact(&mut verdicts)?;
        ensure!(verdicts.iter().all(|verdict| *verdict == 0), "a process failed");
        Ok(())
    }

    /// Waits until every process has done its work.
    pub fn wait_all(&mut self) -> Result<()> {
        self.wait(self.started)
    }

    /// The counts of every process.
    pub fn truth(&self) -> Value {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let each = self.counts[..self.started].iter().map(|count| {
            json!({
                "pid": of(&count.pid),
                "tcp": {"tx": of(&count.tcp_tx), "rx": of(&count.tcp_rx)},
                "udp": {"tx": of(&count.udp_tx), "rx": of(&count.udp_rx)},
                "retransmitted": of(&count.retransmitted),
            })
        });
        json!({"processes": each.collect::<Vec<_>>()})
    }
}

/// A pipe: reading end, writing end.
pub fn pipe() -> Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: two new descriptors are written, and this function owns them.
    unsafe {
        ensure!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) == 0, "no pipe");
        Ok((File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])))
    }
}
