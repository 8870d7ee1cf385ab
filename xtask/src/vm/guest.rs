//! One guest: boots a kernel under software emulation, runs steps in it, and reads the result of each.

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

/// The emulated TSC is as good as any clock here, and each read of the default clock would go through the emulator. The
/// timer is not checked at the start, because on a busy machine it ticks late.
const CLOCK: &str = "clocksource=tsc tsc=reliable no_timer_check";

/// The clock of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// The time of this machine.
    Real,
    /// The instructions of its one processor, two nanoseconds each, independent of other work on this machine. Idle
    /// time passes at once.
    Instructions,
}

impl Time {
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            // Both processors run in one thread of the emulator. With a thread each, a processor sometimes executed old
            // code that the kernel had patched, and the guest hung or panicked.
            Self::Real => &["-accel", "tcg,thread=single", "-smp", "2"],
            Self::Instructions => {
                &["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=1,sleep=off"]
            }
        }
    }
}

/// A guest that writes nothing for this long hangs. In a good run, no step is silent for a quarter of it.
const SILENCE: Duration = Duration::from_secs(900);

const START: &str = include_str!("guest/start.sh");

/// A guest to run.
pub struct Guest<'a> {
    pub kernel: &'a Kernel,
    pub disk: &'a Path,
    /// Additional kernel parameters.
    pub command_line: &'a str,
    /// A script of `step`s.
    pub steps: &'a str,
    pub time: Time,
    /// The file for its output.
    pub log: PathBuf,
}

/// The parsed output of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestReport {
    pub release: String,
    pub steps: Vec<Step>,
    /// Whether it finished all steps.
    pub done: bool,
    /// The last error of its kernel, if it did not.
    pub complaint: Option<String>,
    /// Run time of the emulator.
    pub took: Duration,
    /// Processor time of the emulator: its run time on an idle machine.
    pub processor: Duration,
}

/// One step with its output and exit code; no code if the guest ended in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub output: String,
    /// The time of each line of output, since the start of the emulator.
    pub times: Vec<Duration>,
    pub began: Duration,
    pub ended: Duration,
    pub exit: Option<i32>,
}

impl Guest<'_> {
    /// Boots it and waits until it ends.
    ///
    /// # Errors
    /// When the emulator cannot run, or the kernel does not reach the first step in two attempts. A guest that hangs or
    /// panics later is no error here: its steps are unfinished.
    pub fn run(&self) -> Result<GuestReport> {
        // A failed boot is not a fault of observer, which does not run yet.
        self.boot().or_else(|error| {
            println!("vm: {error:#}\nvm: {} is started once more", self.kernel.release);
            self.boot()
        })
    }

    fn boot(&self) -> Result<GuestReport> {
        let folder = self.log.parent().context("the log has no folder")?;
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let initrd = self.log.with_extension("initrd");
        fs::write(&initrd, self.initrd()?).context("writing the guest's initramfs")?;
        let console = self.log.with_extension("console");
        let _ = fs::remove_file(&self.log);
        // The guests end with this process in any case; an interrupt from the terminal reaches all of them.
        let mut command = Command::new("setpriv");
        // A guest's changes to its disk are dropped, so every guest starts with the same disk.
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
            .args(["-chardev", "stdio,id=report,signal=off", "-serial", "chardev:report"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let shown = process::line(&command);
        let began = Instant::now();
        let mut emulator = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
        let mut log = fs::File::create(&self.log).context("creating the guest's log")?;
        let (mut lines, mut processor) = (Vec::new(), Duration::ZERO);
        let output = emulator.stdout.take().context("the emulator's output is no pipe")?;
        let (sender, receiver) = mpsc::channel();
        let reader = thread::spawn(move || {
            let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
            // After the guest was killed, lines are dropped.
            lines.map(|line| sender.send(line)).take_while(Result::is_ok).for_each(drop);
        });
        loop {
            let line = match receiver.recv_timeout(SILENCE) {
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
        drop(receiver);
        let status = emulator.wait().with_context(|| format!("waiting for `{shown}`"))?;
        let _ = reader.join();
        let _ = fs::remove_file(&initrd);
        let mut report = parse(&lines);
        report.took = began.elapsed();
        report.processor = processor;
        let last = fs::read(&console).unwrap_or_default();
        let last = String::from_utf8_lossy(&last);
        if !report.done {
            report.complaint = complaint(&last);
        }
        if report.release.is_empty() {
            let lines: Vec<&str> = last.lines().rev().take(12).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            bail!("the guest {} did not start ({status}):\n{}", self.kernel.release, lines.join("\n"));
        }
        Ok(report)
    }

    fn initrd(&self) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        for folder in ["bin", "dev", "disk", "modules"] {
            archive.folder(folder)?;
        }
        // The first program needs it for error messages.
        archive.character_device("dev/console", 5, 1)?;
        let read = |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
        archive.file("bin/busybox", &read(Path::new("/bin/busybox"))?)?;
        let mut order = String::new();
        for module in &self.kernel.modules {
            let name = module.file_name().and_then(|name| name.to_str()).context("a module has no name")?;
            archive.file(&format!("modules/{name}"), &read(module)?)?;
            order.push_str(name);
            order.push('\n');
        }
        archive.file("modules/order", order.as_bytes())?;
        archive.file("steps", self.steps.as_bytes())?;
        archive.file("init", START.as_bytes())?;
        archive.finish().context("writing the guest's initramfs")
    }
}

/// The last line on a kernel's console with a reason for its end.
fn complaint(console: &str) -> Option<String> {
    let words = ["Kernel panic", "BUG", "Oops", "watchdog"];
    let line = console.lines().rfind(|line| words.iter().any(|word| line.contains(word)))?;
    // The text after the time stamp.
    Some(line.rsplit_once("] ").map_or(line, |(_, text)| text).trim().to_owned())
}

/// Parses the output of a guest, where the lines of the protocol begin with `@@`.
fn parse(lines: &[(Duration, String)]) -> GuestReport {
    let mut report = GuestReport::default();
    for (at, line) in lines {
        if let Some(release) = line.strip_prefix("@@ kernel ") {
            report.release = release.to_owned();
        } else if let Some(name) = line.strip_prefix("@@ begin ") {
            report.steps.push(Step { name: name.to_owned(), began: *at, ..Step::default() });
        } else if let Some((_, code)) = line.strip_prefix("@@ end ").and_then(|end| end.rsplit_once(' ')) {
            if let Some(step) = report.steps.last_mut() {
                step.exit = code.parse().ok();
                step.ended = *at;
            }
        } else if line == "@@ done" {
            report.done = true;
        } else if let Some(step) = report.steps.last_mut().filter(|step| step.exit.is_none()) {
            step.output.push_str(line);
            step.output.push('\n');
            step.times.push(*at);
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_kernels_end_is_its_last_error() {
        let console = "[    1.0] BUG: unable to handle page fault\n[    1.1] RIP: 0010:x\n\
                       [    2.0] Kernel panic - not syncing: Fatal exception\n[    2.1] Rebooting\n";
        assert_eq!(complaint(console).as_deref(), Some("Kernel panic - not syncing: Fatal exception"));
        assert_eq!(complaint("[    1.0] all is well\n"), None);
    }

    #[test]
    fn a_step_in_which_the_guest_dies_is_unfinished() {
        let second = Duration::from_secs;
        let text = "@@ kernel 6.1.0\n@@ begin one\nhello\n\n@@ end one 3\n@@ begin two words\nfar";
        let lines: Vec<_> = (0..).map(second).zip(text.lines().map(str::to_owned)).collect();
        let report = parse(&lines);
        assert_eq!(report.release, "6.1.0");
        assert_eq!(
            report.steps,
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
        assert!(!report.done);
    }
}
