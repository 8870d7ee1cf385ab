//! Sending and receiving through io_uring.

use std::{
    net::{SocketAddrV4, TcpStream},
    os::fd::AsRawFd as _,
};

use anyhow::{Context as _, Result, ensure};
use io_uring::{
    IoUring, opcode, squeue,
    types::{DestinationSlot, Fd, Fixed},
};

use super::processes::{Count, add};

const CHUNK: usize = 64 * 1024;

/// Submits one operation and waits for its result.
fn perform(ring: &mut IoUring, entry: &squeue::Entry) -> Result<usize> {
    // SAFETY: the buffer outlives the operation, which is waited for here.
    unsafe { ring.submission().push(entry)? };
    ring.submit_and_wait(1)?;
    let result = ring.completion().next().context("no completion")?.result();
    ensure!(result >= 0, "io_uring: {}", std::io::Error::from_raw_os_error(-result));
    Ok(result as usize)
}

/// Sends this many bytes.
pub fn send(stream: &mut TcpStream, count: &Count, bytes: usize) -> Result<()> {
    let mut ring = IoUring::new(8)?;
    let chunk = vec![7; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let operation = opcode::Send::new(Fd(stream.as_raw_fd()), chunk.as_ptr(), left.min(CHUNK) as u32);
        let sent = perform(&mut ring, &operation.build())?;
        add(&count.tcp_tx, sent);
        left -= sent;
    }
    Ok(())
}

/// Receives until the peer closes.
pub fn receive_all(stream: &mut TcpStream, count: &Count) -> Result<()> {
    let mut ring = IoUring::new(8)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let operation = opcode::Recv::new(Fd(stream.as_raw_fd()), chunk.as_mut_ptr(), CHUNK as u32);
        match perform(&mut ring, &operation.build())? {
            0 => return Ok(()),
            bytes => add(&count.tcp_rx, bytes),
        }
    }
}

/// Sends this many bytes over a socket without a descriptor, and stays connected until `go_on` returns.
pub fn send_without_descriptor(
    to: SocketAddrV4,
    count: &Count,
    bytes: usize,
    go_on: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let mut ring = IoUring::new(8)?;
    let slot = Fixed(0);
    match ring.submitter().register_files_sparse(4) {
        Ok(()) => connect(&mut ring, slot, to)?,
        // Before Linux 5.19 io_uring cannot create sockets, so it gets one that had a descriptor.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            let stream = TcpStream::connect(to)?;
            ring.submitter().register_files(&[stream.as_raw_fd()])?;
        }
        Err(error) => return Err(error.into()),
    }
    let chunk = vec![7; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let operation = opcode::Send::new(slot, chunk.as_ptr(), left.min(CHUNK) as u32);
        let sent = perform(&mut ring, &operation.build())?;
        add(&count.tcp_tx, sent);
        left -= sent;
    }
    go_on()
}

/// Opens a connection that never has a descriptor.
fn connect(ring: &mut IoUring, slot: Fixed, to: SocketAddrV4) -> Result<()> {
    let open = opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).file_index(Some(
        DestinationSlot::try_from_slot_target(slot.0).map_err(|slot| anyhow::anyhow!("slot {slot}"))?,
    ));
    perform(ring, &open.build())?;
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*to.ip()).to_be() },
        sin_zero: [0; 8],
    };
    let length = size_of::<libc::sockaddr_in>() as u32;
    let connect = opcode::Connect::new(slot, (&raw const address).cast(), length);
    perform(ring, &connect.build())?;
    Ok(())
}
