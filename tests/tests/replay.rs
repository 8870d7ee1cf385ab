//! Replays of scenes from a real kernel: without root, with the same reports.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::PathBuf, process::Output};

use observer_tests::{Observer, TempDir, number, rows, scene::SCENES};
use serde_json::Value;

fn data(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "data", name].iter().collect();
    path.to_str().unwrap().to_owned()
}

fn replay(name: &str, view: &[&str]) -> Output {
    Observer::command(&[&["replay", &data(name)], view].concat()).output().unwrap()
}

fn reports(name: &str, view: &[&str]) -> Vec<Value> {
    let output = replay(name, &[view, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_scene_replays_to_its_truth() {
    SCENES.iter().for_each(|scene| scene.replay_kept());
}

#[test]
fn two_replays_are_equal() {
    for scene in SCENES {
        let name = format!("{}.recording", scene.name);
        for format in ["--json", "--plain"] {
            let view = [scene.view, &[format]].concat();
            let (first, second) = (replay(&name, &view), replay(&name, &view));
            assert_eq!(first.stdout, second.stdout);
            assert!(!first.stdout.is_empty());
        }
    }
}

#[test]
fn sums_stay_exact_by_every_key() {
    for (view, column) in [("mem", "mapped"), ("net", "tx")] {
        let name = format!("{view}.recording");
        let sum = |report: &Value| rows(report).iter().filter_map(|row| number(row, column)).sum::<f64>();
        let by_process = reports(&name, &[view]);
        for key in ["process", "unit", "container", "comm"] {
            let by_key = reports(&name, &[view, "--by", key]);
            assert_eq!(by_process.len(), by_key.len());
            for (by_process, by_key) in by_process.iter().zip(&by_key) {
                assert_eq!(sum(by_process), sum(by_key), "{column} by {key}");
                assert!(rows(by_key).len() <= rows(by_process).len());
            }
            assert!(sum(by_key.last().unwrap()) > 0.0);
            let merged =
                by_process.iter().zip(&by_key).any(|(one, other)| rows(one).len() > rows(other).len());
            assert!(merged || key == "process", "nothing was merged by {key}");
        }
    }
}

#[test]
fn only_requested_rows_are_shown() {
    let all = reports("mem.recording", &["mem"]);
    let pid = rows(&all[0])[0]["pid"].clone();
    let of_one = reports("mem.recording", &["mem", "-p", &pid.to_string()]);
    assert_eq!(of_one.len(), all.len());
    for (report, all) in of_one.iter().zip(&all) {
        let expected: Vec<&Value> = rows(all).iter().filter(|row| row["pid"] == pid).collect();
        assert_eq!(rows(report).iter().collect::<Vec<_>>(), expected, "{report:#}");
    }
    let first = reports("mem.recording", &["mem", "--top", "1"]);
    assert_eq!(first.len(), all.len());
    for (report, all) in first.iter().zip(&all) {
        assert_eq!(rows(report), &rows(all)[..1]);
    }
    assert_eq!(reports("mem.recording", &["mem", "--count", "2"]).len(), 2);
    assert_eq!(reports("mem.recording", &["mem", "--once"]).len(), 1);
}

#[test]
fn a_recording_of_another_domain_has_no_rows() {
    let output = replay("mem.recording", &["net", "--json"]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    for line in text.lines() {
        assert!(rows(&serde_json::from_str(line).unwrap()).is_empty());
    }
}

#[test]
fn a_column_that_does_not_exist_is_a_wrong_command_line() {
    let output = replay("mem.recording", &["mem", "--json", "--sort", "colour"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("colour"));
}

#[test]
fn a_truncated_recording_replays_up_to_its_end() {
    let folder = TempDir::new("cut");
    let bytes = fs::read(data("net.recording")).unwrap();
    // The end frame is missing, as after SIGKILL. Every report is there, and the exit code shows the truncation.
    let cut = folder.file("cut");
    fs::write(&cut, &bytes[..bytes.len() - 24]).unwrap();
    let output = Observer::command(&["replay", cut.to_str().unwrap(), "net", "--json"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("without its proper end"), "{stderr}");
    assert_eq!(output.stdout, replay("net.recording", &["net", "--json"]).stdout);
}
