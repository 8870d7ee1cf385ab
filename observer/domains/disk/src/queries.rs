//! The queries of the disk domain's report, for its host reader and for its scans.

use std::collections::BTreeSet;

use observer_core::{
    facts::{TaskId, disk::InodeId},
    queries::DomainQueries,
};

/// Queries about files, and the on-demand scans for the next report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskQueries {
    /// Deleted files to query for `statx` and their last known path.
    pub files: BTreeSet<FileHandle>,
    /// Deleted files to query for the bytes that they share with other files.
    pub extents: BTreeSet<FileHandle>,
    /// Growing files to query for `statx` and their path. If there are any, the space of filesystems is read after
    /// them.
    pub growing: BTreeSet<GrowingFileQuery>,
    /// Processes to look up: whether they have ended.
    pub alive: BTreeSet<TaskId>,
    /// Whether the next scan reads the mappings of all processes.
    pub mappings: bool,
    /// Whether the next scan reads the lists of all inodes.
    pub inodes: bool,
    /// Whether the next scan reads the bytes that each process writes.
    pub writers: bool,
    /// Whether to read the files of loop devices.
    pub loops: bool,
}

impl DomainQueries for DiskQueries {
    fn extend(&mut self, other: Self) {
        self.files.extend(other.files);
        self.extents.extend(other.extents);
        self.growing.extend(other.growing);
        self.alive.extend(other.alive);
        self.mappings |= other.mappings;
        self.inodes |= other.inodes;
        self.writers |= other.writers;
        self.loops |= other.loops;
    }
}

/// A path in `/proc` to an unlinked file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileHandle {
    /// The kernel's numbers (`s_dev`, `i_ino`): the answer is checked against them.
    pub inode: InodeId,
    pub holder: TaskId,
    pub through: ReachedBy,
    pub ask: StatMode,
    /// Whether its data may be in the inode: then `statx` counts its size as blocks, whatever the size is.
    pub may_be_inline: bool,
}

/// A file known by its inode number, and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrowingFileQuery {
    /// The kernel's numbers (`s_dev`, `i_ino`, `i_generation`): the answer is checked against them.
    pub inode: InodeId,
    /// The mount point of its filesystem.
    pub mount: Vec<u8>,
    /// Whether number and generation are a file handle of its filesystem.
    pub has_handle: bool,
    /// Whether `statx` gives the kernel's device and inode number.
    pub is_numbered: bool,
    /// The path in the last answer.
    pub path: Option<Vec<u8>>,
    /// Processes that may have it open.
    pub workers: Vec<TaskId>,
}

/// The queries that a file allows; its filesystem decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatMode {
    /// Its path and `statx`, which must return the device and inode of the file.
    Everything,
    /// The same, for filesystems on which `statx` gives another device than the superblock's (btrfs) or other inode
    /// numbers (overlay).
    Unnumbered,
    /// Its path only: `statx` would query a server that may not answer.
    Path,
}

/// The entry of `/proc/PID` that leads to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReachedBy {
    /// `/proc/THREAD/fd/N`. The thread is the process's leader, or one with a descriptor table of its own.
    Descriptor { thread: u32, fd: u32 },
    /// `/proc/PID/exe`
    Executable,
    /// `/proc/PID/map_files/START-END`
    Mapping { start: u64, end: u64 },
}
