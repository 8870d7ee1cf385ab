//! Every write path on every kind of filesystem: the allocated bytes equal those of `statx`, and the shares of writers
//! are exact or unknown.

use observer_tests::{
    TempDir, Workload, note,
    tool::{self, not_run},
};
use serde_json::Value;

use crate::{
    disk::{holder_of, watch},
    holder_kinds::{FILESYSTEMS, exists, on},
};

/// Write paths, and whether each writes only whole blocks.
const WRITE_PATHS: [(&str, bool); 17] = [
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

/// Allocations without a change of size (reserving beyond the end, filling a hole), and the write before each.
const IN_PLACE: [(&str, &str); 2] = [("reserve", "pwrite"), ("hole", "truncate")];

/// Write paths that a filesystem may lack: shared extents, and direct I/O on a filesystem in the page cache.
fn may_refuse(fs: &str, path: &str) -> bool {
    path == "reflink" && !matches!(fs, "xfs" | "btrfs") || path.ends_with("direct") && fs == "tmpfs"
}

/// Whether io_uring's workers are threads of the process: before Linux 5.12 they are kernel threads.
fn workers_are_threads() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 12)
}

/// A deleted file after writes by one write path, by a process alone or in turns with its child.
struct Written {
    fs: &'static str,
    name: String,
    truth: Value,
    /// Processes with the growth that each caused.
    shares: Vec<(u32, u64)>,
}

impl Written {
    fn row<'a>(&self, report: &'a Value) -> Option<&'a Value> {
        let end = format!("/{}", self.name);
        let rows = report["rows"].as_array().unwrap();
        rows.iter().find(|row| row["path"].as_str().is_some_and(|path| path.ends_with(&end)))
    }

    /// Whether the report has its exact size and shares; shares may be unknown if the filesystem does not show them.
    fn is_reported(&self, report: &Value) -> bool {
        let Some(row) = self.row(report) else { return false };
        let is_exact = self.shares.len() <= 1 || matches!(self.fs, "ext4" | "xfs");
        let exact = self.shares.iter().all(|(pid, share)| {
            let Some(holder) = holder_of(row, *pid) else { return false };
            holder["written"] == *share || !is_exact && holder["written"].is_null()
        });
        exact && row["size"] == self.truth["size"] && row["allocated"] == self.truth["allocated"]
    }
}

/// Opens and deletes two files for each write path: one for the process alone, one also for its child.
fn open(workload: &mut Workload, fs: &'static str) -> Vec<(&'static str, bool, String)> {
    let mut opened = Vec::new();
    for (path, blocks) in WRITE_PATHS {
        for of in ["alone", "both"] {
            let name = format!("{fs}-{path}-{of}");
            let open = if path == "append" { "append" } else { "open" };
            workload.ask(&format!("{open} {name}"));
            if of == "both" {
                workload.ask(&format!("child {open} {name}"));
            }
            workload.ask(&format!("delete {name}"));
            opened.push((path, blocks, name));
        }
    }
    opened
}

/// Writes to a file in turns; `None` if the filesystem lacks the write path.
fn write(
    workload: &mut Workload,
    child: u32,
    fs: &'static str,
    (path, blocks, name): (&str, bool, String),
) -> Option<Written> {
    let (first, second) = if blocks { (8192, 4096) } else { (5001, 2003) };
    let answer = workload.ask(&format!("try {name} {path} {first}"));
    if let Some(why) = answer["refused"].as_str() {
        assert!(may_refuse(fs, path), "{path} on {fs}: {why}");
        return None;
    }
    let mut shares = vec![(workload.pid(), 2 * first)];
    if name.ends_with("both") {
        workload.ask(&format!("child write {name} {path} {second}"));
        shares.push((child, second));
    }
    workload.ask(&format!("write {name} {path} {first}"));
    let truth = workload.ask(&format!("sync {name}"));
    let sum: u64 = shares.iter().map(|(_, share)| share).sum();
    assert_eq!(truth["size"], sum, "{path} on {fs}");
    Some(Written { fs, name, truth, shares })
}

/// Opens and deletes a file for each allocation without a change of size.
fn open_in_place(workload: &mut Workload, fs: &'static str) -> Vec<String> {
    let names = IN_PLACE.iter().map(|(path, _)| format!("{fs}-{path}"));
    names
        .inspect(|name| {
            workload.ask(&format!("open {name}"));
            workload.ask(&format!("delete {name}"));
        })
        .collect()
}

/// Allocates space in them.
fn take_in_place(workload: &mut Workload, fs: &'static str) -> Vec<Written> {
    let mut taken = Vec::new();
    for (number, (path, base)) in IN_PLACE.into_iter().enumerate() {
        let name = format!("{fs}-{path}");
        let size = 300_000 + 5001 * number;
        workload.ask(&format!("write {name} {base} {size}"));
        let before = workload.ask(&format!("sync {name}"))["allocated"].as_u64().unwrap();
        workload.ask(&format!("write {name} {path} 200000"));
        let truth = workload.ask(&format!("sync {name}"));
        assert_eq!(truth["size"], size, "{path} on {fs}");
        assert!(
            truth["allocated"].as_u64().unwrap() >= before + 196_608,
            "{path} on {fs}: {before}, {truth}"
        );
        taken.push(Written { fs, name, truth, shares: Vec::new() });
    }
    taken
}

#[test]
fn every_write_path_on_every_filesystem_is_exact() {
    let mut observer = watch();
    let (mut workloads, mut opened, mut in_place) = (Vec::new(), Vec::new(), Vec::new());
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
        workloads.push((fs, workload, child, folder));
    }
    // From now on, every byte is seen.
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
        not_run("before Linux 5.12 kernel threads write for io_uring");
    }
    let mut files = Vec::new();
    for ((fs, workload, child, _), opened) in workloads.iter_mut().zip(opened) {
        for path in opened {
            if by_threads || !matches!(path.0, "uring-polled" | "uring-worker") {
                files.extend(write(workload, *child, fs, path));
            }
        }
        files.extend(take_in_place(workload, fs));
    }
    observer.wait_for(|report| files.iter().all(|file| file.is_reported(report)).then_some(()));
    let report = observer.report();
    let unknown = files
        .iter()
        .filter_map(|file| file.row(&report))
        .any(|row| row["holders"].as_array().unwrap().iter().any(|holder| holder["written"].is_null()));
    assert_eq!(note(&report, "written-unknown").is_some(), unknown, "{:#}", report["notes"]);
    for (_, workload, ..) in workloads {
        assert_eq!(workload.quit(), Some(0));
    }
}
