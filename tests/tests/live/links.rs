//! What `disk` reports about growing files when their link count changes later.

use observer_tests::{
    place::TempDir,
    tool::{self, not_run},
};

use crate::{
    growth::{file_of, filesystem, on},
    holder_kinds::{FILESYSTEMS, exists},
};

#[test]
fn a_file_that_gets_its_name_later_is_not_deleted_any_more() {
    for (fs, maker, make) in FILESYSTEMS {
        // An overlay has the files of the filesystem below it.
        if fs == "overlay" || tool::missing(maker) || !exists(fs) {
            continue;
        }
        if fs == "tmpfs" && tool::ruled_out("disk.work", 1) {
            continue;
        }
        let folder = TempDir::new(&format!("links-{fs}"));
        let (mut workload, mut observer) = on(&folder, &format!("truncate -s 400M image; {make}"));
        let point = folder.file("point");
        observer.report();
        workload.ask("tmpfile f");
        workload.ask("write f pwrite 8000000");
        let truth = workload.ask("sync f");
        let pid = workload.pid();
        let mut wait = |deleted: bool| {
            observer.wait_for(|report| {
                let row = filesystem(report, &point)?;
                let file = file_of(report, pid, &truth)?;
                let (with, without) = if deleted {
                    ("growth_deleted", "growth_files")
                } else {
                    ("growth_files", "growth_deleted")
                };
                (row[with] == truth["allocated"] && row[without] == 0 && file["deleted"] == deleted)
                    .then_some(())
            });
        };
        wait(true);
        workload.ask("name f");
        wait(false);
    }
}

#[test]
fn a_file_that_an_overlay_copied_up_is_not_deleted() {
    if tool::missing("mkfs.ext4") || !exists("overlay") {
        not_run("an overlay");
        return;
    }
    let folder = TempDir::new("links-overlay");
    let make = "truncate -s 200M image; mkfs.ext4 -q image; mkdir below; mount -o loop image below; \
                mkdir below/l below/u below/w; head -c 8000000 /dev/zero > below/l/f; \
                mount -t overlay -o lowerdir=below/l,upperdir=below/u,workdir=below/w none point";
    let (mut workload, mut observer) = on(&folder, make);
    let below = folder.file("below");
    observer.report();
    // It is copied up into a file without a name, which then gets its name.
    workload.ask("open f");
    let truth = workload.ask("sync f");
    observer.wait_for(|report| {
        let row = filesystem(report, &below)?;
        let copied = row["growth_files"].as_u64()? >= truth["allocated"].as_u64()?;
        (copied && row["growth_deleted"] == 0).then_some(())
    });
}
