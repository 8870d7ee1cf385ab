//! From registers and a copy of the stack to the addresses of a call path.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use framehop::{
    ExplicitModuleSectionInfo, Module, Unwinder as _,
    x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64},
};

use crate::{
    elf::{Section, UnwindSections},
    mapping::Mapping,
    process::{FileId, ProcessFiles},
};

/// Frames of a call path. Recursion can make it as deep as the stack allows; what is further out is left out.
const MOST_FRAMES: usize = 256;
/// Sections of all files in memory. Beyond it, all are dropped and read again when they are needed.
const MOST_BYTES: usize = 48 << 20;

/// The registers that a call path follows from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    pub ip: u64,
    pub sp: u64,
    pub bp: u64,
}

/// A call path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unwound {
    /// Addresses in the calling instructions, innermost first. The first one is the instruction pointer.
    pub addresses: Vec<u64>,
    /// Whether it reaches the start of the thread.
    pub complete: bool,
}

/// Unwinds the threads of one process.
pub struct Unwinder {
    files: ProcessFiles,
    mappings: Vec<Mapping>,
    unwinder: UnwinderX86_64<Arc<[u8]>>,
    cache: CacheX86_64,
    /// Starts of the mappings that the unwinder knows.
    known: Vec<u64>,
    sections: HashMap<FileId, Arc<UnwindSections>>,
    bytes: usize,
}

impl Unwinder {
    /// For a process; its mappings are read when an address needs them.
    #[must_use]
    pub fn new(files: ProcessFiles) -> Self {
        Self {
            files,
            mappings: Vec::new(),
            unwinder: UnwinderX86_64::new(),
            cache: CacheX86_64::new(),
            known: Vec::new(),
            sections: HashMap::new(),
            bytes: 0,
        }
    }

    /// The mappings as last read, in the order of addresses.
    #[must_use]
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// The mapping of `address`, as last read.
    #[must_use]
    pub fn mapping(&self, address: u64) -> Option<&Mapping> {
        let after = self.mappings.partition_point(|mapping| mapping.end <= address);
        self.mappings.get(after).filter(|mapping| mapping.start <= address)
    }

    /// Reads the mappings again: the process has loaded or unloaded a library.
    pub fn refresh(&mut self) {
        let Ok(mappings) = self.files.mappings() else { return };
        if mappings == self.mappings {
            return;
        }
        self.mappings = mappings;
        // The addresses may belong to other files now. Their sections stay.
        self.forget_modules();
    }

    /// The call path of a thread with these registers and the bytes of its stack from `registers.sp` on.
    pub fn unwind(&mut self, registers: Registers, stack: &[u8]) -> Unwound {
        if self.mappings.is_empty() || self.mapping(registers.ip).is_none() {
            self.refresh();
        }
        let mut addresses = Vec::new();
        // A module is added when a frame is in it, and then the path is walked again.
        loop {
            let (walked, complete) = self.walk(registers, stack);
            let missing = walked.iter().copied().find(|address| self.needs_module(*address));
            if !missing.is_some_and(|address| self.add_module(address)) {
                addresses.extend(walked);
                return Unwound { addresses, complete };
            }
        }
    }

    fn walk(&mut self, registers: Registers, stack: &[u8]) -> (Vec<u64>, bool) {
        let mut addresses = Vec::new();
        let Registers { ip, sp, bp } = registers;
        let mut read = |address: u64| {
            let start = usize::try_from(address.checked_sub(sp).ok_or(())?).map_err(|_| ())?;
            let bytes = start.checked_add(8).and_then(|end| stack.get(start..end)).ok_or(())?;
            bytes.try_into().map(u64::from_le_bytes).map_err(|_| ())
        };
        let (unwinder, cache) = (&self.unwinder, &mut self.cache);
        // The bytes that are parsed are another program's.
        let complete = catch_unwind(AssertUnwindSafe(|| {
            let mut frames = unwinder.iter_frames(ip, UnwindRegsX86_64::new(ip, sp, bp), cache, &mut read);
            loop {
                match frames.next() {
                    Ok(Some(_)) if addresses.len() >= MOST_FRAMES => return false,
                    Ok(Some(frame)) => addresses.push(frame.address_for_lookup()),
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
        }));
        (addresses, complete.unwrap_or(false))
    }

    fn needs_module(&self, address: u64) -> bool {
        let mapping = self.mapping(address);
        mapping.is_some_and(|mapping| mapping.has_file() && !self.known.contains(&mapping.start))
    }

    /// Lets the unwinder know the file at `address`. Returns whether it knows more than before.
    fn add_module(&mut self, address: u64) -> bool {
        let Some(mapping) = self.mapping(address).cloned() else { return false };
        // Also if it cannot be read: it is not tried again for each frame.
        self.known.push(mapping.start);
        let Some(sections) = self.sections(&mapping) else { return true };
        let Some(bias) = sections.bias(mapping.offset, mapping.start) else { return true };
        let bytes = |section: &Option<Section>| section.as_ref().map(|section| Arc::clone(&section.bytes));
        let range = |section: &Option<Section>| section.as_ref().map(|section| section.addresses.clone());
        self.unwinder.add_module(Module::new(
            String::new(),
            mapping.start..mapping.end,
            bias,
            ExplicitModuleSectionInfo {
                base_svma: 0,
                text_svma: range(&sections.text),
                text: bytes(&sections.text),
                eh_frame_svma: range(&sections.eh_frame),
                eh_frame: bytes(&sections.eh_frame),
                eh_frame_hdr_svma: range(&sections.eh_frame_hdr),
                eh_frame_hdr: bytes(&sections.eh_frame_hdr),
                ..ExplicitModuleSectionInfo::default()
            },
        ));
        true
    }

    fn sections(&mut self, mapping: &Mapping) -> Option<Arc<UnwindSections>> {
        let (file, _) = self.files.open(mapping).ok()?;
        let id = FileId::of(&file).ok()?;
        if let Some(sections) = self.sections.get(&id) {
            return Some(Arc::clone(sections));
        }
        let sections = Arc::new(catch_unwind(|| UnwindSections::read(&file)).ok().flatten()?);
        if self.bytes + sections.size() > MOST_BYTES && !self.sections.is_empty() {
            self.sections.clear();
            self.bytes = 0;
            self.forget_modules();
            self.known.push(mapping.start);
        }
        self.bytes += sections.size();
        self.sections.insert(id, Arc::clone(&sections));
        Some(sections)
    }

    fn forget_modules(&mut self) {
        self.known.clear();
        self.unwinder = UnwinderX86_64::new();
        self.cache = CacheX86_64::new();
    }
}

impl std::fmt::Debug for Unwinder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Unwinder").field("files", &self.files).field("bytes", &self.bytes).finish()
    }
}
