//! Zero-copy sending and receiving; each side counts its own bytes.

use std::{io::Read as _, net::TcpStream, os::fd::AsRawFd as _};

use anyhow::{Result, ensure};

use super::processes::{Count, add};

/// `SO_ZEROCOPY` of `SOL_SOCKET`, and `TCP_ZEROCOPY_RECEIVE`.
const SO_ZEROCOPY: i32 = 60;
const ZEROCOPY_RECEIVE: i32 = 35;
/// Bytes mapped at a time: whole pages.
const WINDOW: usize = 1 << 18;

/// `struct tcp_zerocopy_receive`, as far as the first kernels have it.
#[repr(C)]
#[derive(Default)]
struct Received {
    address: u64,
    length: u32,
    /// Bytes that must be read, because they do not fill a page.
    skip: u32,
}

/// Sends five megabytes with `MSG_ZEROCOPY`; the kernel may copy a part all the same.
pub fn send(stream: &mut TcpStream, count: &Count) -> Result<()> {
    let yes: i32 = 1;
    // SAFETY: the option's value is an integer, of its size.
    let set = unsafe {
        libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, SO_ZEROCOPY, (&raw const yes).cast(), 4)
    };
    ensure!(set == 0, "SO_ZEROCOPY: {}", std::io::Error::last_os_error());
    // The kernel reads it after the calls have returned.
    let bytes: &'static [u8] = Box::leak(vec![7; 5_000_003].into_boxed_slice());
    let mut left = bytes;
    while !left.is_empty() {
        let part = &left[..left.len().min(100_000)];
        // SAFETY: the bytes live for ever.
        let sent =
            unsafe { libc::send(stream.as_raw_fd(), part.as_ptr().cast(), part.len(), libc::MSG_ZEROCOPY) };
        ensure!(sent > 0, "send: {}", std::io::Error::last_os_error());
        add(&count.tcp_tx, sent as usize);
        left = &left[sent as usize..];
    }
    Ok(())
}

/// Receives until the peer closes: whole pages are mapped, the rest is read.
pub fn receive_all(stream: &mut TcpStream, count: &Count) -> Result<()> {
    // SAFETY: a fresh mapping of the socket, of this size.
    let window = unsafe {
        libc::mmap(std::ptr::null_mut(), WINDOW, libc::PROT_READ, libc::MAP_SHARED, stream.as_raw_fd(), 0)
    };
    ensure!(window != libc::MAP_FAILED, "mapping a socket: {}", std::io::Error::last_os_error());
    let (mut mapped, mut buffer) = (0, vec![0; WINDOW]);
    loop {
        let mut received = Received { address: window as u64, length: WINDOW as u32, skip: 0 };
        let mut size = size_of::<Received>() as u32;
        // SAFETY: the option's value is of this shape and size, and names the mapping above.
        let got = unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                libc::IPPROTO_TCP,
                ZEROCOPY_RECEIVE,
                (&raw mut received).cast(),
                &raw mut size,
            )
        };
        if got != 0 {
            // The peer has closed and nothing is left.
            let error = std::io::Error::last_os_error();
            ensure!(error.raw_os_error() == Some(libc::EIO), "TCP_ZEROCOPY_RECEIVE: {error}");
            break;
        }
        if received.length > 0 {
            add(&count.tcp_rx, received.length as usize);
            mapped += received.length;
            continue;
        }
        // No whole page: reads or waits for bytes.
        let most = if received.skip > 0 { (received.skip as usize).min(WINDOW) } else { 1 };
        match stream.read(&mut buffer[..most])? {
            0 => break,
            bytes => add(&count.tcp_rx, bytes),
        }
    }
    // The mapping alone would keep the socket open.
    // SAFETY: the mapping above, which nothing refers to any more.
    unsafe { libc::munmap(window, WINDOW) };
    ensure!(mapped > 0, "nothing was received without a copy: the workload shows nothing");
    Ok(())
}
