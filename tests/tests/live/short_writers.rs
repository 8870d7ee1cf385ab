//! Growing files in `disk` that no process has open when a report is due: writers that end at once, or reopen the file for
//! each write.

use std::{path::Path, process::Command};

use observer_tests::{place::TempDir, tool, workload::Workload};
use serde_json::Value;

use crate::{
    growth::{filesystem, on},
    holder_kinds::exists,
};

/// Filesystems, and the command that mounts an empty one at `point`.
const FILESYSTEMS: [(&str, &str); 4] = [
    ("ext4", "truncate -s 300M image; mkfs.ext4 -q image; mount -o loop image point"),
    ("xfs", "truncate -s 400M image; mkfs.xfs -q image; mount -o loop image point"),
    ("btrfs", "truncate -s 400M image; mkfs.btrfs -q image; mount -o loop image point"),
    ("tmpfs", "mount -t tmpfs none point"),
];

/// Runs a shell command in the mount namespace of the workload. Returns the process id of the shell.
fn run(workload: &Workload, command: &str) -> u32 {
    let mut shell = Command::new("nsenter");
    shell.args(["-t", &workload.pid().to_string(), "-m", "sh", "-c", command]);
    let mut shell = shell.spawn().unwrap();
    assert!(shell.wait().unwrap().success(), "{command}");
    shell.id()
}

/// What a process wrote to the file with this path.
fn written(report: &Value, pid: u32, path: &Path) -> Option<u64> {
    let writer = report["writers"].as_array()?.iter().find(|row| row["pid"] == pid)?;
    writer["files"].as_array()?.iter().find(|file| file["path"] == path.to_str().unwrap())?["written"]
        .as_u64()
}

#[test]
fn each_of_several_short_writers_of_one_file_is_reported_with_its_path() {
    for (fs, make) in FILESYSTEMS {
        let needs_tool = fs != "tmpfs";
        if !exists(fs) || needs_tool && tool::missing(&format!("mkfs.{fs}")) {
            continue;
        }
        // Older kernels report the size of files in RAM and on btrfs while they are open.
        if tool::ruled_out("disk.work", 1) || fs == "btrfs" && tool::ruled_out("disk.btrfs", 1) {
            continue;
        }
        let folder = TempDir::new(&format!("short-writers-{fs}"));
        let (workload, mut observer) = on(&folder, make);
        let (point, log) = (folder.file("point"), folder.file("point").join("log"));
        observer.report();
        for _ in 0..4 {
            let pid = run(&workload, &format!("exec head -c 2000000 /dev/zero >> {}", log.display()));
            observer.wait_for(|report| (written(report, pid, &log)? == 2_000_000).then_some(()));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let inside = format!("/proc/{}/root{}", workload.pid(), log.display());
        let reported = observer.wait_for(|report| {
            let files = filesystem(report, &point)?["files"].as_array()?;
            let file = files.iter().find(|file| file["path"] == log.to_str().unwrap())?;
            let taken = rustix::fs::stat(inside.as_str()).unwrap().st_blocks * 512;
            (file["growth"] == taken).then(|| file.clone())
        });
        assert_eq!((&reported["writers"], &reported["unattributed"]), (&4.into(), &0.into()), "{fs}");
        assert_eq!(workload.quit(), Some(0));
    }
}
