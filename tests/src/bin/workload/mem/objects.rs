//! Memory beside processes: each `step` adds 8 MiB of one kind. Each answer has the kernel's own figure, if there is
//! one.

use std::{
    fs::File,
    io::Write as _,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{fs::MetadataExt as _, net::UnixStream},
    },
};

use anyhow::{Result, bail, ensure};
use observer_tests::workload::{hear, tell};
use serde_json::json;

const STEP: usize = 8 << 20;

/// Grows objects of `kind` and keeps them: a file at `path`, a memfd, segments, descriptors in flight, unread bytes,
/// rings.
pub fn run(kind: &str, path: Option<&str>) -> Result<()> {
    let mut objects = Objects::new(kind, path)?;
    tell(json!({"ready": true}));
    while hear().is_some() {
        let bytes = objects.grow(kind)?;
        tell(json!({"bytes": bytes}));
    }
    objects.end();
    Ok(())
}

struct Objects {
    file: Option<File>,
    /// Open descriptors that keep memory.
    kept: Vec<OwnedFd>,
    segments: Vec<i32>,
    path: Option<String>,
    bytes: u64,
}

impl Objects {
    fn new(kind: &str, path: Option<&str>) -> Result<Self> {
        let file = match (kind, path) {
            ("tmpfs", Some(path)) => Some(File::create(path)?),
            ("memfd", None) => Some(memfd()?),
            _ => None,
        };
        let mut kept = Vec::new();
        if kind == "in_flight" {
            let (one, other) = UnixStream::pair()?;
            kept = vec![one.into(), other.into()];
        }
        Ok(Self { file, kept, segments: Vec::new(), path: path.map(str::to_owned), bytes: 0 })
    }

    /// Adds a step. Returns the bytes of all steps so far.
    fn grow(&mut self, kind: &str) -> Result<u64> {
        if let Some(file) = &mut self.file {
            file.write_all(&vec![1; STEP])?;
            return Ok(file.metadata()?.blocks() * 512);
        }
        match kind {
            "sysv" => self.segments.push(segment()?),
            "in_flight" => {
                let mut file = memfd()?;
                file.write_all(&vec![1; STEP])?;
                send(self.kept[0].as_raw_fd(), file.as_raw_fd())?;
            }
            "pipe" => {
                for _ in 0..STEP >> 20 {
                    self.kept.extend(pipe()?);
                }
            }
            "unix_socket" => self.kept.extend(unread_stream(STEP)?),
            "packet_ring" => self.kept.push(ring(STEP)?),
            _ => bail!("no such kind"),
        }
        self.bytes += STEP as u64;
        Ok(self.bytes)
    }

    fn end(self) {
        if let Some(path) = self.path {
            let _ = std::fs::remove_file(path);
        }
        for segment in self.segments {
            // SAFETY: a segment of this process, which no process has attached.
            unsafe { libc::shmctl(segment, libc::IPC_RMID, std::ptr::null_mut()) };
        }
    }
}

fn memfd() -> Result<File> {
    // SAFETY: a constant name; the result is a descriptor or an error.
    let file = unsafe { libc::memfd_create(c"observed".as_ptr(), libc::MFD_CLOEXEC) };
    ensure!(file >= 0, "memfd_create: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is new, and nothing else owns it.
    Ok(unsafe { File::from_raw_fd(file) })
}

/// A segment that is filled and detached.
fn segment() -> Result<i32> {
    // SAFETY: makes a new segment, fills it within its size, and detaches it.
    unsafe {
        let id = libc::shmget(libc::IPC_PRIVATE, STEP, libc::IPC_CREAT | 0o600);
        ensure!(id >= 0, "shmget: {}", std::io::Error::last_os_error());
        let address = libc::shmat(id, std::ptr::null(), 0);
        ensure!(address as isize != -1, "shmat: {}", std::io::Error::last_os_error());
        std::ptr::write_bytes(address.cast::<u8>(), 1, STEP);
        libc::shmdt(address);
        Ok(id)
    }
}

/// Sends one byte with a descriptor.
fn send(socket: i32, descriptor: i32) -> Result<()> {
    let mut byte = 1_u8;
    let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control = [0_u64; 3];
    // SAFETY: a structure of numbers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: `control` has space for a header and one descriptor.
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(header).cast::<i32>().write(descriptor);
        libc::sendmsg(socket, &raw const message, 0)
    };
    ensure!(sent == 1, "sendmsg: {}", std::io::Error::last_os_error());
    Ok(())
}

/// A full pipe of 1 MiB.
fn pipe() -> Result<[OwnedFd; 2]> {
    let mut ends = [0; 2];
    // SAFETY: two descriptors are written to the array; they belong to nothing else.
    let ends = unsafe {
        ensure!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) == 0, "pipe2");
        ends.map(|end| OwnedFd::from_raw_fd(end))
    };
    let bytes = vec![1_u8; 1 << 20];
    // SAFETY: the descriptor is open, and the bytes live.
    let written = unsafe {
        ensure!(libc::fcntl(ends[1].as_raw_fd(), libc::F_SETPIPE_SZ, bytes.len()) > 0, "F_SETPIPE_SZ");
        libc::write(ends[1].as_raw_fd(), bytes.as_ptr().cast(), bytes.len())
    };
    ensure!(written == bytes.len() as isize, "a pipe took {written} bytes");
    Ok(ends)
}

/// A pair of sockets with this many unread bytes.
fn unread_stream(bytes: usize) -> Result<[OwnedFd; 2]> {
    let (mut writer, reader) = UnixStream::pair()?;
    let room = 2 * bytes as i32;
    // SAFETY: the option is a number that lives.
    unsafe {
        let number = (&raw const room).cast();
        libc::setsockopt(writer.as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, number, 4);
    }
    writer.set_nonblocking(true)?;
    writer.write_all(&vec![1; bytes])?;
    Ok([writer.into(), reader.into()])
}

/// A packet socket with a ring of this many bytes.
fn ring(bytes: usize) -> Result<OwnedFd> {
    // SAFETY: a new descriptor, which belongs to nothing else.
    let socket = unsafe {
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        ensure!(socket >= 0, "socket: {}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(socket)
    };
    let block = 1_u32 << 16;
    // Block size, blocks, frame size, frames.
    let request = [block, bytes as u32 / block, 2048, bytes as u32 / 2048];
    // SAFETY: the request lives, and its size is given.
    let done = unsafe {
        let length = size_of_val(&request) as u32;
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_RX_RING,
            request.as_ptr().cast(),
            length,
        )
    };
    ensure!(done == 0, "PACKET_RX_RING: {}", std::io::Error::last_os_error());
    Ok(socket)
}
