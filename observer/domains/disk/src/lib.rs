//! The disk domain: which deleted files still take space, which processes hold them and make them grow; which
//! filesystems fill, and which processes write.
//!
//! Visible: holders by descriptor (including threads with their own descriptor table), by mapping, as the running
//! executable, by an io_uring instance with which the file is registered, and by a unix socket to which a descriptor is
//! in flight. If the inode lists can be read, also files without any of these holders: behind loop devices, used as
//! swap space, or opened by the kernel itself. Every unlinked inode counts, in RAM and on disk, including those that
//! never had a name (`O_TMPFILE`). Sizes are the inode's own. The process that made a file grow is known by events on
//! ext4 and xfs, and on other filesystems if there is a single writer.
//!
//! Not visible: the part of the kernel that holds a file that is neither swap space nor behind a loop device; the
//! process that deleted a file before observation began; the shared extents of a file without a descriptor; data that
//! is overwritten in place, while the file takes no more space; and, before Linux 5.12, the process for which a kernel
//! thread writes data that was queued in an io_uring instance.

#![deny(unsafe_code)]

use std::path::Path;

use observer_common::names::disk as names;
use observer_core::{
    domain::{Declaration, Decode, HostSide, KernelSide, ReadHost, State, Views},
    kernel_object,
    problem::ProblemKind,
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
mod problems;
pub mod queries;
pub mod report;
mod space;
pub mod state;
pub mod views;
mod writer;

/// Kernel fields that a kernel may lack without harm.
const OPTIONAL_FIELDS: &[&str] = &[
    // Files of a stacked filesystem have their own type since Linux 6.5, and operations of iomap since 5.15. Locks of a
    // real-time kernel have no owner. The table of registered files of io_uring has changed more than once.
    "BACKING_DENTRY",
    "ITER_INODE",
    "ITER_FLAGS",
    "INODE_LOCKER",
    // The kernel's BTF lacks the types of filesystems that are modules.
    "EXT4_INODE",
    "EXT4_PROMISED",
    "XFS_INODE",
    "XFS_BLOCKS",
    "XFS_PROMISED",
    "OVERLAY_INODE",
    "OVERLAY_UPPER",
    "BTRFS_INODE",
    // Trees of extents refer to their inode since Linux 6.8.
    "TREE_INODE",
    "TREE_OWNER",
    "RING_SLOTS",
    "RING_NODES",
    "NODE_FILE",
    "RING_FILES",
];

/// The hooks, kernel objects and kernel fields of the domain.
const DECLARATION: Declaration = Declaration {
    name: "disk",
    objects: &[kernel_object!("disk", "../../../objects/disk.o", &[])],
    hooks: hooks::HOOKS,
    fields: observer_common::disk::FIELDS,
    optional_fields: OPTIONAL_FIELDS,
    totals: &[names::FILES, names::WRITTEN, names::FREED],
    attributing: &[names::FILES, names::WRITTEN],
    reports_exits: false,
    end_hook: None,
};

/// The disk domain, for the engine.
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

    fn problems(&self) -> &'static [&'static ProblemKind] {
        problems::KINDS
    }

    fn state(&self, request: &Request) -> Box<dyn State> {
        Box::new(state::DiskState::new(request))
    }
}
