//! Finds the deleted files behind loop devices.
//!
//! sysfs reports the path without a query to a filesystem. Only the device reports the inode, and for that it queries
//! the file's filesystem. So the device is queried only if the path is in a local filesystem.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
    path::Path,
};

use rustix::fs::{CWD, Mode, OFlags};

use super::files::MARK;
use observer_core::facts::disk::LoopDevice;
use observer_host::mounts::{Mounts, is_local};

/// `LOOP_GET_STATUS64` of `linux/loop.h`.
const STATUS: libc::c_ulong = 0x4c05;

/// `struct loop_info64`. Only its first two members are used: the device and the inode number of the file.
type Status = [u64; 29];

/// Loop devices with an unlinked file.
pub fn deleted(root: &Path, mounts: &Mounts) -> Vec<LoopDevice> {
    let Ok(devices) = fs::read_dir(root.join("sys/block")) else { return Vec::new() };
    let devices = devices.flatten().filter_map(|device| {
        let number: u32 = device.file_name().to_str()?.strip_prefix("loop")?.parse().ok()?;
        let path = fs::read(device.path().join("loop/backing_file")).ok()?;
        let path = path.strip_suffix(b"\n").unwrap_or(&path).strip_suffix(MARK)?;
        if !mounts.at(path).is_some_and(is_local) {
            return None;
        }
        let (dev, ino) = file_of(&root.join(format!("dev/loop{number}")))?;
        Some(LoopDevice { number, dev, ino })
    });
    let mut loops: Vec<LoopDevice> = devices.collect();
    loops.sort_unstable_by_key(|device| device.number);
    loops
}

/// Device and inode number of the file behind a loop device.
fn file_of(device: &Path) -> Option<(u32, u64)> {
    let file = rustix::fs::openat(CWD, device, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut status: Status = [0; 29];
    // SAFETY: the kernel writes one `loop_info64`, which is as long as `status`.
    let result = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), STATUS as _, status.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    let [device, ino, ..] = status;
    Some((packed(device), ino))
}

/// Converts a device number from the format of system calls to the format in kernel memory.
fn packed(device: u64) -> u32 {
    let major = device >> 8 & 0xfff;
    let minor = device & 0xff | device >> 12 & 0xfff00;
    (major << 20 | minor) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_are_packed_as_in_memory() {
        // 259:300 in system calls: 12 bits of the major number above 8 bits of the minor, and the other minor bits
        // above both.
        assert_eq!(packed(259 << 8 | 300 & 0xff | (300 & !0xff) << 12), 259 << 20 | 300);
    }
}
