//! Two processes with a connection, and connections shorter than an interval.

use std::path::Path;

use serde_json::{Value, json};

use super::{Scene, end};
use crate::{Finished, Observer, Workload, report::missing_bytes, row_of};

/// The scene.
pub const SCENE: Scene = Scene { name: "net", view: &["net", "--top", "1000"], play, check };

fn play(observe: &dyn Fn() -> Observer, _folder: &Path) -> (Finished, Value) {
    let mut long = Workload::start(&["net", "upload"]);
    let mut short = Workload::start(&["net", "tiny"]);
    let mut observer = observe();
    let mut processes = Vec::new();
    for workload in [&mut long, &mut short] {
        let truth = workload.ask("step");
        processes.extend(truth["processes"].as_array().cloned().unwrap_or_default());
    }
    observer.wait_for(|report| agrees(report, &processes).then_some(()));
    let pids = processes.iter().map(|process| process["pid"].clone());
    let pids: Vec<Value> = pids.chain([long.pid().into(), short.pid().into()]).collect();
    (end(observer), json!({"pids": pids, "processes": processes}))
}

/// Whether the row of each process equals its truth. A connection shorter than an interval is known only from its
/// close, so one byte is missing for each close that the kernel skipped and counted.
fn agrees(report: &Value, processes: &[Value]) -> bool {
    let missing: Option<u64> = processes.iter().map(|process| missing_bytes(report, process)).sum();
    missing.is_some_and(|missing| Some(missing) <= report["loss"]["skipped"].as_u64())
}

fn check(reports: &[Value], truth: &Value) {
    let processes = truth["processes"].as_array().expect("a truth names its processes");
    assert!(processes.len() >= 4, "both ends of both workloads");
    let last = reports.last().expect("there are reports");
    assert!(agrees(last, processes), "the truth is\n{truth:#}\nand the last report is\n{last:#}");
    // Totals never decrease, whatever closes in between.
    for process in processes {
        let pid = process["pid"].as_u64().expect("a process has a number") as u32;
        let sent = |report: &Value| row_of(report, pid).and_then(|row| row["tx"].as_u64()).unwrap_or(0);
        assert!(reports.is_sorted_by_key(sent), "{pid}");
    }
}
