//! Runs many workloads in parallel under one observer, and records the process of each run.

use std::{
    collections::BTreeMap,
    fs,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    load::Sender,
    manifest::{Dice, Process, Run},
};

/// How often requests are sent.
const TICK: Duration = Duration::from_millis(250);
/// The time between the starts of two programs.
const APART: Duration = Duration::from_millis(250);

/// Paths of the corpus.
pub struct Places<'a> {
    pub root: &'a Path,
    /// Built programs and shared files.
    pub built: PathBuf,
    pub observer: PathBuf,
}

/// A program under its load.
pub struct Running {
    pub run: Run,
    children: Vec<Child>,
    pub sender: Sender,
    dice: Dice,
    /// When its first request could be sent.
    began: Option<Instant>,
    /// The labelled process, once it accepts requests.
    pub pid: Option<u32>,
}

/// Runs these for `length` and records to `recording`. Returns the process id of each run that reached the end, by
/// name.
pub fn record(
    runs: &[Run],
    length: Duration,
    recording: &Path,
    places: &Places<'_>,
) -> Result<BTreeMap<String, u32>> {
    let folder = places.built.join("runs");
    let _ = fs::remove_dir_all(&folder);
    let mut running: Vec<Running> = Vec::new();
    let mut observer: Option<Child> = None;
    let mut waiting = runs.iter().enumerate();
    let mut last = Instant::now();
    let mut next_start = last;
    let mut end = None;
    loop {
        let now = Instant::now();
        if now >= next_start {
            next_start = now + APART;
            if let Some((number, run)) = waiting.next() {
                match start(run, number, &folder, places) {
                    Ok(started) => running.push(started),
                    Err(error) => eprintln!("{}: {error:#}", run.name()),
                }
            } else if end.is_none() {
                end = Some(now + length);
            }
        }
        // Half of them start before the observer, the others after it.
        if observer.is_none() && running.len() * 2 > runs.len() {
            observer = Some(
                Command::new(&places.observer)
                    .args(["record", "--budget", "5", "-o"])
                    .arg(recording)
                    .arg("mem")
                    .spawn()
                    .context("starting observer")?,
            );
        }
        let seconds = (now - last).as_secs_f64();
        last = now;
        for each in &mut running {
            each.advance(now, seconds, length.as_secs_f64());
        }
        if end.is_some_and(|end| now >= end) {
            break;
        }
        thread::sleep(TICK.saturating_sub(now.elapsed()));
    }
    let mut names = BTreeMap::new();
    for each in &mut running {
        let alive = each.children.iter_mut().all(|child| matches!(child.try_wait(), Ok(None)));
        let used = each.sender.sent > 0 || each.run.rate() == 0.0;
        match each.pid {
            Some(pid) if alive && used => {
                names.insert(each.run.name(), pid);
            }
            _ => eprintln!("{}: it did not run to its end ({} requests)", each.run.name(), each.sender.sent),
        }
    }
    if let Some(mut observer) = observer {
        let stop = Command::new("kill").args(["-INT", &observer.id().to_string()]).status()?;
        ensure!(
            stop.success() && observer.wait()?.code().is_some_and(|code| code == 0 || code == 3),
            "the observer failed"
        );
    }
    running.iter_mut().for_each(Running::end);
    let _ = fs::remove_dir_all(&folder);
    Ok(names)
}

impl Running {
    fn advance(&mut self, now: Instant, seconds: f64, length: f64) {
        let at = self.began.map_or(0.0, |began| (now - began).as_secs_f64());
        let factor = self.run.profile().factor(at, length, &mut self.dice);
        self.send(now, self.run.rate() * factor, seconds);
    }

    /// Sends the requests of `seconds` at `rate` per second, once it accepts any.
    pub fn send(&mut self, now: Instant, rate: f64, seconds: f64) {
        if !self.sender.ready() {
            return;
        }
        self.began.get_or_insert(now);
        if self.pid.is_none() {
            self.pid = match self.run.workload.process {
                Process::Own => self.children.first().map(Child::id),
                Process::Child => self.children.first().and_then(|child| child_of(child.id())),
            };
        }
        self.sender.send(rate, seconds);
    }

    /// Kills its processes.
    pub fn end(&mut self) {
        self.children.iter_mut().for_each(end_group);
        self.children.clear();
    }

    /// Whether [`Self::end`] was called.
    pub fn ended(&self) -> bool {
        self.children.is_empty()
    }
}

/// Starts a program in its own folder.
pub fn start(run: &Run, number: usize, folder: &Path, places: &Places<'_>) -> Result<Running> {
    let own = folder.join(format!("{number}"));
    fs::create_dir_all(&own)?;
    let workload = &run.workload;
    let filled = |text: &str| {
        let mut text = text.to_owned();
        let port = 21000 + 2 * number;
        for (place, value) in [
            ("{dir}", own.display().to_string()),
            ("{built}", places.built.display().to_string()),
            ("{shared}", places.built.display().to_string()),
            ("{programs}", places.root.join("tests/corpus/programs").display().to_string()),
            ("{port}", port.to_string()),
            ("{port2}", (port + 1).to_string()),
            ("{size}", run.size().to_string()),
            ("{bound}", run.bound().to_string()),
        ] {
            text = text.replace(place, &value);
        }
        while let Some(at) = text.find("{pad:") {
            let close = text[at..].find('}').map_or(text.len(), |close| at + close);
            let count = text[at + 5..close].parse().unwrap_or(0);
            text.replace_range(at..=close, &"p".repeat(count));
        }
        text
    };
    fs::write(own.join("conf"), filled(&workload.load.file))?;
    fs::write(own.join("beside"), filled(&workload.beside_file))?;
    let spawn = |words: &[String], input: Stdio| {
        let mut words: Vec<String> = words.iter().map(|word| filled(word)).collect();
        if !workload.user.is_empty() {
            let user = workload.user.as_str();
            let switch = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"].map(str::to_owned);
            words.splice(0..0, switch);
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
        command.current_dir(if workload.folder.is_empty() { &own } else { Path::new(&own) });
        if let Some(library) = run.preload() {
            command.env("LD_PRELOAD", library);
        }
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn().with_context(|| words.join(" "))
    };
    if !workload.before.is_empty() {
        let words: Vec<String> = workload.before.iter().map(|word| filled(word)).collect();
        ensure!(Command::new(&words[0]).args(&words[1..]).status()?.success(), "{words:?} failed");
    }
    if !workload.user.is_empty() {
        let owner = Command::new("chown").args(["-R", &workload.user]).arg(&own).status()?;
        ensure!(owner.success(), "chown failed");
    }
    if let Some(path) = filled(&workload.load.to).strip_prefix("fifo:") {
        ensure!(Command::new("mkfifo").arg(path).status()?.success(), "mkfifo failed");
    }
    let mut children = Vec::new();
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    children.push(spawn(&workload.command, Stdio::from(OwnedFd::from(theirs)))?);
    if !workload.beside.is_empty() {
        children.push(spawn(&workload.beside, Stdio::null())?);
    }
    let sender = Sender::new(run, ours, filled);
    Ok(Running { run: run.clone(), children, sender, dice: Dice::new(number as u64), began: None, pid: None })
}

/// A process's first child.
fn child_of(parent: u32) -> Option<u32> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.into_iter().find(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after.split_whitespace().nth(1) == Some(&parent.to_string())
    })
}

/// Kills a program and its process group.
fn end_group(child: &mut Child) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    let _ = child.wait();
}
