//! A workload that makes every kind of kernel memory grow: more of each at every `step`, none of it released.
//!
//! All kinds grow until the end, because growth of a slab cache is only seen at its next read, which a slow machine
//! does once in half a minute.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::{FromRawFd as _, OwnedFd},
};

use anyhow::{Result, ensure};
use observer_tests::workload::{hear, tell};
use serde_json::json;

/// Address space of one page table: one touched page in each costs a page of tables.
const TABLE: usize = 2 << 20;
const PAGE: usize = 4096;
/// Amounts per step; a thread costs a kernel stack and a task. A minute with four steps a second takes half a gigabyte,
/// and a quarter of a process's mappings.
const TABLES: usize = 100;
const THREADS: usize = 15;
const SENT: usize = 256 << 10;
const ARRAY: u32 = 128 << 10;

/// `BPF_MAP_CREATE`, and two types of maps.
const MAP_CREATE: i32 = 0;
const MAP_TYPE_ARRAY: u32 = 2;
const MAP_TYPE_PER_CPU_ARRAY: u32 = 6;

/// Runs until the input ends.
pub fn run() -> Result<()> {
    let (mut tables, mut threads, mut sent, mut arrays) = (0, 0, 0, 0);
    let mut kept: Vec<OwnedFd> = Vec::new();
    let (mut sender, _receiver) = connection()?;
    // Before 5.11 BPF maps count as locked memory.
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the call only reads a structure of this kind. If the kernel rejects it, the limit is not needed.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) };
    tell(json!({"ready": true}));
    while hear().is_some() {
        let apart = map(TABLES * TABLE)?;
        for place in 0..TABLES {
            // SAFETY: within a new mapping that nothing else refers to.
            unsafe { ((apart + place * TABLE) as *mut u8).write_volatile(1) };
        }
        tables += TABLES * PAGE;
        for _ in 0..THREADS {
            std::thread::Builder::new().stack_size(4 * PAGE).spawn(|| {
                loop {
                    std::thread::park();
                }
            })?;
        }
        threads += THREADS;
        let taken = sender.write(&vec![0; SENT]).unwrap_or(0);
        sent += taken;
        // Its buffers are full, so the next step needs another one.
        if taken < SENT {
            let mut next = connection()?;
            std::mem::swap(&mut sender, &mut next.0);
            kept.extend([OwnedFd::from(next.0), OwnedFd::from(next.1)]);
        }
        kept.push(bpf_map(MAP_TYPE_ARRAY, ARRAY)?);
        kept.push(bpf_map(MAP_TYPE_PER_CPU_ARRAY, ARRAY)?);
        arrays += u64::from(ARRAY);
        tell(json!({
            "page_tables": tables,
            "threads": threads,
            "sockets": sent,
            "vmalloc": arrays,
        }));
    }
    Ok(())
}

fn connection() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let mut receiver = listener.accept()?.0;
    // After one byte, the connection is established and both sides have buffers.
    sender.write_all(&[0])?;
    receiver.read_exact(&mut [0])?;
    sender.set_nonblocking(true)?;
    Ok((sender, receiver))
}

fn map(length: usize) -> Result<usize> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, at an address that the kernel chooses.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
    ensure!(address != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    // A huge page would need no table.
    // SAFETY: what was just mapped.
    unsafe { libc::madvise(address, length, libc::MADV_NOHUGEPAGE) };
    Ok(address as usize)
}

/// A map of `bytes`, for each CPU if it is per CPU.
fn bpf_map(kind: u32, bytes: u32) -> Result<OwnedFd> {
    const VALUE: u32 = 4096;
    let mut attributes = [0_u32; 32];
    attributes[..4].copy_from_slice(&[kind, 4, VALUE, bytes / VALUE]);
    // SAFETY: the attributes of a new map; all other attributes are zero.
    let number =
        unsafe { libc::syscall(libc::SYS_bpf, MAP_CREATE, attributes.as_ptr(), size_of_val(&attributes)) };
    ensure!(number >= 0, "bpf: {}", std::io::Error::last_os_error());
    // SAFETY: the kernel has just created the descriptor for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(number as i32) })
}
