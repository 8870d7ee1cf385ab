//! What the report needs from the world next: a plain value that `run.rs` hands to the source.
//!
//! Only what is about to be shown is asked for; the answers are observations like any other, so a recording holds them.

use std::collections::BTreeSet;

use crate::observation::TaskId;

/// Questions for the source. Asking twice is asking once; what was answered before is not asked again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Processes whose names (executable, cgroup) are not known yet.
    pub names: BTreeSet<TaskId>,
    /// Whether their command lines are wanted too.
    pub cmdline: bool,
    /// Processes whose exact memory counters are wanted: what the iterator reads lacks per-CPU parts from 6.2 on.
    pub counters: BTreeSet<TaskId>,
    /// cgroup paths whose memory limit and use are wanted.
    pub limits: BTreeSet<Vec<u8>>,
    /// Deleted files whose `statx` and last known path are wanted.
    pub files: BTreeSet<FileHandle>,
    /// Whether the mappings of all processes must be read in the next pass.
    pub mappings: bool,
}

/// A way to reach a file that has no name any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileHandle {
    /// Device and inode as the kernel counts them (`s_dev`, `i_ino`): the answer is checked against them.
    pub dev: u32,
    pub inode: u64,
    pub holder: TaskId,
    pub through: Through,
}

/// Where in `/proc/PID` the file is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Through {
    /// `/proc/PID/fd/N`
    Descriptor(u32),
    /// `/proc/PID/map_files/START-END`
    Mapping { start: u64, end: u64 },
}

impl Wants {
    /// Adds the questions of `other`.
    pub fn extend(&mut self, other: Self) {
        self.names.extend(other.names);
        self.cmdline |= other.cmdline;
        self.counters.extend(other.counters);
        self.limits.extend(other.limits);
        self.files.extend(other.files);
        self.mappings |= other.mappings;
    }
}
