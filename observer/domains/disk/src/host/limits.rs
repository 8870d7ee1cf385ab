//! Reads limits of a filesystem other than its blocks and inodes: btrfs's metadata chunks and quota groups, from sysfs,
//! and the filesystem that contains a sparse image.
//!
//! No query waits for a server: the image of a loop device is read only if the path to it is local.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, StatxFlags};

use super::files::statvfs;
use observer_core::facts::{
    Fact,
    disk::{DiskFact, Limit, LimitKind, Mount, Space},
};
use observer_host::mounts::Mounts;

/// The limit of quota groups per filesystem.
const GROUPS: usize = 1024;

/// Bytes for metadata that btrfs keeps besides its reserve: below that, `btrfs_statfs` reports no available space.
const KEPT_BACK: u64 = 4 << 20;

/// `BTRFS_QGROUP_LIMIT_MAX_RFER` and `…_EXCL` of `linux/btrfs_tree.h`.
const REFERENCED: u64 = 1;
const EXCLUSIVE: u64 = 2;

/// The limits of the filesystems with a space fact in `out`.
pub fn tick(root: &Path, mounts: &Mounts, out: &mut Vec<Fact>) {
    let spaces = out.iter().filter_map(|fact| match fact {
        Fact::Disk(DiskFact::Space { dev, space }) => Some((*dev, *space)),
        _ => None,
    });
    let mut limits = Vec::new();
    let mut seen = BTreeSet::new();
    for (dev, space) in spaces {
        let Some(mount) = mounts.all().find(|mount| mount.dev == dev).filter(|_| seen.insert(dev)) else {
            continue;
        };
        let Some(device) = device(root, mount) else { continue };
        let mut all = if mount.fs == b"btrfs" { of_btrfs(root, &device, space) } else { Vec::new() };
        all.extend(of_image(root, &device, mounts, space));
        limits.push(Fact::Disk(DiskFact::Limits { dev, limits: all }));
    }
    out.extend(limits);
}

/// The name in `/sys/class/block` of the mounted device.
fn device(root: &Path, mount: &Mount) -> Option<String> {
    let source = OsStr::from_bytes(mount.source.strip_prefix(b"/dev/")?);
    let path = root.join("dev").join(source);
    // Names of the device mapper are links.
    let path = fs::canonicalize(&path).unwrap_or(path);
    Some(path.file_name()?.to_str()?.to_owned())
}

fn of_btrfs(root: &Path, device: &str, space: Space) -> Vec<Limit> {
    let Ok(entries) = fs::read_dir(root.join("sys/fs/btrfs")) else { return Vec::new() };
    let mut folders = entries.flatten().map(|entry| entry.path());
    let Some(folder) = folders.find(|folder| folder.join("devices").join(device).exists()) else {
        return Vec::new();
    };
    metadata(&folder, space).into_iter().chain(quotas(&folder)).collect()
}

/// Bytes used by metadata, and bytes still available to it: the rest of its chunks, and the space that is in no chunk
/// yet.
fn metadata(folder: &Path, space: Space) -> Option<Limit> {
    let allocation = folder.join("allocation");
    let of = |kind: &str, name: &str| number(&allocation.join(kind).join(name));
    let devices = fs::read_dir(folder.join("devices")).ok()?.flatten();
    let sectors = devices.filter_map(|device| number(&device.path().join("size")));
    let size = sectors.fold(0_u64, |sum, sectors| sum.saturating_add(sectors.saturating_mul(512)));
    let kinds = ["data", "metadata", "system", "mixed"].iter();
    let chunks = kinds.filter_map(|kind| of(kind, "disk_total")).fold(0, u64::saturating_add);
    let (total, disk_total) = (of("metadata", "total_bytes")?, of("metadata", "disk_total")?);
    // With two copies of each chunk, only half of the rest counts.
    let copies = disk_total.checked_div(total)?.max(1);
    // The reserve is no space for users; the kernel allocates nothing once only the reserve and 4 MiB are left.
    let reserve = number(&allocation.join("global_rsv_size")).unwrap_or(0).saturating_add(KEPT_BACK);
    let used = of("metadata", "bytes_used")?.saturating_add(reserve).min(total);
    // A rest that is too small for a chunk counts as 0.
    let is_full = used == total && space.available == 0;
    let unallocated = if is_full { 0 } else { size.saturating_sub(chunks) / copies };
    let left = (total - used).saturating_add(unallocated);
    Some(Limit { kind: LimitKind::Metadata, of: Vec::new(), used, left })
}

/// The quota groups with a limit.
fn quotas(folder: &Path) -> Vec<Limit> {
    let Ok(groups) = fs::read_dir(folder.join("qgroups")) else { return Vec::new() };
    let limits = groups.flatten().take(GROUPS).flat_map(|group| {
        let path = group.path();
        // Level and number of a group: `0_257`.
        let of = group.file_name().to_string_lossy().replace('_', "/").into_bytes();
        let flags = number(&path.join("limit_flags")).unwrap_or(0);
        let limit = move |flag: u64, used: &str, most: &str| {
            let used = number(&path.join(used)).filter(|_| flags & flag != 0)?;
            let left = number(&path.join(most))?.saturating_sub(used);
            Some(Limit { kind: LimitKind::Quota, of: of.clone(), used, left })
        };
        let both = [
            limit(REFERENCED, "referenced", "max_referenced"),
            limit(EXCLUSIVE, "exclusive", "max_exclusive"),
        ];
        both.into_iter().flatten().min_by_key(|limit| limit.left)
    });
    let mut limits: Vec<Limit> = limits.collect();
    limits.sort_unstable_by(|left, right| left.of.cmp(&right.of));
    limits
}

/// The free space of the filesystem that contains the image of a loop device, if it is less than `space` promises and
/// less than the holes in the image.
fn of_image(root: &Path, device: &str, mounts: &Mounts, space: Space) -> Option<Limit> {
    let path = fs::read(root.join("sys/class/block").join(device).join("loop/backing_file")).ok()?;
    let path = path.strip_suffix(b"\n").unwrap_or(&path);
    let mount = mounts.reached_locally_at(path)?;
    let reached =
        |path: &[u8]| -> Option<PathBuf> { Some(root.join(OsStr::from_bytes(path.strip_prefix(b"/")?))) };
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let stat = rustix::fs::statx(CWD, reached(path)?, flags, StatxFlags::BASIC_STATS).ok()?;
    let holes = stat.stx_size.saturating_sub(stat.stx_blocks.saturating_mul(512));
    let left = statvfs(&reached(&mount.point)?)?.available;
    (left < holes && left < space.available).then(|| Limit {
        kind: LimitKind::Backing,
        of: mount.point.clone(),
        used: space.used,
        left,
    })
}

/// The number in a file of sysfs, decimal or hexadecimal.
fn number(path: &Path) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
