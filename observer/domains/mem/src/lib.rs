//! The mem domain: which processes hold memory, which grow and how fast, and when what is left will be full.
//!
//! Resident, swapped and virtual memory of every process are the kernel's own counters, read by an iterator at each report.
//! From 6.2 on they lack per-CPU remainders; exact counters are read from `/proc` for the rows that are shown. Before 6.2
//! they include what each thread still holds, which `/proc` lacks. Mapped and unmapped bytes are added up by events. The
//! assessed series is all memory that the machine cannot take back without swap. What no counter of the iterator has (huge
//! pages, pinned and locked memory, what `MADV_FREE` freed) is read for rows that are shown and for processes that change.
//!
//! `mapped` is private writable anonymous memory, by mmap, mremap and brk. `unmapped` is what left the kernel's account of
//! private writable memory, by munmap, mremap, brk, or a `MAP_FIXED` over it. `mapped_file` are file mappings of any kind,
//! `reserved` mappings without access. Memory that mprotect makes writable, as allocators do with what they reserved (glibc
//! for threads), is in `protected` only: `mapped + protected - unmapped` is the growth of the private writable memory of a
//! process, files aside.
//!
//! Not visible: what was mapped before observation began, and what a process unmapped by its first event before the first
//! scan. Shared anonymous memory is in `shmem` once it is touched, not in `mapped`. A private writable file mapping that is
//! unmapped in part, or together with others as the dynamic loader does, counts as unmapped. The growth of stacks is not
//! counted. What one thread unmaps while another calls mprotect can be attributed to that call: it is then missing from
//! `unmapped` and from `protected`. Of a process that ends between two reports, its totals and its peak are known, not what
//! it held.

#![forbid(unsafe_code)]

use std::path::Path;

use observer_common::names::mem as names;
use observer_core::{
    domain::{Declaration, Decode, HostSide, KernelSide, ReadHost, State, Views},
    kernel_object,
    report::note::NoteKind,
    view::{Request, View},
};

pub mod accounts;
mod births;
mod decode;
mod domain;
pub mod hooks;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "readers of the machine")]
mod host;
mod machine;
mod notes;
mod objects;
mod pressure;
mod process;
pub mod queries;
pub mod report;
mod restart;
mod shared;
pub mod state;
pub mod views;

/// What the domain attaches.
const DECLARATION: Declaration = Declaration {
    name: "mem",
    objects: &[kernel_object!("mem", "../../../objects/mem.o", &[])],
    hooks: hooks::HOOKS,
    fields: observer_common::mem::FIELDS,
    optional_fields: &["MM_OWNER", "SIGNAL_MAX_RSS", "TASK_RSS"],
    totals: &[names::TOTALS],
    attributing: &[],
    reports_exits: true,
    ends: None,
};

/// The domain.
#[derive(Clone, Copy, Debug)]
pub struct Mem;

impl KernelSide for Mem {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn decoder(&self, page_size: u64) -> Box<dyn Decode> {
        Box::new(decode::MemDecoder::new(page_size))
    }
}

impl HostSide for Mem {
    fn reader(&self, root: &Path) -> Box<dyn ReadHost> {
        Box::new(host::MemReader::new(root))
    }
}

impl Views for Mem {
    fn views(&self) -> &'static [View] {
        views::ALL
    }

    fn recorded(&self) -> View {
        views::MEM
    }

    fn notes(&self) -> &'static [NoteKind] {
        notes::MemNote::ALL
    }

    fn state(&self, request: &Request) -> Box<dyn State> {
        Box::new(state::MemState::new(request))
    }
}
