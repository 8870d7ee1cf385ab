//! Facts about a process's identity: names, user, cgroup, end.

use observer_common::task::COMM_LEN;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::TaskId;

/// The kernel's name of a program: bytes in any encoding. Stored in place, because every process has one and every
/// scan reports it.
pub type Comm = SmallVec<[u8; COMM_LEN]>;

/// A fact about the identity of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessFact {
    /// The kernel side has reported the process, which may have ended since. After an exec there is another one, with
    /// the new `comm`.
    Met { id: TaskId, comm: Comm, uid: u32, kernel_thread: bool },
    /// Its names, read from `/proc` while it lived.
    Named {
        id: TaskId,
        /// Target of `/proc/PID/exe`; `None` for a kernel thread, or if reading it is not permitted.
        exe: Option<Vec<u8>>,
        /// The path of its cgroup (version 2, else the named systemd hierarchy, else the memory controller's).
        cgroup: Option<Vec<u8>>,
        /// Arguments separated by NUL, only if they were requested.
        cmdline: Option<Vec<u8>>,
    },
    /// It ended before its names were read.
    Unnamed { id: TaskId },
    /// It ended at `at` (nanoseconds of the boot clock).
    Ended { id: TaskId, at: u64 },
}

/// Slots of process facts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProcessSlot {
    Met(TaskId),
    Named(TaskId),
}

impl ProcessSlot {
    /// All slots of one process.
    pub(super) const fn of(id: TaskId) -> [Self; 2] {
        [Self::Met(id), Self::Named(id)]
    }
}

impl ProcessFact {
    /// The process that it is about.
    pub const fn id(&self) -> TaskId {
        match self {
            Self::Met { id, .. } | Self::Named { id, .. } | Self::Unnamed { id } | Self::Ended { id, .. } => {
                *id
            }
        }
    }

    /// The slot whose last value this fact invalidates. A later value counts as new even if it equals the invalid one:
    /// after an exec, names are read again, and may be the same.
    pub(super) const fn outdates(&self) -> Option<ProcessSlot> {
        match self {
            Self::Met { id, .. } => Some(ProcessSlot::Named(*id)),
            Self::Named { .. } | Self::Unnamed { .. } | Self::Ended { .. } => None,
        }
    }

    pub(super) fn slot(&self) -> Option<ProcessSlot> {
        match self {
            Self::Met { id, .. } => Some(ProcessSlot::Met(*id)),
            Self::Named { id, .. } => Some(ProcessSlot::Named(*id)),
            Self::Unnamed { .. } | Self::Ended { .. } => None,
        }
    }
}
