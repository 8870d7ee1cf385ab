//! Connections with cookies that share a place in observer's table of recent connections: while an older connection
//! uses the place, a newer one has none.

use std::{
    io::{Error, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use anyhow::{Result, bail, ensure};
use observer_common::net::RECENT_ENTRIES;

use super::{
    processes::{Processes, pipe},
    tcp::{answer, ask_and_close, connect, receive_all, send},
};

/// The number of older connections, each with a newer one.
const PAIRS: usize = 8;
/// How often all numbers are searched, because other processes take some.
const ROUNDS: u32 = 100;

/// A server, a client with open connections, and a second client that connects and closes meanwhile.
pub fn start(processes: &mut Processes) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let SocketAddr::V4(to) = listener.local_addr()? else { bail!("no IPv4") };
    let (mut numbers, mut number) = pipe()?;
    let (mut go, mut tell) = pipe()?;
    processes.start(false, |count| {
        let older: Vec<TcpStream> = listener.incoming().take(PAIRS).collect::<Result<_, _>>()?;
        for _ in 0..PAIRS {
            answer(&mut listener.accept()?.0, count)?;
        }
        older.into_iter().try_for_each(|mut stream| receive_all(&mut stream, count))
    })?;
    processes.start(false, move |count| {
        let mut older = Vec::new();
        for _ in 0..PAIRS {
            let mut stream = TcpStream::connect(to)?;
            send(&mut stream, count, 3_000)?;
            older.push(stream);
        }
        // After all are connected, because the server accepts them in order.
        for stream in &older {
            number.write_all(&cookie(stream)?.to_ne_bytes())?;
        }
        go.read_exact(&mut [0])?;
        older.into_iter().try_for_each(|mut stream| send(&mut stream, count, 700))
    })?;
    processes.start(false, move |count| {
        for _ in 0..PAIRS {
            let mut cookie = [0; 8];
            numbers.read_exact(&mut cookie)?;
            let mut stream = in_place_of(u64::from_ne_bytes(cookie))?;
            connect(&stream, to)?;
            ask_and_close(&mut stream, count)?;
        }
        tell.write_all(&[1])?;
        Ok(())
    })
}

/// A socket with a number that shares the place of `older`.
fn in_place_of(older: u64) -> Result<TcpStream> {
    let places = u64::from(RECENT_ENTRIES);
    for _ in 0..ROUNDS * RECENT_ENTRIES {
        // SAFETY: a new descriptor that this function owns.
        let socket = unsafe {
            let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
            ensure!(socket >= 0, "socket: {}", Error::last_os_error());
            TcpStream::from(OwnedFd::from_raw_fd(socket))
        };
        if cookie(&socket)? % places == older % places {
            return Ok(socket);
        }
    }
    bail!("no socket's number shares the place of {older}")
}

/// The kernel's number of the socket, which it assigns on this first request.
fn cookie(socket: &TcpStream) -> Result<u64> {
    let mut cookie: u64 = 0;
    let mut size = size_of_val(&cookie) as libc::socklen_t;
    // SAFETY: the option's value is written to an integer of its size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut size,
        )
    };
    ensure!(result == 0, "SO_COOKIE: {}", Error::last_os_error());
    Ok(cookie)
}
