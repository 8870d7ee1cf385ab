//! Workloads of the mem domain.
//!
//! `mappings` makes system calls by command and sums the requested bytes: `map`, `unmap`,
//! `replace`, `grow`, `shrink`, `heap`, `file`, `reserve`, `protect`, `compat`, `vfork`, `wander` (one CPU adds
//! pages, another removes them) and `threads`, each with a number of KiB. `kinds`
//! takes memory of other kinds. The other workloads start and exit differently.

mod objects;

use std::{
    fs::File,
    os::fd::AsRawFd as _,
    sync::{Barrier, atomic::AtomicU64},
};

use anyhow::{Context as _, Result, bail, ensure};
use observer_tests::workload::{hear, tell};
use serde_json::json;

mod kinds;

/// Runs the workload with the name in the first word.
pub fn run(words: &[&str]) -> Result<()> {
    match words {
        ["hog"] => hog(),
        ["object", kind] => objects::run(kind, None),
        ["object", kind, path] => objects::run(kind, Some(path)),
        ["mappings"] => mappings(),
        ["orphan"] => orphan(),
        ["brief", count] => brief(count.parse()?),
        ["again"] => again(),
        ["child"] => child(),
        ["kinds"] => kinds::run(),
        _ => bail!("no such workload"),
    }
}

/// Allocates memory without end, after the first request.
fn hog() -> Result<()> {
    const CHUNK: usize = 1 << 20;
    tell(json!({"ready": true}));
    if hear().is_some() {
        loop {
            touch(map(0, CHUNK, libc::PROT_READ | libc::PROT_WRITE, 0, -1)?, CHUNK);
        }
    }
    Ok(())
}

/// Bytes requested from the kernel so far.
#[derive(Default)]
struct Truth {
    mapped: usize,
    unmapped: usize,
    mapped_file: usize,
    reserved: usize,
    protected: usize,
    /// Current mappings with written pages: address, length.
    held: Vec<(usize, usize)>,
}

fn mappings() -> Result<()> {
    let mut truth = Truth::default();
    tell(json!({"ready": true}));
    while let Some(words) = hear() {
        if let [call, kibibytes] = &words[..] {
            truth.call(call, 1024 * kibibytes.parse::<usize>()?).with_context(|| words.join(" "))?;
        }
        tell(json!({
            "mapped": truth.mapped,
            "unmapped": truth.unmapped,
            "mapped_file": truth.mapped_file,
            "reserved": truth.reserved,
            "protected": truth.protected,
        }));
    }
    Ok(())
}

impl Truth {
    fn call(&mut self, call: &str, length: usize) -> Result<()> {
        match call {
            "map" => {
                let address = map(0, length, libc::PROT_READ | libc::PROT_WRITE, 0, -1)?;
                touch(address, length);
                self.held.push((address, length));
                self.mapped += length;
            }
            "unmap" => {
                let (address, held) = self.last(length)?;
                unmap(address, length)?;
                self.held.push((address + length, held - length));
                self.unmapped += length;
            }
            "replace" => {
                let (address, held) = self.last(length)?;
                map(address, length, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_FIXED, -1)?;
                self.held.push((address, held));
                self.mapped += length;
                self.unmapped += length;
            }
            "grow" => {
                let (address, held) = self.last(0)?;
                self.held.push((remap(address, held, held + length)?, held + length));
                self.mapped += length;
            }
            "shrink" => {
                let (address, held) = self.last(length)?;
                self.held.push((remap(address, held, held - length)?, held - length));
                self.unmapped += length;
            }
            "heap" => {
                heap(length as isize)?;
                heap(-(length as isize) / 2)?;
                self.mapped += length;
                self.unmapped += length / 2;
            }
            "file" => {
                let path = std::env::current_exe()?;
                let file = File::open(path)?;
                map(0, length, libc::PROT_READ, 0, file.as_raw_fd())?;
                // A writable one is a private copy, but still not requested memory.
                let copy = map(0, length, libc::PROT_READ | libc::PROT_WRITE, 0, file.as_raw_fd())?;
                unmap(copy, length)?;
                self.mapped_file += 2 * length;
            }
            "reserve" => {
                map(0, length, libc::PROT_NONE, libc::MAP_NORESERVE, -1)?;
                self.reserved += length;
            }
            "protect" => {
                let address = map(0, length, libc::PROT_NONE, libc::MAP_NORESERVE, -1)?;
                self.reserved += length;
                // SAFETY: memory that was just mapped and that nothing else knows.
                let done =
                    unsafe { libc::mprotect(address as *mut _, length, libc::PROT_READ | libc::PROT_WRITE) };
                ensure!(done == 0, "mprotect: {}", std::io::Error::last_os_error());
                self.protected += length;
            }
            "compat" => {
                let address = compat(192, 0, length, libc::PROT_READ | libc::PROT_WRITE)?;
                compat(91, address, length, 0)?;
                self.mapped += length;
                self.unmapped += length;
            }
            "vfork" => {
                in_a_child_that_shares_memory(length)?;
                self.mapped += length;
            }
            "wander" => {
                run_on(0)?;
                let address = map(0, length, libc::PROT_READ | libc::PROT_WRITE, 0, -1)?;
                touch(address, length);
                run_on(1)?;
                unmap(address, length)?;
                self.mapped += length;
                self.unmapped += length;
            }
            "threads" => {
                at_once(length)?;
                self.mapped += THREADS * TIMES * length;
                self.unmapped += THREADS * TIMES * length;
            }
            _ => bail!("no such call"),
        }
        Ok(())
    }

    /// Removes the last mapping, which must have `length` bytes.
    fn last(&mut self, length: usize) -> Result<(usize, usize)> {
        let (address, held) = self.held.pop().context("nothing is mapped")?;
        ensure!(held >= length, "the last mapping has {held} bytes");
        Ok((address, held))
    }
}

const THREADS: usize = 4;
const TIMES: usize = 500;

/// Maps and unmaps in several threads of the C library, because those of the standard library also map a signal stack.
fn at_once(length: usize) -> Result<()> {
    // Creating a thread maps and protects its stack; all threads wait until that is done.
    static BEGIN: Barrier = Barrier::new(THREADS);
    extern "C" fn body(length: *mut libc::c_void) -> *mut libc::c_void {
        let length = length as usize;
        BEGIN.wait();
        let done = (0..TIMES)
            .try_for_each(|_| unmap(map(0, length, libc::PROT_READ | libc::PROT_WRITE, 0, -1)?, length));
        usize::from(done.is_err()) as *mut _
    }
    let mut threads = [0; THREADS];
    for thread in &mut threads {
        // SAFETY: the body takes a number and touches nothing of this thread's.
        let made = unsafe { libc::pthread_create(thread, std::ptr::null(), body, length as *mut _) };
        ensure!(made == 0, "pthread_create: error {made}");
    }
    for thread in threads {
        let mut failed = std::ptr::null_mut();
        // SAFETY: a thread that was made above and is joined once.
        unsafe { libc::pthread_join(thread, &raw mut failed) };
        ensure!(failed.is_null(), "a thread could not map");
    }
    Ok(())
}

/// Maps in a child that shares this process's memory, like a child of vfork before exec.
fn in_a_child_that_shares_memory(length: usize) -> Result<()> {
    static STACK: [AtomicU64; 8192] = [const { AtomicU64::new(0) }; 8192];
    extern "C" fn body(length: *mut libc::c_void) -> i32 {
        let mapped = map(0, length as usize, libc::PROT_READ | libc::PROT_WRITE, 0, -1);
        i32::from(mapped.is_err())
    }
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: this process waits until the child has ended; nothing else uses its stack.
    let pid =
        unsafe { libc::clone(body, STACK.as_ptr_range().end.cast_mut().cast(), flags, length as *mut _) };
    ensure!(pid > 0, "clone: {}", std::io::Error::last_os_error());
    wait(pid)
}

/// Continues after the exit of its main thread, and then maps 8 MiB.
fn orphan() -> Result<()> {
    std::thread::spawn(|| {
        tell(json!({"ready": true}));
        while hear().is_some() {
            let length = 8 << 20;
            if let Ok(address) = map(0, length, libc::PROT_READ | libc::PROT_WRITE, 0, -1) {
                touch(address, length);
            }
            // SAFETY: a system call without arguments.
            let thread = unsafe { libc::gettid() };
            tell(json!({"mapped": length, "thread": thread}));
        }
        std::process::exit(0);
    });
    // SAFETY: ends only this thread; its borrowed values are never used again.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    Ok(())
}

/// At `step`, starts `count` processes one after the other, which map different amounts and exit at once.
fn brief(count: usize) -> Result<()> {
    tell(json!({"ready": true}));
    while hear().is_some() {
        let mut processes = Vec::new();
        for number in 0..count {
            let length = (256 + number % 1024) * 4096;
            let pid = fork(|| {
                let _ = map(0, length, libc::PROT_READ | libc::PROT_WRITE, 0, -1);
            })?;
            wait(pid)?;
            processes.push(json!({"pid": pid, "mapped": length}));
        }
        tell(json!({"processes": processes}));
    }
    Ok(())
}

/// At each `step`, starts a process that maps a different amount and exits; the second has the pid of the first.
fn again() -> Result<()> {
    tell(json!({"ready": true}));
    let mut number = None;
    let mut length = 1 << 20;
    while hear().is_some() {
        length += 1 << 20;
        let pid = clone_as(number, || {
            let _ = map(0, length, libc::PROT_READ | libc::PROT_WRITE, 0, -1);
        })?;
        wait(pid)?;
        number = Some(pid);
        tell(json!({"process": pid, "mapped": length}));
    }
    Ok(())
}

/// At `fork`, starts a process that maps 4 MiB; at `exec`, the process runs another program.
fn child() -> Result<()> {
    tell(json!({"ready": true}));
    let mut pipe = [0; 2];
    // SAFETY: two descriptors are written to the array.
    ensure!(unsafe { libc::pipe(pipe.as_mut_ptr()) } == 0, "pipe");
    let mut process = None;
    while let Some(words) = hear() {
        match &words[0][..] {
            "fork" => {
                let pid = fork(|| {
                    let _ = map(0, 4 << 20, libc::PROT_READ | libc::PROT_WRITE, 0, -1);
                    let mut byte = 0_u8;
                    // SAFETY: one byte into one byte, then another program with constant arguments.
                    unsafe {
                        libc::read(pipe[0], (&raw mut byte).cast(), 1);
                        let arguments = [c"/bin/sleep".as_ptr(), c"600".as_ptr(), std::ptr::null()];
                        libc::execv(arguments[0], arguments.as_ptr());
                    }
                })?;
                process = Some(pid);
                tell(json!({"process": pid, "mapped": 4 << 20}));
            }
            "exec" => {
                // SAFETY: one byte from one byte.
                unsafe { libc::write(pipe[1], [0_u8].as_ptr().cast(), 1) };
                tell(json!({}));
            }
            _ => {
                let pid = process.take().context("no process")?;
                // SAFETY: a child that was not waited for.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                wait(pid)?;
                tell(json!({}));
            }
        }
    }
    Ok(())
}

/// Runs `body` in a child, which then exits.
fn fork(body: impl FnOnce()) -> Result<i32> {
    clone_as(None, body)
}

/// Runs `body` in a child with this process id, which must be free.
fn clone_as(number: Option<i32>, body: impl FnOnce()) -> Result<i32> {
    let numbers = [number.unwrap_or_default()];
    // SAFETY: the structure is made of numbers, for which zero is a value.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.exit_signal = libc::SIGCHLD as u64;
    if number.is_some() {
        arguments.set_tid = numbers.as_ptr() as u64;
        arguments.set_tid_size = 1;
    }
    // SAFETY: as fork; the child only runs `body`, and exits by `_exit`.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    match pid {
        0 => {
            body();
            // SAFETY: ends the child without running the exit handlers of its parent.
            unsafe { libc::_exit(0) }
        }
        pid if pid > 0 => Ok(pid as i32),
        _ => bail!("clone3: {}", std::io::Error::last_os_error()),
    }
}

fn wait(pid: i32) -> Result<()> {
    // SAFETY: a child of this process; its status is not needed.
    let waited = unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    ensure!(waited == pid, "waitpid: {}", std::io::Error::last_os_error());
    Ok(())
}

fn map(address: usize, length: usize, protection: i32, flags: i32, file: i32) -> Result<usize> {
    let anonymous = if file < 0 { libc::MAP_ANONYMOUS } else { 0 };
    // SAFETY: new memory, or memory of this module's own that it replaces.
    let result = unsafe {
        libc::mmap(address as *mut _, length, protection, libc::MAP_PRIVATE | anonymous | flags, file, 0)
    };
    ensure!(result != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    Ok(result as usize)
}

fn unmap(address: usize, length: usize) -> Result<()> {
    // SAFETY: memory of this module's own.
    ensure!(unsafe { libc::munmap(address as *mut _, length) } == 0, "munmap");
    Ok(())
}

fn remap(address: usize, old: usize, new: usize) -> Result<usize> {
    // SAFETY: memory of this module's own.
    let result = unsafe { libc::mremap(address as *mut _, old, new, libc::MREMAP_MAYMOVE) };
    ensure!(result != libc::MAP_FAILED, "mremap: {}", std::io::Error::last_os_error());
    Ok(result as usize)
}

/// Moves the end of the heap without the allocator, which allocates nothing meanwhile.
fn heap(by: isize) -> Result<()> {
    // SAFETY: the heap shrinks only by memory that it grew by before.
    ensure!(unsafe { libc::sbrk(by) } as isize != -1, "sbrk");
    Ok(())
}

fn touch(address: usize, length: usize) {
    for page in (0..length).step_by(4096) {
        // SAFETY: within memory that was just mapped writable.
        unsafe { ((address + page) as *mut u8).write_volatile(1) };
    }
}

/// A system call by the 32-bit entry: number, address, length, protection; private anonymous memory.
#[cfg(target_arch = "x86_64")]
fn compat(number: u32, address: usize, length: usize, protection: i32) -> Result<usize> {
    let mut result = u64::from(number);
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
    // SAFETY: mmap2 of new memory or munmap of the same; rbx is restored.
    unsafe {
        std::arch::asm!(
            "xchg {base}, rbx", "int 0x80", "xchg {base}, rbx",
            base = inout(reg) address as u64 => _, inout("rax") result, in("rcx") length, in("rdx") protection as u64,
            in("rsi") flags, in("rdi") u64::from(u32::MAX), out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    let result = result as u32;
    ensure!(result < u32::MAX - 4095, "32-bit call {number}: error {}", result.wrapping_neg());
    Ok(result as usize)
}

/// Pins this thread to this CPU.
fn run_on(cpu: usize) -> Result<()> {
    // SAFETY: an array of bits, for which zeroes are valid.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `cpu` is far below the size of the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set lives, and its size is given.
    let done = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    ensure!(done == 0, "sched_setaffinity: {}", std::io::Error::last_os_error());
    Ok(())
}
