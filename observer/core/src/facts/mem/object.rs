//! Memory that no process's counters contain. Sizes are bytes.

use serde::{Deserialize, Serialize};

/// One object that holds memory beside processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryObject {
    pub id: ObjectId,
    /// 0: it is gone, or holds no memory worth a row.
    pub bytes: u64,
    /// A path, the name of a memfd, the number of a segment.
    pub name: Vec<u8>,
    /// Where its filesystem is mounted.
    pub mount: Option<Vec<u8>>,
    /// The process that has it open; of unread bytes the one that should read them.
    pub holder: Option<ObjectProcess>,
    /// The process that created or wrote it, if that is known.
    pub writer: Option<ObjectProcess>,
    /// The user that owns it.
    pub uid: Option<u32>,
    /// The control group of its holder or writer.
    pub cgroup: Option<Vec<u8>>,
    /// An earlier scan did not find it.
    pub appeared: bool,
}

impl MemoryObject {
    /// An object of which nothing else is known.
    #[must_use]
    pub const fn new(id: ObjectId, bytes: u64, name: Vec<u8>) -> Self {
        Self {
            id,
            bytes,
            name,
            mount: None,
            holder: None,
            writer: None,
            uid: None,
            cgroup: None,
            appeared: false,
        }
    }

    /// An object that is gone.
    #[must_use]
    pub const fn gone(id: ObjectId) -> Self {
        Self::new(id, 0, Vec::new())
    }
}

/// A process by what `/proc` shows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectProcess {
    pub pid: u32,
    /// Empty for a process that has ended.
    pub comm: Vec<u8>,
}

/// An object, in every scan the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId {
    pub kind: ObjectKind,
    /// Of the filesystem; 0 without one.
    pub device: u64,
    /// Inode, or the kernel's number of the object.
    pub number: u64,
}

/// What an object is. The order is part of the recording format: new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ObjectKind {
    /// A file of a tmpfs.
    TmpfsFile,
    /// A file of memfd_create.
    Memfd,
    /// A segment of System V shared memory.
    SysV,
    /// Shared memory that waits in a socket, in descriptors that were sent and not received.
    InFlight,
    /// Unread bytes of a unix socket.
    UnixSocket,
    /// Unread datagrams.
    UdpSocket,
    /// Unread bytes of a pipe.
    Pipe,
    /// The ring of a packet socket.
    PacketRing,
    /// A map of BPF programs.
    BpfMap,
    /// Shared memory that has no descriptor, mapped by several processes.
    SharedMapping,
}
