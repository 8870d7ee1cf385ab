//! A process that maps and unmaps memory by several calls, and one that exits.

use std::path::Path;

use serde_json::{Value, json};

use super::{Scene, end};
use crate::{Finished, Observer, Workload, number, row_of};

/// The scene.
pub const SCENE: Scene = Scene { name: "mem", view: &["mem"], play, check };

const COLUMNS: [&str; 4] = ["mapped", "unmapped", "mapped_file", "reserved"];

fn play(observe: &dyn Fn() -> Observer, _folder: &Path) -> (Finished, Value) {
    let mut steady = Workload::start(&["mem", "mappings"]);
    let mut ending = Workload::start(&["mem", "mappings"]);
    let mut observer = observe();
    let mut truth = Value::Null;
    for call in ["map 16384", "unmap 4096", "heap 3072", "file 1024", "reserve 65536"] {
        truth = steady.ask(call);
        observer.wait_for(|report| agrees(report, &truth).then_some(()));
    }
    let last = ending.ask("map 2048");
    observer.wait_for(|report| agrees(report, &last).then_some(()));
    let pid = ending.pid();
    ending.kill();
    observer.wait_for(|report| row_of(report, pid).is_none().then_some(()));
    (end(observer), json!({"pids": [steady.pid(), pid], "steady": truth, "ending": last}))
}

fn agrees(report: &Value, truth: &Value) -> bool {
    let row = truth["pid"].as_u64().and_then(|pid| row_of(report, pid as u32));
    row.is_some_and(|row| COLUMNS.iter().all(|column| number(row, column) == truth[column].as_f64()))
}

fn check(reports: &[Value], truth: &Value) {
    let last = reports.last().expect("there are reports");
    assert!(agrees(last, &truth["steady"]), "{:#} is not in {last:#}", truth["steady"]);
    let pid = truth["ending"]["pid"].as_u64().expect("a truth names its process") as u32;
    let ended: Vec<&Value> =
        reports.iter().filter(|report| row_of(report, pid).is_some_and(|row| row["ended"] == true)).collect();
    let [ended] = ended[..] else { panic!("{} reports say that {pid} ended", ended.len()) };
    for column in ["mapped", "mapped_file", "reserved"] {
        let row = row_of(ended, pid).expect("it is in this report");
        assert_eq!(number(row, column), truth["ending"][column].as_f64(), "{column} of {row:#}");
    }
    assert!(row_of(last, pid).is_none(), "an exited process leaves");
}
