//! What a benchmark has to work with: the built binaries, a folder for files, how often to repeat, the machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use super::child::Speaker;
use crate::process::{self, cargo};

/// Where results, peers and temporary files are.
pub const FOLDER: &str = "target/bench";

/// What the name of the folder for a benchmark's files begins with; the number of its process follows.
const PREFIX: &str = "files-";

/// The commands whose cost is measured, as one would type them; all three are every hook.
pub const COMMANDS: [(&str, &[&str]); 3] =
    [("mem", &["mem"]), ("disk", &["disk", "--deleted-open"]), ("net", &["net"])];

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// One round: whether the benchmark works at all.
    Quick,
    Usual,
    /// More rounds, larger scales.
    Thorough,
}

/// Everything that is the same for each benchmark.
pub struct Place {
    pub root: PathBuf,
    length: Length,
    folder: PathBuf,
}

impl Place {
    /// Builds what is measured, as users get it, and the loads.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn new(root: &Path, length: Length, built: bool) -> Result<Self> {
        let packages = ["--package", "observer", "--package", "observer-tests"];
        let bins = ["--bin", "observer", "--bin", "load", "--bin", "floor"];
        if !built {
            process::run(cargo(root).args(["build", "--release"]).args(packages).args(bins))?;
        }
        forget_those_left(&root.join(FOLDER));
        let folder = root.join(FOLDER).join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { root: root.to_owned(), length, folder })
    }

    /// A folder on a disk, for files that go when the benchmark ends.
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

    /// So many rounds, or one in a quick run.
    pub fn rounds(&self, usual: usize, thorough: usize) -> usize {
        if self.is_quick() { 1 } else { self.choose(usual, thorough) }
    }

    /// One of the built programs.
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.root.join("target/release").join(name))
    }

    /// A load that is ready.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn load(&self, arguments: &[&str]) -> Result<Speaker> {
        Speaker::load(self.program("load").args(arguments))
    }

    /// The folder's name as an argument.
    pub fn folder_name(&self) -> String {
        self.folder.to_string_lossy().into_owned()
    }

    /// An observer that has reported once, so that everything is attached.
    ///
    /// # Errors
    /// When it does not report.
    pub fn observer(&self, view: &[&str], interval: Duration) -> Result<Speaker> {
        let mut observer = self.starting(view, interval)?;
        observer.value()?;
        Ok(observer)
    }

    /// All three commands, started together, each of which has reported once.
    ///
    /// # Errors
    /// When one does not report.
    pub fn observers(&self) -> Result<Vec<Speaker>> {
        let second = Duration::from_secs(1);
        let mut all: Vec<Speaker> =
            COMMANDS.iter().map(|(_, view)| self.starting(view, second)).collect::<Result<_>>()?;
        all.iter_mut().try_for_each(|observer| observer.value().map(drop))?;
        Ok(all)
    }

    fn starting(&self, view: &[&str], interval: Duration) -> Result<Speaker> {
        let mut command = self.program("observer");
        command.args(view).args(["--json", "--top", "-n", "--budget", "100", "--interval"]);
        Speaker::start(command.arg(interval.as_secs_f64().to_string()))
    }
}

/// Removes the files of benchmarks that were killed: their processes are no more.
fn forget_those_left(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if number.is_some_and(|number| !Path::new("/proc").join(number).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What machine this is, for the head of the page: its kind, and nothing that names it.
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
    fn files_of_a_benchmark_that_was_killed_go_and_others_stay() {
        let folder = std::env::temp_dir().join(format!("observer-bench-{}", std::process::id()));
        // No process has this number: it is beyond the most that Linux gives.
        let [dead, living] = [4_194_305, std::process::id()].map(|pid| folder.join(format!("{PREFIX}{pid}")));
        let other = folder.join("peers");
        for folder in [&dead, &living, &other] {
            fs::create_dir_all(folder).unwrap();
        }
        forget_those_left(&folder);
        assert_eq!([&dead, &living, &other].map(|folder| folder.exists()), [false, true, true]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
