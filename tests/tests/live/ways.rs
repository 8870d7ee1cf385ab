//! Every way of writing on every kind of filesystem: what a file takes is what `statx` says, to the byte, and who wrote it is
//! told apart or said to be unknown.

use observer_tests::{
    TempDir, Workload, note,
    tool::{self, not_run},
};
use serde_json::Value;

use crate::{
    disk::{holder_of, watch},
    zoo::{FILESYSTEMS, exists, on},
};

/// Each way of writing, and whether it writes whole blocks only.
const WAYS: [(&str, bool); 17] = [
    ("pwrite", false),
    ("append", false),
    ("writev", false),
    ("mmap", false),
    ("fallocate", false),
    ("truncate", false),
    ("sendfile", false),
    ("splice", false),
    ("copy", false),
    ("aio", false),
    ("uring", false),
    ("uring-polled", false),
    ("uring-worker", false),
    ("direct", true),
    ("aio-direct", true),
    ("uring-direct", true),
    ("reflink", true),
];

/// Ways of taking space that leave the size as it is (reserving beyond the end, filling a hole), and what comes before.
const IN_PLACE: [(&str, &str); 2] = [("reserve", "pwrite"), ("hole", "truncate")];

/// What a filesystem need not have: blocks that files share, and ways past a page cache that is all that it has.
fn may_refuse(fs: &str, alternative: &str) -> bool {
    alternative == "reflink" && !matches!(fs, "xfs" | "btrfs")
        || alternative.ends_with("direct") && fs == "tmpfs"
}

/// Whether who writes for a ring is a thread of the process whose ring it is: before Linux 5.12 it is the kernel's own.
fn workers_are_threads() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 12)
}

/// A file without a name that was written to in one way, by a process alone or in turns with its child.
struct Written {
    fs: &'static str,
    name: String,
    truth: Value,
    /// Each process with what it made the file grow by.
    shares: Vec<(u32, u64)>,
}

impl Written {
    fn row<'a>(&self, report: &'a Value) -> Option<&'a Value> {
        let end = format!("/{}", self.name);
        let rows = report["rows"].as_array().unwrap();
        rows.iter().find(|row| row["path"].as_str().is_some_and(|path| path.ends_with(&end)))
    }

    /// Whether what it takes is told to the byte, and who wrote how much: exactly, or not at all where nobody can say.
    fn is_told(&self, report: &Value) -> bool {
        let Some(row) = self.row(report) else { return false };
        let is_exact = self.shares.len() <= 1 || matches!(self.fs, "ext4" | "xfs");
        let told = self.shares.iter().all(|(pid, share)| {
            let Some(holder) = holder_of(row, *pid) else { return false };
            holder["written"] == *share || !is_exact && holder["written"].is_null()
        });
        told && row["size"] == self.truth["size"] && row["allocated"] == self.truth["allocated"]
    }
}

/// Opens two files for each way, and deletes them: one is the process's alone, the other one its child's too.
fn open(workload: &mut Workload, fs: &'static str) -> Vec<(&'static str, bool, String)> {
    let mut opened = Vec::new();
    for (alternative, blocks) in WAYS {
        for of in ["alone", "both"] {
            let name = format!("{fs}-{alternative}-{of}");
            let open = if alternative == "append" { "append" } else { "open" };
            workload.ask(&format!("{open} {name}"));
            if of == "both" {
                workload.ask(&format!("child {open} {name}"));
            }
            workload.ask(&format!("delete {name}"));
            opened.push((alternative, blocks, name));
        }
    }
    opened
}

/// Writes to a file in turns; `None` where the filesystem refuses the way.
fn write(
    workload: &mut Workload,
    child: u32,
    fs: &'static str,
    (alternative, blocks, name): (&str, bool, String),
) -> Option<Written> {
    let (first, second) = if blocks { (8192, 4096) } else { (5001, 2003) };
    let answer = workload.ask(&format!("try {name} {alternative} {first}"));
    if let Some(why) = answer["refused"].as_str() {
        assert!(may_refuse(fs, alternative), "{alternative} on {fs}: {why}");
        return None;
    }
    let mut shares = vec![(workload.pid(), 2 * first)];
    if name.ends_with("both") {
        workload.ask(&format!("child write {name} {alternative} {second}"));
        shares.push((child, second));
    }
    workload.ask(&format!("write {name} {alternative} {first}"));
    let truth = workload.ask(&format!("sync {name}"));
    let sum: u64 = shares.iter().map(|(_, share)| share).sum();
    assert_eq!(truth["size"], sum, "{alternative} on {fs}");
    Some(Written { fs, name, truth, shares })
}

/// Opens a file for each way that leaves the size as it is, and deletes it.
fn open_in_place(workload: &mut Workload, fs: &'static str) -> Vec<String> {
    let names = IN_PLACE.iter().map(|(alternative, _)| format!("{fs}-{alternative}"));
    names
        .inspect(|name| {
            workload.ask(&format!("open {name}"));
            workload.ask(&format!("delete {name}"));
        })
        .collect()
}

/// Takes space in them.
fn take_in_place(workload: &mut Workload, fs: &'static str) -> Vec<Written> {
    let mut taken = Vec::new();
    for (number, (alternative, base)) in IN_PLACE.into_iter().enumerate() {
        let name = format!("{fs}-{alternative}");
        let size = 300_000 + 5001 * number;
        workload.ask(&format!("write {name} {base} {size}"));
        let before = workload.ask(&format!("sync {name}"))["allocated"].as_u64().unwrap();
        workload.ask(&format!("write {name} {alternative} 200000"));
        let truth = workload.ask(&format!("sync {name}"));
        assert_eq!(truth["size"], size, "{alternative} on {fs}");
        assert!(
            truth["allocated"].as_u64().unwrap() >= before + 196_608,
            "{alternative} on {fs}: {before}, {truth}"
        );
        taken.push(Written { fs, name, truth, shares: Vec::new() });
    }
    taken
}

#[test]
fn whatever_way_is_written_on_whatever_filesystem_nothing_is_missed() {
    let mut observer = watch();
    let (mut homes, mut opened, mut in_place) = (Vec::new(), Vec::new(), Vec::new());
    for (fs, maker, make) in FILESYSTEMS {
        if !exists(fs) {
            not_run(&format!("this kernel has no {fs}"));
            continue;
        }
        if tool::missing(maker) {
            continue;
        }
        let folder = TempDir::new(&format!("ways-{fs}"));
        let mut workload = on(&folder, make);
        let child = workload.ask("child")["child"].as_u64().unwrap() as u32;
        opened.push(open(&mut workload, fs));
        in_place.extend(open_in_place(&mut workload, fs));
        homes.push((fs, workload, child, folder));
    }
    // From then on, everything is seen from its first byte.
    let names: Vec<&String> = opened.iter().flatten().map(|(_, _, name)| name).chain(&in_place).collect();
    observer.wait_for(|report| {
        let rows = report["rows"].as_array().unwrap();
        let known = |name: &&String| {
            let end = format!("/{name}");
            rows.iter().any(|row| {
                row["path"].as_str().is_some_and(|path| path.ends_with(&end)) && !row["growth"].is_null()
            })
        };
        names.iter().all(known).then_some(())
    });
    let by_threads = workers_are_threads();
    if !by_threads {
        not_run("before Linux 5.12 threads of the kernel's own write for a ring");
    }
    let mut files = Vec::new();
    for ((fs, workload, child, _), opened) in homes.iter_mut().zip(opened) {
        for alternative in opened {
            if by_threads || !matches!(alternative.0, "uring-polled" | "uring-worker") {
                files.extend(write(workload, *child, fs, alternative));
            }
        }
        files.extend(take_in_place(workload, fs));
    }
    observer.wait_for(|report| files.iter().all(|file| file.is_told(report)).then_some(()));
    let report = observer.report();
    let unknown = files
        .iter()
        .filter_map(|file| file.row(&report))
        .any(|row| row["holders"].as_array().unwrap().iter().any(|holder| holder["written"].is_null()));
    assert_eq!(note(&report, "written-unknown").is_some(), unknown, "{:#}", report["notes"]);
    for (_, workload, ..) in homes {
        assert_eq!(workload.quit(), Some(0));
    }
}
