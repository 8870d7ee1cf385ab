//! Workloads of the net domain. Each does its whole work at `step`, and then answers with the bytes that each of its
//! processes sent and received.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use anyhow::{Context as _, Result, bail, ensure};
use observer_tests::workload::{hear, tell};
use serde_json::json;

mod full;
mod lossy;
mod orphan;
mod places;
mod processes;
mod scenario;
mod sharing;
mod tcp;
mod turns;
mod udp;
mod uring;
mod zerocopy;

use processes::Processes;

/// Runs the workload with the name in the first word.
pub fn run(words: &[&str]) -> Result<()> {
    match words {
        ["own"] => own(),
        ["full", what] => full::run(what),
        ["sharing"] => sharing::workers(),
        ["passing"] => sharing::passing(),
        ["orphan"] => orphan::run(),
        ["namespace", rest @ ..] => {
            enter_namespace()?;
            run(rest)
        }
        ["scenario", limit, seed, range] => scenario::run(limit, seed, range),
        ["bloat", seed] => scenario::bloat(seed),
        ["turns", seed, count, longest] => turns::run(seed, count, longest),
        ["lossy", percent] => lossy::run(percent),
        [kind] => once(kind),
        _ => bail!("no such workload"),
    }
}

/// Processes that do their work once.
fn once(kind: &str) -> Result<()> {
    tell(json!({"ready": true}));
    if hear().is_none() {
        return Ok(());
    }
    let mut processes = Processes::new()?;
    match kind {
        "accepting_workers" => tcp::accepting_workers(&mut processes)?,
        "reused_ports" => tcp::reused_ports(&mut processes)?,
        "reused_listeners" => tcp::reused_listeners(&mut processes)?,
        "io_uring_only" => tcp::without_descriptor(&mut processes)?,
        "flood" => tcp::flood(&mut processes)?,
        "mptcp" => tcp::multipath(&mut processes)?,
        "places" => places::start(&mut processes)?,
        "short_shared" => sharing::short(&mut processes)?,
        "ending_early" => return ending_early(processes),
        _ => match tcp::pair(kind) {
            Some(pair) => pair.start(&mut processes)?,
            None => udp::start(kind, &mut processes).with_context(|| kind.to_owned())?,
        },
    }
    processes.wait_all()?;
    tell(processes.truth());
    while hear().is_some() {}
    Ok(())
}

fn ending_early(mut processes: Processes) -> Result<()> {
    tcp::ending_early(&mut processes)?;
    tell(processes.truth());
    while hear().is_some() {}
    Ok(())
}

/// One process with both ends of a connection, which exists before it is ready. Each step sends a mebibyte in one
/// direction and a tenth of it back. `port` names the connection.
fn own() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    let mut moved: u64 = 0;
    let mut step = || -> Result<u64> {
        let mut chunk = vec![7; 65_536];
        for _ in 0..16 {
            client.write_all(&chunk)?;
            server.read_exact(&mut chunk)?;
            server.write_all(&chunk[..6_553])?;
            client.read_exact(&mut chunk[..6_553])?;
            moved += 65_536 + 6_553;
        }
        Ok(moved)
    };
    let before = step()?;
    tell(json!({"ready": true, "moved": before}));
    while hear().is_some() {
        tell(json!({"moved": step()?}));
    }
    Ok(())
}

/// Moves this process into a new network namespace with a running loopback interface.
fn enter_namespace() -> Result<()> {
    // SAFETY: plain calls; the request is a zeroed interface request with its name filled in.
    unsafe {
        ensure!(libc::unshare(libc::CLONE_NEWNET) == 0, "unshare: {}", std::io::Error::last_os_error());
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        let result = libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request);
        libc::close(socket);
        ensure!(result == 0, "the loopback interface: {}", std::io::Error::last_os_error());
    }
    Ok(())
}
