//! Names of the functions at addresses of watched processes.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use observer_core::facts::{
    TaskId,
    sites::{FunctionName, NamedFact, SitesFact},
};
use observer_symbols::{FileId, Frame, Mapping, ProcessFiles, Symbolizer};

/// Processes whose mappings are remembered; then all are forgotten.
const MOST: usize = 64;

/// Finds names by the mappings of each process.
pub struct Naming {
    root: PathBuf,
    symbolizer: Symbolizer,
    mappings: HashMap<TaskId, Vec<Mapping>>,
}

impl Naming {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), symbolizer: Symbolizer::default(), mappings: HashMap::new() }
    }

    /// The functions at an address; none if it has no file, or the process has ended.
    pub fn name(&mut self, process: TaskId, address: u64) -> SitesFact {
        let functions = self.frames(process, address).unwrap_or_default();
        SitesFact::Named(Box::new(NamedFact { process, address, functions }))
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
