//! The reader of the sites domain: watches processes, unwinds their faults, looks at their memory, names addresses.
//!
//! Faults go to a thread of their own as soon as they are read ([`sampler`]): what is at their address means most in the
//! first milliseconds. Names are found by another thread ([`naming`]) when a report asks for them.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use observer_common::{
    names::{MapName, sites as names},
    sites::Watch,
};
use observer_core::{
    domain::{Decoded, ReadHost},
    facts::{Fact, TaskId, process::ProcessFact, sites::SitesFact},
    queries::HostQueries,
};
use zerocopy::IntoBytes as _;

use self::{growers::Growers, naming::Namer, period::Period, python::Python, sampler::Sampler};
use crate::{decode::RawFault, queries::SitesQueries};

mod growers;
mod looks;
mod naming;
mod period;
mod python;
mod sampler;

/// Samples a second of all watched processes together, and the least of one.
const SAMPLES: f64 = 400.0;
const MOST_OF_ONE: f64 = 100.0;
/// How long a report waits for names. Those that come later are in the next one.
const NAMING: Duration = Duration::from_millis(200);

/// The reader of a machine.
pub struct SitesReader {
    root: PathBuf,
    sampler: Option<Sampler>,
    watched: BTreeMap<u32, Watched>,
    /// What the kernel side does not know yet.
    control: Vec<(MapName, Vec<u8>, Vec<u8>)>,
    growers: Growers,
    namer: Namer,
    /// Processes that were asked for and cannot be read.
    refused: BTreeSet<u32>,
    page_size: u64,
}

/// A process that is watched.
struct Watched {
    period: Period,
    /// Its identity, known from its first fault.
    id: Option<TaskId>,
}

impl SitesReader {
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            sampler: None,
            watched: BTreeMap::new(),
            control: Vec::new(),
            growers: Growers::default(),
            namer: Namer::start(root),
            refused: BTreeSet::new(),
            page_size: rustix::param::page_size() as u64,
        }
    }

    /// Watches these processes and no others.
    fn watch(&mut self, wanted: &BTreeSet<u32>, out: &mut Vec<Fact>) {
        let gone: Vec<u32> = self.watched.keys().filter(|pid| !wanted.contains(pid)).copied().collect();
        for pid in gone {
            self.watched.remove(&pid);
            self.control.push(entry(pid, 0));
        }
        for pid in wanted {
            if self.watched.contains_key(pid) || self.refused.contains(pid) {
                continue;
            }
            let memory = match std::fs::File::open(self.root.join(format!("proc/{pid}/mem"))) {
                Ok(memory) => memory,
                Err(error) => {
                    self.refused.insert(*pid);
                    let reason = match error.kind() {
                        std::io::ErrorKind::NotFound => "it has ended",
                        _ => "its memory cannot be read without root or CAP_SYS_PTRACE",
                    };
                    out.push(Fact::Sites(SitesFact::Unwatched { pid: *pid, reason: reason.into() }));
                    continue;
                }
            };
            if let Some(python) = Python::of(&self.root, *pid, &memory) {
                let layout = python.layout.as_bytes().to_vec();
                self.control.push((names::PYTHON, pid.as_bytes().to_vec(), layout));
            }
            let period = Period::default();
            self.control.push(entry(*pid, period.value()));
            self.watched.insert(*pid, Watched { period, id: None });
        }
    }

    fn adapt(&mut self) {
        let goal = (SAMPLES / self.watched.len().max(1) as f64).min(MOST_OF_ONE);
        for (pid, watched) in &mut self.watched {
            if let Some(period) = watched.period.adapt(goal, Instant::now()) {
                self.control.push(entry(*pid, period));
            }
        }
    }

    /// Facts about a process that is seen for the first time.
    fn meet(&self, id: TaskId) -> Option<Fact> {
        let folder = self.root.join("proc").join(id.pid().to_string());
        let mut comm = std::fs::read(folder.join("comm")).ok()?;
        comm.pop();
        let uid = std::fs::metadata(&folder).ok()?.uid();
        Some(Fact::Process(ProcessFact::Met { id, comm: comm.into(), uid, kernel_thread: false }))
    }

    fn sizes(&self, now: u64, out: &mut Vec<Fact>) {
        for (pid, watched) in &self.watched {
            let Some(process) = watched.id else { continue };
            match growers::anonymous(&self.root, *pid) {
                Some(pages) => {
                    let bytes = pages.saturating_mul(self.page_size);
                    out.push(Fact::Sites(SitesFact::Size { process, at: now, bytes }));
                }
                None => out.push(Fact::Process(ProcessFact::Ended { id: process, at: now })),
            }
        }
    }
}

impl ReadHost for SitesReader {
    fn tick(&mut self, now: u64, out: &mut Vec<Fact>) {
        if let Some(sampler) = &self.sampler {
            out.extend(sampler.facts());
        }
        self.sizes(now, out);
        self.watched
            .retain(|pid, watched| watched.id.is_none() || growers::anonymous(&self.root, *pid).is_some());
        self.adapt();
    }

    fn take(&mut self, left: Box<dyn Any>, decoded: &mut Decoded) {
        let Ok(faults) = left.downcast::<Vec<RawFault>>() else { return };
        for fault in *faults {
            let id = fault.head.id;
            let Some(watched) = self.watched.get_mut(&id.pid()) else { continue };
            watched.period.count();
            if watched.id != Some(id) {
                watched.id = Some(id);
                decoded.facts.extend(self.meet(id));
            }
            let sampler = self.sampler.get_or_insert_with(|| Sampler::start(&self.root, self.page_size));
            sampler.take(fault);
        }
    }

    fn answer(&mut self, queries: &HostQueries, out: &mut Vec<Fact>) {
        let Some(queries) = queries.own::<SitesQueries>() else { return };
        let mut wanted = queries.pids.clone();
        if queries.growers > 0 {
            wanted.extend(self.growers.find(&self.root, queries.growers));
        }
        self.watch(&wanted, out);
        let named = self.namer.name(&queries.addresses, NAMING);
        out.extend(named.into_iter().map(Fact::Sites));
    }

    fn control_entries(&mut self) -> Vec<(MapName, Vec<u8>, Vec<u8>)> {
        std::mem::take(&mut self.control)
    }
}

/// The entry of the control map that makes the kernel side report one in `period` faults of a process; none for 0.
fn entry(pid: u32, period: u32) -> (MapName, Vec<u8>, Vec<u8>) {
    let watch = Watch { period, reserved: 0 };
    (names::WATCHED, pid.as_bytes().to_vec(), watch.as_bytes().to_vec())
}
