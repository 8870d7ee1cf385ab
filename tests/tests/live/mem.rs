//! What `mem` says of workloads that know their own truth.
//!
//! Each workload counts what it asks of the kernel; its columns must come to be equal to the byte. What a process holds
//! is compared with the kernel's own walk over its pages, `smaps_rollup`, while the process rests.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use observer_tests::{
    Observer, TempDir, Workload, note, number, require_root, row_of, rows, tool::missing, workload_path,
};
use serde_json::Value;

const MIB: f64 = 1024.0 * 1024.0;

/// An observer of `mem` that looks often.
fn observe(more: &[&str]) -> Observer {
    observe_every("0.2", more)
}

/// An observer of `mem` that has seen what is there; its reports come so many seconds apart.
fn observe_every(interval: &str, more: &[&str]) -> Observer {
    require_root();
    let usual = ["mem", "--json", "--budget", "100", "--interval", interval];
    let mut observer = Observer::start(&[&usual[..], more].concat());
    observer.report();
    observer
}

/// Waits for a report in which the columns of the process are equal to what it says of itself, and for the next one,
/// in which they still are.
fn agrees(observer: &mut Observer, pid: u32, truth: &Value, columns: &[&str]) {
    let equal = |report: &Value| {
        let row = row_of(report, pid)?;
        columns.iter().all(|column| number(row, column) == truth[column].as_f64()).then_some(())
    };
    observer.wait_for(|report| equal(report));
    let next = observer.report();
    assert!(equal(&next).is_some(), "no longer equal to {truth}: {:#}", row_of(&next, pid).unwrap());
}

/// A value of `/proc/PID/smaps_rollup`, in bytes: the kernel's walk over the page tables.
pub fn rollup(path: &str, name: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}

/// Waits until resident and anonymous memory of a process that comes to rest are what a walk over its pages finds, to
/// the byte.
fn holds_what_it_has(observer: &mut Observer, pid: u32, path: &str) {
    observer.wait_for(|report| {
        let row = row_of(report, pid)?;
        let (rss, anon) = (rollup(path, "Rss"), rollup(path, "Anonymous"));
        (number(row, "rss") == Some(rss) && number(row, "anon") == Some(anon)).then_some(())
    });
}

fn smaps(pid: u32) -> String {
    format!("/proc/{pid}/smaps_rollup")
}

const ALL: [&str; 5] = ["mapped", "unmapped", "mapped_file", "reserved", "protected"];

#[test]
fn a_process_that_was_there_before_is_followed_to_the_byte() {
    let mut workload = Workload::start(&["mem", "mappings"]);
    let pid = workload.pid();
    let mut observer = observe(&["-p", &pid.to_string()]);
    for call in [
        "map 65536",
        "unmap 20480",
        "grow 8192",
        "shrink 4096",
        "replace 12288",
        "heap 3072",
        "file 1024",
        "reserve 131072",
        "protect 2048",
        "map 4",
        "unmap 4",
    ] {
        let truth = workload.ask(call);
        agrees(&mut observer, pid, &truth, &ALL);
    }
    holds_what_it_has(&mut observer, pid, &smaps(pid));
}

/// The counters of a CPU that only brings and of one that only takes away drift apart in what a pass sees; what the
/// process holds stays what it is.
#[test]
fn what_one_cpu_brings_and_another_takes_away_is_no_change() {
    let mut workload = Workload::start(&["mem", "mappings"]);
    let pid = workload.pid();
    let mut observer = observe(&["-p", &pid.to_string()]);
    workload.ask("map 4096");
    for _ in 0..20 {
        let truth = workload.ask("wander 92");
        // Reports that are on their way may be of before.
        agrees(&mut observer, pid, &truth, &["mapped", "unmapped"]);
        let report = observer.report();
        assert_eq!(number(row_of(&report, pid).unwrap(), "rss"), Some(rollup(&smaps(pid), "Rss")));
    }
}

#[test]
fn calls_by_the_32_bit_entry_count_as_well() {
    let mut workload = Workload::start(&["mem", "mappings"]);
    let mut observer = observe(&["-p", &workload.pid().to_string()]);
    let truth = workload.ask("compat 4096");
    agrees(&mut observer, workload.pid(), &truth, &ALL);
}

#[test]
fn memory_belongs_to_who_owns_it_and_not_to_who_maps() {
    let mut workload = Workload::start(&["mem", "mappings"]);
    let mut observer = observe(&["-p", &workload.pid().to_string()]);
    let truth = workload.ask("vfork 4096");
    agrees(&mut observer, workload.pid(), &truth, &ALL);
}

#[test]
fn threads_that_map_at_the_same_time_lose_nothing() {
    let mut workload = Workload::start(&["mem", "mappings"]);
    let mut observer = observe(&["-p", &workload.pid().to_string()]);
    let pid = workload.pid();
    for _ in 0..3 {
        let truth = workload.ask("threads 64");
        // One of them may take the place of another that is in a program: the kernel does not tell that one's program, and
        // counts it. A mapping that was not told is missing from both columns, for what was unmapped follows from what was
        // mapped and from what the kernel has; an unmapping from the second, until the next call. Each is one of theirs, or
        // somebody else's.
        let whole = |report: &Value| {
            let row = row_of(report, pid)?;
            let missing = |column: &str| Some(truth[column].as_f64()? - number(row, column)?);
            let (mapped, unmapped) = (missing("mapped")?, missing("unmapped")?);
            let skipped = number(&report["loss"], "skipped")?;
            (mapped >= 0.0 && mapped <= unmapped && unmapped <= skipped * 65_536.0).then_some(())
        };
        observer.wait_for(|report| whole(report));
        let next = observer.report();
        assert!(whole(&next).is_some(), "no longer {truth}: {:#}", row_of(&next, pid).unwrap());
    }
}

#[test]
fn a_process_whose_main_thread_has_ended_lives_on() {
    let mut workload = Workload::start(&["mem", "orphan"]);
    let pid = workload.pid();
    let mut observer = observe(&["-p", &pid.to_string()]);
    let truth = workload.ask("step");
    agrees(&mut observer, pid, &truth, &["mapped"]);
    holds_what_it_has(&mut observer, pid, &format!("/proc/{pid}/task/{}/smaps_rollup", truth["thread"]));
    workload.kill();
    observer.wait_for(|report| (row_of(report, pid)?["ended"] == true).then_some(()));
}

#[test]
fn every_short_life_is_told_with_what_it_mapped() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["mem", "brief", "200"]);
    told(&mut observer, &workload.ask("step"));
}

#[test]
fn a_flood_of_short_lives_costs_freshness_and_nothing_else() {
    // More records than the ring holds, between two reports.
    let mut observer = observe_every("4", &[]);
    let mut workload = Workload::start(&["mem", "brief", "4000"]);
    told(&mut observer, &workload.ask("step"));
}

/// Waits until each process has been told of as ended, once, with what it mapped, but for what the kernel skipped, because the
/// program was running on that CPU already.
fn told(observer: &mut Observer, truth: &Value) {
    let process = |process: &Value| (process["pid"].as_u64().unwrap(), process["mapped"].as_f64().unwrap());
    let mut missing: HashMap<u64, f64> = truth["processes"].as_array().unwrap().iter().map(process).collect();
    let parent = truth["pid"].as_u64().unwrap();
    assert!(!missing.contains_key(&parent));
    let mut wrong = 0;
    observer.wait_for(|report| {
        let skipped = report["loss"]["skipped"].as_u64()?;
        for row in rows(report).iter().filter(|row| row["ended"] == true) {
            if let Some(mapped) = missing.remove(&row["pid"].as_u64().unwrap()) {
                wrong += u64::from(number(row, "mapped") != Some(mapped));
                assert!(wrong <= skipped && number(row, "mapped") <= Some(mapped), "not {mapped}: {row:#}");
            }
        }
        assert_eq!(report["loss"]["map_full"], 0);
        (missing.len() as u64 + wrong <= skipped).then_some(())
    });
}

#[test]
fn a_number_used_again_is_another_process() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["mem", "again"]);
    let first = workload.ask("step");
    let second = workload.ask("step");
    assert_eq!(first["process"], second["process"]);
    let mut told = Vec::new();
    observer.wait_for(|report| {
        let of_number =
            rows(report).iter().filter(|row| row["pid"] == first["process"] && row["ended"] == true);
        told.extend(of_number.map(|row| (row["start"].as_u64(), row["mapped"].as_u64())));
        (told.len() >= 2).then_some(())
    });
    told.sort();
    assert_ne!(told[0].0, told[1].0, "another start");
    assert_eq!((told[0].1, told[1].1), (first["mapped"].as_u64(), second["mapped"].as_u64()));
}

#[test]
fn a_child_and_its_exec_have_an_account_of_their_own() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["mem", "child"]);
    let parent = workload.pid();
    let truth = workload.ask("fork");
    let child = truth["process"].as_u64().unwrap() as u32;
    agrees(&mut observer, child, &truth, &["mapped"]);
    workload.ask("exec");
    let row = observer.wait_for(|report| row_of(report, child).filter(|row| row["comm"] == "sleep").cloned());
    assert!(number(&row, "mapped") >= truth["mapped"].as_f64(), "totals outlive the exec: {row:#}");
    // What the exec replaced was given back by nobody: the new program's own start unmaps less than was mapped before.
    assert!(number(&row, "unmapped").unwrap() < MIB, "{row:#}");
    holds_what_it_has(&mut observer, child, &smaps(child));
    workload.ask("end");
    observer.wait_for(|report| {
        let own = number(row_of(report, parent)?, "mapped");
        assert!(own < truth["mapped"].as_f64(), "its child's memory is not its own: {report:#}");
        (row_of(report, child)?["ended"] == true).then_some(())
    });
}

#[test]
fn a_heap_in_c_without_frame_pointers() {
    if missing("cc") {
        return;
    }
    let folder = TempDir::new("mem-heap");
    let program = folder.file("heap");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/mem/heap.c");
    let status = Command::new("cc")
        .args(["-O2", "-fomit-frame-pointer", "-o"])
        .args([program.as_os_str(), source.as_ref()])
        .status();
    assert!(status.expect("a C compiler").success());
    heap(Command::new(program));
}

#[test]
fn a_heap_in_python() {
    if missing("python3") {
        return;
    }
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/mem/heap.py"));
    // Whatever the allocator keeps for itself, big blocks come from mmap and return by munmap.
    let mut workload = Workload::spawn(command);
    let pid = workload.pid();
    let mut observer = observe(&["-p", &pid.to_string()]);
    let truth = workload.ask("take");
    let (least, most) = (truth["bytes"].as_f64().unwrap(), truth["bytes"].as_f64().unwrap() + MIB);
    observer.wait_for(|report| {
        let row = row_of(report, pid)?;
        let (mapped, growth) = (number(row, "mapped")?, number(row, "growth")?);
        (mapped >= least && mapped <= most && growth >= least && growth <= most).then_some(())
    });
    holds_what_it_has(&mut observer, pid, &smaps(pid));
    workload.ask("give");
    observer.wait_for(|report| {
        let row = row_of(report, pid)?;
        (number(row, "unmapped")? >= least && number(row, "growth")? < MIB).then_some(())
    });
    holds_what_it_has(&mut observer, pid, &smaps(pid));
}

/// A heap that says by how much its allocator's own counts have changed.
fn heap(command: Command) {
    let mut workload = Workload::spawn(command);
    let pid = workload.pid();
    let mut observer = observe(&["-p", &pid.to_string()]);
    for word in ["small", "big", "free"] {
        let truth = workload.ask(word);
        agrees(&mut observer, pid, &truth, &["mapped", "unmapped"]);
        holds_what_it_has(&mut observer, pid, &smaps(pid));
    }
}

#[test]
fn growth_is_named_and_rest_is_not() {
    let mut growing = Workload::start(&["mem", "mappings"]);
    let resting = Workload::start(&["mem", "mappings"]);
    let (growing_pid, resting_pid) = (growing.pid(), resting.pid());
    let pids = [growing_pid.to_string(), resting_pid.to_string()];
    let mut observer = observe(&["--window", "8", "-p", &pids[0], "-p", &pids[1]]);
    observer.wait_for(|report| {
        growing.ask("map 1024");
        let row = row_of(report, growing_pid)?;
        let rest = row_of(report, resting_pid)?;
        (row["verdict"] == "growing" && rest["verdict"] == "stable").then(|| {
            let (rate, low, high) =
                (number(row, "rate")?, number(row, "rate_low")?, number(row, "rate_high")?);
            assert!(low > 0.0 && low <= rate && rate <= high, "{row:#}");
            assert!(number(row, "full_in").is_some_and(|seconds| seconds > 0.0), "{row:#}");
            assert!(number(row, "limit").is_some_and(|limit| limit > 0.0), "{row:#}");
            assert_eq!(rows(report)[0]["pid"], growing_pid, "the answer first");
            assert_ne!(row["reason"], "");
            assert_eq!(number(rest, "growth"), Some(0.0));
            assert_eq!(number(rest, "full_in"), None);
            Some(())
        })?
    });
    assert_eq!(resting.quit(), Some(0));
}

#[test]
fn without_iterators_events_alone_tell_what_was_mapped() {
    let mut workload = Workload::start(&["mem", "mappings"]);
    let pid = workload.pid();
    let mut observer = observe(&["--without", "iterators", "-p", &pid.to_string()]);
    let truth = workload.ask("map 65536");
    agrees(&mut observer, pid, &truth, &["mapped"]);
    let truth = workload.ask("unmap 20480");
    agrees(&mut observer, pid, &truth, &["mapped", "unmapped"]);
    let report = observer.report();
    let row = row_of(&report, pid).unwrap();
    for column in ["rss", "anon", "file", "shmem", "swap", "virt", "growth", "rate"] {
        assert_eq!(number(row, column), None, "unknown is not zero: {column}");
    }
    assert!(note(&report, "missing").is_some());
    workload.kill();
    observer.wait_for(|report| (row_of(report, pid)?["ended"] == true).then_some(()));
}

#[test]
fn without_events_iterators_alone_tell_what_is_held() {
    let mut workload = Workload::start(&["mem", "mappings"]);
    let pid = workload.pid();
    let mut observer = observe(&["--without", "events", "-p", &pid.to_string()]);
    workload.ask("map 65536");
    let row = observer.wait_for(|report| {
        row_of(report, pid).filter(|row| number(row, "growth") >= Some(64.0 * MIB)).cloned()
    });
    for column in ALL {
        assert_eq!(number(&row, column), None, "unknown is not zero: {column}");
    }
    holds_what_it_has(&mut observer, pid, &smaps(pid));
    workload.kill();
    observer.wait_for(|report| (row_of(report, pid)?["ended"] == true).then_some(()));
}

#[test]
fn the_machine_is_accounted_for() {
    let mut observer = observe(&[]);
    let totals = observer.report()["totals"].clone();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
    let total = line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0;
    assert_eq!(number(&totals, "total"), Some(total));
    for name in ["available", "anon", "file", "slab", "kernel_other", "unaccounted"] {
        assert!(
            number(&totals, name).is_some_and(|bytes| bytes >= 0.0 && bytes < total),
            "{name}: {totals:#}"
        );
    }
}

/// A control group with a limit of memory, at the path that a service manager would give it; removed when dropped.
struct Group {
    folder: PathBuf,
    unified: bool,
}

impl Group {
    const LIMIT: u64 = 64 << 20;

    fn new() -> Self {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let controls = |path: &str| {
            let controllers = fs::read_to_string(format!("{path}/cgroup.controllers")).unwrap_or_default();
            controllers.split_whitespace().any(|controller| controller == "memory")
        };
        let mut found = mounts.filter_map(|mount| match mount[2] {
            "cgroup2" if controls(mount[1]) => Some((mount[1].to_owned(), true)),
            "cgroup" if mount[3].split(',').any(|option| option == "memory") => {
                Some((mount[1].to_owned(), false))
            }
            _ => None,
        });
        let (root, unified) = found.next_back().expect("a hierarchy that limits memory");
        let slice = Path::new(&root).join("system.slice");
        let folder = slice.join(format!("observer-live-{}.service", std::process::id()));
        if unified {
            fs::write(format!("{root}/cgroup.subtree_control"), "+memory").unwrap();
        }
        fs::create_dir_all(&slice).unwrap();
        if unified {
            fs::write(slice.join("cgroup.subtree_control"), "+memory").unwrap();
        }
        fs::create_dir(&folder).unwrap();
        let limit = if unified { "memory.max" } else { "memory.limit_in_bytes" };
        fs::write(folder.join(limit), Self::LIMIT.to_string()).unwrap();
        Self { folder, unified }
    }

    /// A workload that is in it from its first byte on.
    fn workload(&self) -> Workload {
        let mut command = Command::new("sh");
        let script = "echo $$ >\"$0/cgroup.procs\"; exec \"$1\" mem mappings";
        command.args(["-c", script]).arg(&self.folder).arg(workload_path());
        Workload::spawn(command)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
        // Only what is empty: a service manager's own stays.
        let _ = self.folder.parent().map(fs::remove_dir);
    }
}

#[test]
fn a_group_limits_its_processes_and_names_their_unit() {
    let group = Group::new();
    let mut workload = group.workload();
    let pid = workload.pid();
    let mut observer = observe(&["-p", &pid.to_string()]);
    workload.ask("map 8192");
    let row = observer.wait_for(|report| {
        row_of(report, pid).filter(|row| number(row, "limit") == Some(Group::LIMIT as f64)).cloned()
    });
    if group.unified {
        assert_eq!(row["unit"], group.folder.file_name().unwrap().to_str().unwrap(), "{row:#}");
    }
    workload.kill();
}
