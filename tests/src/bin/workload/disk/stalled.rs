//! A FUSE filesystem with a server that stops answering after a file is opened and deleted.
//!
//! `workload disk stalled FOLDER` mounts it at the folder, in a new mount namespace unless `shared` is given. The
//! structures are those of `linux/fuse.h`, protocol 7.31.

use std::{
    ffi::CString,
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::ffi::OsStrExt as _},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use observer_tests::workload::{hear, tell};
use serde_json::json;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const UNLINK: u32 = 10;
const OPEN: u32 = 14;
const INIT: u32 = 26;
/// The root's number, and the file's.
const ROOT: u64 = 1;
const FILE: u64 = 2;
/// `struct fuse_in_header`, `fuse_out_header`.
const IN_HEADER: usize = 40;
const OUT_HEADER: usize = 16;

/// Mounts, opens and deletes a file. Every later request waits forever.
pub fn run(folder: &Path) -> Result<()> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").context("no FUSE here")?;
    let target = CString::new(folder.as_os_str().as_bytes())?;
    let options =
        CString::new(format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd()))?;
    // SAFETY: all strings outlive the call.
    let mounted = unsafe {
        libc::mount(
            c"stalled".as_ptr(),
            target.as_ptr(),
            c"fuse.stalled".as_ptr(),
            libc::MS_NOSUID | libc::MS_NODEV,
            options.as_ptr().cast(),
        )
    };
    ensure!(mounted == 0, "mount: {}", std::io::Error::last_os_error());
    let server = device.try_clone()?;
    // The server ends with this process. That closes the device, and waiting requests fail.
    let serving = std::thread::spawn(move || serve(server));
    let path = folder.join("file");
    // After one ENOSYS for close, the kernel sends no more such requests. Otherwise a killed process would wait for
    // itself forever, because its device is closed only after its files.
    drop(File::open(&path)?);
    let file = File::open(&path)?;
    std::fs::remove_file(&path)?;
    // The server has sent its last answer.
    serving.join().ok().context("the server failed")??;
    tell(json!({"ready": true, "fd": file.as_raw_fd()}));
    while hear().is_some() {
        tell(json!({}));
    }
    // SAFETY: the string outlives the call; a lazy unmount asks the server nothing.
    unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH | libc::MNT_FORCE) };
    Ok(())
}

/// Answers until the file is deleted.
fn serve(mut device: File) -> Result<()> {
    let mut request = vec![0; 1 << 20];
    loop {
        let length = device.read(&mut request)?;
        ensure!(length >= IN_HEADER, "a request of {length} bytes");
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| request[at + byte]));
        let (operation, unique) = (word(4), request[8..16].to_vec());
        let node = u64::from(word(16));
        let (error, answer) = match operation {
            INIT => (0, init()),
            GETATTR => (0, [vec![0; 16], attributes(node)].concat()),
            LOOKUP => (0, entry()),
            OPEN => (0, vec![0; 16]),
            UNLINK => (0, Vec::new()),
            FORGET => continue,
            _ => (-libc::ENOSYS, Vec::new()),
        };
        let mut out = ((OUT_HEADER + answer.len()) as u32).to_ne_bytes().to_vec();
        out.extend(error.to_ne_bytes());
        out.extend(unique);
        out.extend(answer);
        device.write_all(&out)?;
        if operation == UNLINK {
            return Ok(());
        }
    }
}

/// `struct fuse_init_out`: version 7.31, without optional features.
fn init() -> Vec<u8> {
    let mut answer: Vec<u8> = [7_u32, 31, 0, 0].map(u32::to_ne_bytes).concat();
    answer.extend([0_u8; 4]);
    answer.extend(4096_u32.to_ne_bytes());
    answer.resize(64, 0);
    answer
}

/// `struct fuse_entry_out` of the file.
fn entry() -> Vec<u8> {
    let mut answer: Vec<u8> = [FILE, 0, 0, 0].map(u64::to_ne_bytes).concat();
    answer.extend([0_u8; 8]);
    answer.extend(attributes(FILE));
    answer
}

/// `struct fuse_attr`: a folder, or a file of 4,096 bytes.
fn attributes(node: u64) -> Vec<u8> {
    let (mode, size) = if node == ROOT { (0o40_755_u32, 0) } else { (0o100_644, 4096_u64) };
    let mut answer: Vec<u8> = [node, size, size / 512, 0, 0, 0].map(u64::to_ne_bytes).concat();
    answer.extend([0, 0, 0, mode, 1, 0, 0, 0, 4096, 0].map(u32::to_ne_bytes).concat());
    answer
}
