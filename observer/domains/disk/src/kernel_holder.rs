//! The kernel holder of a deleted file that no process holds.

use observer_core::facts::disk::{InodeId, LoopDevice};

use super::file::HeldFile;

/// A part of the kernel that holds a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelHolder {
    /// The file is swap space.
    Swap,
    /// `/dev/loopN`
    LoopDevice(u32),
    /// Something else in the kernel.
    Unknown,
}

impl KernelHolder {
    /// The holder of `file`; `None` if processes hold it, or no inode list contains it.
    pub fn of(inode: InodeId, file: &HeldFile, loops: &[LoopDevice]) -> Option<Self> {
        let listing = file.listing.as_ref().filter(|_| file.holders.is_empty())?;
        let is_its = |device: &&LoopDevice| {
            // If `statx` and the superblock have different devices, only the inode numbers are compared.
            device.ino == inode.ino && (device.dev == inode.dev || !file.magic().has_own_device())
        };
        Some(match loops.iter().find(is_its) {
            _ if listing.swap => Self::Swap,
            Some(device) => Self::LoopDevice(device.number),
            None => Self::Unknown,
        })
    }
}
