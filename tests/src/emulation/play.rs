//! A running scenario: its link and its processes.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};

use super::{
    ends::{self, Settings},
    link::{Link, Reading, prioritise},
    namespace::Namespace,
    scenario::{Exchange, Scenario},
};

/// The addresses of the two ends.
pub const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub const THERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The port of the first server.
pub const PORT: u16 = 5000;

/// A running scenario; stopped on drop.
#[derive(Debug)]
pub struct Play {
    link: Link,
    /// The processes of each conversation: client and server.
    pub pids: Vec<[u32; 2]>,
}

impl Play {
    /// Starts the scenario, and the `others` over the same link. Must be called in a process with one thread.
    ///
    /// # Errors
    /// Without the privilege, or if the kernel lacks namespaces, tun devices or the congestion control.
    pub fn start(scenario: &Scenario, others: &[Exchange], seed: u64) -> Result<Self> {
        let (here, near) = Namespace::new(HERE, scenario.mtu)?;
        let (there, far) = Namespace::new(THERE, scenario.mtu)?;
        let own = Settings {
            congestion_control: scenario.congestion_control,
            send_buffer: scenario.send_buffer,
            receive_buffer: scenario.receive_buffer,
        };
        let plain = Settings { send_buffer: None, receive_buffer: None, ..own };
        let exchanges =
            std::iter::once((scenario.exchange, own)).chain(others.iter().map(|exchange| (*exchange, plain)));
        let mut pids = Vec::new();
        for (port, (exchange, settings)) in (PORT..).zip(exchanges) {
            let address = SocketAddr::from((THERE, port));
            let listener = there.within(|| ends::listen(address, settings))?;
            let server = process(|| ends::server(listener.accept()?.0, exchange))?;
            drop(listener);
            let client = process(|| {
                here.enter()?;
                ends::client(ends::connect(address, settings)?, exchange)
            })?;
            pids.push([client, server]);
        }
        let link = Link::start([near, far], scenario.directions(), seed)?;
        Ok(Self { link, pids })
    }

    /// The counters of the link from client to server.
    #[must_use]
    pub fn link(&self) -> Reading {
        self.link.done[0].read()
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        for pid in self.pids.iter().flatten() {
            // SAFETY: children of this process that were not waited for, so their pids are valid.
            unsafe {
                libc::kill(*pid as libc::pid_t, libc::SIGKILL);
                libc::waitpid(*pid as libc::pid_t, std::ptr::null_mut(), 0);
            }
        }
    }
}

/// Starts a process that ends with this one.
fn process(act: impl FnOnce() -> Result<()>) -> Result<u32> {
    // SAFETY: this process has no other threads, so the child may do whatever its parent may; it exits without running
    // the parent's destructors.
    unsafe {
        match libc::fork() {
            -1 => Err(std::io::Error::last_os_error()).context("fork"),
            0 => {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                // Each represents a separate machine with its own processor.
                prioritise();
                if let Err(error) = act() {
                    eprintln!("workload: {error:#}");
                }
                libc::_exit(1)
            }
            pid => Ok(pid as u32),
        }
    }
}

/// The congestion controls of this kernel among those of scenarios, and its default.
///
/// # Errors
/// When `/proc/sys` cannot be read.
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
