//! Control groups as far as they concern memory: the group that a process's memory is charged to, its limit, what is
//! charged to it, and how long its tasks waited for memory.
//!
//! Limits are read up to the highest group that this mount of the hierarchy shows.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::text::Text;
use observer_core::facts::mem::{GroupMemory, Limit, PressureTotals};

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
pub fn memory_group(lines: &[u8]) -> Option<Vec<u8>> {
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

    /// The limit with the least memory left, of a group and its ancestors, and the memory of the group that sets it. The
    /// inner `None` is no limit, the outer `None` is unknown.
    pub fn nearest(&self, text: &mut Text, cgroup: &[u8]) -> Option<Option<(Limit, GroupMemory)>> {
        let (mount, path, files): (_, _, &[&LimitFiles]) = match cgroup.strip_prefix(VERSION_1) {
            Some(path) => (&self.version_1, path, &[&LIMIT_IN_BYTES]),
            None => (&self.unified, cgroup, &[&MAX, &HIGH]),
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
        let of_all = path.ancestors().flat_map(|group| files.iter().map(move |files| (group, *files)));
        let limits = of_all.filter_map(|(group, files)| limit(text, mount, group, files));
        let nearest = limits.min_by_key(|(limit, _, _)| limit.limit.saturating_sub(limit.usage));
        Some(nearest.map(|(limit, memory, events)| {
            let kills = text.str(&events).and_then(|lines| number(lines, "oom_kill "));
            (limit, GroupMemory { kills, ..memory })
        }))
    }
}

/// The files of a group that has a limit, and the names in its `memory.stat`.
struct LimitFiles {
    limit: &'static str,
    usage: &'static str,
    events: &'static str,
    reclaimable: &'static str,
    shmem: &'static str,
}

const LIMIT_IN_BYTES: LimitFiles = LimitFiles {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    events: "memory.oom_control",
    reclaimable: "total_inactive_file ",
    shmem: "total_shmem ",
};
const MAX: LimitFiles = LimitFiles {
    limit: "memory.max",
    usage: "memory.current",
    events: "memory.events",
    reclaimable: "inactive_file ",
    shmem: "shmem ",
};
const HIGH: LimitFiles = LimitFiles { limit: "memory.high", ..MAX };

/// The limit in one file of one group, the group's memory, and the file that counts its kills; `None` if it sets none.
fn limit(
    text: &mut Text,
    mount: &Path,
    group: &Path,
    files: &LimitFiles,
) -> Option<(Limit, GroupMemory, PathBuf)> {
    let folder = mount.join(group);
    let mut of = |name: &str| -> Option<u64> { text.str(&folder.join(name))?.trim().parse().ok() };
    let limit = of(files.limit).filter(|limit| *limit < UNLIMITED)?;
    let usage = of(files.usage)?;
    let stat = text.str(&folder.join("memory.stat")).unwrap_or_default();
    let usage = usage.saturating_sub(number(stat, files.reclaimable).unwrap_or(0));
    let memory = GroupMemory { limit, usage, shmem: number(stat, files.shmem), kills: None };
    let group = [b"/", group.as_os_str().as_bytes()].concat();
    let limit = Limit { group, file: files.limit.to_owned(), limit, usage };
    Some((limit, memory, folder.join(files.events)))
}

/// The number in the line that begins with `name`.
fn number(lines: &str, name: &str) -> Option<u64> {
    lines.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Whether a process of the control group `cgroup` is in `group`, or in a group below it. `cgroup` is as [`place`]
/// returns it, and `group` is a path in the same hierarchy.
pub fn is_within(cgroup: &[u8], group: &[u8]) -> bool {
    let path = cgroup.strip_prefix(VERSION_1).unwrap_or(cgroup);
    let group = group.strip_suffix(b"/").unwrap_or(group);
    path.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
