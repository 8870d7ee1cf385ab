//! Facts of the disk domain.

use serde::{Deserialize, Serialize};

pub use observer_common::disk::InodeId;

use super::{Slot, TaskId};

/// What was observed in the disk domain. The order of variants is part of the recording format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskFact {
    /// A file that no directory names any more and that somebody holds: the inode's own numbers.
    File { inode: InodeId, file: File },
    /// Nobody holds it any more by descriptor or mapping.
    FileGone { inode: InodeId },
    /// A process holds it.
    Holder { inode: InodeId, id: TaskId, hold: Hold },
    /// The process holds it in this way no more.
    HolderGone { inode: InodeId, id: TaskId, how: HoldKind },
    /// Who took its last name, and when (nanoseconds of the boot clock).
    Deleted { inode: InodeId, by: TaskId, at: u64 },
    /// Bytes by which each process made it grow while observed: cumulative, ordered by process. In recordings before
    /// [`DiskFact::FileGrowth`].
    Writers { inode: InodeId, written: Vec<(TaskId, u64)> },
    /// What `statx` and its link in `/proc` said, asked for by a report.
    Asked { inode: InodeId, answer: Answer },
    /// All mounts of observer's own mount namespace.
    Mounts(Vec<Mount>),
    /// Space of a local filesystem, by its device.
    Space { dev: u32, space: Space },
    /// Bytes that a process caused to be written to storage since its start (as `/proc/PID/io` counts them), and those
    /// of them that a truncation took back before they got there.
    Written { id: TaskId, written: u64, cancelled: u64 },
    /// It has ended.
    WriterGone { id: TaskId },
    /// A filesystem's list of inodes has it, and no process leads to it; or none whose `/proc` knows the path.
    Listed { inode: InodeId, listing: ListedInode },
    /// It is there no more, or something else leads to it.
    Unlisted { inode: InodeId },
    /// The lists of inodes have been read.
    Walked(InodeScanResult),
    /// All loop devices that have a file.
    Loops(Vec<LoopDevice>),
    /// Somebody works on a file: by how much who made it grow.
    FileGrowth { inode: InodeId, growing: Box<FileGrowth> },
    /// Nothing more will be said of its growth; whether that is because the file is freed.
    GrowingGone { inode: InodeId, freed: bool },
    /// What `statx` and its path said of a file that grows, asked for by a report.
    Found { inode: InodeId, found: Found },
    /// Bytes of blocks of files on a device that deletions freed while observed, of files that did not grow: cumulative.
    Freed { dev: u32, bytes: u64 },
    /// Bytes of a deleted file's blocks that other files share; `None` where its filesystem could not say.
    Shared { inode: InodeId, bytes: Option<u64> },
    /// Mounts of filesystems that observer's own mount namespace has not.
    OtherMounts(OtherMounts),
}

/// What is mounted in other mount namespaces alone: a mount a filesystem, its point being a path that leads there from
/// here, through the `/proc` of a process in that namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherMounts {
    pub mounts: Vec<Mount>,
    /// Namespaces that were not looked into: there are too many.
    pub unread: u64,
}

/// What the list of inodes tells of a file beside its numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedInode {
    /// Whether the kernel swaps to it.
    pub swap: bool,
    /// The last path that it had, from the root of its filesystem on.
    pub path: Option<Vec<u8>>,
}

/// How the reading of the lists of inodes went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InodeScanResult {
    /// Inodes that were looked at.
    pub inodes: u64,
    /// Whether every list was read to its end.
    pub complete: bool,
}

/// A loop device, and its file as `statx` tells of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopDevice {
    /// `/dev/loopN`
    pub number: u32,
    /// Packed as the kernel packs it.
    pub dev: u32,
    pub ino: u64,
}

/// What events tell of a file that somebody works on. Totals are cumulative.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileGrowth {
    /// `s_magic` of its filesystem.
    pub magic: u64,
    /// Its size up to which growth has been ascribed, bytes.
    pub size: u64,
    /// Its size and the bytes of its blocks before anybody was seen to work on it.
    pub first_size: u64,
    pub first_allocated: u64,
    /// Whether it had a hole then, which was being filled.
    pub had_hole: bool,
    /// Whether no directory names it.
    pub nameless: bool,
    /// Whether events tell of each time that it gets longer; else, with several writers, nobody knows who wrote how much.
    pub exact: bool,
    /// How often events saw it get longer.
    pub appends: u64,
    /// Who worked on it last: what it has grown since is this one's.
    pub owner: Option<TaskId>,
    /// Bytes by which each process made it longer, ordered by process.
    pub writers: Vec<(TaskId, u64)>,
}

/// What asking for a file by its number gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// It could not be reached.
    Unreached,
    /// There is no such file any more.
    Gone,
    /// Its numbers, and its path where it has one that observer can see.
    File { stat: Stat, path: Option<Vec<u8>> },
}

/// The inode's own numbers, as the iterators read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Bytes.
    pub size: u64,
    /// Bytes of its blocks, without those that ext4 has only promised yet.
    pub allocated: u64,
    /// `s_magic` of its filesystem.
    pub magic: u64,
}

/// In which way a process holds a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// By descriptors, ordered by number.
    Descriptors(Vec<Descriptor>),
    /// By a mapping: the lowest one's addresses. Several of them are one way.
    Mapping { start: u64, end: u64 },
    /// It is the executable that the process runs.
    Executable,
    /// It is registered with the io_uring ring of this descriptor.
    Registered { ring: u32 },
    /// It was sent to the unix socket of this descriptor, and not taken yet.
    InFlight { socket: u32 },
}

/// The kind of a [`Hold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HoldKind {
    Descriptors,
    Mapping,
    Executable,
    Registered,
    InFlight,
}

/// A descriptor of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Descriptor {
    pub fd: u32,
    /// The thread in whose table it is: the process's leader, save where a thread has a table of its own.
    pub thread: u32,
    /// `O_APPEND`: whoever writes through it writes at the end, wherever that is by then.
    pub append: bool,
    pub writable: bool,
}

/// What user space found out about a deleted file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Bytes of its size and of its blocks, promised ones included; `None` where it must not be asked (a network
    /// filesystem may hang) or could not be reached.
    pub stat: Option<Stat>,
    /// The last path that it had, without the kernel's mark; `None` where it could not be read.
    pub path: Option<Vec<u8>>,
}

/// What `statx` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    pub size: u64,
    pub allocated: u64,
}

/// A line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The superblock's device, packed as the kernel packs it.
    pub dev: u32,
    /// Which folder of the filesystem is mounted.
    pub root: Vec<u8>,
    /// Where.
    pub point: Vec<u8>,
    pub fs: Vec<u8>,
    pub source: Vec<u8>,
    pub read_only: bool,
}

/// Space of a filesystem: bytes, and numbers of inodes (both 0 where it has no fixed number of them).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    pub size: u64,
    pub used: u64,
    /// What a user without privileges may still take.
    pub available: u64,
    pub inodes: u64,
    pub inodes_used: u64,
}

/// Slots of the disk domain's state-like facts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskSlot {
    File(InodeId),
    Holder(InodeId, TaskId, HoldKind),
    Deleted(InodeId),
    Writers(InodeId),
    Asked(InodeId),
    Mounts,
    Space(u32),
    Written(TaskId),
    Listed(InodeId),
    Walked,
    Loops,
    FileGrowth(InodeId),
    Found(InodeId),
    Freed(u32),
    Shared(InodeId),
    OtherMounts,
}

impl DiskSlot {
    /// What is told of a file beside its numbers and holders.
    const fn beside(inode: InodeId) -> [Self; 4] {
        [Self::Deleted(inode), Self::Writers(inode), Self::Asked(inode), Self::Shared(inode)]
    }
}

impl Hold {
    /// Its kind.
    #[must_use]
    pub const fn how(&self) -> HoldKind {
        match self {
            Self::Descriptors(_) => HoldKind::Descriptors,
            Self::Mapping { .. } => HoldKind::Mapping,
            Self::Executable => HoldKind::Executable,
            Self::Registered { .. } => HoldKind::Registered,
            Self::InFlight { .. } => HoldKind::InFlight,
        }
    }
}

impl DiskFact {
    pub(super) fn slot(&self) -> Option<DiskSlot> {
        Some(match self {
            Self::File { inode, .. } => DiskSlot::File(*inode),
            Self::Holder { inode, id, hold } => DiskSlot::Holder(*inode, *id, hold.how()),
            Self::Deleted { inode, .. } => DiskSlot::Deleted(*inode),
            Self::Writers { inode, .. } => DiskSlot::Writers(*inode),
            Self::Asked { inode, .. } => DiskSlot::Asked(*inode),
            Self::Mounts(_) => DiskSlot::Mounts,
            Self::Space { dev, .. } => DiskSlot::Space(*dev),
            Self::Written { id, .. } => DiskSlot::Written(*id),
            Self::Listed { inode, .. } => DiskSlot::Listed(*inode),
            Self::Walked(_) => DiskSlot::Walked,
            Self::Loops(_) => DiskSlot::Loops,
            Self::FileGrowth { inode, .. } => DiskSlot::FileGrowth(*inode),
            Self::Found { inode, .. } => DiskSlot::Found(*inode),
            Self::Freed { dev, .. } => DiskSlot::Freed(*dev),
            Self::Shared { inode, .. } => DiskSlot::Shared(*inode),
            Self::OtherMounts(_) => DiskSlot::OtherMounts,
            Self::FileGone { .. }
            | Self::HolderGone { .. }
            | Self::WriterGone { .. }
            | Self::Unlisted { .. }
            | Self::GrowingGone { .. } => return None,
        })
    }

    pub(super) fn gone(&self) -> Option<Self> {
        match self {
            Self::File { inode, .. } => Some(Self::FileGone { inode: *inode }),
            Self::Holder { inode, id, hold } => {
                Some(Self::HolderGone { inode: *inode, id: *id, how: hold.how() })
            }
            Self::Written { id, .. } => Some(Self::WriterGone { id: *id }),
            Self::Listed { inode, .. } => Some(Self::Unlisted { inode: *inode }),
            _ => None,
        }
    }

    /// What nobody will speak of again once the file is gone.
    pub(super) fn ends(&self) -> Vec<Slot> {
        match self {
            Self::FileGone { inode } => DiskSlot::beside(*inode).map(Slot::Disk).to_vec(),
            Self::GrowingGone { inode, .. } => {
                [DiskSlot::FileGrowth(*inode), DiskSlot::Found(*inode)].map(Slot::Disk).to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// What is said beside a file, while it is found; and the space of what is mounted.
    pub(super) fn keeps(&self) -> Vec<DiskSlot> {
        match self {
            Self::File { inode, .. } => DiskSlot::beside(*inode).to_vec(),
            Self::FileGrowth { inode, .. } => vec![DiskSlot::Found(*inode)],
            Self::Mounts(mounts) | Self::OtherMounts(OtherMounts { mounts, .. }) => {
                mounts.iter().map(|mount| DiskSlot::Space(mount.dev)).collect()
            }
            _ => Vec::new(),
        }
    }
}
