//! Tests of `mem` with workloads that count their own truth.
//!
//! Each workload counts its requests to the kernel, and its columns must become equal to the byte. Resident memory is
//! compared with the kernel's walk over the pages, `smaps_rollup`, while the process is idle.

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

/// An observer of `mem` with a short interval.
fn observe(more: &[&str]) -> Observer {
    observe_every("0.2", more)
}

/// An observer of `mem` after its first report, with this interval in seconds.
fn observe_every(interval: &str, more: &[&str]) -> Observer {
    require_root();
    let usual = ["mem", "--json", "--budget", "100", "--interval", interval];
    let mut observer = Observer::start(&[&usual[..], more].concat());
    observer.report();
    observer
}

/// Waits for a report in which the columns of the process equal its truth, and checks that they still do in the next
/// one.
fn agrees(observer: &mut Observer, pid: u32, truth: &Value, columns: &[&str]) {
    let equal = |report: &Value| {
        let row = row_of(report, pid)?;
        columns.iter().all(|column| number(row, column) == truth[column].as_f64()).then_some(())
    };
    observer.wait_for(|report| equal(report));
    let next = observer.report();
    assert!(equal(&next).is_some(), "no longer equal to {truth}: {:#}", row_of(&next, pid).unwrap());
}

/// A value of `/proc/PID/smaps_rollup`, from the kernel's walk over the page tables, bytes.
pub fn rollup(path: &str, name: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}

/// Waits until resident and anonymous memory of an idle process equal those of a walk over its pages, to the byte.
fn memory_agrees(observer: &mut Observer, pid: u32, path: &str) {
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
fn a_process_older_than_observer_is_exact() {
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
    memory_agrees(&mut observer, pid, &smaps(pid));
}

/// The counters of a CPU that only adds pages and of one that only removes them drift apart. The sum stays the same.
#[test]
fn pages_that_move_between_cpus_are_no_change() {
    let mut workload = Workload::start(&["mem", "mappings"]);
    let pid = workload.pid();
    let mut observer = observe(&["-p", &pid.to_string()]);
    workload.ask("map 4096");
    for _ in 0..20 {
        let truth = workload.ask("wander 92");
        // Reports in progress may be older.
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
fn memory_belongs_to_its_owner_and_not_to_the_caller() {
    let mut workload = Workload::start(&["mem", "mappings"]);
    let mut observer = observe(&["-p", &workload.pid().to_string()]);
    let truth = workload.ask("vfork 4096");
    agrees(&mut observer, workload.pid(), &truth, &ALL);
}

#[test]
fn concurrent_mappings_of_threads_are_all_counted() {
    let mut workload = Workload::start(&["mem", "mappings"]);
    let mut observer = observe(&["-p", &workload.pid().to_string()]);
    let pid = workload.pid();
    for _ in 0..3 {
        let truth = workload.ask("threads 64");
        // A thread may preempt another one within a program. The kernel then skips the program of the former and counts
        // that. A skipped mapping is missing from both columns, because unmapped bytes follow from mapped bytes and the
        // kernel's own size. A skipped unmapping is missing from the second column until the next call. Skipped runs
        // may also belong to other processes.
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
fn a_process_outlives_its_main_thread() {
    let mut workload = Workload::start(&["mem", "orphan"]);
    let pid = workload.pid();
    let mut observer = observe(&["-p", &pid.to_string()]);
    let truth = workload.ask("step");
    agrees(&mut observer, pid, &truth, &["mapped"]);
    memory_agrees(&mut observer, pid, &format!("/proc/{pid}/task/{}/smaps_rollup", truth["thread"]));
    workload.kill();
    observer.wait_for(|report| (row_of(report, pid)?["ended"] == true).then_some(()));
}

#[test]
fn every_short_process_is_reported_with_its_mappings() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["mem", "brief", "200"]);
    all_reported(&mut observer, &workload.ask("step"));
}

#[test]
fn a_flood_of_short_processes_loses_only_freshness() {
    // More records between two reports than the ring buffer holds.
    let mut observer = observe_every("4", &[]);
    let mut workload = Workload::start(&["mem", "brief", "4000"]);
    all_reported(&mut observer, &workload.ask("step"));
}

/// Waits until each process is reported as exited, once, with its mappings, except runs that the kernel skipped because
/// the program was already running on that CPU.
fn all_reported(observer: &mut Observer, truth: &Value) {
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
fn a_reused_pid_is_another_process() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["mem", "again"]);
    let first = workload.ask("step");
    let second = workload.ask("step");
    assert_eq!(first["process"], second["process"]);
    let mut ended = Vec::new();
    observer.wait_for(|report| {
        let of_number =
            rows(report).iter().filter(|row| row["pid"] == first["process"] && row["ended"] == true);
        ended.extend(of_number.map(|row| (row["start"].as_u64(), row["mapped"].as_u64())));
        (ended.len() >= 2).then_some(())
    });
    ended.sort();
    assert_ne!(ended[0].0, ended[1].0, "another start");
    assert_eq!((ended[0].1, ended[1].1), (first["mapped"].as_u64(), second["mapped"].as_u64()));
}

#[test]
fn a_child_and_its_exec_have_their_own_totals() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["mem", "child"]);
    let parent = workload.pid();
    let truth = workload.ask("fork");
    let child = truth["process"].as_u64().unwrap() as u32;
    agrees(&mut observer, child, &truth, &["mapped"]);
    workload.ask("exec");
    let row = observer.wait_for(|report| row_of(report, child).filter(|row| row["comm"] == "sleep").cloned());
    assert!(number(&row, "mapped") >= truth["mapped"].as_f64(), "totals outlive the exec: {row:#}");
    // No call unmapped the memory that the exec replaced. The start of the new program unmaps less.
    assert!(number(&row, "unmapped").unwrap() < MIB, "{row:#}");
    memory_agrees(&mut observer, child, &smaps(child));
    workload.ask("end");
    observer.wait_for(|report| {
        let own = number(row_of(report, parent)?, "mapped");
        assert!(own < truth["mapped"].as_f64(), "its child's memory is not its own: {report:#}");
        (row_of(report, child)?["ended"] == true).then_some(())
    });
}

#[test]
fn a_heap_in_c_without_frame_pointers_is_exact() {
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
fn a_heap_in_python_is_exact() {
    if missing("python3") {
        return;
    }
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/mem/heap.py"));
    // Big blocks come from mmap and return by munmap, whatever the allocator keeps for itself.
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
    memory_agrees(&mut observer, pid, &smaps(pid));
    workload.ask("give");
    observer.wait_for(|report| {
        let row = row_of(report, pid)?;
        (number(row, "unmapped")? >= least && number(row, "growth")? < MIB).then_some(())
    });
    memory_agrees(&mut observer, pid, &smaps(pid));
}

/// A heap that reports the changes of its allocator's own counts.
fn heap(command: Command) {
    let mut workload = Workload::spawn(command);
    let pid = workload.pid();
    let mut observer = observe(&["-p", &pid.to_string()]);
    for word in ["small", "big", "free"] {
        let truth = workload.ask(word);
        agrees(&mut observer, pid, &truth, &["mapped", "unmapped"]);
        memory_agrees(&mut observer, pid, &smaps(pid));
    }
}

#[test]
fn growth_has_a_verdict_and_a_flat_process_is_stable() {
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
fn without_iterators_events_alone_show_mappings() {
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
fn without_events_iterators_alone_show_memory() {
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
    memory_agrees(&mut observer, pid, &smaps(pid));
    workload.kill();
    observer.wait_for(|report| (row_of(report, pid)?["ended"] == true).then_some(()));
}

#[test]
fn the_memory_of_the_machine_adds_up() {
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

/// A control group with a memory limit, at a path like a service manager's; removed on drop.
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

    /// A workload that is in the group from its start.
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
        // Only an empty slice is removed; a service manager's own stays.
        let _ = self.folder.parent().map(fs::remove_dir);
    }
}

#[test]
fn a_control_group_gives_its_processes_limit_and_unit() {
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
