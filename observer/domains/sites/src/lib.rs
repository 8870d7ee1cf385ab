//! The sites domain: where in its code a process takes memory, and which of these places keep it. View `mem --where`.
//!
//! A process gets memory when it writes to a page for the first time. Both page fault tracepoints report a sample of these
//! faults for the processes that are watched, with the registers and a copy of the stack. The call path follows from
//! them by `.eh_frame`, so neither frame pointers nor symbols are needed, and no allocator is touched. A few milliseconds
//! after a fault, and again after 2, 8 and 30 seconds, the bytes at its address are compared: bytes that stay belong to
//! something that still exists, bytes that change belong to memory that was freed and used again. That separates a place
//! that keeps memory from one that allocates more and frees all of it.
//!
//! Only addresses, names and the result of comparisons leave this crate's reader: no bytes of a stack or of memory are in
//! facts, and so none are in recordings.
//!
//! Not visible: memory that a process allocates from pages that it has touched before; that is no growth. A place is found
//! by what touches a page first, which for small objects is only a part of the objects in it. Objects that change all
//! the time look freed, and objects with equal content look kept. Memory of files and shared memory is left out. Code of
//! a just-in-time compiler has no names.

#![forbid(unsafe_code)]

use std::path::Path;

use observer_common::sites::FIELDS;
use observer_core::{
    domain::{Declaration, Decode, HostSide, KernelSide, ReadHost, State, Views},
    kernel_object,
    report::note::NoteKind,
    view::{Request, View},
};

mod code;
mod decode;
mod domain;
pub mod hooks;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "readers of the machine")]
mod host;
mod judgement;
mod notes;
mod proportion;
pub mod queries;
mod report;
pub mod state;
pub mod views;

const DECLARATION: Declaration = Declaration {
    name: "sites",
    objects: &[kernel_object!("sites", "../../../objects/sites.o", &[])],
    hooks: hooks::HOOKS,
    fields: FIELDS,
    optional_fields: &[],
    totals: &[],
    attributing: &[],
    reports_exits: false,
    end_hook: None,
};

/// The sites domain, for the engine.
#[derive(Clone, Copy, Debug)]
pub struct Sites;

impl KernelSide for Sites {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn decoder(&self, _page_size: u64) -> Box<dyn Decode> {
        Box::new(decode::SitesDecoder)
    }
}

impl HostSide for Sites {
    fn reader(&self, root: &Path) -> Box<dyn ReadHost> {
        Box::new(host::SitesReader::new(root))
    }
}

impl Views for Sites {
    fn views(&self) -> &'static [View] {
        views::ALL
    }

    fn command(&self) -> Option<&'static str> {
        Some(views::COMMAND)
    }

    fn recorded(&self) -> View {
        views::MEM_WHERE
    }

    fn notes(&self) -> &'static [NoteKind] {
        notes::SitesNote::ALL
    }

    fn state(&self, _request: &Request) -> Box<dyn State> {
        Box::new(state::SitesState::default())
    }
}
