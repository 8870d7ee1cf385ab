//! A deleted log that continues to grow, a deleted file that is closed, and a file that is not deleted.

use std::path::Path;

use serde_json::{Value, json};

use super::{Scene, end};
use crate::{Finished, Observer, Workload, number, rows};

/// The scene.
pub const SCENE: Scene = Scene { name: "deleted-open", view: &["disk", "--deleted-open"], play, check };

fn play(observe: &dyn Fn() -> Observer, folder: &Path) -> (Finished, Value) {
    let folder = folder.to_str().expect("the name is ASCII");
    let mut workload = Workload::start(&["disk", "files", folder]);
    for command in [
        "append before",
        "write before append 1048576",
        "delete before",
        "append during",
        "write during append 1048576",
        "open given-up",
        "write given-up pwrite 262144",
        "delete given-up",
        "memfd memory",
        "write memory pwrite 65536",
    ] {
        workload.ask(command);
    }
    let given_up = workload.ask("stat given-up");
    let mut observer = observe();
    observer.wait_for(|report| row_of(report, &given_up).map(drop));
    workload.ask("close given-up");
    workload.ask("delete during");
    let before = workload.ask("write before append 3145728");
    let during = workload.ask("write during append 2097152");
    observer.wait_for(|report| {
        let sized = |truth: &Value| {
            row_of(report, truth).is_some_and(|row| number(row, "size") == truth["size"].as_f64())
        };
        (sized(&before) && sized(&during) && row_of(report, &given_up).is_none()).then_some(())
    });
    let truth = json!({"pids": [workload.pid()], "before": before, "during": during, "given_up": given_up});
    (end(observer), truth)
}

fn row_of<'a>(report: &'a Value, truth: &Value) -> Option<&'a Value> {
    rows(report).iter().find(|row| row["inode"] == truth["inode"] && row["dev"] == truth["dev"])
}

fn check(reports: &[Value], truth: &Value) {
    let last = reports.last().expect("there are reports");
    let pid = &truth["pids"][0];
    for name in ["before", "during"] {
        let row = row_of(last, &truth[name]).unwrap_or_else(|| panic!("{name} is not in {last:#}"));
        assert_eq!(row["size"], truth[name]["size"], "{row:#}");
        assert_eq!(row["medium"], "disk");
        assert!(row["path"].as_str().is_some_and(|path| path.ends_with(&format!("/{name}"))), "{row:#}");
        let [holder] = row["holders"].as_array().map_or(&[][..], Vec::as_slice) else {
            panic!("not one holder: {row:#}")
        };
        assert_eq!((&holder["pid"], &holder["how"]), (pid, &json!("fd")));
        assert_eq!(holder["fds"], truth[name]["fds"]);
        assert_eq!(holder["append"], true);
    }
    let during = row_of(last, &truth["during"]).expect("it was there just now");
    assert_eq!(&during["deleted_by"]["pid"], pid, "{during:#}");
    assert!(reports.iter().any(|report| row_of(report, &truth["given_up"]).is_some()));
    assert!(row_of(last, &truth["given_up"]).is_none(), "a file without holders is free");
    let ours = rows(last).iter().filter(|row| row["holders"][0]["pid"] == *pid);
    assert_eq!(ours.count(), 2, "memory that looks like a deleted file is none: {last:#}");
}
