//! Every holder on every kind of filesystem: each is found, each size is what `statx` says, and other tools beside it.

use std::{collections::BTreeSet, io::Write as _, process::Command};

use observer_tests::{
    Observer, TempDir, Workload,
    tool::{self, not_run},
    workload_path,
};
use serde_json::Value;

use crate::disk::{holders, is_blind, watch};

/// What each filesystem is made by: the program that makes it, and the shell's words in a mount namespace of its own, where
/// the folder of the test is at hand. They leave the filesystem at `point`.
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

/// How a file is held, and as what it is to be shown.
const WAYS: [(&str, &str); 8] = [
    ("open", "fd"),
    ("append", "fd"),
    ("dup", "fd"),
    ("thread", "fd"),
    ("map", "mmap"),
    ("register", "io_uring"),
    ("send", "in_flight"),
    ("loop", "loop"),
];

/// Whether the kernel has the filesystem, or brings it when it is asked to.
pub fn exists(fs: &str) -> bool {
    let known = || {
        let list = std::fs::read_to_string("/proc/filesystems").unwrap();
        list.lines().any(|line| line.split_whitespace().last() == Some(fs))
    };
    known() || Command::new("modprobe").arg(fs).status().is_ok_and(|status| status.success()) && known()
}

/// A workload whose files are in a filesystem of its own, of which nothing is left when it has ended.
pub fn on(folder: &TempDir, make: &str) -> Workload {
    let script = format!(
        "set -e; cd \"$0\"; mkdir point; truncate -s 400M image\n{{ {make}\n}} >&2; exec \"$1\" disk files \"$0/point\""
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).arg(folder.path()).arg(workload_path());
    Workload::spawn(command)
}

/// A file that no directory names, and how it should be shown.
struct Animal {
    fs: &'static str,
    how: &'static str,
    truth: Value,
    holder: Value,
}

impl Animal {
    /// The row about it. Sizes are all different: on btrfs and overlays `statx` gives other numbers than the kernel has.
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

    /// What is known of its blocks: all, but where its filesystem is a module, whose types tell nothing, and there is no way
    /// to it by which `statx` could be asked.
    fn allocated(&self) -> &Value {
        let beside = match (self.fs, self.truth["way"].as_str().unwrap()) {
            ("xfs", "register" | "send" | "loop") => "XFS_BLOCKS",
            ("overlay", "loop") => "OVERLAY_UPPER",
            _ => return &self.truth["allocated"],
        };
        if tool::has_field(beside) { &self.truth["allocated"] } else { &Value::Null }
    }
}

/// Makes the animals of one filesystem.
fn settle(workload: &mut Workload, fs: &'static str, number: usize) -> Vec<Animal> {
    let mut animals = Vec::new();
    for (place, (way, how)) in WAYS.into_iter().enumerate() {
        let name = format!("{fs}-{way}");
        // Others may run such a test at the same time.
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
        animals.push(Animal { fs, how, truth, holder });
    }
    animals
}

/// How many of the animals a tool tells of, which writes a file's size in some column of its line.
fn told(command: &str, arguments: &[&str], animals: &[Animal]) -> Option<usize> {
    let output = Command::new(command).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: BTreeSet<&str> = text.split_whitespace().collect();
    let told = animals.iter().filter(|animal| words.contains(animal.truth["size"].to_string().as_str()));
    Some(told.count())
}

#[test]
fn every_holder_is_found_on_every_filesystem_and_its_size_is_exact() {
    let mut observer = watch();
    if is_blind(&observer.report()) {
        return;
    }
    let mut homes = Vec::new();
    let mut animals = Vec::new();
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
        animals.extend(settle(&mut workload, fs, number));
        homes.push((workload, folder));
    }
    observer.wait_for(|report| animals.iter().all(|animal| animal.is_shown(report)).then_some(()));
    let report = observer.report();
    for animal in &animals {
        let row = animal.row(&report).unwrap();
        // Nothing is shared here, which is known of what a descriptor leads to, and where nothing can be.
        let unshared = matches!(animal.fs, "ext4" | "tmpfs");
        // Before Linux 6.9 no descriptor of a thread's own table can be had.
        if unshared || animal.how == "fd" && !animal.is_threads() {
            assert_eq!(row["reclaimable"], row["allocated"], "{row:#}");
        } else if !animal.is_threads() {
            assert_eq!(row["reclaimable"], Value::Null, "{row:#}");
        }
    }
    let lsof = told("lsof", &["+L1", "-n", "-P", "-w"], &animals);
    let lsfd = told("lsfd", &["-o", "SIZE", "-Q", "NLINK == 0"], &animals);
    let shown = |told: Option<usize>| told.map_or("not here".to_owned(), |told| told.to_string());
    let _ = writeln!(
        std::io::stderr(),
        "of {} files without a name: observer {}, lsof +L1 {}, lsfd {}",
        animals.len(),
        animals.len(),
        shown(lsof),
        shown(lsfd),
    );
    for (workload, _folder) in homes {
        assert_eq!(workload.quit(), Some(0));
    }
    observer.wait_for(|report| animals.iter().all(|animal| animal.row(report).is_none()).then_some(()));
}

/// Bytes that are free in the filesystem of a workload, which is in a mount namespace of its own.
fn free(workload: &Workload, folder: &TempDir) -> u64 {
    let path = format!("/proc/{}/root{}/point", workload.pid(), folder.path().display());
    let point = std::fs::File::open(path).unwrap();
    // What has been freed is counted when it is written down.
    rustix::fs::syncfs(&point).unwrap();
    let stat = rustix::fs::fstatvfs(&point).unwrap();
    stat.f_bfree * stat.f_frsize
}

/// Deletes a file of which so many bytes are shared, and waits until all the others are told to come back.
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
fn of_blocks_that_files_share_only_the_rest_comes_back() {
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
        // What was shared is the other's alone now.
        let rest = reclaimable(&mut observer, &mut workload, (fs, "g"), 0);
        assert!(rest >= WHOLE, "{rest}");
        workload.ask("close g");
        observer.wait_for(|_| (free(&workload, &folder) >= between + rest).then_some(()));
        assert_eq!(workload.quit(), Some(0));
    }
}

/// Runs what a sentence puts between backticks.
fn carry_out(sentence: &str) {
    let command = sentence.split('`').nth(1).unwrap_or_else(|| panic!("no command in: {sentence}"));
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}

#[test]
fn what_is_said_to_free_a_file_frees_it() {
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
        // By its path: on btrfs `statx` names another device than the kernel has.
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
                carry_out(&sentence);
                observer.wait_for(|report| row(report).filter(|row| row["allocated"] == 0).map(drop));
                assert_eq!(
                    workload.ask("write f append 10")["size"],
                    10,
                    "whoever writes goes on at the end"
                );
                workload.ask("close f");
            } else {
                assert!(sentence.starts_with("end or restart"), "{sentence}");
                assert!(sentence.contains("as a hole"), "{sentence}");
                // What it warns of comes true: the space is back, and the size with the next write.
                let fd = &truth["fds"][0];
                carry_out(&format!("`truncate -s 0 /proc/{}/fd/{fd}`", workload.pid()));
                assert_eq!(workload.ask("stat f")["allocated"], 0);
                let after = workload.ask("write f write 10");
                assert_eq!(after["size"], 8_388_618, "it writes where it was");
                assert!(after["allocated"].as_u64().unwrap() < 100_000, "{after}");
                workload.ask("close f");
            }
            // Journals free what they freed with their next commit.
            observer.wait_for(|_| (free(&workload, &folder) >= expected).then_some(()));
        }
        assert_eq!(workload.quit(), Some(0));
    }
}
