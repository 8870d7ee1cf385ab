//! Queues at sockets, compared with the kernel's own counters.

use std::{
    net::UdpSocket,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    process::{Child, Command},
};

use observer_tests::{Observer, number, require_root, rows};
use serde_json::Value;

fn listening() -> Observer {
    require_root();
    let mut observer = Observer::start(&["net", "--listen", "--json", "--interval", "0.2"]);
    observer.report();
    observer
}

/// The rows of this port and protocol.
fn of<'a>(report: &'a Value, protocol: &str, port: u16) -> Option<&'a Value> {
    let local = format!("127.0.0.1:{port}");
    rows(report).iter().find(|row| row["local"] == *local && row["protocol"] == protocol)
}

/// The last column of `/proc/net/udp`: the drops of the socket with this port.
fn dropped(port: u16) -> f64 {
    let table = std::fs::read_to_string("/proc/net/udp").unwrap();
    let local = format!("0100007F:{port:04X}");
    let line = table.lines().find(|line| line.split_whitespace().nth(1) == Some(&local)).unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn what_a_datagram_socket_drops_is_the_kernels_count_of_that_socket() {
    let mut observer = listening();
    let receivers: Vec<UdpSocket> = (0..2).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let [full, idle] = [&receivers[0], &receivers[1]].map(|socket| socket.local_addr().unwrap());
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..3000 {
        sender.send_to(&[7; 1000], full).unwrap();
    }
    let truth = dropped(full.port());
    assert!(truth > 0.0);
    observer.wait_for(|report| {
        let drops = |port| number(of(report, "udp", port)?, "overflows");
        (drops(full.port()) == Some(truth) && drops(idle.port()) == Some(0.0)).then_some(())
    });
}

/// A stream socket of this protocol, closed in children.
fn stream(protocol: libc::c_int) -> Option<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: a plain call; the descriptor is a fresh one.
    unsafe {
        let socket = libc::socket(libc::AF_INET, kind, protocol);
        (socket >= 0).then(|| OwnedFd::from_raw_fd(socket))
    }
}

fn loopback(port: u16) -> libc::sockaddr_in {
    // SAFETY: an address is plain numbers, for which zeroes are valid.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
    address
}

#[test]
fn a_full_accept_queue_of_a_multipath_listener_is_as_full_as_it_is() {
    let mut observer = listening();
    let Some(listener) = stream(libc::IPPROTO_MPTCP) else {
        eprintln!("not run: this kernel has no MPTCP");
        return;
    };
    let (mut address, mut size) = (loopback(0), size_of::<libc::sockaddr_in>() as libc::socklen_t);
    // SAFETY: plain calls with an address that outlives them.
    unsafe {
        assert_eq!(libc::bind(listener.as_raw_fd(), (&raw const address).cast(), size), 0);
        assert_eq!(libc::listen(listener.as_raw_fd(), 5), 0);
        assert_eq!(libc::getsockname(listener.as_raw_fd(), (&raw mut address).cast(), &raw mut size), 0);
    }
    let port = u16::from_be(address.sin_port);
    let waiting: Vec<OwnedFd> = (0..12).map(|_| stream(libc::IPPROTO_TCP).unwrap()).collect();
    for socket in &waiting {
        // SAFETY: a plain call with an address that outlives it.
        unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), size) };
    }
    // The queue accepts one more than its limit.
    observer.wait_for(|report| {
        let row = of(report, "mptcp", port)?;
        let is = |column, value| number(row, column) == Some(value);
        (is("queued", 6.0) && is("queue_limit", 5.0)).then_some(())
    });
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_listener_that_was_passed_on_is_of_the_process_that_should_accept_and_of_all_that_hold_it() {
    let mut observer = listening();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // SAFETY: the descriptor is open; a child inherits it from now on.
    unsafe { assert_eq!(libc::fcntl(listener.as_raw_fd(), libc::F_SETFD, 0), 0) };
    let service = Ended(Command::new("sleep").arg("60").spawn().unwrap());
    // SAFETY: as above; no other child inherits it.
    unsafe { assert_eq!(libc::fcntl(listener.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC), 0) };
    observer.wait_for(|report| {
        let row = of(report, "tcp", port)?;
        let holders = row["holders"].as_str()?;
        let both = [service.0.id(), std::process::id()].map(|pid| pid.to_string());
        let named = both.iter().all(|pid| holders.split([' ', ',']).any(|word| word == pid));
        (named && row["pid"] == service.0.id()).then_some(())
    });
    // The other process accepts, so it is named from now on.
    let _connection = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let _accepted = listener.accept().unwrap();
    observer.wait_for(|report| (of(report, "tcp", port)?["pid"] == std::process::id()).then_some(()));
}
