//! Which deleted files still take space, who holds them and makes them grow; which filesystems fill, and who writes.
//!
//! Seen: holders by descriptor (also in threads with a table of their own), by mapping, as the executable that runs, by a
//! ring of io_uring that a file is registered with, by a unix socket that it waits in; and, where the lists of inodes can be
//! read, files that nothing of these holds: behind loop devices, swapped to, opened by the kernel itself. Every file that
//! has no name any more, those that never had one (`O_TMPFILE`) included, in RAM as on disk. Sizes are the inode's own; who
//! made a file grow, with a name or without, is told by events on ext4 and xfs, elsewhere it is known where there is one
//! writer.
//!
//! Not seen: which part of the kernel holds a file that is neither swapped to nor behind a loop device; who deleted a file
//! before observation began; which blocks a file shares with others (reflinks), where no descriptor leads to it; what is
//! written over in place, as long as the file takes no more space; for whom a thread of the kernel's own writes what was
//! queued in a ring, before Linux 5.12.

#![deny(unsafe_code)]

use std::path::Path;

use observer_common::names::disk as names;
use observer_core::{
    domain::{Declaration, Decode, Domain, HostSide, KernelSide, ReadHost, Views},
    kernel_object,
    report::note::NoteKind,
    view::{Request, View},
};

pub mod decode;
mod domain;
mod file;
mod growth;
pub mod hooks;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, unsafe_code, reason = "readers of the machine")]
mod host;
mod inode_scan;
mod kernel_holder;
mod magic;
mod mounted;
mod notes;
pub mod queries;
pub mod report;
mod space;
pub mod state;
mod writer;

/// Kernel fields that a kernel may lack without harm.
const OPTIONAL_FIELDS: &[&str] = &[
    // Files of a stacked filesystem have their own type since Linux 6.5, operations of iomap since 5.15; locks of a
    // real-time kernel know no owner. How io_uring keeps registered files has changed more than once.
    "BACKING_DENTRY",
    "ITER_INODE",
    "ITER_FLAGS",
    "INODE_LOCKER",
    // Filesystems that are modules keep their types to themselves.
    "EXT4_INODE",
    "EXT4_PROMISED",
    "XFS_INODE",
    "XFS_BLOCKS",
    "XFS_PROMISED",
    "OVERLAY_INODE",
    "OVERLAY_UPPER",
    "RING_SLOTS",
    "RING_NODES",
    "NODE_FILE",
    "RING_FILES",
];

/// What the domain attaches.
const DECLARATION: Declaration = Declaration {
    name: "disk",
    objects: &[kernel_object!("disk", "../../../objects/disk.o", &[])],
    hooks: hooks::HOOKS,
    fields: observer_common::disk::FIELDS,
    optional_fields: OPTIONAL_FIELDS,
    totals: &[names::FILES, names::WRITTEN, names::FREED],
    attributing: &[names::FILES, names::WRITTEN],
    reports_exits: false,
    ends: None,
};

/// The domain.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl KernelSide for Disk {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn decoder(&self, _page_size: u64) -> Box<dyn Decode> {
        Box::new(decode::DiskDecoder::default())
    }
}

impl HostSide for Disk {
    fn reader(&self, root: &Path) -> Box<dyn ReadHost> {
        Box::new(host::DiskReader::new(root))
    }
}

impl Views for Disk {
    fn views(&self) -> &'static [View] {
        &[View::Disk, View::DeletedOpen]
    }

    fn notes(&self) -> &'static [NoteKind] {
        notes::DiskNote::ALL
    }

    fn state(&self, request: &Request) -> Box<dyn Domain> {
        Box::new(state::DiskState::new(request))
    }
}
