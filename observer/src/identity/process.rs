//! What is known of each process, by its identity.

use std::collections::HashMap;

use crate::observation::{TaskId, process::ProcessFact};

/// Every process that was met.
#[derive(Debug, Default)]
pub struct Processes {
    known: HashMap<TaskId, Process>,
}

/// What is known of one process. Bytes are as the kernel gave them; outputs pass them through `text::printable`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    pub comm: Vec<u8>,
    pub uid: Option<u32>,
    pub kernel_thread: bool,
    pub names: Names,
    /// When it ended, nanoseconds of the boot clock.
    pub ended: Option<u64>,
}

/// Names that only `/proc` has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Nobody asked yet.
    #[default]
    Unread,
    /// It was gone before they were read.
    Gone,
    Read {
        exe: Option<Vec<u8>>,
        unit: Option<Vec<u8>>,
        container: Option<String>,
        cgroup: Option<Vec<u8>>,
        cmdline: Option<Vec<u8>>,
    },
}

impl Processes {
    /// What is known of `id`.
    #[must_use]
    pub fn get(&self, id: TaskId) -> Option<&Process> {
        self.known.get(&id)
    }

    /// Takes a fact in.
    pub fn apply(&mut self, _fact: &ProcessFact) {}
}
