//! The accounts of the machine's memory, with their trends. They add up to the whole.
//!
//! Some kernel accounts overlap with others or are counted at another time. Such a part is limited to what the other
//! parts leave, so the sum never exceeds the machine's memory.

use observer_core::{
    facts::mem::{Accounts, Machine},
    trend::window::Window,
};

/// The accounts, in the order of [`parts`].
pub(super) const NAMES: [&str; 18] = [
    "free",
    "per_cpu_lists",
    "anon",
    "shared",
    "cache",
    "slab_reclaimable",
    "slab_unreclaimable",
    "page_tables",
    "per_cpu",
    "vmalloc",
    "huge_used",
    "huge_free",
    "zram",
    "zswap",
    "balloon",
    "unread",
    "pinned",
    "unaccounted",
];

/// Bytes in each account; `None` if this kernel does not report it. `unread`: bytes of unread data and rings.
pub(super) fn parts(machine: &Machine, accounts: Option<&Accounts>, unread: u64) -> [Option<u64>; 18] {
    let mut rest = machine.total;
    let mut part = |bytes: u64| {
        let part = bytes.min(rest);
        rest -= part;
        part
    };
    let known = |of: fn(&Accounts) -> Option<u64>| accounts.and_then(of);
    let cache = machine.cached.saturating_add(machine.buffers);
    let reclaimable = known(|accounts| accounts.slab_reclaimable);
    let huge_free = known(|accounts| accounts.huge_free).unwrap_or(0).min(machine.hugetlb);
    let listed = known(|accounts| accounts.per_cpu_lists);
    let free = part(machine.free);
    let anon = part(machine.anon);
    let shared = part(machine.shmem);
    let cache = part(cache.saturating_sub(machine.shmem));
    let reclaimable = reclaimable.map(&mut part);
    let unreclaimable = part(machine.slab.saturating_sub(reclaimable.unwrap_or(0)));
    let tables = part(machine.page_tables.saturating_add(machine.secondary_page_tables.unwrap_or(0)));
    let per_cpu = machine.per_cpu.map(&mut part);
    let vmalloc = machine.vmalloc.map(|vmalloc| part(vmalloc.max(machine.kernel_stack)));
    let huge_used = part(machine.hugetlb.saturating_sub(huge_free));
    let huge_free = accounts.map(|_| part(huge_free));
    // The accounts from here on can overlap with others, or change while the others are read.
    let listed = listed.map(&mut part);
    let zram = accounts.map(|accounts| part(accounts.zram));
    let zswap = accounts.map(|accounts| part(accounts.zswap));
    let balloon = known(|accounts| accounts.balloon).map(&mut part);
    let unread = accounts.map(|_| part(unread));
    let pinned = known(|accounts| accounts.pinned).map(&mut part);
    [
        Some(free),
        listed,
        Some(anon),
        Some(shared),
        Some(cache),
        reclaimable,
        Some(unreclaimable),
        Some(tables),
        per_cpu,
        vmalloc,
        Some(huge_used),
        huge_free,
        zram,
        zswap,
        balloon,
        unread,
        pinned,
        per_cpu.and(vmalloc).map(|_| rest),
    ]
}

/// The machine's accounts over time.
#[derive(Debug)]
pub(super) struct AccountSeries {
    latest: [Option<u64>; 18],
    windows: [Window; 18],
}

impl AccountSeries {
    pub(super) fn new(seconds: f64) -> Self {
        Self { latest: [None; 18], windows: std::array::from_fn(|_| Window::new(seconds)) }
    }

    pub(super) fn push(&mut self, at: u64, parts: [Option<u64>; 18]) {
        self.latest = parts;
        for (window, bytes) in self.windows.iter_mut().zip(parts) {
            if let Some(bytes) = bytes {
                window.push(at, bytes as f64);
            }
        }
    }

    /// Each account with its bytes and its series.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, Option<u64>, &Window)> {
        NAMES
            .into_iter()
            .zip(self.latest)
            .zip(&self.windows)
            .map(|((name, bytes), window)| (name, bytes, window))
    }

    /// Bytes in the account `name`.
    pub(super) fn bytes(&self, name: &str) -> Option<u64> {
        self.all().find(|(known, _, _)| *known == name)?.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_add_up_to_the_machine_even_if_accounts_overlap() {
        let machine = Machine {
            total: 1000,
            free: 100,
            cached: 200,
            anon: 400,
            shmem: 20,
            slab: 50,
            per_cpu: Some(7),
            vmalloc: Some(20),
            hugetlb: 64,
            ..Machine::default()
        };
        let mut accounts = Accounts {
            slab_reclaimable: Some(30),
            per_cpu_lists: Some(40),
            huge_free: Some(60),
            pinned: Some(5000),
            ..Accounts::default()
        };
        let parts = parts(&machine, Some(&accounts), 9);
        assert_eq!(parts.iter().flatten().sum::<u64>(), 1000);
        let of =
            |parts: [Option<u64>; 18], name| parts[NAMES.iter().position(|known| *known == name).unwrap()];
        assert_eq!(of(parts, "unread"), Some(9));
        assert_eq!(of(parts, "pinned"), Some(110), "no more than is left");
        accounts.pinned = None;
        let parts = super::parts(&machine, Some(&accounts), 9);
        assert_eq!(of(parts, "unaccounted"), Some(110));
        assert_eq!(
            of(super::parts(&machine, None, 0), "unaccounted"),
            Some(159),
            "as older recordings have it"
        );
    }
}
