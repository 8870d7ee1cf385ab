//! Holders besides descriptors and mappings: an io_uring instance, a socket, a loop device, a running program.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    os::{
        fd::AsRawFd as _,
        unix::{
            ffi::OsStrExt as _,
            fs::{FileExt as _, PermissionsExt as _},
            net::UnixStream,
        },
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
/// `LO_FLAGS_AUTOCLEAR`: the device releases the file when its last descriptor is closed.
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

/// Holds a file until it is dropped.
pub enum Elsewhere {
    Ring(Box<IoUring>),
    /// The file is in flight in the first of the two ends.
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

/// Passes `file` to the holder named `way`. The descriptor can then be closed.
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

/// Creates an executable at `path`, runs it, and deletes it; the descriptor gives its truth.
pub fn run(path: &Path) -> Result<(Elsewhere, File)> {
    // A copy of this program, because a system program may be part of a multi-call binary.
    fs::copy("/proc/self/exe", path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    let mut program = Command::new(path);
    let program = program.args(["mem", "idle"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let file = File::open(path)?;
    fs::remove_file(path)?;
    Ok((Elsewhere::Program(program), file))
}

/// Swaps to the file at `path`, which is `file` and all zeroes, and returns the kernel's error for deleting it
/// meanwhile. Then deletes it, and returns the error for swapping to it. Both are null without an error.
pub fn swap(path: &Path, file: &File) -> Result<Value> {
    const PAGES: u32 = 64;
    // SAFETY: a call without memory.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })?;
    let mut header = vec![0_u8; page];
    header[1024..1028].copy_from_slice(&1_u32.to_ne_bytes());
    header[1028..1032].copy_from_slice(&(PAGES - 1).to_ne_bytes());
    header[page - 10..].copy_from_slice(b"SWAPSPACE2");
    file.write_all_at(&header, 0)?;
    file.write_all_at(&vec![0; page * (PAGES as usize - 1)], page as u64)?;
    file.sync_all()?;
    let name = CString::new(path.as_os_str().as_bytes())?;
    let opened = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let why = |result: std::io::Result<()>| json!(result.err().map(|error| error.raw_os_error()));
    // SAFETY: the paths of all calls are C strings.
    let (on, off) = (
        |path: &CString| unsafe { done(libc::swapon(path.as_ptr(), 0)) },
        |path: &CString| unsafe { done(libc::swapoff(path.as_ptr())) },
    );
    on(&name).context("swapon")?;
    let delete = fs::remove_file(path);
    let still = if delete.is_ok() { &opened } else { &name };
    off(still).context("swapoff")?;
    if delete.is_err() {
        fs::remove_file(path)?;
    }
    let swap = on(&opened);
    if swap.is_ok() {
        off(&opened).context("swapoff")?;
    }
    Ok(json!({"delete": why(delete), "swap": why(swap)}))
}

fn done(result: i32) -> std::io::Result<()> {
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

impl Elsewhere {
    /// The expected holder: a process, a descriptor, a device.
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

/// Other processes may take a free device meanwhile, so this tries again.
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
