//! Processes that a benchmark starts: loads that exchange lines with it, tools, and the resources that each uses.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::process::line;

/// How long a process may take to write its next line, or to exit. Some detach one program at a time, and each time
/// wait for all processors.
const TIMEOUT: Duration = Duration::from_secs(180);

/// A child process that writes and reads lines; killed on drop.
pub struct LineChild {
    child: Child,
    command: String,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// Time that a process used from start to exit.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    pub wall: Duration,
    pub processor: Duration,
}

/// Starts `command`, which the kernel kills when this process exits.
fn spawn(command: &mut Command) -> Result<Child> {
    // SAFETY: both calls are async-signal-safe and touch no memory of ours.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // A shell starts background commands with SIGINT ignored, and children inherit that.
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
    command.spawn().with_context(|| format!("cannot start `{}`", line(command)))
}

impl LineChild {
    /// Starts a process and reads its lines.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = spawn(command)?;
        let (sender, lines) = channel();
        let output = child.stdout.take().context("standard output is piped")?;
        std::thread::spawn(move || {
            for bytes in BufReader::new(output).split(b'\n') {
                let Ok(bytes) = bytes else { break };
                if sender.send(String::from_utf8_lossy(&bytes).into_owned()).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take();
        Ok(Self { child, command: line(command), input, lines })
    }

    /// Starts a load and waits until it reports that it is ready.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn load(command: &mut Command) -> Result<Self> {
        let mut load = Self::start(command)?;
        let answer = load.value()?;
        ensure!(answer["ready"] == true, "{} is not ready: {answer}", load.command);
        Ok(load)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    /// When its input is closed.
    pub fn send(&mut self, words: &str) -> Result<()> {
        let input = self.input.as_mut().context("its input is closed")?;
        writeln!(input, "{words}").with_context(|| format!("{} does not read its input", self.command))
    }

    /// The next line.
    ///
    /// # Errors
    /// When none comes.
    pub fn line(&mut self) -> Result<String> {
        match self.lines.recv_timeout(TIMEOUT) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("{} writes nothing", self.command),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait().with_context(|| format!("waiting for {}", self.command))?;
                bail!("{} exited before it answered: {status}", self.command)
            }
        }
    }

    /// The next line, which is JSON.
    ///
    /// # Errors
    /// When none comes, or it is not JSON.
    pub fn value(&mut self) -> Result<Value> {
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("{} wrote {line}", self.command))
    }

    /// Writes a line and reads the answer.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&mut self, words: &str) -> Result<Value> {
        self.send(words)?;
        self.value()
    }

    /// The lines that it has written and that were not read yet, without waiting.
    pub fn pending(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Ends it cleanly, by SIGINT, and returns its remaining lines.
    ///
    /// # Errors
    /// When it does not exit.
    pub fn end(mut self) -> Result<Vec<String>> {
        self.input = None;
        // SAFETY: the child has not been waited for, so its pid is still valid.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGINT) };
        let rest: Vec<String> = self.rest()?;
        self.child.wait().with_context(|| format!("waiting for {}", self.command))?;
        Ok(rest)
    }

    /// All lines until it closes its standard output.
    ///
    /// # Errors
    /// When it does not exit.
    pub fn rest(&mut self) -> Result<Vec<String>> {
        let deadline = Instant::now() + TIMEOUT;
        let mut all = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => all.push(line),
                Err(RecvTimeoutError::Disconnected) => return Ok(all),
                Err(RecvTimeoutError::Timeout) => bail!("{} does not exit", self.command),
            }
        }
    }
}

impl Drop for LineChild {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command, drops its output, and returns the time that it used, its children included.
///
/// # Errors
/// When it cannot be started, or is ended by a signal.
pub fn measure(command: &mut Command) -> Result<Used> {
    measure_output(command).map(|(used, _)| used)
}

/// As [`measure`], with its standard output.
///
/// # Errors
/// As [`measure`].
pub fn measure_output(command: &mut Command) -> Result<(Used, String)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = spawn(command)?;
    let mut output = Vec::new();
    if let Some(stream) = &mut child.stdout {
        stream.read_to_end(&mut output)?;
    }
    let mut status = 0;
    // SAFETY: both are plain values that live across the call; the child is waited for nowhere else.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let waited = libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage);
        ensure!(waited > 0, "waiting for `{}`: {}", line(command), std::io::Error::last_os_error());
        usage
    };
    let status = ExitStatus::from_raw(status);
    ensure!(status.code().is_some(), "`{}` was killed: {status}", line(command));
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, 1000 * time.tv_usec as u32);
    let used = Used { wall: began.elapsed(), processor: time(usage.ru_utime) + time(usage.ru_stime) };
    Ok((used, String::from_utf8_lossy(&output).into_owned()))
}

/// A numeric field of `/proc/PID/status`: sizes in bytes, counts unchanged.
///
/// # Errors
/// When the process or the field does not exist.
pub fn status(pid: u32, field: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let value = value.with_context(|| format!("no {field} of process {pid}"))?.trim();
    let number: u64 = value.split_whitespace().next().unwrap_or_default().parse()?;
    Ok(if value.ends_with("kB") { number * 1024 } else { number })
}

/// Resident bytes of all mappings with this name in a process.
///
/// # Errors
/// When it has exited.
pub fn mapped(pid: u32, name: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps"))?;
    let (mut is_it, mut kilobytes) = (false, 0);
    for line in text.lines() {
        // Each mapping begins with its line of addresses, which ends in the name.
        let mut words = line.split_whitespace();
        match words.next() {
            Some("Rss:") if is_it => kilobytes += words.next().unwrap_or("0").parse::<u64>()?,
            Some(first) if !first.ends_with(':') => is_it = line.ends_with(name),
            _ => {}
        }
    }
    Ok(kilobytes * 1024)
}

/// Kernel memory of the BPF maps and programs of a process, bytes.
///
/// # Errors
/// When it has exited.
pub fn map_memory(pid: u32) -> Result<u64> {
    let mut sizes = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        let lock = text.lines().find_map(|line| line.strip_prefix("memlock:"));
        let Some(size) = lock.and_then(|word| word.trim().parse::<u64>().ok()) else { continue };
        // A map can have several descriptors.
        let is_number = |line: &&str| line.starts_with("map_id:") || line.starts_with("prog_id:");
        let number = text.lines().find(is_number).with_context(|| format!("memory without an id: {text}"))?;
        sizes.insert(number.to_owned(), size);
    }
    Ok(sizes.values().sum())
}

/// Voluntary context switches of all threads of a process.
///
/// # Errors
/// When it has exited.
pub fn waits(pid: u32) -> Result<u64> {
    let mut count = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(text) = fs::read_to_string(thread?.path().join("status")) else { continue };
        let waits = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count += waits.and_then(|word| word.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(count)
}
