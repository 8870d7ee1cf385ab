//! How full `disk` reports a filesystem to be, for each limit: its blocks, its inodes, or another limit.
//!
//! The truth comes from `statvfs` and from the filesystem's own tools.

use std::{path::PathBuf, process::Command};

use observer_tests::{
    observer::Observer,
    place::TempDir,
    report::number,
    tool::{self, not_run},
    workload::Workload,
};

use crate::{
    growth::{filesystem, on_with},
    holder_kinds::exists,
};

const ARGUMENTS: [&str; 6] = ["disk", "--json", "--interval", "0.2", "--window", "4"];

/// A path in the workload's mount namespace, as seen from here.
fn there(workload: &Workload, path: &std::path::Path) -> PathBuf {
    format!("/proc/{}/root{}", workload.pid(), path.display()).into()
}

/// The text output about the filesystems in the workload's mount namespace.
fn plain(workload: &Workload) -> String {
    let inner = Observer::command(&["disk", "--plain", "--once", "--interval", "0.2"]);
    let mut command = Command::new("nsenter");
    command.args(["-t", &workload.pid().to_string(), "-m"]).arg(inner.get_program()).args(inner.get_args());
    String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
}

#[test]
fn a_filesystem_that_runs_out_of_inodes_is_as_full_as_its_inodes() {
    for (fs, make) in [
        ("ext4", "truncate -s 100M image; mkfs.ext4 -q -N 2000 image; mount -o loop image point"),
        ("tmpfs", "mount -t tmpfs -o nr_inodes=2000 none point"),
    ] {
        if fs == "ext4" && tool::missing("mkfs.ext4") {
            continue;
        }
        let folder = TempDir::new(&format!("fullness-inodes-{fs}"));
        let (mut workload, mut observer) = on_with(&folder, make, &ARGUMENTS);
        let point = folder.file("point");
        let mut made = 0;
        let mut counted_down = false;
        let row = observer.wait_for(|report| {
            let answer = workload.ask("many f 30 0");
            let row = filesystem(report, &point)?;
            let is_inodes = row["limit"] == "inodes";
            counted_down |=
                is_inodes && number(row, "full_in").is_some() && number(row, "inodes_rate") > Some(0.0);
            made = answer["made"].as_u64()?;
            (!answer["refused"].is_null() && row["inodes"] == row["inodes_used"]).then(|| row.clone())
        });
        assert!(made > 1000 && counted_down, "{fs}: {row:#}");
        assert_eq!(
            (number(&row, "inodes_full"), number(&row, "limit_full")),
            (Some(1.0), Some(1.0)),
            "{row:#}"
        );
        let stat = rustix::fs::statvfs(there(&workload, &point)).unwrap();
        let truth = (Some(stat.f_files - stat.f_ffree), Some(stat.f_files));
        assert_eq!((row["inodes_used"].as_u64(), row["inodes"].as_u64()), truth);
        let shown = plain(&workload);
        assert!(shown.contains(&format!("{} is out of inodes", point.display())), "{shown}");
    }
}

#[test]
fn the_quota_that_is_reached_before_the_filesystem_is_full_is_named() {
    if tool::missing("mkfs.btrfs") || !exists("btrfs") {
        return;
    }
    let folder = TempDir::new("fullness-quota");
    let make = "truncate -s 400M image; mkfs.btrfs -q image; mount -o loop image point; btrfs quota enable point; \
                btrfs subvolume create point/s; btrfs qgroup limit 20M point/s";
    let (mut workload, mut observer) = on_with(&folder, make, &ARGUMENTS);
    let point = folder.file("point");
    workload.ask("open s/f");
    workload.ask("write s/f pwrite 15000000");
    workload.ask("sync s/f");
    let truth = Command::new("btrfs")
        .args(["qgroup", "show", "--raw", "-r"])
        .arg(there(&workload, &point))
        .output()
        .unwrap();
    let truth = String::from_utf8_lossy(&truth.stdout).into_owned();
    let limited = truth.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut limited = limited.filter(|words| words.contains(&"20971520"));
    let words = limited.next_back().unwrap_or_else(|| panic!("{truth}"));
    let used: f64 = words[1].parse().unwrap();
    observer.wait_for(|report| {
        let row = filesystem(report, &point)?;
        let near = |full: f64| (full - used / 20_971_520.0).abs() < 0.001;
        let named = row["limit"] == "quota" && row["limit_of"] == words[0];
        (named && near(number(row, "limit_full")?)).then_some(())
    });
}

#[test]
fn a_sparse_image_is_as_full_as_the_filesystem_that_it_is_on() {
    if tool::missing("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new("fullness-sparse");
    let make = "mkdir host; mount -t tmpfs -o size=48m none host; truncate -s 400M host/image; \
                mkfs.ext4 -q host/image; mount -o loop host/image point; head -c 30000000 /dev/zero > host/other";
    let (workload, mut observer) = on_with(&folder, make, &ARGUMENTS);
    let (point, host) = (folder.file("point"), folder.file("host"));
    observer.wait_for(|report| {
        let row = filesystem(report, &point)?;
        let below = rustix::fs::statvfs(there(&workload, &host)).unwrap();
        let left = (below.f_bavail * below.f_frsize) as f64;
        let used = number(row, "used")?;
        let same = (number(row, "limit_full")? - used / (used + left)).abs() < 0.001;
        (row["limit"] == "backing" && row["limit_of"] == host.to_str().unwrap() && same).then_some(())
    });
}

#[test]
fn btrfs_without_room_for_metadata_is_full() {
    if tool::missing("mkfs.btrfs") || !exists("btrfs") {
        return;
    }
    let folder = TempDir::new("fullness-metadata");
    let make = "truncate -s 120M image; mkfs.btrfs -q -m single -d single image; mount -o loop image point; i=0; \
                while fallocate -l 4M point/data$i; do i=$((i+1)); done";
    let (mut workload, mut observer) = on_with(&folder, make, &ARGUMENTS);
    let point = folder.file("point");
    let refused = (0..40).find_map(|_| {
        let answer = workload.ask("many f 1000 2000");
        (!answer["refused"].is_null()).then_some(answer)
    });
    // All chunks are for data or metadata by now.
    if refused.is_none() {
        not_run("btrfs made room for 40,000 files");
        return;
    }
    observer.wait_for(|report| {
        let row = filesystem(report, &point)?;
        (row["limit"] == "metadata" && number(row, "limit_full")? > 0.9).then_some(())
    });
}
