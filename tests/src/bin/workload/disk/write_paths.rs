//! Every write path by which a program makes a file grow, and memory that maps a file.

use std::{
    ffi::CStr,
    fs::File,
    io::Write as _,
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
    path::Path,
};

use anyhow::{Result, bail, ensure};
use io_uring::{IoUring, opcode, types};

use super::{
    queued,
    unbuffered::{Aligned, direct},
};

/// Bytes of a log line.
const LINE: usize = 100;

/// `FICLONERANGE` of `linux/fs.h`.
const CLONE_RANGE: libc::c_ulong = 0x4020_940d;

/// Extends `file` by `bytes` by the write path `way`. `reserve` and `hole` only allocate blocks, and `over` overwrites.
///
/// `folder` is on the same filesystem.
pub fn write(mut file: &File, folder: &Path, way: &str, bytes: usize) -> Result<()> {
    let end = file.metadata()?.len();
    let filling = vec![b'x'; bytes];
    match way {
        "pwrite" => file.write_all_at(&filling, end)?,
        // At the descriptor's position, like most programs; irrelevant for files opened for append.
        "append" | "write" => file.write_all(&filling)?,
        // Like a growing log, and like an updated table.
        "lines" => filling.chunks(LINE).try_for_each(|line| file.write_all(line))?,
        "over" => filling.chunks(LINE).try_for_each(|line| file.write_all_at(line, 0))?,
        "writev" => {
            let half = bytes / 2;
            let parts = [&filling[..half], &filling[half..]]
                .map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() });
            // SAFETY: both parts live through the call, which only reads them.
            done(unsafe { libc::pwritev(file.as_raw_fd(), parts.as_ptr(), 2, end as i64) }, bytes)?;
        }
        "direct" => direct(file)?.write_all_at(Aligned::new(bytes).bytes(), end)?,
        "mmap" => {
            file.set_len(end + bytes as u64)?;
            Mapping::of(file)?.fill(end as usize, bytes);
        }
        "hole" => Mapping::of(file)?.fill(0, bytes),
        "aio" | "aio-direct" | "uring" | "uring-worker" | "uring-polled" | "uring-direct" => {
            queued::write(file, end, way, bytes)?;
        }
        "fallocate" => allocate(file, 0, end, bytes)?,
        "reserve" => allocate(file, libc::FALLOC_FL_KEEP_SIZE, end, bytes)?,
        "truncate" => file.set_len(end + bytes as u64)?,
        "sendfile" | "splice" | "copy" | "reflink" => from_another(file, folder, way, end, &filling)?,
        _ => bail!("no such way"),
    }
    Ok(())
}

fn done(result: isize, bytes: usize) -> Result<()> {
    ensure!(result == bytes as isize, "{result} of {bytes} bytes: {}", std::io::Error::last_os_error());
    Ok(())
}

fn allocate(file: &File, mode: i32, end: u64, bytes: usize) -> Result<()> {
    // SAFETY: a call without memory.
    let result = unsafe { libc::fallocate(file.as_raw_fd(), mode, end as i64, bytes as i64) };
    if result != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(())
}

/// Unlinks a file by io_uring: a kernel worker does it, outside of a system call.
pub fn delete_by_uring(path: &CStr) -> Result<()> {
    let mut ring = IoUring::new(2)?;
    let entry = opcode::UnlinkAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).build();
    // SAFETY: the path lives until the completion has been waited for.
    unsafe { ring.submission().push(&entry)? };
    ring.submit_and_wait(1)?;
    let result = ring.completion().next().map_or(-1, |completion| completion.result());
    done(result as isize, 0)
}

/// Copies bytes from another file or a pipe without passing this process's memory.
fn from_another(file: &File, folder: &Path, way: &str, end: u64, filling: &[u8]) -> Result<()> {
    let (bytes, out) = (filling.len(), file.as_raw_fd());
    let path = folder.join("source");
    std::fs::write(&path, filling)?;
    let source = File::open(&path)?;
    std::fs::remove_file(&path)?;
    let mut at = end as i64;
    match way {
        "sendfile" => {
            // SAFETY: calls with two descriptors and a local offset.
            let result = unsafe {
                libc::lseek(out, at, libc::SEEK_SET);
                libc::sendfile(out, source.as_raw_fd(), std::ptr::null_mut(), bytes)
            };
            done(result, bytes)
        }
        "copy" => {
            // SAFETY: two descriptors and a local offset.
            let result = unsafe {
                libc::copy_file_range(source.as_raw_fd(), std::ptr::null_mut(), out, &raw mut at, bytes, 0)
            };
            done(result, bytes)
        }
        // The blocks of the other file, which is freed afterwards.
        "reflink" => clone(file, &source, end, bytes),
        _ => {
            let (read, mut write) = std::io::pipe()?;
            ensure!(bytes <= 1 << 16, "more than a pipe holds");
            write.write_all(filling)?;
            // SAFETY: two descriptors and a local offset.
            let result =
                unsafe { libc::splice(read.as_raw_fd(), std::ptr::null_mut(), out, &raw mut at, bytes, 0) };
            done(result, bytes)
        }
    }
}

/// Clones the first `bytes` bytes of another file into `file`, from `end` on.
pub fn clone(file: &File, source: &File, end: u64, bytes: usize) -> Result<()> {
    let range = [source.as_raw_fd() as u64, 0, bytes as u64, end];
    // SAFETY: the kernel reads one `file_clone_range`, four words of eight bytes.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), CLONE_RANGE as _, &raw const range) };
    if result < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(())
}

/// Memory of a file, or of an internal file of the kernel; unmapped on drop.
pub struct Mapping {
    address: *mut u8,
    length: usize,
}

impl Mapping {
    /// A whole file.
    pub fn of(file: &File) -> Result<Self> {
        Self::new(file.metadata()?.len() as usize, libc::MAP_SHARED, file.as_raw_fd())
    }

    /// Shared anonymous memory: an internal deleted file of the kernel.
    pub fn shared_zero(length: usize) -> Result<Self> {
        Self::new(length, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)
    }

    fn new(length: usize, flags: i32, fd: i32) -> Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), length, access, flags, fd, 0) };
        ensure!(address != libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        Ok(Self { address: address.cast(), length })
    }

    /// A System V segment marked for removal, which looks like a deleted file.
    pub fn system_v(length: usize) -> Result<Self> {
        // SAFETY: a new segment, attached once and removed with its last mapping.
        let address = unsafe {
            let segment = libc::shmget(libc::IPC_PRIVATE, length, libc::IPC_CREAT | 0o600);
            ensure!(segment >= 0, "{}", std::io::Error::last_os_error());
            let address = libc::shmat(segment, std::ptr::null(), 0);
            libc::shmctl(segment, libc::IPC_RMID, std::ptr::null_mut());
            address
        };
        ensure!(address as isize != -1, "{}", std::io::Error::last_os_error());
        Ok(Self { address: address.cast(), length })
    }

    /// Writes to `bytes` bytes from `start` on.
    pub fn fill(&self, start: usize, bytes: usize) {
        assert!(start + bytes <= self.length);
        // SAFETY: within the mapping, which nothing else refers to.
        unsafe { self.address.add(start).write_bytes(b'm', bytes) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this value owns the mapping; memory mapped by `shmat` is unmapped in the same manner.
        unsafe { libc::munmap(self.address.cast(), self.length) };
    }
}
