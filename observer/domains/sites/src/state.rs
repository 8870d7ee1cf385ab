//! What is known of each watched process: its samples by call path, its modules and names, its size.

use std::collections::{BTreeMap, HashMap};

use observer_core::facts::{
    TaskId,
    sites::{FaultFact, Found, FunctionName, ModuleFact, SitesFact},
};

pub use self::paths::{CallPath, Paths};

mod paths;

/// Samples are kept for so many nanoseconds: rates and shares are those of this time.
const KEPT: u64 = 300_000_000_000;
/// Samples of one process; the oldest ones go first.
const MOST_SAMPLES: usize = 40_000;
/// Addresses that are asked for in one report.
const MOST_UNNAMED: usize = 512;
/// Sizes of one process.
const MOST_SIZES: usize = 600;

/// Everything that the reports are made from.
#[derive(Debug, Default)]
pub struct SitesState {
    pub processes: BTreeMap<TaskId, ProcessSamples>,
    /// Processes that were asked for and cannot be watched, with the reason.
    pub unwatched: BTreeMap<u32, Box<str>>,
}

/// One watched process.
#[derive(Debug, Default)]
pub struct ProcessSamples {
    /// By the number of the fault.
    pub samples: BTreeMap<u64, Sample>,
    pub paths: Paths,
    /// Files by the address that they start at.
    pub modules: BTreeMap<u64, ModuleFact>,
    /// The functions at an address, innermost first.
    pub names: HashMap<u64, Box<[FunctionName]>>,
    /// Boot-clock nanoseconds and bytes of anonymous memory.
    pub sizes: Vec<(u64, u64)>,
    pub ended: bool,
}

/// One sampled fault.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Nanoseconds of the boot clock.
    pub at: u64,
    /// Bytes.
    pub weight: u64,
    /// Its call path in [`Paths`].
    pub path: u32,
    /// The address that was written to.
    pub address: u64,
    /// The latest looks that said something, right before the address and from it on.
    pub before: Option<Look>,
    pub after: Option<Look>,
}

/// What was found at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Milliseconds after the fault.
    pub age: u32,
    /// Whether the content was still the one after the fault.
    pub same: bool,
}

/// Takes what a look has found. Content that has changed does not come back.
fn look_again(look: &mut Option<Look>, age: u32, found: Found) {
    if found != Found::Unknown && look.is_none_or(|look| look.same) {
        *look = Some(Look { age, same: found == Found::Same });
    }
}

impl SitesState {
    /// Takes a fact of this domain.
    pub fn take(&mut self, fact: &SitesFact) {
        match fact {
            SitesFact::Fault(fault) => self.processes.entry(fault.process).or_default().add(fault),
            SitesFact::Look { process, number, age, before, after } => {
                let known = self.processes.get_mut(process);
                if let Some(sample) = known.and_then(|known| known.samples.get_mut(number)) {
                    for (look, found) in [(&mut sample.before, before), (&mut sample.after, after)] {
                        look_again(look, *age, *found);
                    }
                }
            }
            SitesFact::Module(module) => {
                let known = self.processes.entry(module.process).or_default();
                // Another file may be mapped at addresses of one that is gone.
                let overlaps =
                    |start: &u64, other: &ModuleFact| *start < module.end && other.end > module.start;
                known.modules.retain(|start, other| !overlaps(start, other));
                known.modules.insert(module.start, (**module).clone());
            }
            SitesFact::Named(named) => {
                if let Some(known) = self.processes.get_mut(&named.process) {
                    known.names.insert(named.address, named.functions.clone());
                }
            }
            SitesFact::Size { process, at, bytes } => {
                let sizes = &mut self.processes.entry(*process).or_default().sizes;
                if sizes.len() >= MOST_SIZES {
                    sizes.remove(0);
                }
                sizes.push((*at, *bytes));
            }
            SitesFact::Unwatched { pid, reason } => {
                self.unwatched.insert(*pid, reason.clone());
            }
        }
    }

    /// The process has ended: the next report is the last one with it.
    pub fn end(&mut self, id: TaskId) {
        if let Some(known) = self.processes.get_mut(&id) {
            known.ended = true;
        }
    }

    /// Whether `id` is or was watched.
    pub fn knows(&self, id: TaskId) -> bool {
        self.processes.contains_key(&id)
    }

    /// Forgets what is too old at `now`.
    pub fn expire(&mut self, now: u64) {
        let oldest = now.saturating_sub(KEPT);
        for known in self.processes.values_mut() {
            let count = known.samples.len();
            while let Some(first) = known.samples.first_entry()
                && (first.get().at < oldest || known.samples.len() > MOST_SAMPLES)
            {
                known.samples.pop_first();
            }
            known.sizes.retain(|(at, _)| *at >= oldest);
            if known.samples.len() < count {
                known.forget_unused();
            }
        }
    }

    /// Forgets processes that have ended.
    pub fn forget_ended(&mut self) {
        self.processes.retain(|_, known| !known.ended);
    }

    /// Addresses without known names, those of the heaviest paths first.
    pub fn unnamed(&self) -> Vec<(TaskId, u64)> {
        let mut wanted = Vec::new();
        for (id, known) in &self.processes {
            let mut weights: HashMap<u32, u64> = HashMap::new();
            for sample in known.samples.values() {
                *weights.entry(sample.path).or_default() += sample.weight;
            }
            let mut weights: Vec<_> = weights.into_iter().collect();
            weights.sort_by_key(|(path, weight)| (std::cmp::Reverse(*weight), *path));
            let addresses = weights.iter().filter_map(|(path, _)| known.paths.get(*path));
            let addresses = addresses.flat_map(|path| path.addresses.iter().copied());
            let mut seen = std::collections::HashSet::new();
            let unnamed =
                addresses.filter(|address| !known.names.contains_key(address) && seen.insert(*address));
            wanted.extend(unnamed.take(MOST_UNNAMED).map(|address| (*id, address)));
        }
        wanted.truncate(MOST_UNNAMED);
        wanted
    }
}

impl ProcessSamples {
    fn add(&mut self, fault: &FaultFact) {
        let path = self.paths.number(fault);
        let FaultFact { at, weight, address, .. } = *fault;
        self.samples.insert(fault.number, Sample { at, weight, path, address, before: None, after: None });
    }

    /// The file at an address.
    pub fn module(&self, address: u64) -> Option<&ModuleFact> {
        let (_, module) = self.modules.range(..=address).next_back()?;
        (address < module.end).then_some(module)
    }

    /// Bytes a second by which its memory has grown while it was watched; `None` before that is known.
    pub fn growth(&self) -> Option<f64> {
        let ((began, first), (ended, last)) = (self.sizes.first()?, self.sizes.last()?);
        let seconds = ended.saturating_sub(*began) as f64 / 1e9;
        (seconds > 0.5).then(|| (*last as f64 - *first as f64) / seconds)
    }

    /// Paths and names that no sample has any longer.
    fn forget_unused(&mut self) {
        let used = self.samples.values().map(|sample| sample.path).collect();
        self.paths.retain(&used);
        let paths = &self.paths;
        let addresses: std::collections::HashSet<u64> =
            paths.iter().flat_map(|path| path.addresses.iter().copied()).collect();
        self.names.retain(|address, _| addresses.contains(address));
    }
}
