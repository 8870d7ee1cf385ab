//! Accounts of the machine's memory that only some kernels have: `/proc/zoneinfo`, `/proc/vmstat`, zram.

use std::{fs, path::Path};

use super::field;
use observer_core::facts::mem::Accounts;
use observer_host::text::Text;

/// Reads the accounts. `meminfo`: the text of that file.
pub(super) fn accounts(root: &Path, meminfo: &str) -> Accounts {
    let page = rustix::param::page_size() as u64;
    let mut text = Text::default();
    // Read first: pages constantly move between these lists and those of `meminfo`.
    let unused = text.str(&root.join("proc/zoneinfo")).map(|zones| unused_pages(zones).saturating_mul(page));
    let count = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().parse::<u64>().ok()
    };
    let huge_size = field(meminfo, "Hugepagesize").unwrap_or(0);
    Accounts {
        slab_reclaimable: field(meminfo, "SReclaimable"),
        per_cpu_lists: unused
            .zip(field(meminfo, "MemFree"))
            .map(|(unused, free)| unused.saturating_sub(free)),
        huge_free: count("HugePages_Free").map(|pages| pages.saturating_mul(huge_size)),
        pinned: text
            .str(&root.join("proc/vmstat"))
            .and_then(pinned_pages)
            .map(|pages| pages.saturating_mul(page)),
        zram: zram(root),
        zswap: field(meminfo, "Zswap").unwrap_or(0),
        balloon: field(meminfo, "Balloon"),
    }
}

/// Free pages of all zones, including those on per-CPU lists, from the text of `zoneinfo`.
fn unused_pages(zoneinfo: &str) -> u64 {
    let number = |line: &str| {
        let line = line.trim_start();
        let number = line.strip_prefix("count:").or_else(|| line.strip_prefix("pages free"))?;
        number.trim().parse::<u64>().ok()
    };
    zoneinfo.lines().filter_map(number).fold(0, u64::saturating_add)
}

/// Pinned pages, from the text of `vmstat`: pages pinned so far less pages unpinned so far.
fn pinned_pages(vmstat: &str) -> Option<u64> {
    let of = |name: &str| {
        vmstat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.trim().parse::<u64>().ok()
    };
    Some(of("nr_foll_pin_acquired")?.saturating_sub(of("nr_foll_pin_released")?))
}

/// Bytes of memory used by all compressed block devices: the third number of `mm_stat`.
fn zram(root: &Path) -> u64 {
    let devices = fs::read_dir(root.join("sys/block")).into_iter().flatten().flatten();
    let devices = devices.filter(|device| device.file_name().as_encoded_bytes().starts_with(b"zram"));
    devices
        .filter_map(|device| fs::read_to_string(device.path().join("mm_stat")).ok())
        .filter_map(|numbers| numbers.split_whitespace().nth(2)?.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_pages_of_all_zones_and_lists_add_up() {
        let zones = "Node 0, zone DMA\n  pages free     30\n        min      4\n  pagesets\n    cpu: 0\n              count:    7\n              high:     0\n\
                     \x20   cpu: 1\n              count: 5\n";
        assert_eq!(unused_pages(zones), 42);
    }

    #[test]
    fn pinned_pages_are_those_not_released() {
        assert_eq!(pinned_pages("nr_foll_pin_acquired 9\nnr_foll_pin_released 4\n"), Some(5));
        assert_eq!(pinned_pages("nr_free_pages 9\n"), None);
    }
}
