//! Tests of `mem`: kernel memory, and OOM kills.

use observer_tests::{Observer, Workload, note, number, require_root};
use serde_json::Value;

use crate::{mem::rollup, mem_groups::Group};

#[test]
fn growing_kernel_memory_is_reported_by_kind() {
    require_root();
    let mut workload = Workload::start(&["mem", "kernel"]);
    let mut observer = Observer::start(&["mem", "--json", "--budget", "100", "--interval", "0.25"]);
    let grown = |report: &Value| -> Vec<(&'static str, f64)> {
        let rows = report["kernel"].as_array().unwrap().iter();
        let reported = rows.filter_map(|row| {
            assert!(number(row, "growth").unwrap() > 0.0 && row["reason"] != "", "{row:#}");
            let kind = match (row["kind"].as_str()?, row["name"].as_str()) {
                ("page_tables", None) => "page_tables",
                ("kernel_stack", None) => "kernel_stack",
                ("sockets", None) => "sockets",
                ("vmalloc", None) => "vmalloc",
                ("per_cpu", None) => "per_cpu",
                // The name is the same since Linux 2.6, and this cache is not merged with others.
                ("slab", Some("task_struct")) => "tasks",
                _ => return None,
            };
            Some((kind, number(row, "bytes")?))
        });
        reported.collect()
    };
    // Each kind is reported while it grows, whatever else the machine does.
    let mut reported: Vec<&str> = Vec::new();
    observer.wait_for(|report| {
        workload.ask("step");
        let totals = &report["totals"];
        let parts = [
            "free",
            "per_cpu_lists",
            "anon",
            "file",
            "slab",
            "kernel_other",
            "huge",
            "zram",
            "zswap",
            "unread",
            "pinned",
            "unaccounted",
        ];
        let sum: f64 = parts.iter().map(|part| number(totals, part).unwrap()).sum();
        let sum = sum + number(totals, "balloon").unwrap_or(0.0);
        assert_eq!(Some(sum), number(totals, "total"), "{totals:#}");
        let new: Vec<&str> =
            grown(report).into_iter().map(|(kind, _)| kind).filter(|kind| !reported.contains(kind)).collect();
        if !new.is_empty() {
            eprintln!("named after {} s: {}", report["observed"], new.join(", "));
        }
        reported.extend(new);
        (reported.len() == 6).then_some(())
    });
    // The machine has at least the workload's own amount. The kernel's count of socket buffers can lack up to 1 MiB per
    // CPU since Linux 6.0 (3cd3399dd7a8, "net: implement per-cpu reserves for memory_allocated").
    let truth = workload.ask("step");
    let cpus = std::thread::available_parallelism().unwrap().get() as f64;
    for (kind, lacking) in [("page_tables", 0.0), ("sockets", cpus * 1_048_576.0), ("vmalloc", 0.0)] {
        let least = truth[kind].as_f64().unwrap() - lacking;
        let totals = observer.wait_for(|report| {
            let totals = &report["totals"];
            (number(totals, kind)? >= least).then(|| totals.clone())
        });
        assert!(number(&totals, "kernel_other") >= number(&totals, "page_tables"), "{totals:#}");
    }
}

/// The largest error of a process's memory at its exit, MiB: the kernel's counter leaves up to 32 pages (or two per
/// CPU, if that is more) with each CPU, now and at the last comparison with the exact sum.
fn per_cpu_remainder() -> f64 {
    let cpus = std::thread::available_parallelism().unwrap().get();
    (2 * cpus * cpus.saturating_mul(2).max(32)) as f64 * 4096.0 / 1_048_576.0
}

#[test]
fn the_victim_of_an_oom_kill_is_reported_with_its_memory() {
    const LIMIT: u64 = 48 << 20;
    require_root();
    let Some(group) = Group::limited("victim", LIMIT) else { return };
    let mut hog = Workload::start(&["mem", "hog"]);
    // Its memory so far stays charged to its previous group.
    let before = rollup(&format!("/proc/{}/smaps_rollup", hog.pid()), "Anonymous") / 1_048_576.0;
    group.take(hog.pid());
    let mut observer = Observer::start(&["mem", "--json", "--budget", "100", "--interval", "0.25"]);
    let pid = hog.pid();
    observer.wait_for(|report| report["rows"].as_array()?.iter().find(|row| row["pid"] == pid).map(|_| ()));
    hog.send("step");
    let text = observer.wait_for(|report: &Value| {
        let text = note(report, "mem-oom")?["text"].as_str()?.to_owned();
        text.contains(&format!(" {pid} workload was killed")).then_some(text)
    });
    assert!(text.contains("having asked for more"), "{text}");
    assert!(text.contains(&format!("{} is 48 MiB", group.name())), "{text}");
    let held = text.split("it held ").nth(1).and_then(|rest| rest.split(" MiB").next()).unwrap();
    let held: f64 = held.parse().unwrap();
    // The limit of the group without page tables, stacks and files, rounded to a tenth.
    assert!(
        held > 40.0 && held <= 48.0 + before + per_cpu_remainder() + 0.05,
        "{text} Before it joined: {before} MiB."
    );
    // The note stays with its names after the process has gone.
    observer.report();
    let later = observer.report();
    assert!(note(&later, "mem-oom").unwrap()["text"].as_str().unwrap().contains(" workload was killed"));
    hog.kill();
}
