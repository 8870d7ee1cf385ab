//! Tests of the harness itself: a workload answers, and ends with its test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use observer_tests::{TempDir, Workload};

#[test]
fn a_workload_answers_and_quits() {
    let mut workload = Workload::start(&["mem", "idle"]);
    assert_eq!(workload.ask("step")["pid"], workload.pid());
    assert_eq!(workload.quit(), Some(0));
}

#[test]
fn a_dropped_workload_is_killed() {
    let workload = Workload::start(&["mem", "idle"]);
    let folder = format!("/proc/{}", workload.pid());
    assert!(std::fs::exists(&folder).unwrap());
    drop(workload);
    assert!(!std::fs::exists(&folder).unwrap());
}

#[test]
fn a_folder_is_removed_on_drop() {
    let folder = TempDir::new("harness");
    let path = folder.path().to_owned();
    std::fs::write(folder.file("x"), "x").unwrap();
    drop(folder);
    assert!(!path.exists());
}
