//! Growth and verdicts of `mem` count every kind of memory that the machine cannot take back without swap, and none
//! that it can. The truth is `/proc/PID/status`, `smaps_rollup`, or what the workload took.

use std::{
    fs,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use observer_tests::{Observer, Workload, number, require_root, row_of, workload_path};
use serde_json::Value;

use crate::mem::rollup;

const MIB: f64 = 1024.0 * 1024.0;

/// An observer of the process `pid`, after its baseline.
fn observe(pid: u32) -> Observer {
    require_root();
    let pid = pid.to_string();
    let arguments = ["mem", "--json", "--budget", "100", "--interval", "0.25", "--window", "600", "-p", &pid];
    let mut observer = Observer::start(&arguments);
    observer.report();
    observer
}

/// A value of `/proc/PID/status`, in bytes.
fn status(pid: u32, name: &str) -> f64 {
    rollup(&format!("/proc/{pid}/status"), name)
}

/// Waits until the row of `pid` has grown by `bytes`, to within a MiB and 2 %.
fn grows_by(observer: &mut Observer, pid: u32, bytes: f64) -> Value {
    observer.wait_for(|report| {
        let row = row_of(report, pid)?;
        let growth = number(row, "growth")?;
        ((growth - bytes).abs() <= MIB + 0.02 * bytes).then(|| row.clone())
    })
}

/// The workload takes memory of a `kind` in steps, until the row is called growing and has grown by as much as `truth`.
fn counts(kind: &str, step: usize, truth: impl Fn(u32) -> f64) {
    let mut workload = Workload::start(&["mem", "kinds"]);
    let pid = workload.pid();
    let before = truth(pid);
    let mut observer = observe(pid);
    observer.wait_for(|report| {
        workload.ask(&format!("{kind} {step}"));
        (row_of(report, pid)?["verdict"] == "growing").then_some(())
    });
    grows_by(&mut observer, pid, truth(pid) - before);
}

#[test]
fn shared_memory_that_a_process_brings_is_growth() {
    counts("shared", 1, |pid| status(pid, "RssShmem"));
}

#[test]
fn page_tables_of_a_sparse_mapping_are_growth() {
    // Minus the page tables that any process may have.
    counts("sparse", 512, |pid| status(pid, "VmPTE"));
}

#[test]
fn memory_that_is_never_swapped_is_growth() {
    // No list of the kernel contains it, but RssFile does.
    counts("secret", 1, |pid| status(pid, "RssFile"));
}

#[test]
fn memory_that_stays_pinned_when_it_is_unmapped_is_held() {
    let mut workload = Workload::start(&["mem", "kinds"]);
    let pid = workload.pid();
    let mut observer = observe(pid);
    for _ in 0..4 {
        workload.ask("register 16");
        let truth = status(pid, "VmPin");
        let row = observer.wait_for(|report| {
            let row = row_of(report, pid)?;
            (number(row, "pinned") == Some(truth)).then(|| row.clone())
        });
        assert!(truth >= 16.0 * MIB, "{row:#}");
    }
    // Pinned pages that are also mapped are part of resident memory. The process has a few of them.
    let mapped = status(pid, "RssAnon") + status(pid, "RssShmem");
    grows_by(&mut observer, pid, status(pid, "VmPin") - mapped);
}

#[test]
fn huge_pages_of_a_process_are_growth() {
    require_root();
    let pool = "/proc/sys/vm/nr_hugepages";
    let before = fs::read_to_string(pool).unwrap();
    let count: u64 = before.trim().parse().unwrap();
    fs::write(pool, (count + 16).to_string()).unwrap();
    let restored = Restored { path: pool, text: before };
    if fs::read_to_string(pool).unwrap().trim() != (count + 16).to_string() {
        eprintln!("left out: the machine has no memory for huge pages");
        return;
    }
    let mut workload = Workload::start(&["mem", "kinds"]);
    let pid = workload.pid();
    let mut observer = observe(pid);
    workload.ask("huge 12");
    let truth = status(pid, "HugetlbPages");
    let row = grows_by(&mut observer, pid, truth);
    assert_eq!(number(&row, "hugetlb"), Some(truth), "{row:#}");
    drop(workload);
    drop(restored);
}

/// A file of /proc/sys; its old content is restored on drop.
struct Restored {
    path: &'static str,
    text: String,
}

impl Drop for Restored {
    fn drop(&mut self) {
        fs::write(self.path, &self.text).unwrap();
    }
}

#[test]
fn a_process_that_reads_shared_memory_of_another_does_not_grow() {
    let mut workload = Workload::start(&["mem", "kinds"]);
    require_root();
    let mut observer =
        Observer::start(&["mem", "--json", "--budget", "100", "--interval", "0.25", "--top", "99999"]);
    observer.report();
    let pid = workload.pid();
    observer.wait_for(|report| {
        // Shared memory that another process releases at the same moment hides some of it.
        workload.ask("shared 4");
        (number(row_of(report, pid)?, "growth")? >= 60.0 * MIB).then_some(())
    });
    let reader = workload.ask("read 1")["children"][0].as_u64().unwrap() as u32;
    let row = observer.wait_for(|report| {
        let row = row_of(report, reader)?;
        (number(row, "shmem")? >= 60.0 * MIB && number(row, "growth").is_some()).then(|| row.clone())
    });
    assert!(number(&row, "growth").unwrap() < 30.0 * MIB, "{row:#}");
}

#[test]
fn memory_that_the_kernel_may_take_back_is_no_growth() {
    let mut workload = Workload::start(&["mem", "kinds"]);
    let pid = workload.pid();
    let mut observer = observe(pid);
    let path = format!("/proc/{pid}/smaps_rollup");
    let mut steps = 0;
    let row = observer.wait_for(|report| {
        workload.ask("lazy 1");
        steps += 1;
        let row = row_of(report, pid)?;
        let told = number(row, "reclaimable").is_some_and(|bytes| bytes >= 32.0 * MIB);
        (steps >= 60 && told).then(|| row.clone())
    });
    assert_eq!(row["verdict"], "stable", "{row:#}");
    assert!(rollup(&path, "LazyFree") >= 32.0 * MIB);
    assert!(row["reason"].as_str().unwrap().contains("freed"), "{row:#}");
    assert!(number(&row, "growth").unwrap() < 8.0 * MIB, "{row:#}");
}

#[test]
fn processes_that_start_and_stay_are_growth_of_their_program() {
    let mut workload = Workload::start(&["mem", "kinds"]);
    require_root();
    let arguments =
        ["mem", "--budget", "100", "--interval", "0.5", "--window", "8", "--count", "40", "--top", "1"];
    let shown = Observer::command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let shown = std::thread::spawn(move || shown.wait_with_output().unwrap());
    let mut observer = Observer::start(&["mem", "--json", "--budget", "100", "--interval", "0.25"]);
    observer.report();
    let mut count = 0;
    observer.wait_for(|report| {
        workload.ask("children 1");
        count += 1;
        let row = report["groups"].as_array()?.iter().find(|row| row["comm"] == "born-child")?;
        let (processes, growth) = (number(row, "processes")?, number(row, "growth")?);
        assert!(processes <= f64::from(count) && growth <= 1.5 * MIB * processes, "{row:#}");
        (growth >= 0.9 * MIB * processes && row["verdict"] == "growing").then_some(())
    });
    while !shown.is_finished() {
        workload.ask("children 1");
        sleep(Duration::from_millis(250));
    }
    let output = String::from_utf8(shown.join().unwrap().stdout).unwrap();
    assert!(output.contains("× born-child, +"), "{output}");
}

#[test]
fn the_peak_of_a_running_process_is_shown() {
    let mut workload = Workload::start(&["mem", "mappings"]);
    let pid = workload.pid();
    workload.ask("map 65536");
    workload.ask("unmap 65536");
    let peak = status(pid, "VmHWM");
    observe(pid).wait_for(|report| (number(row_of(report, pid)?, "peak") == Some(peak)).then_some(()));
}

#[test]
fn the_executable_of_a_process_without_its_main_thread_is_known() {
    let workload = Workload::start(&["mem", "orphan"]);
    let pid = workload.pid();
    let path = workload_path().canonicalize().unwrap();
    observe(pid).wait_for(|report| (row_of(report, pid)?["exe"] == path.to_str().unwrap()).then_some(()));
}

#[test]
fn a_process_that_does_not_exist_is_an_error() {
    require_root();
    let mut child = Command::new("true").spawn().unwrap();
    let pid = child.id().to_string();
    child.wait().unwrap();
    let finished = Observer::run(&["mem", "--json", "--once", "-p", &pid]);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains(&format!("there is no process {pid}")), "{}", finished.stderr);
}

#[test]
fn the_headline_is_about_the_selected_processes() {
    let mut growing = Workload::start(&["mem", "mappings"]);
    let resting = Workload::start(&["mem", "mappings"]);
    require_root();
    let pid = resting.pid().to_string();
    let arguments =
        ["mem", "--budget", "100", "--interval", "0.5", "--window", "8", "--count", "24", "-p", &pid];
    let mut command = Observer::command(&arguments);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    for _ in 0..20 {
        growing.ask("map 1024");
        sleep(Duration::from_millis(500));
    }
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(output.contains("No selected process grows."), "{output}");
    assert!(!output.contains(&format!("grows: {}", growing.pid())), "{output}");
}
