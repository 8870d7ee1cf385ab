//! The environment of a benchmark: the built binaries, a folder for files, the number of rounds, and the machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use super::child::LineChild;
use crate::process::{self, cargo};

/// The folder of results, tools and temporary files, below the workspace.
pub const FOLDER: &str = "target/bench";

/// The prefix of the name of a benchmark's folder; the pid follows.
const PREFIX: &str = "files-";

/// The measured commands: name and arguments. The three together use every hook.
pub const COMMANDS: [(&str, &[&str]); 3] =
    [("mem", &["mem"]), ("disk", &["disk", "--deleted-open"]), ("net", &["net"])];

/// The length of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// One round, to test the benchmark itself.
    Quick,
    Usual,
    /// More rounds and larger scales.
    Thorough,
}

/// The settings and files that all benchmarks share.
pub struct BenchEnvironment {
    pub root: PathBuf,
    length: Length,
    folder: PathBuf,
}

impl BenchEnvironment {
    /// Builds the measured program as a release, and the loads, unless they are `built`.
    ///
    /// # Errors
    /// When the build fails, or the folder cannot be created.
    pub fn new(root: &Path, length: Length, built: bool) -> Result<Self> {
        let packages = ["--package", "observer", "--package", "observer-tests"];
        let bins = ["--bin", "observer", "--bin", "load", "--bin", "floor"];
        if !built {
            process::run(cargo(root).args(["build", "--release"]).args(packages).args(bins))?;
        }
        remove_stale_folders(&root.join(FOLDER));
        let folder = root.join(FOLDER).join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { root: root.to_owned(), length, folder })
    }

    /// A folder on a disk for temporary files, removed on drop.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn is_quick(&self) -> bool {
        self.length == Length::Quick
    }

    pub fn is_thorough(&self) -> bool {
        self.length == Length::Thorough
    }

    /// `usual`, or `thorough` in a thorough run.
    pub fn choose<T>(&self, usual: T, thorough: T) -> T {
        if self.is_thorough() { thorough } else { usual }
    }

    /// The number of rounds: one in a quick run, otherwise as given.
    pub fn rounds(&self, usual: usize, thorough: usize) -> usize {
        if self.is_quick() { 1 } else { self.choose(usual, thorough) }
    }

    /// The command of a built program.
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.root.join("target/release").join(name))
    }

    /// A load that is ready.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn load(&self, arguments: &[&str]) -> Result<LineChild> {
        LineChild::load(self.program("load").args(arguments))
    }

    /// The folder's path as an argument.
    pub fn folder_name(&self) -> String {
        self.folder.to_string_lossy().into_owned()
    }

    /// A running observer after its first report, so that all hooks are attached.
    ///
    /// # Errors
    /// When it does not report.
    pub fn observer(&self, view: &[&str], interval: Duration) -> Result<LineChild> {
        let mut observer = self.start(view, interval)?;
        observer.value()?;
        Ok(observer)
    }

    /// All three commands, started together, each after its first report.
    ///
    /// # Errors
    /// When one does not report.
    pub fn observers(&self) -> Result<Vec<LineChild>> {
        let second = Duration::from_secs(1);
        let mut all: Vec<LineChild> =
            COMMANDS.iter().map(|(_, view)| self.start(view, second)).collect::<Result<_>>()?;
        all.iter_mut().try_for_each(|observer| observer.value().map(drop))?;
        Ok(all)
    }

    fn start(&self, view: &[&str], interval: Duration) -> Result<LineChild> {
        let mut command = self.program("observer");
        command.args(view).args(["--json", "--top", "-n", "--budget", "100", "--interval"]);
        LineChild::start(command.arg(interval.as_secs_f64().to_string()))
    }
}

/// Removes the folders that killed benchmarks left behind, if their processes no longer exist.
fn remove_stale_folders(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if number.is_some_and(|number| !Path::new("/proc").join(number).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for BenchEnvironment {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The kind of machine, for the head of the page, without anything that identifies it.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let info = read("/proc/cpuinfo");
    let field = |name: &str| {
        let line = info.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim()).to_owned()
    };
    let virtual_machine = field("flags").split(' ').any(|flag| flag == "hypervisor");
    let memory = read("/proc/meminfo");
    let kibibytes = memory.split_whitespace().nth(1).and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
    let kind = if virtual_machine { "a virtual machine with" } else { "" };
    let model = field("model name");
    let gibibytes = kibibytes / f64::from(1 << 20);
    format!("{kind} {cpus} cores of {model}, {gibibytes:.0} GiB of memory").trim().to_owned()
}

/// The running kernel's series and patch level: `6.18.44`.
pub fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().split(['-', '+']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_folder_of_a_killed_benchmark_is_removed() {
        let folder = std::env::temp_dir().join(format!("observer-bench-{}", std::process::id()));
        // No process has this pid: it is above the maximum of Linux.
        let [dead, living] = [4_194_305, std::process::id()].map(|pid| folder.join(format!("{PREFIX}{pid}")));
        let other = folder.join("peers");
        for folder in [&dead, &living, &other] {
            fs::create_dir_all(folder).unwrap();
        }
        remove_stale_folders(&folder);
        assert_eq!([&dead, &living, &other].map(|folder| folder.exists()), [false, true, true]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
