//! The disk domain: which deleted files still take space, which processes hold them and make them grow; which filesystems
//! fill, and which processes write.
//!
//! Visible: holders by descriptor (also in threads with their own table), by mapping, as the running executable, by an
//! io_uring instance that the file is registered with, by a unix socket that it is in flight to. If the inode lists can be
//! read: also files that none of these holds, behind loop devices, swapped to, opened by the kernel itself. Every unlinked
//! inode counts, in RAM as on disk, those that never had a name (`O_TMPFILE`) included. Sizes are the inode's own. Which
//! process made a file grow is known by events on ext4 and xfs, elsewhere if there is a single writer.
//!
//! Not visible: which part of the kernel holds a file that is neither swapped to nor behind a loop device; which process
//! deleted a file before observation began; the shared extents of a file without a descriptor; what is overwritten in
//! place, while the file takes no more space; the process for which a kernel thread writes what was queued in an io_uring
//! instance, before Linux 5.12.

#![deny(unsafe_code)]

use std::path::Path;

use observer_common::names::disk as names;
use observer_core::{
    domain::{Declaration, Decode, HostSide, KernelSide, ReadHost, State, Views},
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
pub mod views;
mod writer;

/// Kernel fields that a kernel may lack without harm.
const OPTIONAL_FIELDS: &[&str] = &[
    // Files of a stacked filesystem have their own type since Linux 6.5, operations of iomap since 5.15; locks of a
    // real-time kernel have no owner. The table of registered files of io_uring has changed more than once.
    "BACKING_DENTRY",
    "ITER_INODE",
    "ITER_FLAGS",
    "INODE_LOCKER",
    // The types of filesystems that are modules are not in the kernel's BTF.
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
        views::ALL
    }

    fn recorded(&self) -> View {
        views::DELETED_OPEN
    }

    fn notes(&self) -> &'static [NoteKind] {
        notes::DiskNote::ALL
    }

    fn state(&self, request: &Request) -> Box<dyn State> {
        Box::new(state::DiskState::new(request))
    }
}
