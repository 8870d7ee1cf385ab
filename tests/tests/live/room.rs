//! What `net` says of what is shared and near its limit. Each test has a network namespace of its own, which goes with
//! the thread that it is made for.

use observer_tests::{Observer, Workload, number, require_root, row_of, rows};
use serde_json::Value;

/// Runs `test` in a fresh network namespace whose loopback interface is up: what it starts is in it too.
fn in_a_namespace(test: impl FnOnce() + Send + 'static) {
    require_root();
    let ran = std::thread::spawn(move || {
        // SAFETY: a plain call that concerns this thread alone.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0, "{}", std::io::Error::last_os_error());
        let up = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(up.success());
        test();
    });
    if let Err(panic) = ran.join() {
        std::panic::resume_unwind(panic);
    }
}

fn observe(more: &[&str]) -> Observer {
    let mut observer = Observer::start(&[&["net", "--json", "--interval", "0.2"], more].concat());
    observer.report();
    observer
}

/// The texts of the notes of what is near its limit.
fn near(report: &Value) -> Vec<String> {
    let notes = report["notes"].as_array().unwrap();
    let first = notes.iter().take_while(|note| note["code"] == "near-limit").count();
    assert!(notes[first..].iter().all(|note| note["code"] != "near-limit"), "they come first: {notes:?}");
    notes[..first].iter().map(|note| note["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn connections_that_find_no_room_are_counted_at_their_listener() {
    in_a_namespace(|| {
        let mut workload = Workload::start(&["net", "full", "queue"]);
        let local = workload.ready["local"].as_str().unwrap().to_owned();
        let mut observer = observe(&["--listen"]);
        let truth = workload.ask("step");
        assert!(truth["overflows"].as_u64().unwrap() > 0, "{truth}");
        let pid = workload.pid();
        let mut told = false;
        observer.wait_for(|report| {
            told |= near(report).iter().any(|text| text.contains(&local) && text.contains("no room"));
            let row = rows(report).iter().find(|row| row["local"] == *local)?;
            assert_eq!(row["pid"], pid);
            let queue = (number(row, "queued"), number(row, "queue_limit"));
            // A queue takes one more than its limit.
            (told && row["overflows"] == truth["drops"] && queue == (Some(2.0), Some(1.0))).then_some(())
        });
    });
}

#[test]
fn ports_that_are_nearly_all_taken_are_told_of() {
    in_a_namespace(|| {
        let _workload = Workload::start(&["net", "full", "ports"]);
        let mut observer = observe(&[]);
        observer.wait_for(|report| {
            let told = near(report).iter().any(|text| text.contains("36 of the 40 ports"));
            let (used, limit) = (&report["totals"]["ports"], &report["totals"]["ports_limit"]);
            (told && (used, limit) == (&Value::from(36), &Value::from(40))).then_some(())
        });
    });
}

#[test]
fn descriptors_that_are_nearly_all_taken_are_told_of() {
    in_a_namespace(|| {
        let workload = Workload::start(&["net", "full", "descriptors"]);
        let mut observer = observe(&[]);
        let pid = workload.pid();
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        observer.wait_for(|report| {
            let row = row_of(report, pid)?;
            assert_eq!(number(row, "connections"), Some(115.0 * 2.0));
            // Before 6.2 the kernel does not count them.
            let counted = number(row, "descriptors");
            let told = near(report).iter().any(|text| text.contains(&format!("{open} of at most 256")));
            let right = counted == Some(open as f64) && told || counted.is_none();
            (right && number(row, "descriptor_limit") == Some(256.0)).then_some(())
        });
    });
}
