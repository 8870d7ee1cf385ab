//! Every kind of holder on every kind of filesystem: each file is found with the size of `statx`. Other tools are
//! compared.

use std::{collections::BTreeSet, io::Write as _, process::Command};

use observer_tests::{
    Observer, TempDir, Workload,
    tool::{self, not_run},
    workload_path,
};
use serde_json::Value;

use crate::disk::{holders, watch, without_inode_lists};

/// Filesystems: name, the program that creates it, and a shell script for a new mount namespace, in the test's folder.
/// The script mounts the filesystem at `point`.
pub const FILESYSTEMS: [(&str, &str, &str); 5] = [
    ("ext4", "mkfs.ext4", "mkfs.ext4 -q image; mount -o loop image point"),
    ("xfs", "mkfs.xfs", "mkfs.xfs -q image; mount -o loop image point"),
    ("btrfs", "mkfs.btrfs", "mkfs.btrfs -q image; mount -o loop image point"),
    ("tmpfs", "sh", "mount -t tmpfs none point"),
    (
        "overlay",
        "mkfs.ext4",
        "mkfs.ext4 -q image; mkdir below; mount -o loop image below; mkdir below/l below/u below/w
         mount -t overlay -o lowerdir=below/l,upperdir=below/u,workdir=below/w none point",
    ),
];

/// Kinds of holding: the workload's command, and the expected `how`.
const HOLDS: [(&str, &str); 8] = [
    ("open", "fd"),
    ("append", "fd"),
    ("dup", "fd"),
    ("thread", "fd"),
    ("map", "mmap"),
    ("register", "io_uring"),
    ("send", "in_flight"),
    ("loop", "loop"),
];

/// Whether the kernel has the filesystem, after an attempt to load its module.
pub fn exists(fs: &str) -> bool {
    let known = || {
        let list = std::fs::read_to_string("/proc/filesystems").unwrap();
        list.lines().any(|line| line.split_whitespace().last() == Some(fs))
    };
    known() || Command::new("modprobe").arg(fs).status().is_ok_and(|status| status.success()) && known()
}

/// A workload with its own filesystem, which disappears with it.
pub fn on(folder: &TempDir, make: &str) -> Workload {
    let script = format!(
        "set -e; cd \"$0\"; mkdir point; truncate -s 400M image\n{{ {make}\n}} >&2; exec \"$1\" disk files \"$0/point\""
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).arg(folder.path()).arg(workload_path());
    Workload::spawn(command)
}

/// A deleted file, and how it should be shown.
struct DeletedFile {
    fs: &'static str,
    how: &'static str,
    truth: Value,
    holder: Value,
}

impl DeletedFile {
    /// Its row. All sizes differ, because on btrfs and overlays the numbers of `statx` are not those of the kernel.
    fn row<'a>(&self, report: &'a Value) -> Option<&'a Value> {
        let rows = report["rows"].as_array().unwrap();
        let mut rows = rows.iter().filter(|row| row["size"] == self.truth["size"] && row["fs"] == self.fs);
        let first = rows.next()?;
        assert!(rows.next().is_none(), "one row an inode: {report:#}");
        Some(first)
    }

    fn is_threads(&self) -> bool {
        self.truth["way"] == "thread"
    }

    fn is_shown(&self, report: &Value) -> bool {
        let Some(row) = self.row(report) else { return false };
        let right = |holder: &&Value| {
            holder["how"] == self.how && (holder["pid"] == self.holder || holder["device"] == self.holder)
        };
        holders(row).len() == 1
            && holders(row).iter().any(right)
            && row["size"] == self.truth["size"]
            && row["allocated"] == *self.allocated()
    }

    /// The expected blocks. They are unknown if the filesystem is a module without type information and `statx` cannot
    /// reach the file.
    fn allocated(&self) -> &Value {
        let beside = match (self.fs, self.truth["way"].as_str().unwrap()) {
            ("xfs", "register" | "send" | "loop") => "XFS_BLOCKS",
            ("overlay", "loop") => "OVERLAY_UPPER",
            _ => return &self.truth["allocated"],
        };
        if tool::has_field(beside) { &self.truth["allocated"] } else { &Value::Null }
    }
}

/// Creates the deleted files of one filesystem.
fn delete_files(workload: &mut Workload, fs: &'static str, number: usize) -> Vec<DeletedFile> {
    let mut files = Vec::new();
    for (place, (way, how)) in HOLDS.into_iter().enumerate() {
        let name = format!("{fs}-{way}");
        // Another run of the same test may happen at the same time.
        let size = 70_000 + number * 100 + place + 1000 * (std::process::id() as usize % 500);
        let open = if way == "append" { "append" } else { "open" };
        workload.ask(&format!("{open} {name}"));
        let write = if way == "append" { "append" } else { "pwrite" };
        workload.ask(&format!("write {name} {write} {size}"));
        workload.ask(&format!("sync {name}"));
        let mut truth = workload.ask(&format!("delete {name}"));
        truth["way"] = Value::from(way);
        let mut holder = Value::from(workload.pid());
        match way {
            "open" | "append" => {}
            "loop" => holder = workload.ask(&format!("loop {name}"))["through"].clone(),
            way => drop(workload.ask(&format!("{way} {name}"))),
        }
        files.push(DeletedFile { fs, how, truth, holder });
    }
    files
}

/// The number of the files that a tool shows, by their sizes in its output.
fn shown_by(command: &str, arguments: &[&str], files: &[DeletedFile]) -> Option<usize> {
    let output = Command::new(command).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: BTreeSet<&str> = text.split_whitespace().collect();
    let shown = files.iter().filter(|file| words.contains(file.truth["size"].to_string().as_str()));
    Some(shown.count())
}

#[test]
fn every_holder_is_found_on_every_filesystem_and_its_size_is_exact() {
    let mut observer = watch();
    if without_inode_lists(&observer.report()) {
        return;
    }
    let mut workloads = Vec::new();
    let mut files = Vec::new();
    for (number, (fs, maker, make)) in FILESYSTEMS.into_iter().enumerate() {
        if !exists(fs) {
            not_run(&format!("this kernel has no {fs}"));
            continue;
        }
        if tool::missing(maker) {
            continue;
        }
        let folder = TempDir::new(&format!("zoo-{fs}"));
        let mut workload = on(&folder, make);
        files.extend(delete_files(&mut workload, fs, number));
        workloads.push((workload, folder));
    }
    observer.wait_for(|report| files.iter().all(|file| file.is_shown(report)).then_some(()));
    let report = observer.report();
    for file in &files {
        let row = file.row(&report).unwrap();
        // Nothing is shared here. That is known for files with a descriptor, and on filesystems without shared extents.
        let unshared = matches!(file.fs, "ext4" | "tmpfs");
        // Before Linux 6.9 a descriptor in a thread's own table is not accessible.
        if unshared || file.how == "fd" && !file.is_threads() {
            assert_eq!(row["reclaimable"], row["allocated"], "{row:#}");
        } else if !file.is_threads() {
            assert_eq!(row["reclaimable"], Value::Null, "{row:#}");
        }
    }
    let lsof = shown_by("lsof", &["+L1", "-n", "-P", "-w"], &files);
    let lsfd = shown_by("lsfd", &["-o", "SIZE", "-Q", "NLINK == 0"], &files);
    let shown = |count: Option<usize>| count.map_or("not installed".to_owned(), |count| count.to_string());
    let _ = writeln!(
        std::io::stderr(),
        "of {} deleted files: observer {}, lsof +L1 {}, lsfd {}",
        files.len(),
        files.len(),
        shown(lsof),
        shown(lsfd),
    );
    for (workload, _folder) in workloads {
        assert_eq!(workload.quit(), Some(0));
    }
    observer.wait_for(|report| files.iter().all(|file| file.row(report).is_none()).then_some(()));
}

/// Free bytes in the filesystem of a workload, which is in its own mount namespace.
fn free(workload: &Workload, folder: &TempDir) -> u64 {
    let path = format!("/proc/{}/root{}/point", workload.pid(), folder.path().display());
    let point = std::fs::File::open(path).unwrap();
    // Freed space counts after write-back.
    rustix::fs::syncfs(&point).unwrap();
    let stat = rustix::fs::fstatvfs(&point).unwrap();
    stat.f_bfree * stat.f_frsize
}

/// Deletes a file with `shared` shared bytes, and waits until the other bytes are reported as reclaimable.
fn reclaimable(
    observer: &mut Observer,
    workload: &mut Workload,
    (fs, name): (&str, &str),
    shared: u64,
) -> u64 {
    let size = workload.ask(&format!("delete {name}"))["size"].clone();
    observer.wait_for(|report| {
        let allocated = workload.ask(&format!("stat {name}"))["allocated"].as_u64().unwrap();
        let mut rows = report["rows"].as_array().unwrap().iter();
        let row = rows.find(|row| row["fs"] == fs && row["size"] == size)?;
        let own = allocated - shared;
        (row["allocated"] == allocated && row["reclaimable"] == own).then_some(own)
    })
}

#[test]
fn only_unshared_blocks_are_reclaimable() {
    const WHOLE: u64 = 8 << 20;
    const OWN: u64 = 4 << 20;
    let mut observer = watch();
    for (fs, maker, make) in FILESYSTEMS {
        if !matches!(fs, "xfs" | "btrfs") {
            continue;
        }
        if !exists(fs) {
            not_run(&format!("this kernel has no {fs}"));
            continue;
        }
        if tool::missing(maker) {
            continue;
        }
        let folder = TempDir::new(&format!("shared-{fs}"));
        let mut workload = on(&folder, make);
        workload.ask("open f");
        workload.ask(&format!("write f pwrite {WHOLE}"));
        workload.ask("sync f");
        workload.ask("clone g f");
        workload.ask(&format!("write f pwrite {OWN}"));
        workload.ask("sync f");
        let own = reclaimable(&mut observer, &mut workload, (fs, "f"), WHOLE);
        assert!((OWN..WHOLE).contains(&own), "{own}");
        let before = free(&workload, &folder);
        workload.ask("close f");
        observer.wait_for(|_| (free(&workload, &folder) >= before + own).then_some(()));
        let between = free(&workload, &folder);
        assert!(between < before + own + WHOLE / 2, "what is shared stays: {between} after {before}");
        // The shared extents now belong only to the other file.
        let rest = reclaimable(&mut observer, &mut workload, (fs, "g"), 0);
        assert!(rest >= WHOLE, "{rest}");
        workload.ask("close g");
        observer.wait_for(|_| (free(&workload, &folder) >= between + rest).then_some(()));
        assert_eq!(workload.quit(), Some(0));
    }
}

/// Runs the command between the backticks of a sentence.
fn run_command(sentence: &str) {
    let command = sentence.split('`').nth(1).unwrap_or_else(|| panic!("no command in: {sentence}"));
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}

#[test]
fn the_suggested_command_frees_the_file() {
    let mut observer = watch();
    for (fs, maker, make) in FILESYSTEMS {
        if fs == "overlay" || tool::missing(maker) {
            continue;
        }
        if !exists(fs) {
            not_run(&format!("this kernel has no {fs}"));
            continue;
        }
        let folder = TempDir::new(&format!("free-{fs}"));
        let mut workload = on(&folder, make);
        // By path, because on btrfs the device of `statx` is not that of the kernel.
        let path = folder.file("point/f").into_os_string().into_string().unwrap();
        let row = |report: &Value| -> Option<Value> {
            report["rows"].as_array().unwrap().iter().find(|row| row["path"] == path).cloned()
        };
        for open in ["append", "open"] {
            workload.ask(&format!("{open} f"));
            let write = if open == "append" { "append" } else { "write" };
            workload.ask(&format!("write f {write} 8388608"));
            workload.ask("sync f");
            let truth = workload.ask("delete f");
            let found = observer.wait_for(|report| {
                row(report)
                    .filter(|row| row["inode"] == truth["inode"] && row["reclaimable"] == truth["allocated"])
            });
            let sentence = found["reclaim"].as_str().unwrap().to_owned();
            let before = free(&workload, &folder);
            let expected = before + truth["allocated"].as_u64().unwrap();
            if open == "append" {
                run_command(&sentence);
                observer.wait_for(|report| row(report).filter(|row| row["allocated"] == 0).map(drop));
                assert_eq!(workload.ask("write f append 10")["size"], 10, "the writer continues at the end");
                workload.ask("close f");
            } else {
                assert!(sentence.starts_with("end or restart"), "{sentence}");
                assert!(sentence.contains("with a hole"), "{sentence}");
                // According to the warning, the space is free, and the size returns with the next write.
                let fd = &truth["fds"][0];
                run_command(&format!("`truncate -s 0 /proc/{}/fd/{fd}`", workload.pid()));
                assert_eq!(workload.ask("stat f")["allocated"], 0);
                let after = workload.ask("write f write 10");
                assert_eq!(after["size"], 8_388_618, "it writes where it was");
                assert!(after["allocated"].as_u64().unwrap() < 100_000, "{after}");
                workload.ask("close f");
            }
            // A journal frees space with its next commit.
            observer.wait_for(|_| (free(&workload, &folder) >= expected).then_some(()));
        }
        assert_eq!(workload.quit(), Some(0));
    }
}
