//! One guest: boots a kernel under software emulation, has it do steps, and hears how each ended.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{archive::Archive, kernels::Kernel};
use crate::process;

/// The emulated processor's own clock is as good as any here; each look at the one that is chosen otherwise goes through
/// the emulator. Whether the timer ticks in time is not asked at the start: on a busy machine it does not.
const CLOCK: &str = "clocksource=tsc tsc=reliable no_timer_check";

/// What time is in a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// This machine's.
    Real,
    /// The instructions of its one processor, two nanoseconds each: what takes so long there has executed so many, whatever
    /// this machine does meanwhile. What is idle passes at once.
    Instructions,
}

impl Time {
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            // Both processors in one thread of the emulator: with a thread each, code that the kernel patches while both run
            // it was now and then executed as it had been, and the guest hung or panicked.
            Self::Real => &["-accel", "tcg,thread=single", "-smp", "2"],
            Self::Instructions => {
                &["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=1,sleep=off"]
            }
        }
    }
}

/// A guest that has said nothing for so long hangs; no step of a sound run is silent for a quarter of it.
const SILENCE: Duration = Duration::from_secs(900);

const START: &str = include_str!("guest/start.sh");

/// A guest that is to run.
pub struct Guest<'a> {
    pub kernel: &'a Kernel,
    pub disk: &'a Path,
    /// More words for the kernel's command line.
    pub command_line: &'a str,
    /// A script of `step`s.
    pub steps: &'a str,
    pub time: Time,
    /// Where what it said is kept.
    pub log: PathBuf,
}

/// What a guest said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub release: String,
    pub steps: Vec<Step>,
    /// Whether it came to its end by itself.
    pub done: bool,
    /// The last line in which its kernel complained, where it did not.
    pub complaint: Option<String>,
    /// From the start of the emulator to its end.
    pub took: Duration,
    /// Processor time of the emulator: what it would take on a machine that does nothing else.
    pub processor: Duration,
}

/// One step, its words, and its exit code; none where the guest ended in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub output: String,
    /// When each line of the output was complete, since the start of the emulator.
    pub times: Vec<Duration>,
    pub began: Duration,
    pub ended: Duration,
    pub exit: Option<i32>,
}

impl Guest<'_> {
    /// Boots it and waits for its end.
    ///
    /// # Errors
    /// When the emulator cannot run, or the kernel does not get as far as the first step in two attempts. A guest that
    /// hangs or panics later is no error here: its steps have no end.
    pub fn run(&self) -> Result<Said> {
        // An emulated machine that does not come up says nothing of observer, which is not there yet.
        self.boot().or_else(|error| {
            println!("vm: {error:#}\nvm: {} is started once more", self.kernel.release);
            self.boot()
        })
    }

    fn boot(&self) -> Result<Said> {
        let folder = self.log.parent().context("the log is in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let initrd = self.log.with_extension("initrd");
        fs::write(&initrd, self.initrd()?).context("writing the guest's initramfs")?;
        let console = self.log.with_extension("console");
        let _ = fs::remove_file(&self.log);
        // However this process ends, its guests end with it; an interrupt from the terminal reaches all of them.
        let mut command = Command::new("setpriv");
        // What a guest writes to its disk is gone when it ends: every guest starts from the same.
        command
            .args(["--pdeathsig", "TERM", "qemu-system-x86_64"])
            .args(self.time.arguments())
            .args(["-cpu", "max", "-m", "2G"])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(&initrd)
            .arg("-append")
            .arg(format!("console=ttyS0 loglevel=4 panic=-1 {CLOCK} {}", self.command_line))
            .arg("-drive")
            .arg(format!("file={},if=none,id=disk,format=raw,snapshot=on", self.disk.display()))
            .args(["-device", "nvme,drive=disk,serial=disk"])
            .arg("-serial")
            .arg(format!("file:{}", console.display()))
            .args(["-chardev", "stdio,id=said,signal=off", "-serial", "chardev:said"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let shown = process::line(&command);
        let began = Instant::now();
        let mut emulator = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
        let mut log = fs::File::create(&self.log).context("making the guest's log")?;
        let (mut lines, mut processor) = (Vec::new(), Duration::ZERO);
        let said = emulator.stdout.take().context("the emulator's output is a pipe")?;
        let (says, heard) = mpsc::channel();
        let listener = thread::spawn(move || {
            let lines = BufReader::new(said).split(b'\n').map_while(Result::ok);
            // Nobody hears what comes after the guest was ended.
            lines.map(|line| says.send(line)).take_while(Result::is_ok).for_each(drop);
        });
        loop {
            let line = match heard.recv_timeout(SILENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    emulator.kill().with_context(|| format!("ending `{shown}`"))?;
                    break;
                }
            };
            let text = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            let at = began.elapsed();
            if text == "@@ done" {
                processor = process::processor_time(emulator.id()).unwrap_or_default();
            }
            writeln!(log, "[{:8.3}] {text}", at.as_secs_f64()).context("writing the guest's log")?;
            lines.push((at, text));
        }
        drop(heard);
        let status = emulator.wait().with_context(|| format!("waiting for `{shown}`"))?;
        let _ = listener.join();
        let _ = fs::remove_file(&initrd);
        let mut said = hear(&lines);
        said.took = began.elapsed();
        said.processor = processor;
        let last = fs::read(&console).unwrap_or_default();
        let last = String::from_utf8_lossy(&last);
        if !said.done {
            said.complaint = complaint(&last);
        }
        if said.release.is_empty() {
            let lines: Vec<&str> = last.lines().rev().take(12).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            bail!("the guest {} did not start ({status}):\n{}", self.kernel.release, lines.join("\n"));
        }
        Ok(said)
    }

    fn initrd(&self) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        for folder in ["bin", "dev", "disk", "modules"] {
            archive.folder(folder)?;
        }
        // Without it the first program could not say what is wrong.
        archive.character_device("dev/console", 5, 1)?;
        let read = |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
        archive.file("bin/busybox", &read(Path::new("/bin/busybox"))?)?;
        let mut order = String::new();
        for module in &self.kernel.modules {
            let name = module.file_name().and_then(|name| name.to_str()).context("a module has a name")?;
            archive.file(&format!("modules/{name}"), &read(module)?)?;
            order.push_str(name);
            order.push('\n');
        }
        archive.file("modules/order", order.as_bytes())?;
        archive.file("steps", self.steps.as_bytes())?;
        archive.file("init", START.as_bytes())?;
        archive.finish().context("writing what the guest starts with")
    }
}

/// The last line on a kernel's console that says why it ended.
fn complaint(console: &str) -> Option<String> {
    let words = ["Kernel panic", "BUG", "Oops", "watchdog"];
    let line = console.lines().rfind(|line| words.iter().any(|word| line.contains(word)))?;
    // Behind the time at which it was said.
    Some(line.rsplit_once("] ").map_or(line, |(_, text)| text).trim().to_owned())
}

/// Reads what a guest said: its own lines begin with `@@`.
fn hear(lines: &[(Duration, String)]) -> Said {
    let mut said = Said::default();
    for (at, line) in lines {
        if let Some(release) = line.strip_prefix("@@ kernel ") {
            said.release = release.to_owned();
        } else if let Some(name) = line.strip_prefix("@@ begin ") {
            said.steps.push(Step { name: name.to_owned(), began: *at, ..Step::default() });
        } else if let Some((_, code)) = line.strip_prefix("@@ end ").and_then(|end| end.rsplit_once(' ')) {
            if let Some(step) = said.steps.last_mut() {
                step.exit = code.parse().ok();
                step.ended = *at;
            }
        } else if line == "@@ done" {
            said.done = true;
        } else if let Some(step) = said.steps.last_mut().filter(|step| step.exit.is_none()) {
            step.output.push_str(line);
            step.output.push('\n');
            step.times.push(*at);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_kernel_ended_is_the_last_that_it_complained_of() {
        let console = "[    1.0] BUG: unable to handle page fault\n[    1.1] RIP: 0010:x\n\
                       [    2.0] Kernel panic - not syncing: Fatal exception\n[    2.1] Rebooting\n";
        assert_eq!(complaint(console).as_deref(), Some("Kernel panic - not syncing: Fatal exception"));
        assert_eq!(complaint("[    1.0] all is well\n"), None);
    }

    #[test]
    fn a_guest_that_dies_in_a_step_has_not_ended_it() {
        let second = Duration::from_secs;
        let text = "@@ kernel 6.1.0\n@@ begin one\nhello\n\n@@ end one 3\n@@ begin two words\nfar";
        let lines: Vec<_> = (0..).map(second).zip(text.lines().map(str::to_owned)).collect();
        let said = hear(&lines);
        assert_eq!(said.release, "6.1.0");
        assert_eq!(
            said.steps,
            [
                Step {
                    name: "one".to_owned(),
                    output: "hello\n\n".to_owned(),
                    times: vec![second(2), second(3)],
                    began: second(1),
                    ended: second(4),
                    exit: Some(3),
                },
                Step {
                    name: "two words".to_owned(),
                    output: "far\n".to_owned(),
                    times: vec![second(6)],
                    began: second(5),
                    ..Step::default()
                },
            ]
        );
        assert!(!said.done);
    }
}
