//! The mem domain: which processes hold memory, which grow and how fast, and when memory will be full.
//!
//! Resident, swapped and virtual memory of every process are the kernel's own counters. An iterator reads them for each
//! report. From 6.2 on they lack per-CPU remainders; rows that are shown get exact counters from `/proc`. Before 6.2
//! they include per-thread remainders, which `/proc` lacks. Events count mapped and unmapped bytes. The assessed series
//! is all memory that the machine cannot take back without swap. Memory that the iterator's counters lack (huge pages,
//! pinned and locked memory, memory freed by `MADV_FREE`) is read for rows that are shown and for processes that
//! change.
//!
//! `mapped` is private writable anonymous memory, by mmap, mremap and brk. `unmapped` is memory that left the kernel's
//! account of private writable memory, by munmap, mremap, brk, or a `MAP_FIXED` over it. `mapped_file` is file mappings
//! of any kind. `reserved` is mappings without access. `protected` is memory that mprotect makes writable; allocators
//! do that with reserved memory (glibc for threads), and it is in no other total. The growth of the private writable
//! memory of a process, without files, is `mapped + protected - unmapped`.
//!
//! Not visible: mappings from before observation began, and memory that a process unmapped by its first event before
//! the first scan. Shared anonymous memory is in `shmem` once it is touched, not in `mapped`. A private writable file
//! mapping counts as unmapped if it is unmapped in part, or together with others as the dynamic loader does. The growth
//! of stacks is not counted. Memory that one thread unmaps while another calls mprotect can be attributed to that call;
//! it is then missing from `unmapped` and from `protected`. For a process that ends between two reports, the totals and
//! the peak are known, but not the memory that it held.

#![forbid(unsafe_code)]

use std::path::Path;

use observer_common::names::mem as names;
use observer_core::{
    domain::{Declaration, Decode, HostSide, KernelSide, ReadHost, State, Views},
    kernel_object,
    problem::ProblemKind,
    report::note::NoteKind,
    view::{Request, View},
};

pub mod accounts;
mod births;
mod decode;
mod departed;
mod domain;
mod heap;
pub mod hooks;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "readers of the machine")]
mod host;
mod limited_groups;
mod machine;
mod notes;
mod objects;
mod pressure;
mod problems;
mod process;
pub mod queries;
pub mod report;
mod restart;
mod shared;
pub mod state;
pub mod views;

/// The hooks, kernel objects and kernel fields of the domain.
const DECLARATION: Declaration = Declaration {
    name: "mem",
    objects: &[kernel_object!("mem", "../../../objects/mem.o", &[])],
    hooks: hooks::HOOKS,
    fields: observer_common::mem::FIELDS,
    optional_fields: &["MM_OWNER", "SIGNAL_MAX_RSS", "TASK_RSS"],
    totals: &[names::TOTALS],
    attributing: &[],
    reports_exits: true,
    end_hook: None,
};

/// The mem domain, for the engine.
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

    fn problems(&self) -> &'static [&'static ProblemKind] {
        problems::KINDS
    }

    fn state(&self, request: &Request) -> Box<dyn State> {
        Box::new(state::MemState::new(request))
    }
}
