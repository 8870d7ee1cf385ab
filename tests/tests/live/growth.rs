//! Tests of `disk`: growing files, their writers, and growth accounting of filesystems.
//!
//! A test creates filesystems in its own mount namespace, where observer runs as well. A filesystem that this kernel or
//! machine lacks is reported as not run.

use std::{os::unix::ffi::OsStrExt as _, path::Path, process::Command, time::Duration};

use observer_tests::{
    observer::Observer,
    place::TempDir,
    report::{note, number},
    require_root, tool,
    workload::Workload,
    workload_path,
};
use serde_json::{Value, json};

const ARGUMENTS: [&str; 7] = ["disk", "--json", "--interval", "0.2", "--budget", "100", "--window"];

fn watch() -> Observer {
    require_root();
    Observer::start(&[&ARGUMENTS[..], &["600"]].concat())
}

/// A workload in the folder `point` of `folder`, where the script `make` mounts a filesystem in a new mount namespace,
/// and an observer in that namespace.
pub fn on(folder: &TempDir, make: &str) -> (Workload, Observer) {
    on_with(folder, make, &[&ARGUMENTS[..], &["600"]].concat())
}

/// The same with these arguments for observer.
pub fn on_with(folder: &TempDir, make: &str, arguments: &[&str]) -> (Workload, Observer) {
    require_root();
    let script =
        format!("set -e; cd \"$0\"; mkdir point; {{ {make}; }} >&2; exec \"$1\" disk files \"$0/point\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).arg(folder.path()).arg(workload_path());
    let workload = Workload::spawn(command);
    let inner = Observer::command(arguments);
    let mut command = Command::new("nsenter");
    command.args(["-t", &workload.pid().to_string(), "-m"]).arg(inner.get_program()).args(inner.get_args());
    (workload, Observer::spawn(command))
}

/// A workload with files in `folder`.
pub fn files(folder: &Path) -> Workload {
    Workload::start(&["disk", "files", folder.to_str().unwrap()])
}

fn table<'a>(report: &'a Value, name: &str) -> &'a [Value] {
    report[name].as_array().unwrap()
}

/// The workload's file among those of the process `pid`.
pub fn file_of<'a>(report: &'a Value, pid: u32, truth: &Value) -> Option<&'a Value> {
    let writer = table(report, "writers").iter().find(|row| row["pid"] == pid)?;
    writer["files"].as_array()?.iter().find(|file| file["inode"] == truth["inode"])
}

/// The row about the filesystem that is mounted at `point`.
pub fn filesystem<'a>(report: &'a Value, point: &Path) -> Option<&'a Value> {
    let point = point.to_str().unwrap();
    table(report, "filesystems").iter().find(|row| row["mount"] == point)
}

/// Two processes write to one file in turns, by every write path: the shares are exact to the byte.
fn shares_are_exact(workload: &mut Workload, observer: &mut Observer) {
    observer.report();
    workload.ask("open f");
    workload.ask("write f pwrite 4096");
    let child = workload.ask("child")["child"].as_u64().unwrap() as u32;
    let (mut own, mut childs) = (4096, 0);
    for way in [
        "direct",
        "pwrite",
        "writev",
        "aio",
        "uring",
        "mmap",
        "fallocate",
        "truncate",
        "sendfile",
        "splice",
        "copy",
    ] {
        let (first, second) = if way == "direct" { (8192, 4096) } else { (1001, 2003) };
        workload.ask(&format!("write f {way} {first}"));
        workload.ask(&format!("child write f {way} {second}"));
        workload.ask(&format!("write f pwrite {first}"));
        own += 2 * first;
        childs += second;
        let truth = workload.ask("stat f");
        assert_eq!(truth["size"], own + childs, "{way}");
        observer.wait_for(|report| {
            let written = |pid| file_of(report, pid, &truth)?["written"].as_u64();
            (written(workload.pid()) == Some(own) && written(child) == Some(childs)).then_some(())
        });
    }
}

#[test]
fn two_writers_of_a_file_have_exact_shares_for_every_write_path() {
    let folder = TempDir::new("growth-writers");
    shares_are_exact(&mut files(folder.path()), &mut watch());
}

#[test]
fn two_writers_of_an_xfs_file_have_exact_shares() {
    // Only iomap shows them.
    if tool::missing("mkfs.xfs") || tool::ruled_out("disk.work", 2) {
        return;
    }
    let folder = TempDir::new("growth-xfs");
    let make = "truncate -s 400M image; mkfs.xfs -q image; mount -o loop image point";
    let (mut workload, mut observer) = on(&folder, make);
    shares_are_exact(&mut workload, &mut observer);
}

#[test]
fn every_file_of_a_writer_has_its_growth_and_its_path() {
    let folder = TempDir::new("growth-files");
    let (mut workload, mut observer) = (files(folder.path()), watch());
    observer.report();
    for (name, shown) in [("log", "log"), ("a\\x0ab\\xff\\x20(deleted)", "a\\x0ab\\xff (deleted)")] {
        workload.ask(&format!("open {name}"));
        workload.ask(&format!("write {name} pwrite 70001"));
        let truth = workload.ask(&format!("write {name} writev 5000"));
        // Closed at once, as by a shell's `>>`.
        workload.ask(&format!("close {name}"));
        let path = folder.file(shown);
        let path = String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned();
        let found = observer.wait_for(|report| {
            let file = file_of(report, workload.pid(), &truth)?;
            (file["written"] == 75_001 && !file["path"].is_null()).then(|| file.clone())
        });
        assert_eq!((&found["path"], &found["deleted"]), (&json!(path), &json!(false)));
    }
}

#[test]
fn growth_accounting_of_a_filesystem_adds_up() {
    if tool::missing("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new("growth-account");
    let make = "truncate -s 200M image; mkfs.ext4 -q -b 4096 image; mount -o loop image point; \
                head -c 3000000 /dev/zero > point/before; sync -f point";
    let (mut workload, mut observer) = on(&folder, make);
    let point = folder.file("point");
    observer.report();
    let mut wait = |what: &str, named: i64, nameless: i64| {
        let row = observer.wait_for(|report| {
            let row = filesystem(report, &point)?;
            let is = |column: &str, value: i64| row[column].as_i64() == Some(value);
            (is("growth_files", named) && is("growth_deleted", nameless)).then(|| row.clone())
        });
        let parts = ["growth_files", "growth_deleted", "unexplained"];
        let sum: f64 = parts.iter().map(|part| number(&row, part).unwrap()).sum();
        assert_eq!(number(&row, "growth"), Some(sum), "{what}: {row:#}");
        // Only the folder, the block bitmap and extent trees are not in files.
        assert!(number(&row, "unexplained").unwrap().abs() <= 65_536.0, "{what}: {row:#}");
    };
    let ways = [("pwrite", 5_000_000), ("fallocate", 1_000_000), ("direct", 65_536), ("mmap", 300_000)];
    // Only this alternative sees a file that is written only with direct I/O.
    let is_seen = |(way, _): &(&str, usize)| *way != "direct" || tool::has_alternative("disk.work", 2);
    let ways: Vec<(&str, usize)> = ways.into_iter().filter(is_seen).collect();
    for (way, bytes) in &ways {
        workload.ask(&format!("open {way}"));
        workload.ask(&format!("write {way} {way} {bytes}"));
    }
    let taken = |workload: &mut Workload, name: &str| {
        workload.ask(&format!("stat {name}"))["allocated"].as_i64().unwrap()
    };
    let sum: i64 = ways.iter().map(|(way, _)| taken(&mut workload, way)).sum();
    wait("four files are written", sum, 0);
    workload.ask("delete pwrite");
    workload.ask("write pwrite pwrite 100000");
    let held = taken(&mut workload, "pwrite");
    let rest: i64 = ways[1..].iter().map(|(way, _)| taken(&mut workload, way)).sum();
    wait("one is deleted and goes on growing", rest, held);
    workload.ask("close pwrite");
    wait("it is freed", rest, 0);
    // Written before observation began.
    std::fs::remove_file(format!("/proc/{}/root{}/before", workload.pid(), point.display())).unwrap();
    wait("a file without a descriptor is deleted", rest - 3_002_368, 0);
}

#[test]
fn filesystems_of_other_mount_namespaces_are_reported() {
    let mut homes = Vec::new();
    for (fs, make) in [
        ("ext4", "truncate -s 200M image; mkfs.ext4 -q image; mount -o loop image point"),
        ("tmpfs", "mount -t tmpfs none point"),
    ] {
        if fs == "ext4" && tool::missing("mkfs.ext4") {
            continue;
        }
        let folder = TempDir::new(&format!("growth-elsewhere-{fs}"));
        // The observer in that namespace is not used here.
        let (mut workload, _) = on(&folder, make);
        workload.ask("open f");
        workload.ask("write f pwrite 300000");
        homes.push((fs, workload, folder));
    }
    let mut observer = watch();
    for (fs, mut workload, folder) in homes {
        let point = folder.file("point");
        let there = format!("/proc/{}/root{}", workload.pid(), point.display());
        let row = |report: &Value| filesystem(report, Path::new(&there)).cloned();
        observer.wait_for(|report| {
            let row = row(report)?;
            let stat = rustix::fs::statvfs(there.as_str()).unwrap();
            let is = |column: &str, blocks: u64| row[column] == blocks * stat.f_frsize;
            let exact = is("size", stat.f_blocks)
                && is("used", stat.f_blocks - stat.f_bfree)
                && is("available", stat.f_bavail);
            exact.then_some(())
        });
        // Only growth from now on is accounted.
        workload.ask("open g");
        workload.ask("write g pwrite 5000000");
        let truth = workload.ask("sync g");
        observer.wait_for(|report| {
            let file = file_of(report, workload.pid(), &truth)?;
            let row = row(report)?;
            let reported = file["path"] == format!("{there}/g")
                && file["written"] == truth["size"]
                && row["growth_files"] == truth["allocated"];
            (reported || fs == "tmpfs" && tool::ruled_out("disk.work", 1)).then_some(())
        });
        assert_eq!(workload.quit(), Some(0));
        observer.wait_for(|report| row(report).is_none().then_some(()));
    }
}

#[test]
fn in_ram_writers_in_turns_are_known_and_writers_at_once_are_unattributed() {
    if tool::ruled_out("disk.work", 1) {
        return;
    }
    let folder = TempDir::new("growth-ram");
    let (mut workload, mut observer) = on(&folder, "mount -t tmpfs none point");
    let notes = &observer.report()["notes"];
    assert!(!notes.to_string().contains("files in RAM"), "the plan has them: {notes:#}");
    for (name, way) in [("w", "uring-worker"), ("p", "uring-polled"), ("a", "aio"), ("f", "pwrite")] {
        workload.ask(&format!("open {name}"));
        let truth = workload.ask(&format!("write {name} {way} 50000"));
        observer.wait_for(|report| {
            let file = file_of(report, workload.pid(), &truth)?;
            let path = folder.file("point").join(name);
            (file["written"] == 50_000 && file["path"] == path.to_str().unwrap()).then_some(())
        });
    }
    // In turns, the shares are known.
    let child = workload.ask("child")["child"].as_u64().unwrap() as u32;
    std::thread::sleep(Duration::from_millis(100));
    let truth = workload.ask("child write f pwrite 1000");
    observer.wait_for(|report| {
        let written = |pid| file_of(report, pid, &truth)?["written"].as_u64();
        (written(workload.pid()) == Some(50_000) && written(child) == Some(1000)).then_some(())
    });
    // At once, they are not; the file is named all the same.
    observer.wait_for(|report| {
        let truth = workload.ask("write f pwrite 1000");
        workload.ask("child write f pwrite 1000");
        let files = filesystem(report, &folder.file("point"))?["files"].as_array()?;
        let file = files.iter().find(|file| file["inode"] == truth["inode"])?;
        let unattributed = report["totals"]["unattributed"].as_u64()?;
        let named = file["path"] == folder.file("point").join("f").to_str().unwrap();
        (named
            && unattributed >= 51_000
            && file["unattributed"] == unattributed
            && note(report, "writers-unknown").is_some())
        .then_some(())
    });
    observer.wait_for(|report| {
        let row = filesystem(report, &folder.file("point"))?;
        (row["growth"] == row["growth_files"]).then_some(())
    });
    let row = observer.report();
    let row = filesystem(&row, &folder.file("point")).unwrap();
    assert_eq!((&row["growth"], &row["unexplained"]), (&row["growth_files"], &json!(0)), "{row:#}");
}

#[test]
fn an_exited_writer_is_in_one_report() {
    let folder = TempDir::new("growth-ended");
    let mut observer = watch();
    observer.report();
    let path = folder.file("left");
    let script =
        format!("i=0; while [ $i -lt 50 ]; do echo 0123456789; i=$((i+1)); done >> {}", path.display());
    let mut child = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    let pid = child.id();
    assert!(child.wait().unwrap().success());
    let row = |report: &Value| table(report, "writers").iter().find(|row| row["pid"] == pid).cloned();
    // Reports in progress may be older than its exit.
    let last = observer.wait_for(|report| row(report).filter(|row| row["ended"] == true));
    assert_eq!((&last["ended"], &last["comm"], &last["written"]), (&json!(true), &json!("sh"), &json!(550)));
    assert_eq!(last["files"][0]["path"], path.to_str().unwrap(), "{last:#}");
    observer.wait_for(|report| row(report).is_none().then_some(()));
}

#[test]
fn only_a_log_that_grows_line_by_line_gets_the_note() {
    let folder = TempDir::new("growth-log");
    let (mut workload, mut observer) = (files(folder.path()), watch());
    observer.report();
    for name in ["log", "data", "table", "once"] {
        workload.ask(&format!("append {name}"));
    }
    workload.ask("open table");
    workload.ask("write table pwrite 100000");
    // Enough lines for a log, but all at once.
    workload.ask("write once lines 1200000");
    let reported = |report: &Value| {
        let notes = report["notes"].as_array().unwrap().iter().filter(|note| note["code"] == "small-appends");
        let texts = notes.map(|note| note["text"].as_str().unwrap().to_owned());
        texts.filter(|text| text.contains(folder.path().to_str().unwrap())).collect::<Vec<_>>()
    };
    let mut lines = 0;
    let notes = observer.wait_for(|report| {
        // All of them change with each report.
        workload.ask("write log lines 300000");
        lines += 3000;
        workload.ask("write data append 400000");
        workload.ask("write table over 300000");
        workload.ask("write table pwrite 300000");
        Some(reported(report)).filter(|notes| !notes.is_empty())
    });
    let [note] = notes.as_slice() else { panic!("{notes:#?}") };
    assert!(note.starts_with(folder.file("log").to_str().unwrap()), "{note}");
    let appends: u64 = note.split(" in ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    // One more if the writer moved to another processor.
    assert!(appends >= 1000 && appends <= lines + lines / 10, "{appends} of {lines}: {note}");
    assert!(note.ends_with(" on average by workload: a log that grows line by line."), "{note}");
}

#[test]
fn patterns_that_fill_disks_get_notes() {
    let folder = TempDir::new("growth-patterns");
    let mut observer = watch();
    observer.report();
    // The disk with the build has a folder `tmp` for tests.
    let (log, left) = (folder.file("log"), folder.file("left"));
    for _ in 0..3 {
        let script = format!("echo started >> {}", log.display());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    }
    assert!(
        Command::new("dd")
            .args(["if=/dev/zero", "bs=1000", "count=2000", "status=none"])
            .arg(format!("of={}", left.display()))
            .status()
            .unwrap()
            .success()
    );
    let mut missing = vec![("restarted-writer", &log), ("left-behind", &left)];
    observer.wait_for(|report| {
        let notes = report["notes"].as_array()?;
        missing.retain(|(code, path)| {
            let about = if *code == "left-behind" { folder.path() } else { path.as_path() };
            let about = about.to_str().unwrap();
            !notes.iter().any(|note| note["code"] == *code && note["text"].as_str().unwrap().contains(about))
        });
        missing.is_empty().then_some(())
    });
}
