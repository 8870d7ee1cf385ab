//! Memory that is not private anonymous memory in use: each word with a number takes more memory of one kind.
//!
//! `shared`, `lazy`, `secret` and `children` take this number of MiB; `read` touches the shared memory in a child;
//! `sparse` reads one page in each of this number of pieces of 2 MiB; `huge` touches this number of huge pages;
//! `register` lets io_uring pin this number of MiB, and then unmaps them.

use anyhow::{Context as _, Result, bail, ensure};
use observer_tests::workload::{hear, tell};
use serde_json::json;

use super::{clone_as, map, touch, unmap};

const MIB: usize = 1 << 20;
const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// Carries out commands, and answers each when it is done.
pub fn run() -> Result<()> {
    tell(json!({"ready": true}));
    let mut shared = Vec::new();
    let mut rings = Vec::new();
    let mut children = Vec::new();
    while let Some(words) = hear() {
        let [kind, number] = &words[..] else { bail!("a kind and a number") };
        let number: usize = number.parse()?;
        match kind.as_str() {
            "shared" => {
                let address = other(number * MIB, READ_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)?;
                touch(address, number * MIB);
                shared.push((address, number * MIB));
            }
            "read" => children.push(child(|| {
                for (address, length) in &shared {
                    touch(*address, *length);
                }
            })?),
            "children" => children.push(child(|| {
                if let Ok(address) = map(0, number * MIB, READ_WRITE, 0, -1) {
                    touch(address, number * MIB);
                }
            })?),
            "sparse" => {
                let address = map(0, number * 2 * MIB, libc::PROT_READ, libc::MAP_NORESERVE, -1)?;
                for piece in 0..number {
                    // SAFETY: within memory that was just mapped readable.
                    unsafe { ((address + piece * 2 * MIB) as *const u8).read_volatile() };
                }
            }
            "huge" => {
                let address = map(0, number * 2 * MIB, READ_WRITE, libc::MAP_HUGETLB, -1)?;
                touch(address, number * 2 * MIB);
            }
            "lazy" => {
                let address = map(0, number * MIB, READ_WRITE, 0, -1)?;
                touch(address, number * MIB);
                // SAFETY: memory that was just mapped and that nothing else knows.
                let done = unsafe { libc::madvise(address as *mut _, number * MIB, libc::MADV_FREE) };
                ensure!(done == 0, "madvise: {}", std::io::Error::last_os_error());
            }
            "secret" => secret(number * MIB)?,
            "register" => rings.push(register(number * MIB)?),
            _ => bail!("no such kind"),
        }
        tell(json!({"children": children}));
    }
    for pid in children {
        // SAFETY: the child has not been waited for, so its process id is still its own.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    Ok(())
}

/// A child that runs `first` and then waits for its end, or for the end of this process.
fn child(first: impl FnOnce()) -> Result<i32> {
    let mut pipe = [0; 2];
    // SAFETY: two descriptors are written to the array.
    ensure!(unsafe { libc::pipe(pipe.as_mut_ptr()) } == 0, "pipe");
    let pid = clone_as(None, || {
        // SAFETY: constant arguments.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::prctl(libc::PR_SET_NAME, c"born-child".as_ptr());
        }
        first();
        let mut byte = 0_u8;
        // SAFETY: one byte from one byte, and one byte into it.
        unsafe {
            libc::write(pipe[1], (&raw const byte).cast(), 1);
            libc::pause();
            libc::read(pipe[0], (&raw mut byte).cast(), 1);
        }
    })?;
    let mut byte = 0_u8;
    // SAFETY: one byte into one byte; the descriptors are this function's own.
    let read = unsafe {
        let read = libc::read(pipe[0], (&raw mut byte).cast(), 1);
        libc::close(pipe[0]);
        libc::close(pipe[1]);
        read
    };
    ensure!(read == 1, "the child ended");
    Ok(pid)
}

/// As [`map`], with the kind of mapping among the flags.
fn other(length: usize, protection: i32, flags: i32, file: i32) -> Result<usize> {
    // SAFETY: new memory.
    let result = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, file, 0) };
    ensure!(result != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    Ok(result as usize)
}

/// Memory of `memfd_secret`, which the kernel never swaps.
fn secret(length: usize) -> Result<()> {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a structure of numbers, a system call without arguments, and a file of its own.
    let file = unsafe {
        libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit);
        libc::syscall(libc::SYS_memfd_secret, 0)
    } as i32;
    ensure!(file >= 0, "memfd_secret: {}", std::io::Error::last_os_error());
    // SAFETY: a file of its own.
    ensure!(unsafe { libc::ftruncate(file, length as i64) } == 0, "ftruncate");
    let address = other(length, READ_WRITE, libc::MAP_SHARED, file)?;
    touch(address, length);
    Ok(())
}

/// Registers memory with a new io_uring and unmaps it: its pages stay until the descriptor is closed.
fn register(length: usize) -> Result<i32> {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // `struct io_uring_params` has 120 bytes.
    let mut params = [0_u64; 15];
    // SAFETY: a structure of numbers; the kernel writes at most the size of the parameters.
    let ring = unsafe {
        libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit);
        libc::syscall(libc::SYS_io_uring_setup, 4, params.as_mut_ptr())
    };
    ensure!(ring >= 0, "io_uring_setup: {}", std::io::Error::last_os_error());
    let address = map(0, length, READ_WRITE, 0, -1)?;
    touch(address, length);
    let buffer = libc::iovec { iov_base: address as *mut _, iov_len: length };
    // SAFETY: one buffer that is mapped; 0 is IORING_REGISTER_BUFFERS.
    let done = unsafe { libc::syscall(libc::SYS_io_uring_register, ring, 0, &raw const buffer, 1) };
    ensure!(done == 0, "io_uring_register: {}", std::io::Error::last_os_error());
    unmap(address, length)?;
    i32::try_from(ring).context("a descriptor")
}
