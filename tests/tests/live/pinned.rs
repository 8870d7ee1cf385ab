//! What `disk --deleted-open` reports about files that free less space than they take: reflinked, in a snapshot,
//! compressed, or stored in their inode.

use observer_tests::{
    place::TempDir,
    tool::{self, not_run},
};
use serde_json::{Value, json};

use crate::{
    disk::watch,
    holder_kinds::{exists, on},
};

/// The row about the file of this size on this kind of filesystem. It is not found by its numbers, because on btrfs
/// those of `statx` are not those of the kernel.
fn row<'a>(report: &'a Value, fs: &str, truth: &Value) -> Option<&'a Value> {
    report["rows"].as_array()?.iter().find(|row| row["fs"] == fs && row["size"] == truth["size"])
}

fn sentence(row: &Value) -> &str {
    row["reclaim"].as_str().unwrap()
}

#[test]
fn a_reflinked_file_says_that_its_end_gives_nothing_back() {
    for (fs, maker) in [("xfs", "mkfs.xfs"), ("btrfs", "mkfs.btrfs")] {
        if tool::missing(maker) || !exists(fs) {
            continue;
        }
        let folder = TempDir::new(&format!("pinned-{fs}"));
        let make = format!("{maker} -q image; mount -o loop image point");
        let (mut workload, mut observer) = (on(&folder, &make), watch());
        workload.ask("open base");
        workload.ask("write base pwrite 3145728");
        workload.ask("sync base");
        workload.ask("clone copy base");
        workload.ask("sync copy");
        let truth = workload.ask("delete copy");
        observer.wait_for(|report| {
            let row = row(report, fs, &truth)?;
            let sentence = sentence(row);
            // Only btrfs finds the other file.
            let named = fs != "btrfs" || sentence.contains("/base");
            let says = sentence.starts_with("nothing comes back") && named;
            (row["reclaimable"] == 0 && row["allocated"] == truth["allocated"] && says).then_some(())
        });
    }
}

#[test]
fn a_file_in_a_snapshot_names_it() {
    if tool::missing("mkfs.btrfs") || tool::missing("btrfs") || !exists("btrfs") {
        return;
    }
    let folder = TempDir::new("pinned-snapshot");
    let make = "mkfs.btrfs -q image; mount -o loop image point; head -c 3300000 /dev/urandom > point/f; sync -f point; \
                btrfs subvolume snapshot -r point point/friday";
    let (mut workload, mut observer) = (on(&folder, make), watch());
    workload.ask("open f");
    let truth = workload.ask("delete f");
    observer.wait_for(|report| {
        let row = row(report, "btrfs", &truth)?;
        (row["reclaimable"] == 0 && sentence(row).contains("/friday/f")).then_some(())
    });
}

#[test]
fn a_compressed_file_gives_back_what_it_takes_on_the_device() {
    if tool::missing("mkfs.btrfs") || !exists("btrfs") {
        return;
    }
    let folder = TempDir::new("pinned-compressed");
    let make = "mkfs.btrfs -q image; mount -o loop,compress-force=zstd image point; yes word | head -c 3400000 > point/f; \
                sync -f point";
    let (mut workload, mut observer) = (on(&folder, make), watch());
    workload.ask("open f");
    let truth = workload.ask("delete f");
    observer.wait_for(|report| {
        let row = row(report, "btrfs", &truth)?;
        // Each extent of 128 KiB takes one block.
        let blocks = truth["size"].as_u64()?.div_ceil(131_072);
        (row["reclaimable"] == json!(blocks * 4096) && sentence(row).contains("compressed")).then_some(())
    });
}

#[test]
fn data_in_an_inode_takes_no_blocks() {
    if tool::missing("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new("pinned-inline");
    let make = "mkfs.ext4 -q -O inline_data -I 1024 image; mount -o loop image point; \
                head -c 401 /dev/zero > point/f; sync -f point";
    let (mut workload, mut observer) = (on(&folder, make), watch());
    workload.ask("open f");
    let truth = workload.ask("delete f");
    if truth["allocated"] != 512 {
        not_run("data in an inode: this kernel gave it a block");
        return;
    }
    observer.wait_for(|report| {
        let row = row(report, "ext4", &truth)?;
        (row["allocated"] == 0 && row["reclaimable"] == 0).then_some(())
    });
}
