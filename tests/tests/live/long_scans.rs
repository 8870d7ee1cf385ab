//! Conditions that could end a scan early, or never.

use std::process::Command;

use observer_tests::{Observer, TempDir, Workload, note, tool, workload_path};
use serde_json::{Value, json};

use crate::disk::{files, found, gone, holder_of, row, watch};

#[test]
fn more_than_a_million_descriptors_do_not_hide_a_deleted_file() {
    let folder = TempDir::new("disk-crowd");
    // The kernel ends a scan after a million objects without output.
    let workload = Workload::start(&["disk", "crowd", folder.path().to_str().unwrap(), "1100000"]);
    let truth = &workload.ready;
    let mut observer = watch();
    let first = observer.report();
    let found = row(&first, truth).expect("it is in the first report");
    let holder = holder_of(found, truth["holder"].as_u64().unwrap() as u32).expect("the last process");
    assert_eq!(holder["fds"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["size"], truth["size"]);
    assert!(note(&first, "unread").is_none(), "{first:#}");
    let still = observer.report();
    assert!(row(&still, truth).is_some(), "{still:#}");
    workload.quit();
}

/// An observer in the mount namespace of a process.
fn watch_in(pid: u32) -> Observer {
    let words = ["disk", "--deleted-open", "--json", "--interval", "0.2", "--budget", "100"];
    let own = Observer::command(&words);
    let mut command = Command::new("nsenter");
    command.arg(format!("--mount=/proc/{pid}/ns/mnt")).arg(own.get_program()).args(own.get_args());
    Observer::spawn(command)
}

#[test]
fn a_hanging_filesystem_does_not_stop_observer() {
    if tool::missing("nsenter") {
        return;
    }
    if !std::path::Path::new("/dev/fuse").exists() {
        assert!(tool::in_guest(), "FUSE is needed: `modprobe fuse`");
        tool::not_run("this guest has no FUSE");
        return;
    }
    let (mounts, folder) = (TempDir::new("disk-stalled"), TempDir::new("disk-beside"));
    // The mount is visible to observer: both are in one mount namespace, which ends with them.
    let mut command = Command::new("unshare");
    command.arg("--mount").arg(workload_path()).args(["disk", "stalled"]).arg(mounts.path());
    let stalled = Workload::spawn(command);
    let mut workload = files(folder.path());
    let mut observer = watch_in(stalled.pid());
    let first = observer.report();
    let on_fuse = |report: &Value| {
        let rows = report["rows"].as_array().unwrap().iter();
        rows.into_iter().find(|row| holder_of(row, stalled.pid()).is_some()).cloned()
    };
    let row = on_fuse(&first).unwrap_or_else(|| panic!("a deleted file of the filesystem: {first:#}"));
    assert_eq!((&row["fs"], &row["reclaimable"]), (&json!("fuse.stalled"), &Value::Null), "{row:#}");
    assert_eq!(row["path"], mounts.file("file").to_str().unwrap(), "the kernel knows the path by itself");
    // Mounts appear and disappear between reports.
    for number in 0..10 {
        let script = "cd \"$0\"; mount -t tmpfs none . && cd \"$0\" && exec \"$1\" disk files \"$0\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(folder.path()).arg(workload_path());
        let mut passing = Workload::spawn(command);
        let name = format!("f{number}");
        passing.ask(&format!("open {name}"));
        let truth = passing.ask(&format!("delete {name}"));
        found(&mut observer, &truth);
        assert_eq!(passing.quit(), Some(0));
        gone(&mut observer, &truth);
    }
    workload.ask("open beside");
    let truth = workload.ask("delete beside");
    found(&mut observer, &truth);
    let last = observer.report();
    assert!(on_fuse(&last).is_some(), "{last:#}");
    assert_eq!(stalled.quit(), Some(0));
}
