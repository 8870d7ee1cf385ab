//! Names of the functions at addresses of watched processes.
//!
//! The first name of a large program takes seconds. A thread of its own finds names, so that a report waits for them
//! only a while, and samples are read meanwhile.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use observer_core::facts::{
    TaskId,
    sites::{FunctionName, NamedFact, SitesFact},
};
use observer_symbols::{FileId, Frame, Mapping, ProcessFiles, Symbolizer};

/// Processes whose mappings are remembered; then all are forgotten.
const MOST: usize = 64;

/// The reader's end.
pub struct Namer {
    asked: Sender<(TaskId, u64)>,
    named: Receiver<NamedFact>,
    /// Addresses that were asked for and have no answer yet.
    pending: HashSet<(TaskId, u64)>,
}

impl Namer {
    /// Starts the thread. It ends when the reader does.
    pub fn start(root: &Path) -> Self {
        let ((asked, questions), (answers, named)) = (channel(), channel());
        let root = root.to_owned();
        let work = move || {
            let mut naming = Naming::new(root);
            for (process, address) in questions {
                // The reader has ended.
                if answers.send(naming.name(process, address)).is_err() {
                    return;
                }
            }
        };
        // Without the thread there are no names, and places in files are shown.
        let _ = thread::Builder::new().name("naming".to_owned()).spawn(work);
        Self { asked, named, pending: HashSet::new() }
    }

    /// Asks for names, and returns all that are known before `within` has passed. The others come with a later call.
    pub fn name(&mut self, addresses: &[(TaskId, u64)], within: Duration) -> Vec<SitesFact> {
        for address in addresses {
            if self.pending.insert(*address) {
                let _ = self.asked.send(*address);
            }
        }
        let until = Instant::now() + within;
        let mut facts = Vec::new();
        while !self.pending.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(named) = self.named.recv_timeout(left) else { break };
            self.pending.remove(&(named.process, named.address));
            facts.push(SitesFact::Named(Box::new(named)));
        }
        facts
    }
}

/// Finds names by the mappings of each process.
struct Naming {
    root: PathBuf,
    symbolizer: Symbolizer,
    mappings: HashMap<TaskId, Vec<Mapping>>,
}

impl Naming {
    fn new(root: PathBuf) -> Self {
        Self { root, symbolizer: Symbolizer::default(), mappings: HashMap::new() }
    }

    /// The functions at an address; none if it has no file, or the process has ended.
    fn name(&mut self, process: TaskId, address: u64) -> NamedFact {
        let functions = self.frames(process, address).unwrap_or_default();
        NamedFact { process, address, functions }
    }

    fn frames(&mut self, process: TaskId, address: u64) -> Option<Box<[FunctionName]>> {
        let files = ProcessFiles::of(&self.root, process.pid());
        if self.mappings.len() >= MOST && !self.mappings.contains_key(&process) {
            self.mappings.clear();
        }
        let known = self.mappings.entry(process).or_default();
        let in_it = |mapping: &&Mapping| mapping.file_offset(address).is_some();
        if known.iter().find(in_it).is_none() {
            // A library that was loaded since then.
            *known = files.mappings().ok()?;
        }
        let mapping = known.iter().find(in_it).filter(|mapping| mapping.has_file())?;
        let (file, path) = files.open(mapping).ok()?;
        let id = FileId::of(&file).ok()?;
        let frames = self.symbolizer.frames(&path, id, mapping.file_offset(address)?);
        Some(frames.iter().map(function).collect())
    }
}

fn function(frame: &Frame) -> FunctionName {
    FunctionName {
        function: frame.function.as_str().into(),
        file: frame.file.as_deref().map(Into::into),
        line: frame.line,
        inlined: frame.inlined,
        language: frame.language,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_for_once_and_answered_also_without_a_name() {
        let mut namer = Namer::start(Path::new("/"));
        // No process has the id 0.
        let gone = (TaskId::default(), 0x1234);
        let facts = namer.name(&[gone, gone], Duration::from_secs(30));
        let unnamed = NamedFact { process: gone.0, address: gone.1, functions: Box::default() };
        assert_eq!(facts, [SitesFact::Named(Box::new(unnamed))]);
        assert!(namer.name(&[], Duration::from_secs(30)).is_empty(), "and nothing is waited for");
    }
}
