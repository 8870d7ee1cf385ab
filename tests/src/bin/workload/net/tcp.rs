//! A client and a server over TCP, which count their own bytes.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};

use observer_tests::reset::ends_by_reset;

use super::{
    processes::{Count, Processes, add, pipe},
    uring, zerocopy,
};

/// One side of a conversation.
type Side = fn(&mut TcpStream, &Count) -> Result<()>;

/// A client and a server with a number of conversations, one after the other.
#[derive(Clone, Copy)]
pub struct Pair {
    pub address: &'static str,
    /// The client's address of the server, if it differs.
    pub to: Option<&'static str>,
    pub conversations: usize,
    pub client: Side,
    pub server: Side,
}

const MEBIBYTE: usize = 1 << 20;

/// The pair called `kind`.
pub fn pair(kind: &str) -> Option<Pair> {
    let plain = |client: Side, server: Side| Pair {
        address: "127.0.0.1:0",
        to: None,
        conversations: 1,
        client,
        server,
    };
    Some(match kind {
        "upload" => plain(|s, c| send(s, c, 64 * MEBIBYTE), receive_all),
        "download" => plain(receive_all, |s, c| send(s, c, 64 * MEBIBYTE)),
        "short" => Pair { conversations: 2000, ..plain(|s, c| send(s, c, 100_000), receive_all) },
        "tiny" => Pair { conversations: 2000, ..plain(|s, c| send(s, c, 1), receive_all) },
        "many" => Pair { conversations: 3_000, ..plain(|s, c| send(s, c, 3), receive_all) },
        "pingpong" => plain(ping, pong),
        "sendfile" => plain(sendfile, receive_all),
        "splice_to" => plain(splice_to, receive_all),
        "splice_from" => plain(|s, c| send(s, c, 3 * MEBIBYTE + 11), splice_from),
        "io_uring" => plain(|s, c| uring::send(s, c, 2 * MEBIBYTE + 7), uring::receive_all),
        "zerocopy_send" => plain(zerocopy::send, receive_all),
        "zerocopy_receive" => plain(sendfile_of_pages, zerocopy::receive_all),
        "peek" => plain(|s, c| send(s, c, 50_000), peek),
        "partial" => plain(partial, receive_all),
        "v6" => Pair { address: "[::1]:0", ..plain(|s, c| send(s, c, 700_001), receive_all) },
        "mapped" => Pair {
            address: "[::]:0",
            to: Some("127.0.0.1"),
            ..plain(|s, c| send(s, c, 700_003), receive_all)
        },
        "server_first" => Pair { conversations: 50, ..plain(receive_all, |s, c| send(s, c, 100_000)) },
        "server_first_often" => Pair { conversations: 500, ..plain(receive_all, |s, c| send(s, c, 100_000)) },
        "reset" => Pair { conversations: 50, ..plain(reset, until_reset) },
        "half_close" => Pair { conversations: 20, ..plain(ask_and_close, answer) },
        _ => return None,
    })
}

impl Pair {
    /// Starts both processes.
    pub fn start(self, processes: &mut Processes) -> Result<()> {
        let listener = TcpListener::bind(self.address)?;
        let mut address = listener.local_addr()?;
        if let Some(to) = self.to {
            address.set_ip(to.parse()?);
        }
        processes.start(false, |count| {
            for _ in 0..self.conversations {
                let (mut stream, _) = listener.accept()?;
                (self.server)(&mut stream, count)?;
            }
            Ok(())
        })?;
        processes.start(false, |count| {
            for _ in 0..self.conversations {
                let mut stream = TcpStream::connect(address)?;
                (self.client)(&mut stream, count)?;
            }
            Ok(())
        })
    }
}

/// Many connections within a moment: one process has both ends of each, so that neither waits for the other.
pub fn flood(processes: &mut Processes) -> Result<()> {
    const CONNECTIONS: usize = 16_000;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    processes.start(false, |count| {
        for _ in 0..CONNECTIONS {
            let mut client = TcpStream::connect(address)?;
            let (mut server, _) = listener.accept()?;
            send(&mut client, count, 3)?;
            receive_and_reset(&mut server, count)?;
        }
        Ok(())
    })
}

/// Sends this many bytes.
pub fn send(stream: &mut TcpStream, count: &Count, bytes: usize) -> Result<()> {
    let chunk = vec![7; bytes.min(256 * 1024)];
    let mut left = bytes;
    while left > 0 {
        let sent = stream.write(&chunk[..left.min(chunk.len())])?;
        add(&count.tcp_tx, sent);
        left -= sent;
    }
    Ok(())
}

/// Receives three bytes and resets, because that many connections would otherwise use up all ports.
fn receive_and_reset(stream: &mut TcpStream, count: &Count) -> Result<()> {
    stream.read_exact(&mut [0; 3])?;
    add(&count.tcp_rx, 3);
    Ok(ends_by_reset(stream)?)
}

/// Receives until the peer closes.
pub fn receive_all(stream: &mut TcpStream, count: &Count) -> Result<()> {
    let mut chunk = vec![0; 256 * 1024];
    loop {
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            bytes => add(&count.tcp_rx, bytes),
        }
    }
}

/// Receives this many bytes.
pub fn receive(stream: &mut TcpStream, count: &Count, bytes: usize) -> Result<()> {
    stream.read_exact(&mut vec![0; bytes])?;
    add(&count.tcp_rx, bytes);
    Ok(())
}

const ROUNDS: usize = 2000;
const MESSAGE: usize = 64;

fn ping(stream: &mut TcpStream, count: &Count) -> Result<()> {
    stream.set_nodelay(true)?;
    for _ in 0..ROUNDS {
        send(stream, count, MESSAGE)?;
        receive(stream, count, MESSAGE)?;
    }
    Ok(())
}

fn pong(stream: &mut TcpStream, count: &Count) -> Result<()> {
    stream.set_nodelay(true)?;
    for _ in 0..ROUNDS {
        receive(stream, count, MESSAGE)?;
        send(stream, count, MESSAGE)?;
    }
    Ok(())
}

/// A deleted file of this many bytes.
fn file(bytes: u64) -> Result<File> {
    // SAFETY: a new descriptor that this function owns.
    let file = unsafe {
        let descriptor = libc::memfd_create(c"workload".as_ptr(), 0);
        ensure!(descriptor >= 0, "memfd_create");
        File::from_raw_fd(descriptor)
    };
    file.set_len(bytes)?;
    Ok(file)
}

fn sendfile(stream: &mut TcpStream, count: &Count) -> Result<()> {
    sendfile_of(stream, count, 8 * MEBIBYTE + 3)
}

/// Whole pages and a part of one.
fn sendfile_of_pages(stream: &mut TcpStream, count: &Count) -> Result<()> {
    sendfile_of(stream, count, 4 * MEBIBYTE + 100)
}

fn sendfile_of(stream: &mut TcpStream, count: &Count, bytes: usize) -> Result<()> {
    let file = file(bytes as u64)?;
    let mut left = bytes;
    while left > 0 {
        // SAFETY: both descriptors are open; no offset means the file's own.
        let sent =
            unsafe { libc::sendfile(stream.as_raw_fd(), file.as_raw_fd(), std::ptr::null_mut(), left) };
        ensure!(sent > 0, "sendfile: {}", std::io::Error::last_os_error());
        add(&count.tcp_tx, sent as usize);
        left -= sent as usize;
    }
    Ok(())
}

/// Moves up to `bytes` from one descriptor to another, one of which is a pipe.
fn splice(from: i32, to: i32, bytes: usize) -> Result<usize> {
    // SAFETY: both descriptors are open; no offsets.
    let moved = unsafe { libc::splice(from, std::ptr::null_mut(), to, std::ptr::null_mut(), bytes, 0) };
    ensure!(moved >= 0, "splice: {}", std::io::Error::last_os_error());
    Ok(moved as usize)
}

fn splice_to(stream: &mut TcpStream, count: &Count) -> Result<()> {
    let mut left = 3 * MEBIBYTE + 5;
    let file = file(left as u64)?;
    let (out, into) = pipe()?;
    while left > 0 {
        let mut held = splice(file.as_raw_fd(), into.as_raw_fd(), left.min(65_536))?;
        left -= held;
        while held > 0 {
            let sent = splice(out.as_raw_fd(), stream.as_raw_fd(), held)?;
            add(&count.tcp_tx, sent);
            held -= sent;
        }
    }
    Ok(())
}

fn splice_from(stream: &mut TcpStream, count: &Count) -> Result<()> {
    let (mut out, into) = pipe()?;
    let mut chunk = vec![0; 65_536];
    loop {
        let held = splice(stream.as_raw_fd(), into.as_raw_fd(), 65_536)?;
        if held == 0 {
            return Ok(());
        }
        add(&count.tcp_rx, held);
        out.read_exact(&mut chunk[..held])?;
    }
}

/// Peeks at everything before it receives it: peeked bytes count once.
fn peek(stream: &mut TcpStream, count: &Count) -> Result<()> {
    let mut chunk = vec![0; 10_000];
    loop {
        let seen = stream.peek(&mut chunk)?;
        if seen == 0 {
            return Ok(());
        }
        let bytes = stream.read(&mut chunk[..seen])?;
        add(&count.tcp_rx, bytes);
    }
}

/// Sends without waiting: each call accepts only a part.
fn partial(stream: &mut TcpStream, count: &Count) -> Result<()> {
    stream.set_nonblocking(true)?;
    let chunk = vec![7; 8 * MEBIBYTE];
    let mut left = chunk.len();
    while left > 0 {
        match stream.write(&chunk[..left]) {
            Ok(sent) => {
                add(&count.tcp_tx, sent);
                left -= sent;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Closes the connection with a reset, after the peer has received everything.
fn reset(stream: &mut TcpStream, count: &Count) -> Result<()> {
    send(stream, count, 10_000)?;
    receive(stream, count, 1)?;
    ends_by_reset(stream).context("SO_LINGER")
}

fn until_reset(stream: &mut TcpStream, count: &Count) -> Result<()> {
    receive(stream, count, 10_000)?;
    send(stream, count, 1)?;
    match stream.read(&mut [0]) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(()),
        other => bail!("no reset but {other:?}"),
    }
}

pub fn ask_and_close(stream: &mut TcpStream, count: &Count) -> Result<()> {
    send(stream, count, 5_000)?;
    stream.shutdown(Shutdown::Write)?;
    receive_all(stream, count)
}

pub fn answer(stream: &mut TcpStream, count: &Count) -> Result<()> {
    receive_all(stream, count)?;
    send(stream, count, 90_000)
}

/// A client with a socket that only io_uring holds; it stays connected.
pub fn without_descriptor(processes: &mut Processes) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let SocketAddr::V4(address) = listener.local_addr()? else { bail!("no IPv4") };
    let (mut go, mut tell) = pipe()?;
    const BYTES: usize = MEBIBYTE + 9;
    processes.start(false, move |count| {
        let (mut stream, _) = listener.accept()?;
        receive(&mut stream, count, BYTES)?;
        tell.write_all(&[1])?;
        // Until the client closes.
        ensure!(stream.read(&mut [0])? == 0, "more than was sent");
        Ok(())
    })?;
    processes.start(false, move |count| {
        uring::send_without_descriptor(address, count, BYTES, || {
            go.read_exact(&mut [0])?;
            Ok(())
        })
    })
}

/// A client and a server over MPTCP.
pub fn multipath(processes: &mut Processes) -> Result<()> {
    const BYTES: usize = 3 * MEBIBYTE + 1;
    let listener = TcpListener::from(multipath_socket()?);
    // SAFETY: plain calls on an open descriptor; an empty address asks for any port of any address.
    unsafe {
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as u16;
        let length = size_of::<libc::sockaddr_in>() as u32;
        let listening = libc::bind(listener.as_raw_fd(), (&raw const address).cast(), length) == 0
            && libc::listen(listener.as_raw_fd(), 8) == 0;
        ensure!(listening, "listen: {}", std::io::Error::last_os_error());
    }
    let port = listener.local_addr()?.port();
    processes.start(false, move |count| receive_all(&mut listener.accept()?.0, count))?;
    processes.start(false, move |count| {
        let mut stream = TcpStream::from(multipath_socket()?);
        // SAFETY: as above.
        unsafe {
            let mut address: libc::sockaddr_in = std::mem::zeroed();
            address.sin_family = libc::AF_INET as u16;
            address.sin_port = port.to_be();
            address.sin_addr.s_addr = u32::from(std::net::Ipv4Addr::LOCALHOST).to_be();
            let length = size_of::<libc::sockaddr_in>() as u32;
            let connected = libc::connect(stream.as_raw_fd(), (&raw const address).cast(), length) == 0;
            ensure!(connected, "connect: {}", std::io::Error::last_os_error());
        }
        send(&mut stream, count, BYTES)
    })
}

fn multipath_socket() -> Result<OwnedFd> {
    // SAFETY: a new descriptor that this function owns.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, libc::IPPROTO_MPTCP);
        ensure!(socket >= 0, "MPTCP: {}", std::io::Error::last_os_error());
        Ok(OwnedFd::from_raw_fd(socket))
    }
}

/// Workers that accept at one listener, and a client that sends a different amount over each connection.
pub fn accepting_workers(processes: &mut Processes) -> Result<()> {
    const WORKERS: usize = 4;
    const EACH: usize = 25;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    for _ in 0..WORKERS {
        let listener = listener.try_clone()?;
        processes.start(false, move |count| {
            for _ in 0..EACH {
                let (mut stream, _) = listener.accept()?;
                receive_all(&mut stream, count)?;
                thread::yield_now();
            }
            Ok(())
        })?;
    }
    processes.start(false, |count| {
        for number in 0..WORKERS * EACH {
            send(&mut TcpStream::connect(address)?, count, 1000 + 17 * number)?;
        }
        Ok(())
    })
}

/// A client that uses the same port each time, so that one pair of endpoints has many connections.
pub fn reused_ports(processes: &mut Processes) -> Result<()> {
    const TIMES: usize = 50;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let SocketAddr::V4(to) = listener.local_addr()? else { bail!("no IPv4") };
    processes.start(false, |count| {
        for _ in 0..TIMES {
            until_reset(&mut listener.accept()?.0, count)?;
        }
        Ok(())
    })?;
    processes.start(false, move |count| {
        let mut port = 0;
        for _ in 0..TIMES {
            let mut stream = bound(port)?;
            port = stream.local_addr()?.port();
            connect(&stream, to)?;
            reset(&mut stream, count)?;
        }
        Ok(())
    })
}

/// Two processes that listen on one port, each with its own socket, and a client.
pub fn reused_listeners(processes: &mut Processes) -> Result<()> {
    const CONNECTIONS: usize = 60;
    let one = bound(0)?;
    let two = bound(one.local_addr()?.port())?;
    let SocketAddr::V4(to) = one.local_addr()? else { bail!("no IPv4") };
    for stream in [&one, &two] {
        // SAFETY: a plain call.
        ensure!(unsafe { libc::listen(stream.as_raw_fd(), 64) } == 0, "listen");
    }
    // A byte for each connection that is not served yet.
    let (left, mut tokens) = pipe()?;
    tokens.write_all(&[1; CONNECTIONS])?;
    for listener in [one, two].map(OwnedFd::from).map(TcpListener::from) {
        let mut left = left.try_clone()?;
        listener.set_nonblocking(true)?;
        processes.start(false, move |count| {
            loop {
                match listener.accept() {
                    Ok((mut stream, _)) => {
                        stream.set_nonblocking(false)?;
                        receive_all(&mut stream, count)?;
                        left.read_exact(&mut [0])?;
                    }
                    Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Err(error.into()),
                    Err(_) if waiting(&left)? == 0 => return Ok(()),
                    Err(_) => thread::yield_now(),
                }
            }
        })?;
    }
    processes.start(false, move |count| {
        for number in 0..CONNECTIONS {
            send(&mut TcpStream::connect(to)?, count, 100 + number)?;
        }
        Ok(())
    })
}

/// Bytes in a pipe.
fn waiting(pipe: &File) -> Result<i32> {
    let mut bytes: i32 = 0;
    // SAFETY: the request writes one integer.
    ensure!(unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut bytes) } == 0, "FIONREAD");
    Ok(bytes)
}

/// A TCP socket on the loopback address at `port`, 0 for any, that shares its port with others.
fn bound(port: u16) -> Result<TcpStream> {
    // SAFETY: plain calls on a fresh descriptor, with an option and an address that outlive them.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        ensure!(socket >= 0, "socket");
        let stream = TcpStream::from(OwnedFd::from_raw_fd(socket));
        let yes: i32 = 1;
        for option in [libc::SO_REUSEADDR, libc::SO_REUSEPORT] {
            let set = libc::setsockopt(socket, libc::SOL_SOCKET, option, (&raw const yes).cast(), 4);
            ensure!(set == 0, "setsockopt");
        }
        let address = loopback(port);
        let size = size_of_val(&address) as u32;
        ensure!(libc::bind(socket, (&raw const address).cast(), size) == 0, "bind");
        Ok(stream)
    }
}

/// Connects a socket to a port of the loopback address.
pub fn connect(stream: &TcpStream, to: std::net::SocketAddrV4) -> Result<()> {
    let address = loopback(to.port());
    // SAFETY: as above.
    let connected = unsafe {
        libc::connect(stream.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as u32)
    };
    ensure!(connected == 0, "connect: {}", std::io::Error::last_os_error());
    Ok(())
}

fn loopback(port: u16) -> libc::sockaddr_in {
    // SAFETY: a zeroed address is a valid one.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from(std::net::Ipv4Addr::LOCALHOST).to_be();
    address
}

/// A process that writes, closes and exits while most of its data is unsent, because the peer does not read before its
/// exit.
pub fn ending_early(processes: &mut Processes) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (mut go, mut tell) = pipe()?;
    processes.start(true, |count| {
        let stream = TcpStream::connect(address)?;
        stream.set_nonblocking(true)?;
        let chunk = vec![7; MEBIBYTE];
        let mut stream = stream;
        // Until the buffers of both sides are full.
        loop {
            match stream.write(&chunk) {
                Ok(sent) => add(&count.tcp_tx, sent),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    })?;
    processes.start(false, move |count| {
        let (mut stream, _) = listener.accept()?;
        go.read_exact(&mut [0]).context("the word to read")?;
        receive_all(&mut stream, count)
    })?;
    processes.wait(1)?;
    // SAFETY: waits for the first child that ends, which is the one that was started to.
    ensure!(unsafe { libc::wait(std::ptr::null_mut()) } > 0, "wait");
    tell.write_all(&[1])?;
    processes.wait(1)
}
