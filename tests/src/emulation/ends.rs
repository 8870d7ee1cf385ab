//! The two ends of a connection, each in its own process.

use std::{
    io::{Error, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::FromRawFd as _,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::scenario::Exchange;

/// Socket options, set before connecting.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub congestion_control: &'static str,
    pub send_buffer: Option<usize>,
    pub receive_buffer: Option<usize>,
}

/// Listens at `address`, in the network namespace of the calling thread.
///
/// # Errors
/// When the kernel rejects an option or the address.
pub fn listen(address: SocketAddr, settings: Settings) -> Result<TcpListener> {
    let socket = socket(settings)?;
    let to = socket_address(address);
    // SAFETY: a valid address, and the socket that was just made.
    unsafe {
        let bound = libc::bind(socket, (&raw const to).cast(), size_of_val(&to) as libc::socklen_t);
        ensure!(bound == 0 && libc::listen(socket, 16) == 0, "listen: {}", Error::last_os_error());
        Ok(TcpListener::from_raw_fd(socket))
    }
}

/// Connects to `address`, from the network namespace of the calling thread.
///
/// # Errors
/// When the kernel rejects an option, or no process listens there.
pub fn connect(address: SocketAddr, settings: Settings) -> Result<TcpStream> {
    let socket = socket(settings)?;
    let to = socket_address(address);
    // SAFETY: a valid address, and the socket that was just made.
    unsafe {
        let connected = libc::connect(socket, (&raw const to).cast(), size_of_val(&to) as libc::socklen_t);
        ensure!(connected == 0, "connect: {}", Error::last_os_error());
        Ok(TcpStream::from_raw_fd(socket))
    }
}

fn socket_address(address: SocketAddr) -> libc::sockaddr_in {
    // SAFETY: an address is plain numbers, for which zeroes are valid.
    let mut result: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    if let SocketAddr::V4(address) = address {
        result.sin_family = libc::AF_INET as libc::sa_family_t;
        result.sin_port = address.port().to_be();
        result.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
    }
    result
}

fn socket(settings: Settings) -> Result<libc::c_int> {
    // SAFETY: plain calls; the values are alive while they are read.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        ensure!(socket >= 0, "a socket: {}", Error::last_os_error());
        let set = |level, option, value: *const u8, length: usize| {
            let result = libc::setsockopt(socket, level, option, value.cast(), length as libc::socklen_t);
            ensure!(result == 0, "option {option}: {}", Error::last_os_error());
            Ok(())
        };
        let name = settings.congestion_control;
        set(libc::IPPROTO_TCP, libc::TCP_CONGESTION, name.as_ptr(), name.len())?;
        let buffers = [(libc::SO_SNDBUF, settings.send_buffer), (libc::SO_RCVBUF, settings.receive_buffer)];
        for (option, bytes) in buffers {
            if let Some(bytes) = bytes {
                let bytes = bytes as libc::c_int;
                set(libc::SOL_SOCKET, option, (&raw const bytes).cast(), size_of_val(&bytes))?;
            }
        }
        Ok(socket)
    }
}

/// The traffic of the side that opened the connection, until the peer closes it.
///
/// # Errors
/// When the connection ends for another reason.
pub fn client(mut stream: TcpStream, exchange: Exchange) -> Result<()> {
    match exchange {
        Exchange::Bulk | Exchange::SlowReader { .. } => {
            let chunk = vec![7; 65_536];
            loop {
                stream.write_all(&chunk)?;
            }
        }
        Exchange::RequestResponse { request, response, client_waits, .. } => {
            stream.set_nodelay(true)?;
            let (request, mut response) = (vec![1; request], vec![0; response]);
            loop {
                stream.write_all(&request)?;
                stream.read_exact(&mut response)?;
                pause(client_waits);
            }
        }
        Exchange::Stream { write, every } => {
            stream.set_nodelay(true)?;
            let chunk = vec![3; write];
            let mut next = Instant::now();
            loop {
                stream.write_all(&chunk)?;
                next += every;
                pause(next.saturating_duration_since(Instant::now()));
            }
        }
    }
}

/// The traffic of the side that accepted the connection, until the peer closes it.
///
/// # Errors
/// When the connection ends for another reason.
pub fn server(mut stream: TcpStream, exchange: Exchange) -> Result<()> {
    match exchange {
        Exchange::Bulk | Exchange::Stream { .. } => {
            let mut chunk = vec![0; 262_144];
            while stream.read(&mut chunk)? > 0 {}
            Ok(())
        }
        Exchange::SlowReader { rate } => {
            // Small reads at short intervals, because a large one would update the window each time.
            let every = (4096.0 / rate).max(0.005);
            let mut chunk = vec![0; (rate * every) as usize + 1];
            let mut next = Instant::now();
            while stream.read(&mut chunk)? > 0 {
                next += Duration::from_secs_f64(every);
                pause(next.saturating_duration_since(Instant::now()));
            }
            Ok(())
        }
        Exchange::RequestResponse { request, response, server_waits, .. } => {
            stream.set_nodelay(true)?;
            let (mut request, response) = (vec![0; request], vec![2; response]);
            loop {
                stream.read_exact(&mut request)?;
                pause(server_waits);
                stream.write_all(&response)?;
            }
        }
    }
}

fn pause(time: Duration) {
    if !time.is_zero() {
        thread::sleep(time);
    }
}
