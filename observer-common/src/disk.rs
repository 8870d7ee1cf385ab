//! The records, map values and kernel fields of the disk domain.

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    record::RecordHeader,
    task::{TaskId, TaskRecord},
};

/// An inode: the kernel re-uses numbers, so the generation is part of its identity.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct InodeId {
    /// `super_block.s_dev` as the kernel packs it: 12 bits of major, 20 of minor number.
    pub dev: u32,
    pub generation: u32,
    pub ino: u64,
}

impl InodeId {
    /// The major number of its device.
    #[must_use]
    pub const fn major(self) -> u32 {
        self.dev >> 20
    }

    /// The minor number of its device.
    #[must_use]
    pub const fn minor(self) -> u32 {
        self.dev & 0x000f_ffff
    }
}

/// How one task holds an unlinked inode, as the iterators over holders write it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct HeldRecord {
    pub task: TaskRecord,
    pub inode: InodeId,
    /// The file in the filesystem below that has the data of a stacked one; all 0 if the file is not stacked, or if it
    /// could not be read.
    pub backing: InodeId,
    /// `i_size` in bytes.
    pub size: u64,
    /// `i_blocks` in bytes, without ext4's delayed allocation.
    pub allocated: u64,
    /// `super_block.s_magic`.
    pub magic: u64,
    /// First and last address of the mapping; both 0 for a descriptor.
    pub start: u64,
    pub end: u64,
    /// The thread with the descriptor table: the leader of the process, unless a thread has its own table.
    pub thread: u32,
    /// The number of the descriptor: of the file, of the io_uring instance that it is registered with, of the socket
    /// that it is in flight to; 0 for a mapping.
    pub fd: u32,
    /// `file.f_flags`: `O_APPEND` and others.
    pub flags: u32,
    /// 1 if the file was opened for writing.
    pub writable: u32,
    /// `HELD_…`
    pub how: u32,
    pub _pad: u32,
}

/// Values of [`HeldRecord::how`]: by a descriptor, by a mapping, as the running executable, registered with an io_uring
/// instance, in flight in a unix socket; and that a process holds more than `disk_descriptor_table` can write.
pub const HELD_DESCRIPTOR: u32 = 0;
pub const HELD_MAPPING: u32 = 1;
pub const HELD_EXECUTABLE: u32 = 2;
pub const HELD_RING: u32 = 3;
pub const HELD_SOCKET: u32 = 4;
pub const HELD_TOO_MANY: u32 = 5;

/// An inode with its path, as the iterators `disk_inode_list` (unlinked inodes) and `disk_path` (files that user space
/// asked for) write it. The bytes of its path follow: `name` of them, padded to eight, the last component first, a NUL after each component. The path begins
/// at the root of its filesystem. Without a name in the kernel there are no bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct ListedRecord {
    pub inode: InodeId,
    /// As in [`HeldRecord`].
    pub backing: InodeId,
    /// `i_size` in bytes; for [`LISTED_END`], the inodes that were read.
    pub size: u64,
    /// `i_blocks` in bytes; for [`LISTED_END`], 1 if every list was read to its end.
    pub allocated: u64,
    /// `super_block.s_magic`.
    pub magic: u64,
    /// `LISTED_…`
    pub kind: u32,
    pub name: u32,
}

/// Values of [`ListedRecord::kind`]: a file, one that the kernel swaps to, the end of the lists; the answer of
/// `disk_path` about a file with a name and about an unlinked one.
pub const LISTED_FILE: u32 = 0;
pub const LISTED_SWAP: u32 = 1;
pub const LISTED_END: u32 = 2;
pub const LISTED_NAMED: u32 = 3;
pub const LISTED_UNLINKED: u32 = 4;

/// Value of the map `ASKED`, keyed by place: an inode whose path the next scan of `disk_path` writes. An address of 0
/// ends the list.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct AskedInode {
    pub inode: InodeId,
    /// Its address, from [`FileTotal::inode`]. The memory may belong to another inode by now.
    pub address: u64,
}

/// The number of elements of the map `ASKED`, of which the last ends the list.
pub const ASKED_INODES: u32 = 1 << 10;

/// Kind of [`WroteRecord`].
pub const WROTE: u32 = 1;
/// Kind of [`FreedRecord`].
pub const FREED: u32 = 2;

/// A process writes to a file; announced once an epoch for each of the two. The totals are in the maps `FILES` and
/// `WRITTEN`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct WroteRecord {
    pub header: RecordHeader,
    pub task: TaskRecord,
    pub inode: InodeId,
    /// The owner until now, if that changed.
    pub previous: TaskId,
}

/// A file of the map `FILES` is freed, or, with inode 0, the entry of its filesystem in the map `FREED` has grown.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct FreedRecord {
    pub header: RecordHeader,
    pub inode: InodeId,
}

/// Value of the map `FILES`, keyed by [`InodeId`]: a growing file.
///
/// `owner` is the last writer: the growth since then is its. What it wrote is in `bytes` while it stays the owner, and
/// moves to the map `WRITTEN` with the next one: a file that one process appends to costs one look-up for each append.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct FileTotal {
    /// All 0 without a writer so far.
    pub owner: TaskId,
    /// Bytes by which the owner made it grow so far.
    pub bytes: u64,
    /// How often it grew, by its events: at most once from one event to the next. So it is never too many, except for
    /// one if a writer moved to another CPU.
    pub appends: u64,
    /// `i_size` up to which its growth has been attributed.
    pub size: u64,
    /// `i_size` and bytes of `i_blocks` at its first event.
    pub first_size: u64,
    pub first_blocks: u64,
    /// `super_block.s_magic`.
    pub magic: u64,
    /// The report interval in which the owner was last announced.
    pub epoch: u64,
    /// [`UNLINKED`], [`EXACT`], [`GONE`], [`FAULTED`], [`TURNS`], [`MIXED`].
    pub flags: u64,
    /// `i_size` up to which its appends have been counted.
    pub counted: u64,
    /// The address of the inode; 0 if no event had it.
    pub inode: u64,
    /// With [`TURNS`]: the time of its last event, nanoseconds of the boot clock.
    pub at: u64,
}

/// In [`FileTotal::flags`]: the file is unlinked.
pub const UNLINKED: u64 = 1;
/// Every growth has an event.
pub const EXACT: u64 = 2;
/// It is freed.
pub const GONE: u64 = 4;
/// Its first event was a page fault that filled a hole: what it took then is in its blocks.
pub const FAULTED: u64 = 8;
/// The first write of each tick of the kernel's clock has an event. So the growth of writers that take turns is known.
pub const TURNS: u64 = 16;
/// With [`TURNS`]: two processes wrote so soon after one another that the shares are unknown.
pub const MIXED: u64 = 32;

/// Key of the map `WRITTEN`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct WriterKey {
    pub inode: InodeId,
    pub task: TaskId,
}

/// Value of the maps `WRITTEN` and `FREED` (keyed by device: bytes of blocks of files that were freed and not in
/// `FILES`): cumulative.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct WriterTotal {
    pub bytes: u64,
    /// The report interval in which it was last announced.
    pub epoch: u64,
}

/// Value of the map `DELETIONS`, keyed by [`InodeId`]: the process that last removed a name of a held file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct DeletionRecord {
    pub task: TaskRecord,
    /// Nanoseconds of the boot clock.
    pub at: u64,
}

/// What the `disk_task` iterator writes of each process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct WriterRecord {
    pub task: TaskRecord,
    /// Bytes that it caused to be written to storage, as `/proc/PID/io` counts `write_bytes`: of all threads, with
    /// those that ended.
    pub written: u64,
    /// Bytes of these that did not reach storage because the file was truncated first.
    pub cancelled: u64,
    /// The thread of this record: the total of a process is the sum of its records.
    pub thread: u64,
}

const _: () = assert!(size_of::<InodeId>() == 16);
const _: () = assert!(size_of::<HeldRecord>() == 136);
const _: () = assert!(size_of::<WroteRecord>() == 88);
const _: () = assert!(size_of::<FreedRecord>() == 32);
const _: () = assert!(size_of::<FileTotal>() == 104);
const _: () = assert!(size_of::<AskedInode>() == 24);
const _: () = assert!(size_of::<ListedRecord>() == 64);
const _: () = assert!(size_of::<WriterKey>() == 32);
const _: () = assert!(size_of::<WriterTotal>() == 16);
const _: () = assert!(size_of::<DeletionRecord>() == 48);
const _: () = assert!(size_of::<WriterRecord>() == 64);

/// Names every kernel field of the domain once; `$with` makes a table of them (user space) or globals (kernel side).
#[macro_export]
macro_rules! disk_fields {
    ($with:path) => {
        $with! {
            TASK_PID: "task_struct.pid", 4;
            TASK_MM: "task_struct.mm", 8;
            TASK_FS: "task_struct.fs", 8;
            TASK_FILES: "task_struct.files", 8;
            FILES_TABLE: "files_struct.fdt", 8;
            TABLE_LENGTH: "fdtable.max_fds", 4;
            TABLE_FILES: "fdtable.fd", 8;
            TABLE_OPEN: "fdtable.open_fds", 8;
            MM_EXECUTABLE: "mm_struct.exe_file", 8;
            FS_MOUNT: "fs_struct.root.mnt", 8;
            MOUNT_SB: "vfsmount.mnt_sb", 8;
            TASK_SIGNAL: "task_struct.signal", 8;
            TASK_WRITTEN: "task_struct.ioac.write_bytes", 8;
            TASK_CANCELLED: "task_struct.ioac.cancelled_write_bytes", 8;
            SIGNAL_WRITTEN: "signal_struct.ioac.write_bytes", 8;
            SIGNAL_CANCELLED: "signal_struct.ioac.cancelled_write_bytes", 8;
            TASK_STATUS: "task_struct.thread_info.status", 4;
            REGS_SYSCALL: "pt_regs.orig_ax", 8;
            FILE_INODE: "file.f_inode", 8;
            FILE_DENTRY: "file.f_path.dentry", 8;
            FILE_FLAGS: "file.f_flags", 4;
            FILE_MODE: "file.f_mode", 4;
            FILE_PRIVATE: "file.private_data", 8;
            BACKING_DENTRY: "backing_file.user_path.dentry", 8;
            VMA_FILE: "vm_area_struct.vm_file", 8;
            VMA_START: "vm_area_struct.vm_start", 8;
            VMA_END: "vm_area_struct.vm_end", 8;
            INODE_MODE: "inode.i_mode", 2;
            INODE_NLINK: "inode.i_nlink", 4;
            INODE_SB: "inode.i_sb", 8;
            INODE_INO: "inode.i_ino", 8;
            INODE_GENERATION: "inode.i_generation", 4;
            INODE_SIZE: "inode.i_size", 8;
            INODE_BLOCKS: "inode.i_blocks", 8;
            INODE_LOCKER: "inode.i_rwsem.owner.counter", 8;
            TASK_STARTED: "task_struct.start_boottime", 8;
            INODE_ALIAS: "inode.i_dentry.first", 8;
            INODE_COUNT: "inode.i_count.counter", 4;
            INODE_FLAGS: "inode.i_flags", 4;
            INODE_IN_LIST: "inode.i_sb_list", 16;
            SB_DEV: "super_block.s_dev", 4;
            SB_FLAGS: "super_block.s_flags", 8;
            SB_MAGIC: "super_block.s_magic", 8;
            SB_ROOT: "super_block.s_root", 8;
            SB_BDEV: "super_block.s_bdev", 8;
            SB_UNLINKED: "super_block.s_remove_count.counter", 8;
            SB_INODES: "super_block.s_inodes", 16;
            SB_IN_LIST: "super_block.s_list", 16;
            ITER_INODE: "iomap_iter.inode", 8;
            ITER_FLAGS: "iomap_iter.flags", 4;
            SB_BLOCK_BITS: "super_block.s_blocksize_bits", 1;
            EXT4_INODE: "ext4_inode_info.vfs_inode", 0;
            EXT4_PROMISED: "ext4_inode_info.i_reserved_data_blocks", 4;
            XFS_INODE: "xfs_inode.i_vnode", 0;
            XFS_BLOCKS: "xfs_inode.i_nblocks | xfs_inode.i_d.di_nblocks", 8;
            XFS_PROMISED: "xfs_inode.i_delayed_blks", 8;
            OVERLAY_INODE: "ovl_inode.vfs_inode", 0;
            OVERLAY_UPPER: "ovl_inode.__upperdentry", 8;
            TREE_INODE: "extent_io_tree.inode", 8;
            TREE_OWNER: "extent_io_tree.owner", 1;
            BTRFS_INODE: "btrfs_inode.vfs_inode", 0;
            DENTRY_INODE: "dentry.d_inode", 8;
            DENTRY_SB: "dentry.d_sb", 8;
            DENTRY_PARENT: "dentry.d_parent", 8;
            DENTRY_NAME: "dentry.d_name.name", 8;
            DENTRY_ALIAS: "dentry.d_u.d_alias | dentry.d_alias", 16;
            DENTRY_COUNT: "dentry.d_lockref.count", 4;
            SOCKET_SK: "socket.sk", 8;
            SK_FAMILY: "sock.__sk_common.skc_family", 2;
            SK_QUEUE: "sock.sk_receive_queue", 0;
            SKB_NEXT: "sk_buff.next", 8;
            SKB_CONTROL: "sk_buff.cb", 48;
            CONTROL_FILES: "unix_skb_parms.fp", 8;
            FILES_COUNT: "scm_fp_list.count", 2;
            FILES_FIRST: "scm_fp_list.fp", 0;
            RING_SLOTS: "io_ring_ctx.file_table.data.nr | io_ring_ctx.nr_user_files", 4;
            RING_NODES: "io_ring_ctx.file_table.data.nodes", 8;
            NODE_FILE: "io_rsrc_node.file_ptr", 8;
            RING_FILES: "io_ring_ctx.file_table.files", 8;
        }
    };
}

disk_fields!(crate::fields_as_table);
