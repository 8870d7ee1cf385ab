//! What the disk domain's report asks its own reader and its own scans.

use std::collections::BTreeSet;

use observer_core::{
    facts::{TaskId, disk::InodeId},
    wants::DomainQueries,
};

/// Questions about files, and what the next scans are to find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskQueries {
    /// Deleted files whose `statx` and last known path are wanted.
    pub files: BTreeSet<FileHandle>,
    /// Deleted files of which it is wanted how much of their blocks other files share.
    pub extents: BTreeSet<FileHandle>,
    /// Files that grow, whose `statx` and path are wanted; where any is, the space of filesystems is read after them.
    pub growing: BTreeSet<GrowingFileQuery>,
    /// Processes of which it is wanted whether they have ended.
    pub alive: BTreeSet<TaskId>,
    /// Whether the mappings of all processes must be read in the next pass.
    pub mappings: bool,
    /// Whether the lists of all inodes must be read with it.
    pub inodes: bool,
    /// Whether it is wanted how much each process writes.
    pub writers: bool,
    /// Whether the files of loop devices are wanted.
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

/// A way to reach a file that has no name any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileHandle {
    /// As the kernel counts it (`s_dev`, `i_ino`): the answer is checked against it.
    pub inode: InodeId,
    pub holder: TaskId,
    pub through: ReachedBy,
    pub ask: StatMode,
    /// Whether its data may be in the inode: then `statx` counts its size as blocks, whatever that is.
    pub may_be_inline: bool,
}

/// A file that is known by its number, and how it may be reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrowingFileQuery {
    /// As the kernel counts it (`s_dev`, `i_ino`, `i_generation`): the answer is checked against it.
    pub inode: InodeId,
    /// Where its filesystem is mounted.
    pub mount: Vec<u8>,
    /// Whether number and generation are a file handle of its filesystem.
    pub has_handle: bool,
    /// Whether `statx` gives the device and the number that the kernel has.
    pub is_numbered: bool,
    /// The path that it had when last asked.
    pub path: Option<Vec<u8>>,
    /// Who may have it open.
    pub workers: Vec<TaskId>,
}

/// What a file may be asked, which its filesystem decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatMode {
    /// Its path and `statx`, which must name its device and inode.
    Everything,
    /// The same, where `statx` gives another device than the superblock's (btrfs) or other numbers (overlay).
    Unnumbered,
    /// Its path only: `statx` would ask a server that may not answer.
    Path,
}

/// Where in `/proc/PID` the file is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReachedBy {
    /// `/proc/THREAD/fd/N`: the process's leader, or a thread with a table of its own.
    Descriptor { thread: u32, fd: u32 },
    /// `/proc/PID/exe`
    Executable,
    /// `/proc/PID/map_files/START-END`
    Mapping { start: u64, end: u64 },
}
