//! Tests of `disk --deleted-open` with workloads that count their own truth.
//!
//! The disk is the one with the build, which must be ext4 for growth attributed to one of several writers. RAM is
//! `/dev/shm`.

use std::{
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use observer_tests::{
    observer::Observer,
    place::TempDir,
    report::{note, number, rows},
    require_root,
    tool::{self, ruled_out},
    workload::Workload,
    workload_path,
};
use serde_json::{Value, json};

/// A folder in RAM, removed on drop.
pub struct RamDir(pub PathBuf);

impl RamDir {
    pub fn new(name: &str) -> Self {
        let path = Path::new("/dev/shm").join(format!("observer-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for RamDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether inode lists cannot be read on this kernel: before 5.17, and under lockdown. Otherwise asserts that the
/// observer of `report` reads them.
pub fn without_inode_lists(report: &Value) -> bool {
    if ruled_out("disk.inodes", 1) {
        return true;
    }
    let notes = &report["notes"];
    assert!(!notes.to_string().contains("inode lists"), "the plan has them: {notes:#}");
    false
}

pub fn watch() -> Observer {
    watch_with(&[])
}

pub fn watch_with(more: &[&str]) -> Observer {
    require_root();
    let mut arguments = vec!["disk", "--deleted-open", "--json", "--interval", "0.2", "--budget", "100"];
    arguments.extend(more);
    Observer::start(&arguments)
}

pub fn files(folder: &Path) -> Workload {
    Workload::start(&["disk", "files", folder.to_str().unwrap()])
}

/// The row of the workload's file.
pub fn row<'a>(report: &'a Value, truth: &Value) -> Option<&'a Value> {
    rows(report).iter().find(|row| row["inode"] == truth["inode"] && row["dev"] == truth["dev"])
}

pub fn found(observer: &mut Observer, truth: &Value) -> Value {
    observer.wait_for(|report| row(report, truth).cloned())
}

/// Waits until the deleter is known: a report between the removal of the last name and the event has the file already.
fn deleted(observer: &mut Observer, truth: &Value) -> Value {
    observer.wait_for(|report| row(report, truth).filter(|row| !row["deleted_by"].is_null()).cloned())
}

/// Waits until a row has growth, which means that it has a baseline. Every later byte is seen.
pub fn with_baseline(observer: &mut Observer, truth: &Value) -> Value {
    observer.wait_for(|report| row(report, truth).filter(|row| !row["growth"].is_null()).cloned())
}

pub fn gone(observer: &mut Observer, truth: &Value) {
    observer.wait_for(|report| row(report, truth).is_none().then_some(()));
}

pub fn holders(row: &Value) -> Vec<&Value> {
    row["holders"].as_array().unwrap().iter().collect()
}

pub fn holder_of(row: &Value, pid: u32) -> Option<&Value> {
    holders(row).into_iter().find(|holder| holder["pid"] == pid)
}

fn wall() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn files_deleted_before_the_start_and_while_it_runs_are_shown_on_disk_and_in_ram() {
    let (disk, ram) = (TempDir::new("disk-deleted"), RamDir::new("deleted"));
    for (folder, medium) in [(disk.path(), "disk"), (&ram.0, "ram")] {
        let mut workload = files(folder);
        workload.ask("open before");
        workload.ask("write before pwrite 70000");
        let before = workload.ask("delete before");
        let mut observer = watch();
        let first = observer.report();
        let early = row(&first, &before).expect("it is in the first report");
        assert_eq!(early["medium"], medium);
        assert_eq!(early["path"], folder.join("before").to_str().unwrap());
        assert_eq!((&early["size"], &early["allocated"]), (&before["size"], &before["allocated"]));
        assert_eq!(early["reclaimable"], early["allocated"]);
        assert_eq!((&early["deleted_by"], &early["deleted_at"]), (&Value::Null, &Value::Null));
        assert!(note(&first, "deleted-before").is_some(), "{first:#}");
        assert_eq!(holder_of(early, workload.pid()).unwrap()["fds"], before["fds"]);

        workload.ask("open after");
        workload.ask("write after pwrite 100");
        let earliest = wall();
        let after = workload.ask("delete after");
        let latest = wall();
        let late = deleted(&mut observer, &after);
        assert_eq!(late["deleted_by"]["pid"], workload.pid(), "{late:#}");
        assert_eq!(late["deleted_by"]["comm"], "workload");
        let at = number(&late, "deleted_at").unwrap();
        // The time is converted between two clocks, and rounded to milliseconds.
        assert!((earliest - 0.05..=latest + 0.05).contains(&at), "{earliest} {at} {latest}");
    }
}

#[test]
fn the_deleter_is_known_after_its_exit_and_after_a_rename() {
    let (disk, ram) = (TempDir::new("disk-deleter"), RamDir::new("deleter"));
    for folder in [disk.path(), &ram.0] {
        let mut workload = files(folder);
        let mut observer = watch();
        observer.report();
        let removed = workload.ask("open removed");
        let replaced = workload.ask("open replaced");
        let other = folder.join("other");
        std::fs::write(&other, "new").unwrap();
        for (command, arguments, truth) in [
            ("rm", vec![folder.join("removed")], &removed),
            ("mv", vec![other, folder.join("replaced")], &replaced),
        ] {
            let mut child = Command::new(command).arg("-f").args(arguments).spawn().unwrap();
            let pid = child.id();
            assert!(child.wait().unwrap().success());
            let row = deleted(&mut observer, truth);
            assert_eq!(
                (&row["deleted_by"]["pid"], &row["deleted_by"]["comm"]),
                (&json!(pid), &json!(command))
            );
            assert_eq!(holders(&row).len(), 1, "the deleter is no holder");
        }
        let own = workload.ask("open own");
        workload.ask("replace own");
        assert_eq!(deleted(&mut observer, &own)["deleted_by"]["pid"], workload.pid());
        let ring = workload.ask("open ring");
        workload.ask("delete-uring ring");
        assert_eq!(deleted(&mut observer, &ring)["deleted_by"]["pid"], workload.pid());
    }
}

#[test]
fn an_inode_has_one_row_with_all_its_holders() {
    let folder = TempDir::new("disk-holders");
    let mut workload = files(folder.path());
    workload.ask("open f");
    workload.ask("write f pwrite 10000");
    workload.ask("dup f");
    workload.ask("dup f");
    let child = workload.ask("child")["child"].as_u64().unwrap() as u32;
    let truth = workload.ask("delete f");
    let mut observer = watch();
    let both = found(&mut observer, &truth);
    assert_eq!(holders(&both).len(), 2, "{both:#}");
    for pid in [workload.pid(), child] {
        let holder = holder_of(&both, pid).unwrap();
        assert_eq!((&holder["how"], &holder["fds"]), (&json!("fd"), &truth["fds"]));
    }
    assert_eq!(truth["fds"].as_array().unwrap().len(), 3);

    workload.ask("child close f");
    observer.wait_for(|report| (holders(row(report, &truth)?).len() == 1).then_some(()));
    workload.ask("map f");
    let mapped = observer.wait_for(|report| {
        let row = row(report, &truth).expect("it is held by a descriptor or a mapping all the time");
        (holders(row).len() == 1 && holders(row)[0]["how"] == "mmap").then(|| row.clone())
    });
    assert_eq!(holders(&mapped)[0]["fds"], json!([]));
    assert!(!mapped["growth"].is_null(), "it is the file that it was: {mapped:#}");
    assert!(mapped["reclaim"].as_str().unwrap().contains("must not be truncated"), "{mapped:#}");
    assert_eq!((&mapped["path"], &mapped["size"]), (&both["path"], &both["size"]));
    workload.ask("close f");
    gone(&mut observer, &truth);
}

/// For a kernel without an iterator over mappings. The file is known only from its mapping. Number and generation must
/// match those in events, otherwise its deleter would be unknown.
#[test]
fn mappings_are_found_in_proc_without_an_iterator() {
    let (disk, ram) = (TempDir::new("disk-mapper"), RamDir::new("mapper"));
    let mut observer = watch_with(&["--way", "disk.mappings=3"]);
    observer.report();
    for folder in [disk.path(), &ram.0] {
        let mut workload = files(folder);
        for (name, said) in [("f", "f"), ("f (deleted)", "f\\x20(deleted)")] {
            workload.ask(&format!("open {said}"));
            workload.ask(&format!("write {said} pwrite 70000"));
            workload.ask(&format!("sync {said}"));
            let truth = workload.ask(&format!("map {said}"));
            std::fs::remove_file(folder.join(name)).unwrap();
            let row = observer.wait_for(|report| {
                row(report, &truth)
                    .filter(|row| !row["path"].is_null() && !row["deleted_by"].is_null())
                    .cloned()
            });
            let [holder] = holders(&row)[..] else { panic!("it has one holder: {row:#}") };
            assert_eq!(
                (&holder["pid"], &holder["how"], &holder["fds"]),
                (&json!(workload.pid()), &json!("mmap"), &json!([]))
            );
            assert_eq!((&row["size"], &row["allocated"]), (&truth["size"], &truth["allocated"]), "{row:#}");
            assert_eq!(row["path"], folder.join(name).to_str().unwrap());
            assert_eq!(row["deleted_by"]["pid"], std::process::id(), "{row:#}");
            workload.ask(&format!("close {said}"));
            gone(&mut observer, &truth);
        }
    }
}

#[test]
fn a_thread_with_its_own_descriptor_table_holds_a_file() {
    let folder = TempDir::new("disk-thread");
    let mut workload = files(folder.path());
    workload.ask("open f");
    workload.ask("write f pwrite 5000");
    let truth = workload.ask("delete f");
    let thread = workload.ask("thread f");
    let mut observer = watch();
    let row = found(&mut observer, &truth);
    let holder = holder_of(&row, workload.pid()).expect("the process of the thread");
    assert_eq!(holder["fds"], thread["fds"]);
    assert_eq!(row["path"], folder.file("f").to_str().unwrap(), "it is read through the thread");
    assert_eq!(row["size"], 5000);
    workload.ask("close f");
    gone(&mut observer, &truth);
}

#[test]
fn a_process_with_more_descriptors_than_one_record_is_reported_whole() {
    let folder = TempDir::new("disk-many");
    let (mut few, mut many) = (files(folder.path()), files(folder.path()));
    few.ask("open few");
    let one = few.ask("delete few");
    let mut observer = watch();
    found(&mut observer, &one);
    many.ask("open many");
    let truth = many.ask("delete many");
    found(&mut observer, &truth);
    let more = many.ask("dup many 500");
    let all = |report: &Value, workload: &Workload, truth: &Value| {
        let row = row(report, truth).unwrap_or_else(|| panic!("a row vanishes: {report:#}"));
        holder_of(row, workload.pid()).is_some_and(|holder| holder["fds"] == truth["fds"])
    };
    observer.wait_for(|report| {
        assert!(all(report, &few, &one), "{report:#}");
        all(report, &many, &more).then_some(())
    });
    let last = many.ask("undup many");
    observer.wait_for(|report| {
        assert!(all(report, &few, &one), "{report:#}");
        all(report, &many, &last).then_some(())
    });
    many.ask("close many");
    gone(&mut observer, &truth);
    few.ask("close few");
    gone(&mut observer, &one);
}

/// Whether files in `folder` support direct I/O: in tmpfs since Linux 6.6.
fn supports_direct(folder: &Path) -> bool {
    let probe = folder.join("probe");
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).custom_flags(libc::O_DIRECT).open(&probe);
    let _ = std::fs::remove_file(probe);
    opened.is_ok()
}

#[test]
fn growth_is_exact_for_every_write_path() {
    let (disk, ram) = (TempDir::new("disk-ways"), RamDir::new("ways"));
    let ways = [
        ("pwrite", 10_001),
        ("writev", 50_003),
        ("direct", 65_536),
        ("mmap", 30_000),
        ("uring", 70_001),
        ("fallocate", 123_457),
        ("truncate", 99_999),
        ("sendfile", 33_333),
        ("splice", 44_444),
        ("copy", 55_555),
    ];
    for folder in [disk.path(), &ram.0] {
        let mut workload = files(folder);
        let mut observer = watch();
        for (way, bytes) in ways {
            if way == "direct" && !supports_direct(folder) {
                continue;
            }
            // Direct I/O must start at a block.
            workload.ask(&format!("open {way}"));
            workload.ask(&format!("write {way} pwrite 4096"));
            let base = workload.ask(&format!("delete {way}"));
            assert_eq!(with_baseline(&mut observer, &base)["growth"], 0, "{way}");
            let after = workload.ask(&format!("write {way} {way} {bytes}"));
            let grown = observer.wait_for(|report| {
                let row = row(report, &base)?;
                let truth = workload.ask(&format!("stat {way}"));
                // Reserved blocks may be allocated meanwhile.
                (row["size"] == after["size"] && row["allocated"] == truth["allocated"]).then(|| row.clone())
            });
            assert_eq!(grown["growth"], bytes, "{way}");
            assert_eq!(grown["growing"], true, "{way}");
            assert_eq!(holders(&grown)[0]["written"], bytes, "{way}: {grown:#}");
            workload.ask(&format!("close {way}"));
            // The next file may reuse its inode number.
            gone(&mut observer, &base);
        }
    }
}

#[test]
fn an_appended_file_is_freed_by_the_suggested_truncation() {
    let folder = TempDir::new("disk-append");
    let mut workload = files(folder.path());
    let mut observer = watch();
    workload.ask("append log");
    let truth = workload.ask("delete log");
    with_baseline(&mut observer, &truth);
    workload.ask("write log append 3000001");
    let grown =
        observer.wait_for(|report| row(report, &truth).filter(|row| row["size"] == 3_000_001).cloned());
    assert_eq!((&grown["growth"], &holders(&grown)[0]["append"]), (&json!(3_000_001), &json!(true)));
    let reclaim = grown["reclaim"].as_str().unwrap();
    let command = reclaim.split('`').nth(1).expect("a command between backticks");
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
    let freed = observer.wait_for(|report| row(report, &truth).filter(|row| row["size"] == 0).cloned());
    assert_eq!(freed["allocated"], 0);
    let again = workload.ask("write log append 10");
    assert_eq!(again["size"], 10, "the writer continues at the end");
}

#[test]
fn allocation_without_a_change_of_size_is_growth() {
    let folder = TempDir::new("disk-reserve");
    let mut workload = files(folder.path());
    let mut observer = watch();
    for (way, base) in [("reserve", "pwrite"), ("hole", "truncate")] {
        workload.ask(&format!("open {way}"));
        workload.ask(&format!("write {way} {base} 1048576"));
        let truth = workload.ask(&format!("delete {way}"));
        let before = with_baseline(&mut observer, &truth);
        workload.ask(&format!("write {way} {way} 1048576"));
        let grown = observer.wait_for(|report| {
            let row = row(report, &truth)?;
            let now = workload.ask(&format!("stat {way}"));
            let taken = row["allocated"] == now["allocated"] && row["allocated"] != before["allocated"];
            taken.then(|| row.clone())
        });
        assert_eq!(grown["size"], before["size"]);
        let taken = number(&grown, "allocated").unwrap() - number(&before, "allocated").unwrap();
        assert!(taken >= 1_048_576.0, "{grown:#}");
        assert_eq!((number(&grown, "growth"), &grown["growing"]), (Some(taken), &json!(true)), "{way}");
    }
}

#[test]
fn growth_of_a_shared_file_is_attributed_to_each_writer() {
    let folder = TempDir::new("disk-writers");
    let mut workload = files(folder.path());
    let mut observer = watch();
    workload.ask("open f");
    workload.ask("write f pwrite 4096");
    let child = workload.ask("child")["child"].as_u64().unwrap() as u32;
    let truth = workload.ask("delete f");
    with_baseline(&mut observer, &truth);
    let (mut own, mut childs) = (0, 0);
    for way in
        ["direct", "pwrite", "writev", "uring", "mmap", "fallocate", "truncate", "sendfile", "splice", "copy"]
    {
        let (first, second) = if way == "direct" { (8192, 4096) } else { (1001, 2003) };
        workload.ask(&format!("write f {way} {first}"));
        workload.ask(&format!("child write f {way} {second}"));
        own += first;
        childs += second;
        let size = 4096 + own + childs;
        let row = observer.wait_for(|report| row(report, &truth).filter(|row| row["size"] == size).cloned());
        assert_eq!(holder_of(&row, workload.pid()).unwrap()["written"], own, "{way}: {row:#}");
        assert_eq!(holder_of(&row, child).unwrap()["written"], childs, "{way}: {row:#}");
        assert_eq!(row["growth"], own + childs, "{way}");
    }
}

#[test]
fn in_ram_the_shares_of_two_holders_are_known_by_events_or_unknown() {
    let folder = RamDir::new("writers");
    let mut workload = files(&folder.0);
    let mut observer = watch();
    workload.ask("open f");
    let child = workload.ask("child")["child"].as_u64().unwrap() as u32;
    let truth = workload.ask("delete f");
    with_baseline(&mut observer, &truth);
    workload.ask("child write f pwrite 5000");
    observer.wait_for(|report| {
        let row = row(report, &truth).filter(|row| row["growth"] == 5000)?;
        let written = |pid| &holder_of(row, pid).unwrap()["written"];
        if tool::has_alternative("disk.work", 1) {
            return (written(child) == 5000 && written(workload.pid()) == 0).then_some(());
        }
        assert_eq!((written(child), written(workload.pid())), (&Value::Null, &Value::Null));
        assert!(note(report, "written-unknown").is_some());
        Some(())
    });
}

#[test]
fn files_that_are_not_deleted_are_not_shown() {
    let folder = TempDir::new("disk-not-deleted");
    let mut workload = files(folder.path());
    for command in ["memfd memory", "shm segment", "zero anonymous", "open linked", "link linked"] {
        workload.ask(command);
    }
    workload.ask("open live\\x20(deleted)");
    let mut observer = watch();
    observer.report();
    workload.ask("open sentinel");
    let sentinel = workload.ask("delete sentinel");
    let report = observer.wait_for(|report| row(report, &sentinel).is_some().then(|| report.clone()));
    let shown: Vec<&Value> =
        rows(&report).iter().filter(|row| holder_of(row, workload.pid()).is_some()).collect();
    assert_eq!(shown.len(), 1, "{shown:#?}");
}

#[test]
fn a_file_without_a_name_from_the_start_is_shown() {
    let folder = TempDir::new("disk-tmpfile");
    let mut workload = files(folder.path());
    let mut observer = watch();
    observer.report();
    workload.ask("tmpfile t");
    let truth = workload.ask("write t pwrite 12345");
    // A report may come in between.
    let written = |report: &Value| row(report, &truth).filter(|row| row["size"] == 12345).cloned();
    let row = observer.wait_for(written);
    assert_eq!(row["deleted_by"], Value::Null);
}

#[test]
fn hostile_names_are_shown_lossless_and_escaped() {
    let folder = TempDir::new("disk-names");
    let mut workload = files(folder.path());
    let long = "n".repeat(255);
    let names = [
        ("a\\x0ab", "a\\x0ab"),
        ("\\x1b]0;x\\x07", "\\x1b]0;x\\x07"),
        ("\\xff\\xfe", "\\xff\\xfe"),
        ("x\\x20(deleted)", "x (deleted)"),
        ("back\\x5cslash", "back\\\\slash"),
        ("\\xe2\\x80\\xae", "\\xe2\\x80\\xae"),
        (&long, &long),
    ];
    let mut observer = watch();
    for (name, shown) in names {
        workload.ask(&format!("open {name}"));
        let truth = workload.ask(&format!("delete {name}"));
        let row = found(&mut observer, &truth);
        assert_eq!(row["path"], format!("{}/{shown}", folder.path().display()));
    }
    // A reused name, and one from a rename, are shown as they were.
    let first = workload.ask("open again");
    workload.ask("delete again");
    workload.ask("recreate again");
    assert_eq!(found(&mut observer, &first)["path"], folder.file("again").to_str().unwrap());
    workload.ask("recreate moved");
    std::fs::rename(folder.file("moved"), folder.file("here")).unwrap();
    let moved = workload.ask("open here");
    workload.ask("delete here");
    assert_eq!(found(&mut observer, &moved)["path"], folder.file("here").to_str().unwrap());
}

#[test]
fn the_longest_path_is_shown_whole_and_a_longer_one_is_unknown() {
    let folder = TempDir::new("disk-deep");
    let mut workload = files(folder.path());
    let mut observer = watch();
    // The kernel writes a path into a page of 4,096 bytes, with its suffix and a NUL.
    let whole = workload.ask(&format!("deep whole {}", 4096 - 1 - " (deleted)".len()));
    let long = workload.ask("deep long 5000");
    assert_eq!(whole["path"].as_str().unwrap().len(), 4085);
    let report = observer.wait_for(|report| {
        (row(report, &whole).is_some() && row(report, &long).is_some()).then(|| report.clone())
    });
    let (whole_row, long_row) = (row(&report, &whole).unwrap(), row(&report, &long).unwrap());
    assert_eq!(whole_row["path"], whole["path"]);
    assert_eq!((&long_row["path"], &long_row["size"]), (&Value::Null, &long["size"]));
    assert_eq!(long_row["allocated"], workload.ask("stat long")["allocated"], "statx is asked all the same");
    assert!(note(&report, "path-unknown").is_some());
}

#[test]
fn the_row_ends_with_the_last_holder() {
    let (disk, ram) = (TempDir::new("disk-release"), RamDir::new("release"));
    let mut observer = watch();
    for folder in [disk.path(), &ram.0] {
        let mut workload = files(folder);
        workload.ask("open a");
        workload.ask("open b");
        let (a, b) = (workload.ask("delete a"), workload.ask("delete b"));
        found(&mut observer, &a);
        found(&mut observer, &b);
        workload.ask("close a");
        gone(&mut observer, &a);
        workload.kill();
        gone(&mut observer, &b);
    }
}

#[test]
fn a_file_of_a_containers_overlay_is_one_row_by_descriptor_and_by_mapping() {
    let folder = TempDir::new("disk-overlay");
    // Mounts in the workload's own namespace, like a container's; they end with it.
    let script = "set -e; cd \"$0\"; mount -t tmpfs none .; cd \"$0\"; mkdir lower upper work merged
        mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none merged
        exec \"$1\" disk files \"$0/merged\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(folder.path()).arg(workload_path());
    let mut workload = Workload::spawn(command);
    workload.ask("open f");
    workload.ask("write f pwrite 50000");
    let truth = workload.ask("delete f");
    let mut observer = watch();
    let held = found(&mut observer, &truth);
    assert_eq!(
        (&held["fs"], &held["size"], &held["reclaimable"]),
        (&json!("overlay"), &json!(50_000), &Value::Null)
    );
    let path = held["path"].as_str().unwrap();
    assert!(path.ends_with("/merged/f"), "{path}");
    assert_eq!(held["allocated"], truth["allocated"]);
    // Mappings are then read from `/proc`, which has the name of one file and the numbers of another.
    if ruled_out("disk.mappings", 2) {
        return;
    }
    workload.ask("map f");
    let report = observer.wait_for(|report| {
        let row = row(report, &truth)?;
        (holders(row)[0]["how"] == "mmap").then(|| report.clone())
    });
    let rows = rows(&report).iter().filter(|row| holder_of(row, workload.pid()).is_some());
    assert_eq!(rows.count(), 1, "{report:#}");
    workload.ask("close f");
    gone(&mut observer, &truth);
}

#[test]
fn without_events_scans_show_holders_and_growth() {
    let folder = TempDir::new("disk-passes");
    let mut workload = files(folder.path());
    let mut observer = watch_with(&["--without", "events"]);
    workload.ask("open f");
    let truth = workload.ask("delete f");
    with_baseline(&mut observer, &truth);
    workload.ask("write f pwrite 77777");
    let report = observer.wait_for(|report| {
        row(report, &truth).filter(|row| row["size"] == 77_777).is_some().then(|| report.clone())
    });
    let row = row(&report, &truth).unwrap();
    assert_eq!((&row["growth"], &row["deleted_by"]), (&json!(77_777), &Value::Null));
    assert_eq!(holder_of(row, workload.pid()).unwrap()["written"], 77_777, "it is the only holder");
    assert!(note(&report, "missing").is_some());
}

#[test]
fn without_iterators_events_show_deleters_and_writers() {
    let folder = TempDir::new("disk-events");
    let mut workload = files(folder.path());
    let mut observer = watch_with(&["--without", "iterators"]);
    observer.report();
    workload.ask("open f");
    let truth = workload.ask("delete f");
    workload.ask("write f pwrite 77777");
    // A report may come between the deletion and the write.
    let report = observer.wait_for(|report| {
        let row = row(report, &truth)?;
        (row["growth"] == 77_777).then(|| report.clone())
    });
    let row = row(&report, &truth).unwrap();
    let holder = holder_of(row, workload.pid()).expect("who writes holds");
    assert_eq!((&holder["how"], &holder["written"]), (&json!("unknown"), &json!(77_777)));
    assert_eq!((&row["growth"], &row["size"]), (&json!(77_777), &Value::Null));
    assert_eq!(row["deleted_by"]["pid"], workload.pid());
    assert!(note(&report, "holders-unknown").is_some());
}
