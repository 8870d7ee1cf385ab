//! Shared capacity near its limit: each workload is ready once it is used up.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result, bail, ensure};
use observer_tests::workload::{hear, tell};
use serde_json::json;

/// Uses up the capacity `what`.
pub fn run(what: &str) -> Result<()> {
    match what {
        "queue" => queue(),
        "ports" => ports(),
        "descriptors" => descriptors(),
        _ => bail!("nothing that can be filled"),
    }
}

/// A listener with a full queue that accepts nothing. Each step makes more connections, which are dropped, closes them
/// so that none is retried, and answers with the kernel's counts of this network namespace.
fn queue() -> Result<()> {
    let listener = TcpListener::from(short_queue(1)?);
    let address = listener.local_addr()?;
    let _waiting = [connect(address)?, connect(address)?];
    tell(json!({"ready": true, "local": address.to_string()}));
    while hear().is_some() {
        let before = counted("ListenDrops")?;
        let mut refused = Vec::new();
        while counted("ListenDrops")? < before + 3 {
            refused.push(connect(address)?);
        }
        drop(refused);
        tell(json!({"drops": counted("ListenDrops")?, "overflows": counted("ListenOverflows")?}));
    }
    Ok(())
}

/// Connections to one peer, which use 36 of the 40 ports.
fn ports() -> Result<()> {
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40039")?;
    let listener = TcpListener::bind("127.0.0.1:9")?;
    hold(&listener, 36)
}

/// Connections that use most of the descriptors of this process.
fn descriptors() -> Result<()> {
    let limit = libc::rlimit { rlim_cur: 256, rlim_max: 256 };
    // SAFETY: a plain call.
    ensure!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0, "setrlimit");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    hold(&listener, 115)
}

fn hold(listener: &TcpListener, connections: usize) -> Result<()> {
    let address = listener.local_addr()?;
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push((TcpStream::connect(address)?, listener.accept()?.0));
    }
    tell(json!({"ready": true}));
    while hear().is_some() {}
    drop(open);
    Ok(())
}

/// A listening socket with a queue of this length on a free port.
fn short_queue(length: i32) -> Result<OwnedFd> {
    // SAFETY: plain calls on a fresh descriptor, with an address that outlives them.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        ensure!(socket >= 0, "socket");
        let listener = OwnedFd::from_raw_fd(socket);
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as u16;
        address.sin_addr.s_addr = u32::from(Ipv4Addr::LOCALHOST).to_be();
        let size = size_of_val(&address) as u32;
        ensure!(libc::bind(socket, (&raw const address).cast(), size) == 0, "bind");
        ensure!(libc::listen(socket, length) == 0, "listen");
        Ok(listener)
    }
}

/// Starts to connect without waiting.
fn connect(to: SocketAddr) -> Result<OwnedFd> {
    let SocketAddr::V4(to) = to else { bail!("no IPv4") };
    // SAFETY: as above.
    unsafe {
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let socket = libc::socket(libc::AF_INET, kind, 0);
        ensure!(socket >= 0, "socket");
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as u16;
        address.sin_port = to.port().to_be();
        address.sin_addr.s_addr = u32::from(*to.ip()).to_be();
        libc::connect(socket, (&raw const address).cast(), size_of_val(&address) as u32);
        Ok(OwnedFd::from_raw_fd(socket))
    }
}

/// A counter of `TcpExt` of this network namespace, as in nstat.
fn counted(name: &str) -> Result<u64> {
    let table = fs::read_to_string("/proc/self/net/netstat")?;
    let mut lines = table.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().context("TcpExt")?, lines.next().context("TcpExt")?);
    let mut both = names.split_ascii_whitespace().zip(values.split_ascii_whitespace());
    Ok(both.find(|(found, _)| *found == name).context("no such counter")?.1.parse()?)
}
