//! Times single system calls.
//!
//! `load calls FOLDER` reads `NAME MILLISECONDS`, repeats the call for that long in batches of about a millisecond, and
//! answers with the lower quartile of the batches, in nanoseconds of processor time per call, and the number of calls.
//! Other work on the machine is not included. Work of the kernel for the call (the other end of a loopback connection)
//! is.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use observer_tests::{
    reset::ends_by_reset,
    workload::{hear, tell},
};
use serde_json::json;

use crate::pin;

const PAGE: usize = 4096;
/// A file is truncated at this length, so that a long run does not fill the disk.
const LONGEST_FILE: u64 = 64 << 20;

/// Reports the calls, then makes the requested ones.
pub fn run(folder: &Path) -> Result<()> {
    let mut calls = Calls::new(folder)?;
    pin::to_last_processor()?;
    tell(json!({"ready": true, "calls": NAMES}));
    while let Some(words) = hear() {
        let [name, milliseconds] = &words[..] else { bail!("give a call and milliseconds") };
        let time = Duration::from_millis(milliseconds.parse()?);
        // Requests are split at spaces, and names contain spaces.
        let name = name.replace('_', " ");
        let (nanoseconds, made) = calls.time(&name, time).with_context(|| name.clone())?;
        tell(json!({"call": name, "ns": nanoseconds, "calls": made}));
    }
    Ok(())
}

/// Every call, in the order of the table.
const NAMES: [&str; 14] = [
    "getppid",
    "mmap+touch+munmap",
    "brk up+down",
    "page fault",
    "write 1 B",
    "append 100 B",
    "append 100 B, deleted file",
    "open+unlink",
    "TCP 64 B",
    "TCP 64 KiB",
    "UDP 64 B",
    "connect+close",
    "fork+exit",
    "exec+exit",
];

struct Calls {
    folder: PathBuf,
    named: File,
    deleted: File,
    appended: u64,
    /// The end of the heap at the start of a batch; the allocator may move it between batches.
    heap: usize,
    fault: *mut u8,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
    datagrams: UdpSocket,
    buffer: Vec<u8>,
}

/// A batch is long enough if all of this many are long enough. An interrupted batch seems long. Otherwise a batch of
/// few calls would be accepted, and each call would include its share of the fixed cost of a batch, such as the first
/// page of a file.
const TRIES: usize = 3;

/// Pages that are released and touched again.
const FAULTS: usize = 256;

impl Calls {
    fn new(folder: &Path) -> Result<Self> {
        let named = File::create(folder.join("named"))?;
        let deleted = File::create(folder.join("deleted"))?;
        fs::remove_file(folder.join("deleted"))?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        client.set_nodelay(true)?;
        let datagrams = UdpSocket::bind("127.0.0.1:0")?;
        datagrams.connect(datagrams.local_addr()?)?;
        Ok(Self {
            folder: folder.to_owned(),
            named,
            deleted,
            appended: 0,
            heap: 0,
            fault: map(FAULTS * PAGE)?,
            listener,
            client,
            server,
            datagrams,
            buffer: vec![7; 65_536],
        })
    }

    /// Nanoseconds per call, and the number of calls.
    fn time(&mut self, name: &str, time: Duration) -> Result<(f64, usize)> {
        // The first calls also warm caches.
        let mut batch = 1;
        while self.shortest(name, batch)? < Duration::from_millis(1) && batch < 1 << 20 {
            batch *= 2;
        }
        let warming = TRIES * (2 * batch - 1);
        let end = Instant::now() + time;
        let mut each = Vec::new();
        while Instant::now() < end || each.len() < 3 {
            each.push(self.batch(name, batch)?.as_nanos() as f64 / batch as f64);
        }
        each.sort_by(f64::total_cmp);
        Ok((each[each.len() / 4], warming + batch * each.len()))
    }

    /// The shortest of a few batches.
    fn shortest(&mut self, name: &str, count: usize) -> Result<Duration> {
        let mut shortest = Duration::MAX;
        for _ in 0..TRIES {
            shortest = shortest.min(self.batch(name, count)?);
        }
        Ok(shortest)
    }

    fn batch(&mut self, name: &str, count: usize) -> Result<Duration> {
        self.appended = 0;
        self.named.set_len(0)?;
        self.deleted.set_len(0)?;
        // SAFETY: only returns the end of the heap.
        self.heap = unsafe { libc::syscall(libc::SYS_brk, 0) } as usize;
        let began = spent();
        match name {
            "page fault" => {
                for _ in 0..count.div_ceil(FAULTS) {
                    self.faults();
                }
                // Only whole rounds: the time is scaled from the number of calls that were made.
                let done = count.div_ceil(FAULTS) * FAULTS;
                return Ok((spent() - began).mul_f64(count as f64 / done as f64));
            }
            _ => (0..count).try_for_each(|_| self.call(name))?,
        }
        Ok(spent() - began)
    }

    fn call(&mut self, name: &str) -> Result<()> {
        match name {
            // SAFETY: a call without arguments.
            "getppid" => unsafe {
                libc::syscall(libc::SYS_getppid);
            },
            "mmap+touch+munmap" => map_touch_unmap()?,
            "brk up+down" => self.brk(),
            "write 1 B" => self.named.write_all_at(b"x", 0)?,
            "append 100 B" => append(&self.named, &mut self.appended, &self.buffer[..100])?,
            "append 100 B, deleted file" => append(&self.deleted, &mut self.appended, &self.buffer[..100])?,
            "open+unlink" => {
                let path = self.folder.join("unlinked");
                drop(File::create(&path)?);
                fs::remove_file(&path)?;
            }
            "TCP 64 B" => self.tcp(64)?,
            "TCP 64 KiB" => self.tcp(65_536)?,
            "UDP 64 B" => {
                self.datagrams.send(&self.buffer[..64])?;
                self.datagrams.recv(&mut self.buffer)?;
            }
            "connect+close" => {
                let client = TcpStream::connect(self.listener.local_addr()?)?;
                let (server, _) = self.listener.accept()?;
                ends_by_reset(&server)?;
                drop((server, client));
            }
            "fork+exit" => fork()?,
            "exec+exit" => {
                let status = Command::new(std::env::current_exe()?).arg("nothing").status()?;
                ensure!(status.success(), "{status}");
            }
            _ => bail!("no such call"),
        }
        Ok(())
    }

    /// Adds some pages and removes them again, without the allocator's knowledge.
    fn brk(&self) {
        // SAFETY: the heap ends where it ended before; nothing in this process allocates meanwhile.
        unsafe {
            libc::syscall(libc::SYS_brk, self.heap + 16 * PAGE);
            libc::syscall(libc::SYS_brk, self.heap);
        }
    }

    fn faults(&mut self) {
        // SAFETY: the pages are a private mapping of this process, without other references.
        unsafe {
            libc::madvise(self.fault.cast(), FAULTS * PAGE, libc::MADV_DONTNEED);
            for page in 0..FAULTS {
                self.fault.add(page * PAGE).write_volatile(1);
            }
        }
    }

    fn tcp(&mut self, length: usize) -> Result<()> {
        self.client.write_all(&self.buffer[..length])?;
        self.server.read_exact(&mut self.buffer[..length])?;
        Ok(())
    }
}

fn append(mut file: &File, length: &mut u64, bytes: &[u8]) -> Result<()> {
    if *length == 0 || *length > LONGEST_FILE {
        file.set_len(0)?;
        std::io::Seek::rewind(&mut file)?;
        *length = 0;
    }
    file.write_all(bytes)?;
    *length += bytes.len() as u64;
    Ok(())
}

fn map_touch_unmap() -> Result<()> {
    let pages = map(4 * PAGE)?;
    // SAFETY: the mapping was just made and is this function's own.
    unsafe {
        for page in 0..4 {
            pages.add(page * PAGE).write_volatile(1);
        }
        libc::munmap(pages.cast(), 4 * PAGE);
    }
    Ok(())
}

fn map(length: usize) -> Result<*mut u8> {
    // SAFETY: a new private mapping changes no existing memory.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    ensure!(address != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    // Huge pages would sometimes replace many faults by one.
    // SAFETY: the mapping was just made.
    unsafe { libc::madvise(address, length, libc::MADV_NOHUGEPAGE) };
    Ok(address.cast())
}

fn fork() -> Result<()> {
    // SAFETY: the child only exits, without running the exit handlers of this process.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(0);
        }
        ensure!(child > 0, "fork: {}", std::io::Error::last_os_error());
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    Ok(())
}

/// Processor time of this thread so far, and of the children that have ended.
fn spent() -> Duration {
    // SAFETY: both are plain values that live across the calls.
    let (own, children) = unsafe {
        let mut own: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut own);
        let mut children: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut children);
        (own, children)
    };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, 1000 * time.tv_usec as u32);
    let own = Duration::new(own.tv_sec as u64, own.tv_nsec as u32);
    own + time(children.ru_utime) + time(children.ru_stime)
}
