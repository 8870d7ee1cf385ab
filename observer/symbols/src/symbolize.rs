//! From a place in a file to the functions and lines that are there.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use blazesym::symbolize::{
    CodeInfo, Input, Symbolized, Symbolizer as Blazesym,
    source::{Elf, Source},
};

use crate::{
    frame::{Frame, bounded, language},
    process::FileId,
};

/// Answers that are kept; then all are forgotten.
const MOST_ANSWERS: usize = 1 << 14;
/// Files that are open at once, by their sizes in bytes. What is read of a file takes up to its size.
const MOST_BYTES: u64 = 64 << 20;
/// Debug information of larger files is not read: only their symbol table is.
const MOST_DEBUG: u64 = 256 << 20;

/// Finds names, and remembers what was asked.
pub struct Symbolizer {
    blazesym: Blazesym,
    /// The files that `blazesym` has open.
    open: HashMap<FileId, ()>,
    bytes: u64,
    answers: HashMap<(FileId, u64), Arc<[Frame]>>,
}

impl Default for Symbolizer {
    fn default() -> Self {
        Self { blazesym: Blazesym::new(), open: HashMap::new(), bytes: 0, answers: HashMap::new() }
    }
}

impl Symbolizer {
    /// The frames at the byte `offset` of the file at `path`, innermost first: more than one if functions are inlined.
    /// Empty if no name is known.
    pub fn frames(&mut self, path: &Path, id: FileId, offset: u64) -> Arc<[Frame]> {
        if let Some(known) = self.answers.get(&(id, offset)) {
            return Arc::clone(known);
        }
        self.make_room(id);
        let mut elf = Elf::new(path);
        elf.debug_syms = id.size() <= MOST_DEBUG;
        // The bytes that are parsed are another program's.
        let found = catch_unwind(AssertUnwindSafe(|| {
            let answer = self.blazesym.symbolize_single(&Source::Elf(elf), Input::FileOffset(offset));
            answer.ok().map(|symbol| frames(&symbol))
        }));
        let frames: Arc<[Frame]> = found.ok().flatten().unwrap_or_default().into();
        if self.answers.len() >= MOST_ANSWERS {
            self.answers.clear();
        }
        self.answers.insert((id, offset), Arc::clone(&frames));
        frames
    }

    /// Closes all files before another one makes them too large.
    fn make_room(&mut self, id: FileId) {
        if self.open.contains_key(&id) {
            return;
        }
        if self.bytes.saturating_add(id.size()) > MOST_BYTES {
            self.blazesym = Blazesym::new();
            self.open.clear();
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(id.size());
        self.open.insert(id, ());
    }
}

impl std::fmt::Debug for Symbolizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let answers = self.answers.len();
        formatter.debug_struct("Symbolizer").field("bytes", &self.bytes).field("answers", &answers).finish()
    }
}

fn frames(symbol: &Symbolized<'_>) -> Vec<Frame> {
    let Symbolized::Sym(symbol) = symbol else { return Vec::new() };
    let frame = |name: &str, at: Option<&CodeInfo<'_>>, inlined| {
        let file = at.map(|at| bounded(&at.to_path().to_string_lossy()));
        let function = bounded(name);
        let language = language(&function, file.as_deref());
        Frame { function, file, line: at.and_then(|at| at.line), inlined, language }
    };
    let inner = symbol.inlined.iter().rev();
    let mut frames: Vec<Frame> =
        inner.map(|inlined| frame(&inlined.name, inlined.code_info.as_ref(), true)).collect();
    frames.push(frame(&symbol.name, symbol.code_info.as_deref(), false));
    frames
}
