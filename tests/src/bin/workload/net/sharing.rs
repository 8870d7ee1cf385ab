//! Connections of more than one process: workers that share one, and one that is passed on.
//!
//! No bytes flow before the first `step`. Each answer has the bytes of every process since the beginning.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::net::UnixDatagram,
    },
};

use anyhow::{Context as _, Result, ensure};
use observer_tests::workload::{hear, tell};
use serde_json::json;

use super::{
    processes::{Processes, pipe},
    tcp::{receive, receive_all, send},
};

const WORKERS: usize = 3;
const TURNS: usize = 50;

/// Workers that read from and write to one connection in turns, and their client.
pub fn workers() -> Result<()> {
    let mut processes = Processes::new()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    let turns: Vec<(File, File)> = (0..WORKERS).map(|_| pipe()).collect::<Result<_>>()?;
    let ((mut go, mut start), (mut finished, mut done)) = (pipe()?, pipe()?);
    for worker in 0..WORKERS {
        let (mut stream, size) = (server.try_clone()?, 1000 * (worker + 1));
        let mut mine = turns[worker].0.try_clone()?;
        let mut next = turns[(worker + 1) % WORKERS].1.try_clone()?;
        let mut done = done.try_clone()?;
        processes.start(false, move |count| {
            loop {
                mine.read_exact(&mut [0])?;
                receive(&mut stream, count, size)?;
                send(&mut stream, count, size / 10)?;
                next.write_all(&[1])?;
                done.write_all(&[1])?;
            }
        })?;
    }
    let mut first = turns[0].1.try_clone()?;
    processes.start(false, move |count| {
        let mut stream = client;
        first.write_all(&[1])?;
        loop {
            go.read_exact(&mut [0])?;
            for size in (0..TURNS).flat_map(|_| [1000, 2000, 3000]) {
                send(&mut stream, count, size)?;
                receive(&mut stream, count, size / 10)?;
            }
            done.write_all(&[1])?;
        }
    })?;
    drop(server);
    tell(json!({"ready": true}));
    while hear().is_some() {
        start.write_all(&[1])?;
        // Each worker after each turn, and the client: by then all have counted.
        finished.read_exact(&mut [0; TURNS * WORKERS + 1])?;
        tell(processes.truth());
    }
    Ok(())
}

/// A process that opens short connections and shares each with a child. Both send, and the parent closes last. The other
/// process is the server.
pub fn short(processes: &mut Processes) -> Result<()> {
    const CONNECTIONS: usize = 20;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let to = listener.local_addr()?;
    processes.start(false, move |count| {
        for _ in 0..CONNECTIONS {
            receive_all(&mut listener.accept()?.0, count)?;
        }
        Ok(())
    })?;
    processes.start(false, move |count| {
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(to)?;
            send(&mut stream, count, 1000)?;
            // SAFETY: this process has one thread, so the child may do whatever its parent may.
            match unsafe { libc::fork() } {
                -1 => return Err(std::io::Error::last_os_error()).context("fork"),
                0 => {
                    let sent = send(&mut stream, count, 3000);
                    // SAFETY: ends the child without running what belongs to its parent.
                    unsafe { libc::_exit(i32::from(sent.is_err())) }
                }
                child => {
                    let mut status = 0;
                    // SAFETY: waits for the child and writes its status.
                    unsafe { libc::waitpid(child, &raw mut status, 0) };
                    ensure!(status == 0, "the child could not send");
                }
            }
        }
        Ok(())
    })
}

/// A process that opens a connection and sends, then passes it to another one and closes it; that one sends more with
/// each step. The third is the server.
pub fn passing() -> Result<()> {
    const EACH: usize = 100_000;
    let mut processes = Processes::new()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (here, there) = UnixDatagram::pair()?;
    let steps: Vec<(File, File)> = (0..2).map(|_| pipe()).collect::<Result<_>>()?;
    let (mut finished, done) = pipe()?;
    let (mut one, mut two) = (steps[0].0.try_clone()?, steps[1].0.try_clone()?);
    let (mut done_one, mut done_two, mut received) =
        (done.try_clone()?, done.try_clone()?, done.try_clone()?);
    processes.start(false, move |count| {
        let mut stream = TcpStream::connect(address)?;
        one.read_exact(&mut [0])?;
        send(&mut stream, count, EACH)?;
        done_one.write_all(&[1])?;
        one.read_exact(&mut [0])?;
        give(&here, &stream)?;
        drop(stream);
        done_one.write_all(&[1])?;
        Ok(())
    })?;
    processes.start(false, move |count| {
        let mut stream = take(&there)?;
        loop {
            two.read_exact(&mut [0])?;
            send(&mut stream, count, EACH)?;
            done_two.write_all(&[1])?;
        }
    })?;
    processes.start(false, move |count| {
        let (mut stream, _) = listener.accept()?;
        loop {
            receive(&mut stream, count, EACH)?;
            received.write_all(&[1])?;
        }
    })?;
    tell(json!({"ready": true}));
    while let Some(words) = hear() {
        // The first process sends, passes the connection on, and the second one sends.
        let (who, answers) = match words.first().map(String::as_str) {
            Some("first") => (0, 2),
            Some("pass") => (0, 1),
            _ => (1, 2),
        };
        let mut step = &steps[who].1;
        step.write_all(&[1])?;
        finished.read_exact(&mut vec![0; answers])?;
        tell(processes.truth());
    }
    Ok(())
}

/// A message of one byte with one descriptor beside it.
#[repr(C, align(8))]
struct Passed([u8; 64]);

fn message(byte: &mut u8, part: &mut libc::iovec, control: &mut Passed) -> libc::msghdr {
    // SAFETY: a zeroed header is a valid empty one.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    *part = libc::iovec { iov_base: std::ptr::from_mut(byte).cast(), iov_len: 1 };
    header.msg_iov = part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: plain arithmetic.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<i32>() as u32) } as usize;
    header
}

fn give(to: &UnixDatagram, stream: &TcpStream) -> Result<()> {
    let (mut byte, mut control) = (0, Passed([0; 64]));
    // SAFETY: a zeroed part is valid, and is filled in.
    let mut part = unsafe { std::mem::zeroed() };
    let header = message(&mut byte, &mut part, &mut control);
    // SAFETY: the control buffer has room for one descriptor; all buffers outlive the call.
    let sent = unsafe {
        let head = libc::CMSG_FIRSTHDR(&raw const header);
        (*head).cmsg_level = libc::SOL_SOCKET;
        (*head).cmsg_type = libc::SCM_RIGHTS;
        (*head).cmsg_len = libc::CMSG_LEN(size_of::<i32>() as u32) as usize;
        libc::CMSG_DATA(head).cast::<i32>().write_unaligned(stream.as_raw_fd());
        libc::sendmsg(to.as_raw_fd(), &raw const header, 0)
    };
    ensure!(sent == 1, "sendmsg: {}", std::io::Error::last_os_error());
    Ok(())
}

fn take(from: &UnixDatagram) -> Result<TcpStream> {
    let (mut byte, mut control) = (0, Passed([0; 64]));
    // SAFETY: a zeroed part is valid, and is filled in.
    let mut part = unsafe { std::mem::zeroed() };
    let mut header = message(&mut byte, &mut part, &mut control);
    // SAFETY: the buffers outlive the call; the kernel writes their used lengths to the header.
    unsafe {
        let received = libc::recvmsg(from.as_raw_fd(), &raw mut header, 0);
        ensure!(received == 1, "recvmsg: {}", std::io::Error::last_os_error());
        let head = libc::CMSG_FIRSTHDR(&raw const header).as_ref().context("no descriptor came")?;
        let descriptor = libc::CMSG_DATA(head).cast::<i32>().read_unaligned();
        Ok(TcpStream::from(OwnedFd::from_raw_fd(descriptor)))
    }
}
