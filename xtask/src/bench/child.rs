//! Processes that a benchmark starts: loads that speak in lines, tools that run, and what each has used.

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

/// How long a process may take to say what it must say, or to end: some detach a probe at a time, each after all
/// processors have come by.
const PATIENCE: Duration = Duration::from_secs(180);

/// A process that writes lines and hears lines; killed when it is dropped.
pub struct Speaker {
    child: Child,
    what: String,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// What a process used from its start to its end.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    pub wall: Duration,
    pub processor: Duration,
}

/// Starts `command`, which the kernel ends with us.
fn spawn(command: &mut Command) -> Result<Child> {
    // SAFETY: both calls are async-signal-safe and touch no memory of ours.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // A shell starts what runs in the background with interrupts ignored, and its children with it.
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
    command.spawn().with_context(|| format!("cannot start `{}`", line(command)))
}

impl Speaker {
    /// Starts a process whose lines are read here.
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
        Ok(Self { child, what: line(command), input, lines })
    }

    /// Starts a load and waits until it is ready.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn load(command: &mut Command) -> Result<Self> {
        let mut load = Self::start(command)?;
        let said = load.value()?;
        ensure!(said["ready"] == true, "{} is not ready: {said}", load.what);
        Ok(load)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    /// When it does not listen any more.
    pub fn say(&mut self, words: &str) -> Result<()> {
        let input = self.input.as_mut().context("its input is closed")?;
        writeln!(input, "{words}").with_context(|| format!("{} does not listen", self.what))
    }

    /// The next line.
    ///
    /// # Errors
    /// When none comes.
    pub fn line(&mut self) -> Result<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("{} says nothing", self.what),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait().with_context(|| format!("waiting for {}", self.what))?;
                bail!("{} ended before it answered: {status}", self.what)
            }
        }
    }

    /// The next line, which is JSON.
    ///
    /// # Errors
    /// When none comes, or it is something else.
    pub fn value(&mut self) -> Result<Value> {
        let said = self.line()?;
        serde_json::from_str(&said).with_context(|| format!("{} said {said}", self.what))
    }

    /// # Errors
    /// When it does not answer.
    pub fn ask(&mut self, words: &str) -> Result<Value> {
        self.say(words)?;
        self.value()
    }

    /// What it has said and nobody has heard, without waiting.
    pub fn unheard(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Lets it end in order, by an interrupt, and returns what it still said.
    ///
    /// # Errors
    /// When it does not end.
    pub fn end(mut self) -> Result<Vec<String>> {
        self.input = None;
        // SAFETY: the child has not been waited for, so its number is still its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGINT) };
        let rest: Vec<String> = self.rest()?;
        self.child.wait().with_context(|| format!("waiting for {}", self.what))?;
        Ok(rest)
    }

    /// Everything that it says until its end.
    ///
    /// # Errors
    /// When it does not end.
    pub fn rest(&mut self) -> Result<Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => all.push(line),
                Err(RecvTimeoutError::Disconnected) => return Ok(all),
                Err(RecvTimeoutError::Timeout) => bail!("{} does not end", self.what),
            }
        }
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end without its output, and says what it used, its children included.
///
/// # Errors
/// When it cannot be started, or is ended by a signal.
pub fn measure(command: &mut Command) -> Result<Used> {
    measure_output(command).map(|(used, _)| used)
}

/// As [`measure`], with what it wrote to standard output.
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
    ensure!(status.code().is_some(), "`{}` ended: {status}", line(command));
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, 1000 * time.tv_usec as u32);
    let used = Used { wall: began.elapsed(), processor: time(usage.ru_utime) + time(usage.ru_stime) };
    Ok((used, String::from_utf8_lossy(&output).into_owned()))
}

/// A field of `/proc/PID/status` that is a number: sizes in bytes, counts as they are.
///
/// # Errors
/// When the process or the field is not there.
pub fn status(pid: u32, field: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let value = value.with_context(|| format!("no {field} of process {pid}"))?.trim();
    let number: u64 = value.split_whitespace().next().unwrap_or_default().parse()?;
    Ok(if value.ends_with("kB") { number * 1024 } else { number })
}

/// What is resident in a process of one thing that it maps, bytes.
///
/// # Errors
/// When it is gone.
pub fn mapped(pid: u32, name: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps"))?;
    let (mut is_it, mut kilobytes) = (false, 0);
    for line in text.lines() {
        // Each mapping begins with the line of its addresses, which the name of what is mapped ends.
        let mut words = line.split_whitespace();
        match words.next() {
            Some("Rss:") if is_it => kilobytes += words.next().unwrap_or("0").parse::<u64>()?,
            Some(first) if !first.ends_with(':') => is_it = line.ends_with(name),
            _ => {}
        }
    }
    Ok(kilobytes * 1024)
}

/// Memory of the kernel that the BPF maps and programs of a process take, bytes.
///
/// # Errors
/// When it is gone.
pub fn map_memory(pid: u32) -> Result<u64> {
    let mut sizes = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        let lock = text.lines().find_map(|line| line.strip_prefix("memlock:"));
        let Some(size) = lock.and_then(|word| word.trim().parse::<u64>().ok()) else { continue };
        // A map can have several descriptors.
        let is_number = |line: &&str| line.starts_with("map_id:") || line.starts_with("prog_id:");
        let number = text.lines().find(is_number).with_context(|| format!("memory of no number: {text}"))?;
        sizes.insert(number.to_owned(), size);
    }
    Ok(sizes.values().sum())
}

/// How often a process gave up the processor to wait, all its threads together.
///
/// # Errors
/// When it is gone.
pub fn waits(pid: u32) -> Result<u64> {
    let mut count = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(text) = fs::read_to_string(thread?.path().join("status")) else { continue };
        let waits = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count += waits.and_then(|word| word.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(count)
}
