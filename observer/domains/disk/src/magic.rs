//! Properties of a filesystem by its magic number: its name, where its data is, whether extents may be shared, how to
//! query it.

use crate::queries::StatMode;

/// A type of filesystem, by `super_block.s_magic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Magic(pub u64);

pub const EXT4: Magic = Magic(0xef53);
const TMPFS: Magic = Magic(0x0102_1994);
const RAMFS: Magic = Magic(0x8584_58f6);
const HUGETLBFS: Magic = Magic(0x9584_58f6);
const BTRFS: Magic = Magic(0x9123_683e);
const XFS: Magic = Magic(0x5846_5342);
const OVERLAY: Magic = Magic(0x794c_7630);
const BCACHEFS: Magic = Magic(0xca45_1a4e);
const F2FS: Magic = Magic(0xf2f5_2010);
const VFAT: Magic = Magic(0x4d44);
const EXFAT: Magic = Magic(0x2011_bab0);
const JFS: Magic = Magic(0x3153_464a);
const NILFS2: Magic = Magic(0x3434);

/// Filesystems without shared extents.
const UNSHARED: &[Magic] = &[EXT4, TMPFS, RAMFS, HUGETLBFS, F2FS, VFAT, EXFAT, JFS, NILFS2];

/// Filesystems that query a server: NFS, SMB in three dialects, FUSE, 9P, Ceph, AFS twice, Coda, OCFS2, GFS2.
const REMOTE: &[u64] = &[
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x6573_5546,
    0x0102_1997,
    0x00c3_6400,
    0x5346_414f,
    0x6b41_4653,
    0x7375_7245,
    0x7461_636f,
    0x0116_1970,
];

impl Magic {
    /// Its name, for a filesystem without a mount; ext2, ext3 and ext4 share one number.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            EXT4 => "ext4",
            TMPFS => "tmpfs",
            RAMFS => "ramfs",
            HUGETLBFS => "hugetlbfs",
            BTRFS => "btrfs",
            XFS => "xfs",
            OVERLAY => "overlay",
            BCACHEFS => "bcachefs",
            F2FS => "f2fs",
            _ => return None,
        })
    }

    /// Whether its files are in memory.
    pub fn in_ram(self) -> bool {
        matches!(self, TMPFS | RAMFS | HUGETLBFS)
    }

    /// Whether the deletion of a file frees all of its blocks, because none can be shared.
    pub fn frees(self) -> bool {
        UNSHARED.contains(&self)
    }

    /// Whether it has shared extents, and a query for them needs no server that may not answer.
    pub fn reports_extents(self) -> bool {
        matches!(self, BTRFS | XFS | OVERLAY | BCACHEFS)
    }

    /// Whether the inode's own blocks have no meaning: the data of an overlay file is in another file.
    pub fn has_no_blocks(self) -> bool {
        self == OVERLAY
    }

    /// Whether `statx` reports the device of the superblock.
    pub fn has_own_device(self) -> bool {
        self.ask() != StatMode::Unnumbered
    }

    /// Whether the number and the generation of an inode are a file handle.
    pub fn has_handles(self) -> bool {
        matches!(self, EXT4 | XFS | F2FS | JFS)
    }

    /// The queries that its files allow.
    pub fn ask(self) -> StatMode {
        match self {
            BTRFS | OVERLAY | BCACHEFS => StatMode::Unnumbered,
            Magic(number) if REMOTE.contains(&number) => StatMode::Path,
            _ => StatMode::Everything,
        }
    }
}
