//! Tests of `disk --deleted-open`: files without a descriptor or a mapping.

use observer_tests::{
    TempDir, Workload, note,
    tool::{self, not_run},
};
use serde_json::{Value, json};

use crate::{
    disk::{RamDir, files, gone, holders, row, watch, without_inode_lists},
    holder_kinds::on,
};

/// A deleted file of 70,000 bytes after write-back, so that its inode counts all of its blocks.
fn synced(workload: &mut Workload, name: &str) -> Value {
    workload.ask(&format!("open {name}"));
    workload.ask(&format!("write {name} pwrite 70000"));
    workload.ask(&format!("sync {name}"));
    workload.ask(&format!("delete {name}"))
}

/// A deleted swap file would have a row with the kernel holder `swap`. Kernels with both rules do not allow one, so
/// that row is tested with synthetic facts.
#[test]
fn the_kernel_forbids_swapping_to_a_deleted_file() {
    if tool::missing("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new("disk-swap");
    let mut workload = on(&folder, "mkfs.ext4 -q image; mount -o loop image point");
    workload.ask("open s");
    let refused = workload.ask("swap s");
    assert_eq!(
        refused["delete"],
        libc::EPERM,
        "the kernel keeps the name of a file that it swaps to: {refused}"
    );
    if refused["swap"] == libc::ENOENT {
        not_run("a deleted file that is swapped to: swapon refuses a file without a name (ENOENT)");
    } else {
        assert_eq!(refused["swap"], Value::Null, "{refused}");
        not_run("a deleted file that is swapped to: this kernel would, and it could not be undone safely");
    }
    assert_eq!(workload.quit(), Some(0));
}

#[test]
fn indirect_holders_loop_devices_and_executables_are_found() {
    let (disk, ram) = (TempDir::new("disk-elsewhere"), RamDir::new("elsewhere"));
    let mut observer = watch();
    if without_inode_lists(&observer.report()) {
        return;
    }
    for folder in [disk.path(), &ram.0] {
        let mut workload = files(folder);
        for (way, how, device) in
            [("register", "io_uring", false), ("send", "in_flight", false), ("loop", "loop", true)]
        {
            let truth = synced(&mut workload, way);
            let through = workload.ask(&format!("{way} {way}"))["through"].clone();
            let report = observer.wait_for(|report| {
                let row = row(report, &truth)?;
                (holders(row)[0]["how"] == how && !row["path"].is_null()).then(|| report.clone())
            });
            let row = row(&report, &truth).unwrap();
            assert_eq!(
                (&row["size"], &row["allocated"]),
                (&truth["size"], &truth["allocated"]),
                "{way}: {row:#}"
            );
            assert_eq!(row["path"], folder.join(way).to_str().unwrap(), "{way}: {row:#}");
            assert_eq!(row["deleted_by"]["pid"], workload.pid(), "{way}: {row:#}");
            let holder = holders(row)[0];
            if device {
                assert_eq!((&holder["pid"], &holder["device"]), (&Value::Null, &through), "{row:#}");
                assert!(row["reclaim"].as_str().unwrap().contains(through.as_str().unwrap()), "{row:#}");
            } else {
                assert_eq!((&holder["pid"], &holder["fds"]), (&json!(workload.pid()), &json!([through])));
            }
            assert_eq!(holders(row).len(), 1, "{way}: {row:#}");
            assert!(note(&report, "inodes-unread").is_none(), "{report:#}");
            workload.ask(&format!("close {way}"));
            gone(&mut observer, &truth);
        }
        let truth = workload.ask("run program");
        let child = truth["through"].as_u64().unwrap() as u32;
        // A scan may come between the deletion of the file and the start of the program.
        let runs = |row: &&Value| {
            holders(row).into_iter().any(|holder| holder["pid"] == child && holder["how"] == "exe")
        };
        let row = observer.wait_for(|report| row(report, &truth).filter(runs).cloned());
        let ways: Vec<&Value> = holders(&row)
            .iter()
            .filter(|holder| holder["pid"] == child)
            .map(|holder| &holder["how"])
            .collect();
        assert_eq!(ways, ["mmap", "exe"], "{row:#}");
        assert_eq!(row["size"], truth["size"]);
        assert!(row["reclaim"].as_str().unwrap().starts_with("a running program"), "{row:#}");
        workload.ask("close program");
        gone(&mut observer, &truth);
    }
}
