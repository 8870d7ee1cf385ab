//! What a row is about.

use std::net::IpAddr;

use crate::{
    facts::{TaskId, disk::InodeId},
    view::GroupBy,
};

/// The identity of a row: the same in every report, so a cursor can stay on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The machine as a whole.
    #[default]
    Machine,
    /// A process: its id and its start.
    Process(TaskId),
    /// A process with one address that it exchanges bytes with; `None` for unknown peers.
    ProcessPeer(TaskId, Option<IpAddr>),
    /// Rows that were merged because they share a key; `None` for those without one.
    Group { by: GroupBy, key: Option<String> },
    /// A file: device, inode number and generation.
    Inode(InodeId),
    /// A TCP connection, by the cookie of its socket.
    Connection { cookie: u64 },
    /// The datagrams of a process through one socket.
    Flow { process: TaskId, cookie: u64 },
    /// A listening or bound socket, by its cookie.
    Listener { cookie: u64 },
    /// A network interface, by its name, as the kernel gave it.
    Link { name: Vec<u8> },
    /// A mounted filesystem, by the number of its device, as the kernel counts it.
    Filesystem { dev: u32 },
    /// A control group, by its path.
    ControlGroup { path: Vec<u8> },
    /// Memory of the kernel: its kind, and the slab cache if it is one.
    KernelAccount { kind: &'static str, name: Option<Vec<u8>> },
    /// A place in the code of a process: addresses of its frames, innermost first.
    CallPath { process: TaskId, frames: Vec<u64> },
}

impl Subject {
    /// The name of its type in JSON.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Process(_) => "process",
            Self::ProcessPeer(..) => "process_peer",
            Self::Group { .. } => "group",
            Self::Inode(_) => "file",
            Self::Connection { .. } => "connection",
            Self::Flow { .. } => "flow",
            Self::Listener { .. } => "listener",
            Self::Link { .. } => "link",
            Self::Filesystem { .. } => "filesystem",
            Self::ControlGroup { .. } => "control_group",
            Self::KernelAccount { .. } => "kernel",
            Self::CallPath { .. } => "call_path",
        }
    }
}
