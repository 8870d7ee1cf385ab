//! Control groups as far as they concern memory: the group that a process's memory is charged to, its limit, and how
//! long its tasks waited for memory.
//!
//! Limits are read up to the highest group that this mount of the hierarchy shows.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::text::Text;
use observer_core::facts::mem::{Limit, PressureTotals};

/// Precedes the path of a version 1 control group.
const VERSION_1: &[u8] = b"memory:";
/// A version 1 limit from this value on is no limit: the kernel writes the largest number of pages that it can count.
const UNLIMITED: u64 = 1 << 62;

/// The totals in the text of a pressure stall information file.
pub fn stalls(pressure: &str) -> Option<PressureTotals> {
    let of = |kind: &str| -> Option<u64> {
        let line = pressure.lines().find_map(|line| line.strip_prefix(kind))?;
        line.rsplit_once("total=")?.1.trim().parse().ok()
    };
    Some(PressureTotals { some: of("some ")?, full: of("full ").unwrap_or(0) })
}

/// The control group that memory is charged to, from the lines of `/proc/PID/cgroup`.
pub fn place(lines: &[u8]) -> Option<Vec<u8>> {
    let mut unified = None;
    for line in lines.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(3, |byte| *byte == b':');
        let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        if controllers.split(|byte| *byte == b',').any(|controller| controller == b"memory") {
            return Some([VERSION_1, path].concat());
        }
        if number == b"0" {
            unified = Some(path.to_vec());
        }
    }
    unified
}

/// Where the hierarchies that limit memory are mounted.
pub struct Mounts {
    unified: Option<PathBuf>,
    version_1: Option<PathBuf>,
}

impl Mounts {
    pub fn read(text: &mut Text, root: &Path) -> Self {
        let mut mounts = Self { unified: None, version_1: None };
        for line in text.str(&root.join("proc/self/mounts")).unwrap_or_default().lines() {
            let mut words = line.split(' ').skip(1);
            let (Some(folder), Some(kind), Some(options)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let folder = || Some(root.join(folder.trim_start_matches('/')));
            match kind {
                "cgroup2" if mounts.unified.is_none() => mounts.unified = folder(),
                "cgroup" if options.split(',').any(|option| option == "memory") => {
                    mounts.version_1 = folder();
                }
                _ => {}
            }
        }
        mounts
    }

    /// How long tasks of a group, other than the root, waited for memory; only version 2 has it.
    pub fn stalls(&self, text: &mut Text, cgroup: &[u8]) -> Option<PressureTotals> {
        if cgroup.starts_with(VERSION_1) || cgroup == b"/" || cgroup.starts_with(b"/..") {
            return None;
        }
        let group = Path::new(OsStr::from_bytes(cgroup)).strip_prefix("/").ok()?;
        stalls(text.str(&self.unified.as_ref()?.join(group).join("memory.pressure"))?)
    }

    /// The limit with the least memory left, of a group and its ancestors. The inner `None` is no limit, the outer
    /// `None` is unknown.
    pub fn nearest(&self, text: &mut Text, cgroup: &[u8]) -> Option<Option<Limit>> {
        let (mount, path, files): (_, _, &[&str]) = match cgroup.strip_prefix(VERSION_1) {
            Some(path) => (&self.version_1, path, &["memory.limit_in_bytes"]),
            None => (&self.unified, cgroup, &["memory.max", "memory.high"]),
        };
        // The root of a hierarchy has no limit, mounted or not.
        if path == b"/" && mount.is_none() {
            return Some(None);
        }
        let mount = mount.as_ref()?;
        // Above the part that this cgroup namespace shows.
        if path.starts_with(b"/..") {
            return None;
        }
        let path = Path::new(OsStr::from_bytes(path)).strip_prefix("/").ok()?;
        let of_all = path.ancestors().flat_map(|group| files.iter().map(move |file| (group, *file)));
        let limits = of_all.filter_map(|(group, file)| limit(text, mount, group, file));
        Some(limits.min_by_key(|limit| limit.limit.saturating_sub(limit.usage)))
    }
}

/// The limit in one file of one group; `None` if it sets none.
fn limit(text: &mut Text, mount: &Path, group: &Path, file: &str) -> Option<Limit> {
    let folder = mount.join(group);
    let mut number = |name: &str| -> Option<u64> { text.str(&folder.join(name))?.trim().parse().ok() };
    let limit = number(file).filter(|limit| *limit < UNLIMITED)?;
    let (usage, reclaimable) = if file == "memory.limit_in_bytes" {
        ("memory.usage_in_bytes", "total_inactive_file ")
    } else {
        ("memory.current", "inactive_file ")
    };
    let usage = number(usage)?;
    let stat = text.str(&folder.join("memory.stat")).unwrap_or_default();
    let reclaimable = stat.lines().find_map(|line| line.strip_prefix(reclaimable)?.parse::<u64>().ok());
    Some(Limit {
        group: [b"/", group.as_os_str().as_bytes()].concat(),
        file: file.to_owned(),
        limit,
        usage: usage.saturating_sub(reclaimable.unwrap_or(0)),
    })
}
