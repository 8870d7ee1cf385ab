//! What keeps a file that no descriptor or mapping keeps: a ring, a socket, a loop device, a running program.

use std::{
    fs::{self, File, OpenOptions},
    os::{
        fd::AsRawFd as _,
        unix::{fs::PermissionsExt as _, net::UnixStream},
    },
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use io_uring::IoUring;
use serde_json::{Value, json};

/// `LOOP_CTL_GET_FREE` and `LOOP_CONFIGURE` of `linux/loop.h`.
const GET_FREE: libc::c_ulong = 0x4c82;
const CONFIGURE: libc::c_ulong = 0x4c0a;
/// `LO_FLAGS_AUTOCLEAR`: the device lets go of the file when the last descriptor of the device is closed.
const AUTOCLEAR: u32 = 4;

/// `struct loop_config`: the descriptor, the block size, `struct loop_info64`, reserved words.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    before_flags: [u64; 5],
    encryption: [u32; 3],
    flags: u32,
    rest: [u64; 29 - 7],
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopConfig>() == 8 + 232 + 64);

/// Keeps a file until it is dropped.
pub enum Elsewhere {
    Ring(Box<IoUring>),
    /// The file waits in the first of both ends.
    Socket {
        to: UnixStream,
        _from: UnixStream,
    },
    Loop {
        number: i32,
        _device: File,
    },
    Program(Child),
}

/// Gives `file` to what `way` says. The descriptor can be closed then.
pub fn keep(way: &str, file: &File) -> Result<Elsewhere> {
    match way {
        "register" => {
            let ring = IoUring::new(2)?;
            ring.submitter().register_files(&[file.as_raw_fd()])?;
            Ok(Elsewhere::Ring(Box::new(ring)))
        }
        "send" => {
            let (to, from) = UnixStream::pair()?;
            send(&from, file)?;
            Ok(Elsewhere::Socket { to, _from: from })
        }
        "loop" => behind_loop(file),
        _ => bail!("no such way"),
    }
}

/// Makes an executable at `path`, runs it, and deletes it; the descriptor tells the truth about it.
pub fn run(path: &Path) -> Result<(Elsewhere, File)> {
    // This one: a program of the system's may be a part of a larger one, and know itself by its name.
    fs::copy("/proc/self/exe", path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    let mut program = Command::new(path);
    let program = program.args(["mem", "idle"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let file = File::open(path)?;
    fs::remove_file(path)?;
    Ok((Elsewhere::Program(program), file))
}

impl Elsewhere {
    /// What observer should name: a process, a descriptor, a device.
    pub fn through(&self) -> Value {
        match self {
            Self::Ring(ring) => json!(ring.as_raw_fd()),
            Self::Socket { to, .. } => json!(to.as_raw_fd()),
            Self::Loop { number, .. } => json!(format!("/dev/loop{number}")),
            Self::Program(child) => json!(child.id()),
        }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Self::Program(child) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn send(from: &UnixStream, file: &File) -> Result<()> {
    let mut byte = [0_u8];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = [0_u64; 8];
    // SAFETY: an all-zero header is a valid one.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    // SAFETY: the length of a control message with one descriptor; the control buffer is longer.
    unsafe {
        header.msg_controllen = libc::CMSG_SPACE(4) as _;
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        (*message).cmsg_level = libc::SOL_SOCKET;
        (*message).cmsg_type = libc::SCM_RIGHTS;
        (*message).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(message).cast::<i32>().write_unaligned(file.as_raw_fd());
    }
    // SAFETY: everything that the header points to lives through the call.
    let sent = unsafe { libc::sendmsg(from.as_raw_fd(), &raw const header, 0) };
    ensure!(sent == 1, "sendmsg: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Other processes look for free devices too: a device that was taken meanwhile is not the last one.
fn behind_loop(file: &File) -> Result<Elsewhere> {
    let control = File::open("/dev/loop-control").context("no loop devices here")?;
    loop {
        // SAFETY: a call without memory.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), GET_FREE as _) };
        ensure!(number >= 0, "no free loop device: {}", std::io::Error::last_os_error());
        let path = format!("/dev/loop{number}");
        let device = OpenOptions::new().read(true).write(true).open(&path).with_context(|| path.clone())?;
        let config = LoopConfig {
            fd: file.as_raw_fd() as u32,
            block_size: 0,
            before_flags: [0; 5],
            encryption: [0; 3],
            flags: AUTOCLEAR,
            rest: [0; 22],
            reserved: [0; 8],
        };
        // SAFETY: the kernel reads one `loop_config`.
        if unsafe { libc::ioctl(device.as_raw_fd(), CONFIGURE as _, &raw const config) } == 0 {
            return Ok(Elsewhere::Loop { number, _device: device });
        }
        let error = std::io::Error::last_os_error();
        ensure!(error.raw_os_error() == Some(libc::EBUSY), "{path}: {error}");
    }
}
