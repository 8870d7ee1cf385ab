//! Datagrams; each side counts its own bytes.

use std::{
    io::Write as _,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
};

use anyhow::{Result, bail, ensure};

use super::processes::{Count, Processes, add, pipe};

/// Send paths of datagrams. The receiver answers each one with half of it, so that none is dropped.
type Send = fn(&UdpSocket, SocketAddr, &[u8]) -> Result<usize>;

const DATAGRAMS: usize = 1000;

/// A client and a server; `kind` selects the client's send path and protocol.
pub fn start(kind: &str, processes: &mut Processes) -> Result<()> {
    let (address, connected, send): (&str, bool, Send) = match kind {
        "udp" => ("127.0.0.1:0", false, |socket, to, bytes| Ok(socket.send_to(bytes, to)?)),
        "udp_connected" => ("127.0.0.1:0", true, |socket, _, bytes| Ok(socket.send(bytes)?)),
        "udp_v6" => ("[::1]:0", false, |socket, to, bytes| Ok(socket.send_to(bytes, to)?)),
        "udp_sendmmsg" => ("127.0.0.1:0", true, |socket, _, bytes| sendmmsg(socket, bytes)),
        _ => bail!("no such way to send"),
    };
    let server = UdpSocket::bind(address)?;
    let client = UdpSocket::bind(address)?;
    let (to, mut ready) = (server.local_addr()?, pipe()?);
    if connected {
        client.connect(to)?;
    }
    processes.start(false, move |count| {
        let mut buffer = [0; 2048];
        ready.1.write_all(&[1])?;
        for _ in 0..DATAGRAMS {
            let (bytes, from) = server.recv_from(&mut buffer)?;
            add(&count.udp_rx, bytes);
            add(&count.udp_tx, server.send_to(&buffer[..bytes / 2], from)?);
        }
        Ok(())
    })?;
    processes.start(false, move |count: &Count| {
        let mut buffer = [0; 2048];
        for number in 0..DATAGRAMS {
            let sent = send(&client, to, &buffer[..10 + number % 1000])?;
            add(&count.udp_tx, sent);
            // Peek, then receive.
            client.peek_from(&mut buffer)?;
            add(&count.udp_rx, client.recv_from(&mut buffer)?.0);
        }
        Ok(())
    })
}

fn sendmmsg(socket: &UdpSocket, bytes: &[u8]) -> Result<usize> {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: a zeroed message header is a valid empty one; the buffers outlive the call.
    unsafe {
        let mut message: libc::mmsghdr = std::mem::zeroed();
        message.msg_hdr.msg_iov = &raw mut part;
        message.msg_hdr.msg_iovlen = 1;
        ensure!(libc::sendmmsg(socket.as_raw_fd(), &raw mut message, 1, 0) == 1, "sendmmsg");
        Ok(message.msg_len as usize)
    }
}
