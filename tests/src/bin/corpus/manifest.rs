//! The manifests in `tests/corpus/`, one per part (`build.toml`, `second.toml`, `third.toml`, `untouched.toml`):
//! programs, loads and labels.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// All workloads of a part.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    pub workload: Vec<Workload>,
}

/// A program under a load, which runs several times with different parameters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    pub name: String,
    pub kind: Kind,
    pub label: Label,
    /// Why the label is true.
    pub why: String,
    pub command: Vec<String>,
    /// Requests a second.
    pub rate: Vec<f64>,
    /// Bytes.
    pub size: Vec<u64>,
    pub bound: Vec<u64>,
    pub profile: Vec<Profile>,
    pub runs: usize,
    pub load: Load,
    /// Allocators to put before the C library's; an empty name is the C library's own.
    #[serde(default)]
    pub preload: Vec<String>,
    #[serde(default)]
    pub process: Process,
    /// A second program that runs as long.
    #[serde(default)]
    pub beside: Vec<String>,
    /// The content of `{dir}/beside`.
    #[serde(default)]
    pub beside_file: String,
    /// A program that runs to its end first.
    #[serde(default)]
    pub before: Vec<String>,
    #[serde(default)]
    pub folder: String,
    #[serde(default)]
    pub user: String,
}

/// How requests reach a program.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// `stdin`, `fifo:PATH`, `unix:PATH`, `tcp:PORT`, `udp:PORT`
    pub to: String,
    /// Sent once.
    #[serde(default)]
    pub first: String,
    pub request: String,
    /// Sent after every `bound` requests.
    #[serde(default)]
    pub every: String,
    /// The content of `{dir}/conf`.
    #[serde(default)]
    pub file: String,
}

/// A part of the corpus, in a file of its own, so that runs are not chosen one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The algorithm was first built on this part.
    Build,
    /// Formerly untouched; the algorithm is built on it now.
    Second,
    /// Like the second, untouched for longer.
    Third,
    /// Only used for final figures.
    Untouched,
}

/// The origin of a program.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Packaged,
    Script,
    Built,
}

/// The true behaviour of a program's memory.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    Leak,
    Bounded,
    Stable,
    Shrinking,
}

/// How the load changes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    Steady,
    /// Goes up and down by four fifths, in 70 seconds.
    Wave,
    /// 50 seconds of load, 40 without.
    ComesAndGoes,
    /// From a third to five thirds.
    Rising,
    /// Five seconds of three times as much, or of none.
    Bursts,
    /// Nothing for a third of the run.
    Late,
    /// Nothing after two fifths of the run.
    Stops,
    /// Nothing after a fifth of the run.
    StopsEarly,
}

/// The labelled process.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Process {
    /// The started process.
    #[default]
    Own,
    /// Its child.
    Child,
}

/// One run of a workload.
#[derive(Clone, Debug)]
pub struct Run {
    pub workload: Workload,
    pub index: usize,
}

impl Manifest {
    /// Reads and checks the manifest of a part.
    pub fn read(root: &Path, part: Part) -> Result<Self> {
        let path = root.join("tests/corpus").join(part.name()).with_extension("toml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let manifest: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let mut names = BTreeMap::new();
        for workload in &manifest.workload {
            ensure!(names.insert(&workload.name, ()).is_none(), "{} is there twice", workload.name);
        }
        Ok(manifest)
    }

    /// All runs.
    pub fn runs(&self) -> Vec<Run> {
        let runs = self
            .workload
            .iter()
            .flat_map(|workload| (0..workload.runs).map(|index| Run { workload: workload.clone(), index }));
        runs.collect()
    }
}

impl Part {
    pub const ALL: [Self; 4] = [Self::Build, Self::Second, Self::Third, Self::Untouched];

    /// The parts that the algorithm was built on.
    pub const BUILT_ON: [Self; 3] = [Self::Build, Self::Second, Self::Third];

    /// Its name, as in file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Second => "second",
            Self::Third => "third",
            Self::Untouched => "untouched",
        }
    }

    /// The part with this name.
    pub fn named(name: &str) -> Result<Self> {
        let part = Self::ALL.into_iter().find(|part| part.name() == name);
        part.with_context(|| format!("{name} is no part of the corpus"))
    }

    /// The number of recordings for its runs, so that each fits the machine.
    pub const fn batches(self) -> usize {
        match self {
            Self::Build | Self::Second => 2,
            Self::Third | Self::Untouched => 1,
        }
    }

    /// The folder of its recordings.
    pub fn recordings(self, root: &Path) -> PathBuf {
        root.join("tests/corpus/recordings").join(self.name())
    }
}

impl Run {
    /// Its name in recordings and tables.
    pub fn name(&self) -> String {
        format!("{}/{}", self.workload.name, self.index + 1)
    }

    pub fn rate(&self) -> f64 {
        pick(&self.workload.rate, self.index)
    }

    pub fn size(&self) -> u64 {
        pick(&self.workload.size, self.index)
    }

    pub fn bound(&self) -> u64 {
        pick(&self.workload.bound, self.index)
    }

    pub fn profile(&self) -> Profile {
        pick(&self.workload.profile, self.index)
    }

    pub fn preload(&self) -> Option<&str> {
        let preload = &self.workload.preload;
        let name = preload.get(self.index % preload.len().max(1))?;
        Some(name.as_str()).filter(|name| !name.is_empty())
    }
}

fn pick<T: Copy>(values: &[T], index: usize) -> T {
    values[index % values.len()]
}

impl Profile {
    /// The factor of the rate at `at` seconds of a run of `length` seconds.
    pub fn factor(self, at: f64, length: f64, dice: &mut Dice) -> f64 {
        let on = |on: bool| f64::from(u8::from(on));
        match self {
            Self::Steady => 1.0,
            Self::Wave => 0.8f64.mul_add((at * std::f64::consts::TAU / 70.0).sin(), 1.0),
            Self::ComesAndGoes => on(at % 90.0 < 50.0),
            Self::Rising => 0.33 + 1.33 * (at / length).min(1.0),
            Self::Bursts => {
                let mut five = Dice::new((at / 5.0) as u64 + dice.seed);
                3.0 * on(five.below(3) == 0)
            }
            Self::Late => on(at > 0.35 * length),
            Self::Stops => on(at < 0.4 * length),
            Self::StopsEarly => on(at < 0.2 * length),
        }
    }
}

/// Reproducible random numbers.
#[derive(Clone, Debug)]
pub struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self { seed, state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 }
    }

    /// A number below `most`.
    pub fn below(&mut self, most: u64) -> u64 {
        for shift in [13i32, -7, 17] {
            self.state ^= if shift > 0 { self.state << shift } else { self.state >> -shift };
        }
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) % most.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_in_one_part_only() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut parts = BTreeMap::new();
        for part in Part::ALL {
            let manifest = Manifest::read(root, part).unwrap();
            assert!(!manifest.runs().is_empty(), "nothing is in this part");
            for run in manifest.runs() {
                assert_eq!(*parts.entry(run.workload.name.clone()).or_insert(part), part, "{}", run.name());
            }
        }
    }
}
