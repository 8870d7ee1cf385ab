//! A recording replays to the live output, byte for byte.

use std::{os::unix::process::CommandExt as _, process::Output};

use observer_tests::{Observer, TempDir, Workload, keep_datagrams_watched, require_root};

const COUNT: &[&str] = &["--interval", "0.2", "--count", "5"];

fn output(arguments: &[&str]) -> Output {
    Observer::command(arguments).output().unwrap()
}

/// Runs `view` with `flags`, recording; then replays with the same flags.
fn compare(view: &[&str], flags: &[&str]) {
    require_root();
    let folder = TempDir::new("replay");
    let path = folder.file("recording");
    let file = path.to_str().unwrap();
    // A process must change, and exit, while it is observed.
    let mut workload = Workload::start(&["mem", "idle"]);
    let live = output(&[view, flags, COUNT, &["--record", file]].concat());
    workload.ask("step");
    let replayed = output(&[&["replay", file], view, flags].concat());
    let (live_text, replayed_text) =
        (String::from_utf8_lossy(&live.stdout), String::from_utf8_lossy(&replayed.stdout));
    for (live, replayed) in live_text.lines().zip(replayed_text.lines()) {
        assert_eq!(live, replayed, "{view:?} {flags:?}");
    }
    assert_eq!(live_text.len(), replayed_text.len(), "{view:?} {flags:?}");
    assert!(live_text.lines().count() >= 5, "{live_text}");
    assert_eq!(live.status.code(), replayed.status.code(), "{view:?}: {:?}", replayed.stderr);
}

#[test]
fn mem_replays_byte_for_byte() {
    compare(&["mem"], &["--json"]);
    compare(&["mem"], &["--plain", "--top", "5", "--sort", "rss"]);
}

#[test]
fn deleted_open_replays_byte_for_byte() {
    compare(&["disk", "--deleted-open"], &["--json"]);
    compare(&["disk", "--deleted-open"], &["--plain"]);
}

#[test]
fn net_replays_byte_for_byte() {
    compare(&["net", "--top"], &["--json"]);
    compare(&["net"], &["--plain", "-n"]);
}

#[test]
fn a_recording_without_a_view_replays_as_every_view() {
    require_root();
    let folder = TempDir::new("replay");
    let path = folder.file("recording");
    let file = path.to_str().unwrap();
    let _datagrams = keep_datagrams_watched();
    let recorded = output(&[&["record", "-o", file, "mem", "disk", "net"], COUNT].concat());
    assert_eq!(recorded.status.code(), Some(0), "{}", String::from_utf8_lossy(&recorded.stderr));
    for view in [&["mem"][..], &["disk", "--deleted-open"], &["net", "--top"]] {
        let replayed = output(&[&["replay", file], view, &["--json"]].concat());
        assert_eq!(replayed.status.code(), Some(0), "{}", String::from_utf8_lossy(&replayed.stderr));
        assert_eq!(String::from_utf8_lossy(&replayed.stdout).lines().count(), 5);
    }
}

#[test]
fn a_recording_of_one_disk_view_replays_as_the_other() {
    require_root();
    let folder = TempDir::new("replay-views");
    let path = folder.file("recording");
    let file = path.to_str().unwrap();
    let mut workload = Workload::start(&["disk", "files", folder.path().to_str().unwrap()]);
    let mut observer = Observer::start(&[
        "disk",
        "--deleted-open",
        "--json",
        "--interval",
        "0.2",
        "--window",
        "600",
        "--record",
        file,
    ]);
    observer.report();
    workload.ask("open f");
    workload.ask("write f pwrite 70000");
    // The second report reads events of the first, and answers their host queries.
    for _ in 0..3 {
        observer.report();
    }
    observer.interrupt();
    assert_eq!(observer.finish().code, Some(0));
    let replayed = output(&["replay", file, "disk", "--json", "--window", "600"]);
    assert_eq!(replayed.status.code(), Some(0), "{}", String::from_utf8_lossy(&replayed.stderr));
    let last = String::from_utf8_lossy(&replayed.stdout).lines().last().unwrap().to_owned();
    let report: serde_json::Value = serde_json::from_str(&last).unwrap();
    let row = report["writers"].as_array().unwrap().iter().find(|row| row["pid"] == workload.pid()).unwrap();
    assert!(!row["exe"].is_null(), "{row:#}");
    assert_eq!(row["files"][0]["path"], folder.file("f").to_str().unwrap(), "{row:#}");
    assert_eq!(row["files"][0]["written"], 70_000, "{row:#}");
}

#[test]
fn a_killed_observer_leaves_a_recording() {
    require_root();
    let folder = TempDir::new("replay");
    let path = folder.file("recording");
    let file = path.to_str().unwrap();
    let mut observer = Observer::start(&["mem", "--json", "--interval", "0.2", "--record", file]);
    observer.report();
    observer.kill();
    assert_eq!(observer.finish().code, None);
    let replayed = output(&["replay", file, "mem", "--json"]);
    assert_eq!(replayed.status.code(), Some(3), "what is missing is in the exit code");
    assert!(String::from_utf8_lossy(&replayed.stderr).contains("was killed"), "{:?}", replayed.stderr);
}

#[test]
fn a_full_disk_stops_the_recording_and_not_the_view() {
    require_root();
    let folder = TempDir::new("replay");
    let path = folder.file("recording");
    let file = path.to_str().unwrap();
    let mut command = Observer::command(&[&["mem", "--json", "--record", file], COUNT].concat());
    // A limit on file size acts like a full disk: both fail a write in its middle.
    // SAFETY: both calls are async-signal-safe and touch no memory of ours.
    unsafe {
        command.pre_exec(|| {
            // Less than five reports of the smallest machine.
            let limit = libc::rlimit { rlim_cur: 500, rlim_max: 500 };
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit);
            Ok(())
        });
    }
    let finished = Observer::spawn(command).finish();
    assert_eq!(finished.reports.len(), 5, "the view went on");
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("bytes can be replayed"), "{}", finished.stderr);
}

#[test]
fn a_damaged_recording_reports_the_gap() {
    require_root();
    let folder = TempDir::new("replay");
    let path = folder.file("recording");
    let file = path.to_str().unwrap();
    let recorded = output(&[&["record", "-o", file, "mem"], COUNT].concat());
    assert_eq!(recorded.status.code(), Some(0), "{}", String::from_utf8_lossy(&recorded.stderr));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&path, bytes).unwrap();
    let replayed = output(&["replay", file, "mem", "--json"]);
    let said = String::from_utf8_lossy(&replayed.stderr).into_owned();
    assert_eq!(replayed.status.code(), Some(3), "{said}");
    assert!(said.contains("damaged"), "{said}");
}

#[test]
fn a_file_that_is_no_recording_is_an_error() {
    for (arguments, must_say) in [
        (&["replay", "/proc/version", "mem", "--json"][..], "not a recording"),
        (&["replay", "/nowhere", "mem", "--json"], "/nowhere"),
        (&["replay", "/", "mem", "--json"], "directory"),
    ] {
        let refused = output(arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{said}");
        assert!(said.contains(must_say), "`{must_say}` is not in: {said}");
    }
}
