//! A walk through virtual filesystems: `/proc`, `/sys`, control groups, tracepoints. Each entry becomes an inode with a
//! change time on first access, and none of them is a file with a writer.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use observer_core::facts::{Fact, StreamItem, disk::DiskFact};
use observer_sources::replay::Replay;
use observer_tests::{Observer, TempDir, require_root, tool::has_alternative};

use crate::growth::{file_of, files};

/// Magic numbers of virtual filesystems: proc, sysfs, control groups of both versions, tracefs.
const VIRTUAL: [u64; 5] = [0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270, 0x7472_6163];
/// `RAMFS_MAGIC`.
const RAMFS: u64 = 0x8584_58f6;

/// A new control group in each mounted hierarchy; removed on drop.
struct Groups(Vec<PathBuf>);

impl Groups {
    fn new() -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let hierarchies = mounts.lines().filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (point, kind) = (words.next()?, words.next()?);
            kind.starts_with("cgroup").then(|| Path::new(point).join(format!("walk-{}", std::process::id())))
        });
        Self(hierarchies.filter(|group| fs::create_dir(group).is_ok()).collect())
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.0 {
            let _ = fs::remove_dir(group);
        }
    }
}

/// Lists `groups` and a fresh `/proc` and `/sys`, then writes to one file in RAM. Returns the number of listed files.
fn walk(folder: &Path, groups: &Groups) -> u64 {
    // A new /sys hides the control group hierarchies. A kernel under lockdown has no tracefs.
    let script = "{ ls -lR \"$@\"; mount -t sysfs sysfs /sys; mount -t tracefs tracefs /sys/kernel/tracing; \
                  ls -lR /proc /sys; } 2>/dev/null | grep -c ^-; \
                  mount -t ramfs ramfs \"$0\"; echo something >\"$0/file\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--fork", "--mount-proc", "sh", "-c", script]);
    let done = command.arg(folder).args(&groups.0).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn a_walk_through_virtual_filesystems_finds_no_writers() {
    require_root();
    let folder = TempDir::new("walk");
    let recording = folder.file("recording");
    let file = recording.to_str().unwrap();
    let mut observer = Observer::start(&["disk", "--json", "--interval", "0.2", "--record", file]);
    observer.report();
    let groups = Groups::new();
    let listed = walk(folder.path(), &groups);
    assert!(listed > 1000 && !groups.0.is_empty(), "{listed} files, groups {:?}", groups.0);
    // This write comes after the walk.
    let mut workload = files(folder.path());
    workload.ask("open last");
    let last = workload.ask("write last pwrite 70001");
    observer.wait_for(|report| file_of(report, workload.pid(), &last).map(drop));
    observer.interrupt();
    assert!(matches!(observer.finish().code, Some(0 | 3)));
    // Files with reported growth, by the magic number of their filesystem.
    let mut reported: BTreeMap<u64, usize> = BTreeMap::new();
    for fact in Replay::open(&recording).unwrap() {
        if let StreamItem::Fact(Fact::Disk(DiskFact::FileGrowth { growing, .. })) = fact.unwrap() {
            *reported.entry(growing.magic).or_default() += 1;
        }
    }
    let shown: usize = VIRTUAL.iter().filter_map(|magic| reported.get(magic)).sum();
    assert_eq!(shown, 0, "of {listed} files: {reported:x?}");
    if has_alternative("disk.work", 1) {
        assert!(reported.contains_key(&RAMFS), "nothing was reported: {reported:x?}");
    }
}
