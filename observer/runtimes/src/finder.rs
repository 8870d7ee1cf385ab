//! Which runtime a process has.

use std::{collections::HashMap, fs::File, path::PathBuf, sync::Arc};

use crate::{
    go::{self, Go},
    heap::{Heap, Kind, Known, Reason},
    hotspot::{self, HotSpot},
    memory::Memory,
    process::{FileId, Mapping, Process},
    python::{self, Python},
};

/// Files that are remembered at most; then all are forgotten.
const MOST_FILES: usize = 4096;

/// Finds runtimes, and remembers what was found in which file.
#[derive(Debug)]
pub struct Finder {
    root: PathBuf,
    files: HashMap<FileId, Content>,
}

/// What an executable or a library contains.
#[derive(Clone, Debug)]
enum Content {
    Go(Arc<go::Binary>),
    Python(Arc<python::Binary>),
    Other,
}

/// A managed runtime of a running process. Holds the process's memory open, and so one file descriptor.
#[derive(Debug)]
pub struct Runtime {
    kind: Kind,
    version: Option<String>,
    memory: Memory,
    source: Known<Source>,
}

#[derive(Debug)]
enum Source {
    HotSpot(HotSpot),
    Go(Go),
    Python(Python),
}

impl Finder {
    /// For the machine whose file system has this root; `/` normally.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root, files: HashMap::new() }
    }

    /// The runtime of process `pid`; `None` for a program without one. Containers need nothing special: files are
    /// reached through the process itself.
    ///
    /// # Errors
    /// [`Reason::Ended`], also for kernel threads, and [`Reason::NotPermitted`].
    pub fn find(&mut self, pid: u32) -> Known<Option<Runtime>> {
        let process = Process::of(&self.root, pid)?;
        let memory = process.memory()?;
        let (file, id) = process.executable()?;
        match self.content(&file, id) {
            Content::Go(binary) => {
                let source = binary.at(process.program_headers()).map(Source::Go);
                Ok(Some(Runtime { kind: Kind::Go, version: Some(binary.version.clone()), memory, source }))
            }
            Content::Python(binary) => {
                let headers = process.program_headers().ok_or(Reason::Ended)?;
                let moved = headers.wrapping_sub(binary.headers);
                Ok(Some(python(binary, moved, &process.name(), memory)))
            }
            Content::Other => self.in_library(&process, memory),
        }
    }

    /// A runtime that is a library of the program.
    fn in_library(&mut self, process: &Process, memory: Memory) -> Known<Option<Runtime>> {
        let mappings = process.mappings(|path| {
            hotspot::is_library(path) || hotspot::is_counters(path) || python::is_library(path)
        })?;
        if mappings.iter().any(|mapping| hotspot::is_library(&mapping.path)) {
            let source = HotSpot::of(&mappings, &memory, |mapping| process.mapped(mapping));
            let version = source.as_ref().ok().and_then(|jvm| jvm.version(&memory));
            return Ok(Some(Runtime {
                kind: Kind::HotSpot,
                version,
                memory,
                source: source.map(Source::HotSpot),
            }));
        }
        let is_start = |mapping: &&Mapping| mapping.offset == 0 && python::is_library(&mapping.path);
        let Some(mapping) = mappings.iter().find(is_start) else { return Ok(None) };
        let (file, id) = process.mapped(mapping)?;
        let Content::Python(binary) = self.content(&file, id) else { return Ok(None) };
        let moved = mapping.start.wrapping_sub(binary.base);
        Ok(Some(python(binary, moved, &mapping.path, memory)))
    }

    fn content(&mut self, file: &File, id: FileId) -> Content {
        if let Some(known) = self.files.get(&id) {
            return known.clone();
        }
        if self.files.len() >= MOST_FILES {
            self.files.clear();
        }
        let go = go::Binary::of(file).map(|binary| Content::Go(Arc::new(binary)));
        let content = go
            .or_else(|| python::Binary::of(file).map(|binary| Content::Python(Arc::new(binary))))
            .unwrap_or(Content::Other);
        self.files.insert(id, content.clone());
        content
    }
}

fn python(binary: Arc<python::Binary>, moved: u64, path: &[u8], memory: Memory) -> Runtime {
    let (version, source) = Python::of(binary, moved, path, &memory);
    Runtime { kind: Kind::CPython, version, memory, source: source.map(Source::Python) }
}

impl Runtime {
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// As the runtime states it, safe to print: `17.0.15`, `go1.22.10`, `3.11.7`.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Reads the heap as it is now.
    ///
    /// # Errors
    /// Why nothing at all can be known. Single values have reasons of their own.
    pub fn heap(&self) -> Known<Heap> {
        match self.source.as_ref().map_err(Clone::clone)? {
            Source::HotSpot(jvm) => jvm.heap(&self.memory),
            Source::Go(go) => go.heap(&self.memory),
            Source::Python(python) => python.heap(&self.memory),
        }
    }
}
