//! Facts of the disk domain.

use serde::{Deserialize, Serialize};

pub use observer_common::disk::InodeId;

use super::{Slot, TaskId};

/// What was observed in the disk domain. The order of variants is part of the recording format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskFact {
    /// An unlinked inode that something holds: its own numbers.
    File { inode: InodeId, file: File },
    /// No scan finds it any longer.
    FileGone { inode: InodeId },
    /// A process holds it.
    Holder { inode: InodeId, id: TaskId, hold: Hold },
    /// The process no longer holds it like this.
    HolderGone { inode: InodeId, id: TaskId, how: HoldKind },
    /// The process that removed its last name, and when (nanoseconds of the boot clock).
    Deleted { inode: InodeId, by: TaskId, at: u64 },
    /// Bytes by which each process made it grow while observed: cumulative, ordered by process. In recordings before
    /// [`DiskFact::FileGrowth`].
    Writers { inode: InodeId, written: Vec<(TaskId, u64)> },
    /// Its `statx` and its link in `/proc`, queried for a report.
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
    /// An inode list has it, and no process holds it, or none with its path in `/proc`.
    Listed { inode: InodeId, listing: ListedInode },
    /// It is no longer there, or a process holds it.
    Unlisted { inode: InodeId },
    /// The inode lists have been read.
    Walked(InodeScanResult),
    /// All loop devices with a file.
    Loops(Vec<LoopDevice>),
    /// A growing file: by how much each process made it grow.
    FileGrowth { inode: InodeId, growing: Box<FileGrowth> },
    /// There are no more facts about its growth; `freed` if the file is freed.
    GrowingGone { inode: InodeId, freed: bool },
    /// The `statx` and the path of a growing file, queried for a report.
    Found { inode: InodeId, found: Found },
    /// Bytes of blocks that deletions freed on a device while observed, of files that did not grow: cumulative.
    Freed { dev: u32, bytes: u64 },
    /// Bytes of a deleted file's shared extents; `None` if its filesystem did not answer.
    Shared { inode: InodeId, bytes: Option<u64> },
    /// Mounts of filesystems that observer's own mount namespace lacks.
    ForeignMounts(ForeignMounts),
    /// What limits a filesystem beside its blocks and its inodes, by its device.
    Limits { dev: u32, limits: Vec<Limit> },
    /// What keeps blocks of a deleted file, and what its compressed blocks take.
    Pinned { inode: InodeId, pins: Pins },
    /// A growing file by the kernel's name cache: its numbers, and its path from the root of its filesystem.
    Cached { inode: InodeId, found: Found },
}

/// What is mounted in other mount namespaces only: one mount for each filesystem, with a path that leads there from
/// here, through the `/proc` of a process in that namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignMounts {
    pub mounts: Vec<Mount>,
    /// Namespaces that were not read, because there are too many.
    pub unread: u64,
}

/// What the inode list has about a file, apart from its numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedInode {
    /// Whether the kernel swaps to it.
    pub swap: bool,
    /// Its last path from the root of its filesystem.
    pub path: Option<Vec<u8>>,
}

/// The result of reading the inode lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InodeScanResult {
    /// Inodes that were read.
    pub inodes: u64,
    /// Whether every list was read to its end.
    pub complete: bool,
}

/// A loop device, and its file according to `statx`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopDevice {
    /// `/dev/loopN`
    pub number: u32,
    /// As the kernel packs it.
    pub dev: u32,
    pub ino: u64,
}

/// A growing file by its events. Totals are cumulative.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileGrowth {
    /// `s_magic` of its filesystem.
    pub magic: u64,
    /// The size up to which its growth has been attributed, bytes.
    pub size: u64,
    /// Its size and the bytes of its blocks before its first event.
    pub first_size: u64,
    pub first_allocated: u64,
    /// Whether a hole of it was being filled then.
    pub had_hole: bool,
    /// Whether it is unlinked.
    pub unlinked: bool,
    /// Whether every growth has an event. Otherwise the shares of several writers are unknown.
    pub exact: bool,
    /// How many events of growth there were.
    pub appends: u64,
    /// The last writer: the growth since then is its.
    pub owner: Option<TaskId>,
    /// Bytes by which each process made it grow, ordered by process.
    pub writers: Vec<(TaskId, u64)>,
}

/// The answer to a query for a file by its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// It could not be reached.
    Unreached,
    /// The file no longer exists.
    Gone,
    /// Its numbers, and its path if that is visible to observer. In recordings that do not have its link count.
    File { stat: Stat, path: Option<Vec<u8>> },
    /// The same of a file with at least one name.
    Named { stat: Stat, path: Option<Vec<u8>> },
    /// The same of a file without a name.
    Unlinked { stat: Stat, path: Option<Vec<u8>> },
}

impl Found {
    /// The numbers and the path of a file that was reached.
    #[must_use]
    pub const fn file(&self) -> Option<(Stat, &Option<Vec<u8>>)> {
        match self {
            Self::File { stat, path } | Self::Named { stat, path } | Self::Unlinked { stat, path } => {
                Some((*stat, path))
            }
            Self::Unreached | Self::Gone => None,
        }
    }

    /// The same answer with another path.
    #[must_use]
    pub fn with_path(&self, path: Option<Vec<u8>>) -> Self {
        match self {
            Self::Named { stat, .. } => Self::Named { stat: *stat, path },
            Self::Unlinked { stat, .. } => Self::Unlinked { stat: *stat, path },
            Self::File { stat, .. } => Self::File { stat: *stat, path },
            Self::Unreached => Self::Unreached,
            Self::Gone => Self::Gone,
        }
    }

    /// Whether the file has no name; `None` if that is not known.
    #[must_use]
    pub const fn unlinked(&self) -> Option<bool> {
        match self {
            Self::Named { .. } => Some(false),
            Self::Unlinked { .. } => Some(true),
            Self::Unreached | Self::Gone | Self::File { .. } => None,
        }
    }
}

/// The inode's own numbers, as the iterators read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Bytes.
    pub size: u64,
    /// Bytes of its blocks, without ext4's delayed allocation.
    pub allocated: u64,
    /// `s_magic` of its filesystem.
    pub magic: u64,
}

/// How a process holds a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// By descriptors, ordered by number.
    Descriptors(Vec<Descriptor>),
    /// By mappings: the addresses of the lowest.
    Mapping { start: u64, end: u64 },
    /// It is the executable that the process runs.
    Executable,
    /// It is registered with the io_uring instance of this descriptor.
    Registered { ring: u32 },
    /// It was sent to the unix socket of this descriptor, and not yet received.
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
    /// The thread with the descriptor table: the leader of the process, unless a thread has its own table.
    pub thread: u32,
    /// `O_APPEND`: every write goes to the end of the file.
    pub append: bool,
    pub writable: bool,
}

/// The answer to a query about a deleted file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Bytes of its size and of its blocks, delayed allocation included; `None` if it must not be queried (a network
    /// filesystem may hang) or was not reached.
    pub stat: Option<Stat>,
    /// Its last path, without the kernel's ` (deleted)`; `None` if it could not be read.
    pub path: Option<Vec<u8>>,
}

/// The answer of `statx`.
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
    /// The folder of the filesystem that is mounted.
    pub root: Vec<u8>,
    /// Where.
    pub point: Vec<u8>,
    pub fs: Vec<u8>,
    pub source: Vec<u8>,
    pub read_only: bool,
}

/// Space of a filesystem: bytes, and numbers of inodes (both 0 if their number is not fixed).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    pub size: u64,
    pub used: u64,
    /// What a user without privileges can still use.
    pub available: u64,
    pub inodes: u64,
    pub inodes_used: u64,
}

/// What the filesystem has about the blocks of a deleted file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// If some of its blocks are compressed: bytes of all of its blocks on the device that no other file shares.
    pub compressed: Option<u64>,
    /// Paths of files that share its blocks, from the root of the filesystem: those that could be found.
    pub sharers: Vec<Vec<u8>>,
}

/// What limits a filesystem beside its blocks and its inodes. All numbers are bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    pub kind: LimitKind,
    /// What the limit belongs to: the quota group, or the mount of the filesystem with the image. May be empty.
    pub of: Vec<u8>,
    pub used: u64,
    /// What can still be used.
    pub left: u64,
}

/// The kind of a [`Limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LimitKind {
    /// btrfs keeps metadata in chunks of its own: these, and the space that new ones can have.
    Metadata,
    /// A quota group of btrfs.
    Quota,
    /// The filesystem is in a sparse image, and the filesystem with the image has less left than this one promises.
    Backing,
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
    ForeignMounts,
    Limits(u32),
    Pinned(InodeId),
    Cached(InodeId),
}

impl DiskSlot {
    /// Slots of a file other than its numbers and holders.
    const fn beside(inode: InodeId) -> [Self; 5] {
        [
            Self::Deleted(inode),
            Self::Writers(inode),
            Self::Asked(inode),
            Self::Shared(inode),
            Self::Pinned(inode),
        ]
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
            Self::ForeignMounts(_) => DiskSlot::ForeignMounts,
            Self::Limits { dev, .. } => DiskSlot::Limits(*dev),
            Self::Pinned { inode, .. } => DiskSlot::Pinned(*inode),
            Self::Cached { inode, .. } => DiskSlot::Cached(*inode),
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

    /// Slots that end with the file.
    pub(super) fn ended_slots(&self) -> Vec<Slot> {
        match self {
            Self::FileGone { inode } => DiskSlot::beside(*inode).map(Slot::Disk).to_vec(),
            Self::GrowingGone { inode, .. } => {
                let slots = [DiskSlot::FileGrowth(*inode), DiskSlot::Found(*inode), DiskSlot::Cached(*inode)];
                slots.map(Slot::Disk).to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// The other slots of a file while it is found, and the space of what is mounted.
    pub(super) fn keeps(&self) -> Vec<DiskSlot> {
        match self {
            Self::File { inode, .. } => DiskSlot::beside(*inode).to_vec(),
            Self::FileGrowth { inode, .. } => vec![DiskSlot::Found(*inode), DiskSlot::Cached(*inode)],
            Self::Mounts(mounts) | Self::ForeignMounts(ForeignMounts { mounts, .. }) => mounts
                .iter()
                .flat_map(|mount| [DiskSlot::Space(mount.dev), DiskSlot::Limits(mount.dev)])
                .collect(),
            _ => Vec::new(),
        }
    }
}
