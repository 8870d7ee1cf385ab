//! A scenario that is played: its link, and its processes.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};

use super::{
    ends::{self, Settings},
    link::{Link, Reading, first_in_line},
    namespace::Namespace,
    scenario::{Scenario, Talk},
};

/// The addresses of the two ends.
pub const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub const THERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The first port that is listened at.
pub const PORT: u16 = 5000;

/// A scenario under way, until it is dropped.
#[derive(Debug)]
pub struct Play {
    link: Link,
    /// Processes: of each conversation the one that opened the connection, and the one that it was opened to.
    pub pids: Vec<[u32; 2]>,
}

impl Play {
    /// Starts the scenario, and with it each of the other `talks` over the same link. Must be called by a process of one
    /// thread.
    ///
    /// # Errors
    /// Without the privilege, or where the kernel lacks what it needs.
    pub fn start(scenario: &Scenario, others: &[Talk], seed: u64) -> Result<Self> {
        let (here, near) = Namespace::new(HERE, scenario.mtu)?;
        let (there, far) = Namespace::new(THERE, scenario.mtu)?;
        let own = Settings {
            congestion_control: scenario.congestion_control,
            send_buffer: scenario.send_buffer,
            receive_buffer: scenario.receive_buffer,
        };
        let plain = Settings { send_buffer: None, receive_buffer: None, ..own };
        let talks = std::iter::once((scenario.talk, own)).chain(others.iter().map(|talk| (*talk, plain)));
        let mut pids = Vec::new();
        for (port, (talk, settings)) in (PORT..).zip(talks) {
            let address = SocketAddr::from((THERE, port));
            let listener = there.within(|| ends::listen(address, settings))?;
            let server = process(|| ends::server(listener.accept()?.0, talk))?;
            drop(listener);
            let client = process(|| {
                here.enter()?;
                ends::client(ends::connect(address, settings)?, talk)
            })?;
            pids.push([client, server]);
        }
        let link = Link::start([near, far], scenario.directions(), seed)?;
        Ok(Self { link, pids })
    }

    /// What the link has done so far on the way there.
    #[must_use]
    pub fn link(&self) -> Reading {
        self.link.done[0].read()
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        for pid in self.pids.iter().flatten() {
            // SAFETY: children of this process that nobody has waited for: their numbers are theirs.
            unsafe {
                libc::kill(*pid as libc::pid_t, libc::SIGKILL);
                libc::waitpid(*pid as libc::pid_t, std::ptr::null_mut(), 0);
            }
        }
    }
}

/// Starts a process that ends with this one.
fn process(act: impl FnOnce() -> Result<()>) -> Result<u32> {
    // SAFETY: the threads of this process have ended, so the child may do whatever its parent may; it ends without
    // running what belongs to its parent.
    unsafe {
        match libc::fork() {
            -1 => Err(std::io::Error::last_os_error()).context("fork"),
            0 => {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                // Each stands for a machine of its own, whose processor nobody else uses.
                first_in_line();
                if let Err(error) = act() {
                    eprintln!("workload: {error:#}");
                }
                libc::_exit(1)
            }
            pid => Ok(pid as u32),
        }
    }
}

/// The congestion controls that this kernel has, of those that scenarios are drawn with, and its default.
///
/// # Errors
/// Where the kernel does not say.
pub fn congestion_controls() -> Result<(Vec<&'static str>, String)> {
    let read = |name: &str| {
        let path = format!("/proc/sys/net/ipv4/{name}");
        std::fs::read_to_string(&path).context(path)
    };
    let available = read("tcp_available_congestion_control")?;
    let found: Vec<&str> = ["cubic", "bbr"]
        .into_iter()
        .filter(|name| available.split_whitespace().any(|word| word == *name))
        .collect();
    ensure!(!found.is_empty(), "neither cubic nor bbr: {available}");
    Ok((found, read("tcp_congestion_control")?.trim().to_owned()))
}
