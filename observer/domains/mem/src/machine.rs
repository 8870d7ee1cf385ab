//! The memory of the whole machine: its accounts, how fast it fills, and kernel memory that grows.
//!
//! `unaccounted` is memory that no account of the kernel contains: pages of drivers, balloons, firmware.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    accounts::{AccountSeries, NAMES, parts},
    notes::MemNote,
};
use observer_core::{
    facts::{
        mem::{Accounts, KernelPart, Machine},
        session::Timestamp,
    },
    report::{Column, Note, Total, Unit, Value},
    trend::{series::Series, verdict::assess, window::Window},
    units::duration,
};

/// The slab caches are queried if their sum has changed by this many bytes since the last query.
const SLAB_STEP: u64 = 1 << 20;
/// They are also queried after this many nanoseconds. One reading makes the kernel walk the lists of every cache, under
/// their locks.
const SLAB_AGE: u64 = 10_000_000_000;
/// The pause before the next query, as a multiple of the processor time of the last answer. It limits the cost to a
/// tenth of the default budget. After large frees the lists are long, and each reading takes milliseconds.
const SLAB_PAUSE: u64 = 1000;
/// The longest pause, in nanoseconds. With a longer one, growth over a minute would not be known.
const SLAB_PAUSE_MOST: u64 = 30_000_000_000;
/// A reading of at least this age, in nanoseconds, gets a note.
const SECOND: u64 = 1_000_000_000;

/// The memory of the machine over time.
#[derive(Debug)]
pub(super) struct MachineMemory {
    latest: Option<Machine>,
    accounts: Option<Accounts>,
    /// Bytes of files and shared memory that processes map.
    mapped: Option<u64>,
    /// Bytes of unread data that are in no other account.
    unread: u64,
    /// Unaccounted bytes when there was no unread data.
    unaccounted_before: Option<u64>,
    /// The series of the accounts.
    series: AccountSeries,
    /// Slab caches that the kernel shrinks when memory is needed.
    reclaimable: BTreeSet<Vec<u8>>,
    /// The time of the last query for slab caches, in nanoseconds since boot, and the bytes in all of them at that
    /// time. The answer does not contain that time: caches that did not change have no facts.
    slabs_queried: Option<(u64, u64)>,
    /// Nanoseconds of processor time of the last answer.
    slabs_took: u64,
    /// Bytes that are not available to processes, including used swap.
    pub(super) used: Window,
    /// Kinds of kernel memory, in bytes.
    kinds: [(&'static str, Series); 6],
    /// Parts of these kinds, in bytes.
    parts: BTreeMap<KernelPart, PartState>,
    /// The window of growth, in seconds.
    window: f64,
}

/// One part of kernel memory.
#[derive(Debug)]
struct PartState {
    bytes: u64,
    series: Series,
}

impl MachineMemory {
    pub(super) fn new(window: f64) -> Self {
        let kinds = ["slab", "kernel_stack", "page_tables", "secondary_page_tables", "per_cpu", "vmalloc"];
        Self {
            latest: None,
            accounts: None,
            mapped: None,
            unread: 0,
            unaccounted_before: None,
            series: AccountSeries::new(window),
            reclaimable: BTreeSet::new(),
            slabs_queried: None,
            slabs_took: 0,
            used: Window::new(window),
            kinds: kinds.map(|kind| (kind, Series::new(window))),
            parts: BTreeMap::new(),
            window,
        }
    }

    /// Bytes of shared memory and tmpfs, if known.
    pub(super) fn shmem(&self) -> Option<u64> {
        self.latest.map(|machine| machine.shmem)
    }

    /// Whether the machine has huge pages in a pool.
    pub(super) fn has_huge_pages(&self) -> bool {
        self.latest.is_some_and(|machine| machine.hugetlb > 0)
    }

    pub(super) fn take_part(&mut self, part: &KernelPart, bytes: u64) {
        if let Some(known) = self.parts.get_mut(part) {
            known.bytes = bytes;
        } else if bytes > 0 || *part == KernelPart::Sockets {
            self.parts.insert(part.clone(), PartState { bytes, series: Series::new(self.window) });
        }
    }

    /// Whether slab caches are to be queried: the last reading is too old, or they have changed since.
    pub(super) fn slabs_due(&self, now: Timestamp) -> bool {
        match (self.slabs_queried, self.latest) {
            (Some((asked, bytes)), Some(machine)) => {
                let age = now.boot.saturating_sub(asked);
                let outdated = age >= SLAB_AGE || machine.slab.abs_diff(bytes) >= SLAB_STEP;
                outdated && age >= self.slabs_took.saturating_mul(SLAB_PAUSE).min(SLAB_PAUSE_MOST)
            }
            _ => true,
        }
    }

    /// The slab caches were read in `took` nanoseconds of processor time.
    pub(super) const fn slabs_read(&mut self, took: u64) {
        self.slabs_took = took;
    }

    /// A note if the slab caches are read less often because a reading is expensive.
    pub(super) fn note(&self, now: Timestamp) -> Option<Note> {
        let ((asked, bytes), machine) = self.slabs_queried.zip(self.latest)?;
        let age = now.boot.saturating_sub(asked);
        let outdated = age > SLAB_AGE || (age > SECOND && machine.slab.abs_diff(bytes) >= SLAB_STEP);
        outdated.then(|| {
            let [age, took] = [age, self.slabs_took].map(|time| duration(time as f64 / 1e9));
            let text = format!(
                "Slab caches are as they were {age} ago: reading them took {took} of processor time, so they are \
                 read less often."
            );
            Note::new(MemNote::SlabsReadBefore, text)
        })
    }

    /// The slab caches that are not empty, as far as known.
    pub(super) fn slabs(&self) -> BTreeSet<Vec<u8>> {
        let name = |(part, known): (&KernelPart, &PartState)| match part {
            KernelPart::Slab(name) if known.bytes > 0 => Some(name.clone()),
            _ => None,
        };
        self.parts.iter().filter_map(name).collect()
    }

    /// Every kind of kernel memory: its name, the name of the slab cache if it is one, its series.
    pub(super) fn kernel(&self) -> impl Iterator<Item = (&'static str, Option<&[u8]>, &Series)> {
        let kinds = self.kinds.iter().map(|(kind, series)| (*kind, None, series));
        kinds.chain(self.parts.iter().map(|(part, known)| match part {
            KernelPart::Sockets => ("sockets", None, &known.series),
            KernelPart::Slab(name) => ("slab", Some(name.as_slice()), &known.series),
        }))
    }

    pub(super) const fn take(&mut self, machine: &Machine) {
        self.latest = Some(*machine);
    }

    pub(super) const fn take_accounts(&mut self, accounts: &Accounts) {
        self.accounts = Some(*accounts);
    }

    pub(super) const fn take_mapped(&mut self, bytes: u64) {
        self.mapped = Some(bytes);
    }

    /// Resident memory of all processes, each page once: the sum of the `pss` of all processes.
    pub(super) fn resident(&self) -> Option<u64> {
        Some(self.latest?.anon.saturating_add(self.mapped?))
    }

    pub(super) fn take_reclaimable(&mut self, name: &[u8]) {
        self.reclaimable.insert(name.to_vec());
    }

    /// Whether the kernel can free most of this kind of memory when needed. Without a slab cache `name`, the growth of
    /// all slabs decides.
    pub(super) fn is_reclaimable(&self, kind: &str, name: Option<&[u8]>, now: u64) -> bool {
        let grew = |account| {
            let (_, _, window) = self.series.all().find(|(known, _, _)| *known == account)?;
            window.growth(now)
        };
        match name {
            Some(name) => self.reclaimable.contains(name),
            None => kind == "slab" && grew("slab_reclaimable") > grew("slab_unreclaimable"),
        }
    }

    /// The machine's accounts: name, bytes, series.
    pub(super) fn accounts(&self) -> impl Iterator<Item = (&'static str, Option<u64>, &Window)> {
        self.series.all()
    }

    /// Bytes in the account `name`.
    pub(super) fn account(&self, name: &str) -> Option<u64> {
        self.series.bytes(name)
    }

    pub(super) fn sample(&mut self, now: Timestamp, unread: u64) {
        self.unread = self.outside_accounts(unread);
        if let Some(machine) = &self.latest {
            self.series.push(now.boot, parts(machine, self.accounts.as_ref(), self.unread));
        }
        for part in self.parts.values_mut() {
            part.series.push(now.boot, part.bytes as f64, part.bytes as f64);
        }
        // A destroyed cache is removed once its end has left the window.
        self.parts.retain(|part, known| {
            *part == KernelPart::Sockets || known.bytes > 0 || !known.series.window.is_flat(now.boot)
        });
        let Some(machine) = self.latest else { return };
        if self.slabs_due(now) {
            self.slabs_queried = Some((now.boot, machine.slab));
        }
        if let Some(available) = machine.available {
            let used = machine.total as f64 - available as f64 + machine.swap_total as f64
                - machine.swap_free as f64;
            self.used.push(now.boot, used);
        }
        let values = [
            Some(machine.slab),
            Some(machine.kernel_stack),
            Some(machine.page_tables),
            machine.secondary_page_tables,
            machine.per_cpu,
            machine.vmalloc,
        ];
        for ((_, series), value) in self.kinds.iter_mut().zip(values) {
            if let Some(value) = value {
                // All memory that the kernel uses for itself counts as requested.
                series.push(now.boot, value as f64, value as f64);
            }
        }
    }

    /// The part of `unread` bytes of unread data that is in no other account. Buffers of some sizes are slabs, and data can
    /// arrive after the accounts were read. So at most as much counts as has come to the unaccounted memory since there
    /// was no unread data.
    fn outside_accounts(&mut self, unread: u64) -> u64 {
        let all =
            self.latest.zip(self.accounts).and_then(|(machine, accounts)| unaccounted(&machine, &accounts));
        let Some(all) = all else { return unread };
        if unread == 0 {
            self.unaccounted_before = Some(all);
        }
        self.unaccounted_before.map_or(unread, |before| unread.min(all.saturating_sub(before)))
    }

    pub(super) fn available(&self) -> Option<u64> {
        self.latest?.available
    }

    /// Bytes of swap, in all and free.
    pub(super) fn swap(&self) -> Option<(u64, u64)> {
        self.latest.map(|machine| (machine.swap_total, machine.swap_free))
    }

    /// Bytes of memory, and the share in use, 0 to 1.
    pub(super) fn size(&self) -> Option<(u64, f64)> {
        let machine = self.latest?;
        Some((machine.total, 1.0 - machine.available? as f64 / machine.total.max(1) as f64))
    }

    /// The totals of the report, in bytes.
    pub(super) fn totals(&self, now: Timestamp) -> Vec<Total> {
        let machine = self.latest;
        let parts = machine.as_ref().map(|machine| parts(machine, self.accounts.as_ref(), self.unread));
        let part = |name: &str| {
            let at = NAMES.iter().position(|known| *known == name)?;
            parts?.get(at).copied().flatten().filter(|_| self.accounts.is_some() || name == "unaccounted")
        };
        let part = |name| Value::unsigned(part(name));
        let assessment = assess(&self.used, now.boot);
        let rate = assessment.trend.map(|trend| trend.rate);
        let full_in = rate.filter(|rate| *rate > 0.0 && assessment.verdict.grows());
        let full_in = full_in.zip(self.available()).map(|(rate, available)| available as f64 / rate);
        let of = |value: fn(&Machine) -> Option<u64>| Value::unsigned(machine.as_ref().and_then(value));
        let totals = [
            ("total", of(|machine| Some(machine.total))),
            ("available", of(|machine| machine.available)),
            ("anon", of(|machine| Some(machine.anon))),
            ("file", of(|machine| Some(file(machine)))),
            ("slab", of(|machine| Some(machine.slab))),
            ("kernel_other", of(kernel_other)),
            ("unaccounted", part("unaccounted")),
            ("huge", of(|machine| Some(machine.hugetlb))),
            ("free", of(|machine| Some(machine.free))),
            ("kernel_stack", of(|machine| Some(machine.kernel_stack))),
            ("page_tables", of(|machine| Some(machine.page_tables))),
            ("vmalloc", of(|machine| machine.vmalloc)),
            ("per_cpu", of(|machine| machine.per_cpu)),
            ("sockets", Value::unsigned(self.parts.get(&KernelPart::Sockets).map(|part| part.bytes))),
            ("swap_total", of(|machine| Some(machine.swap_total))),
            ("swap_free", of(|machine| Some(machine.swap_free))),
            ("per_cpu_lists", part("per_cpu_lists")),
            ("shared", part("shared")),
            ("cache", part("cache")),
            ("slab_reclaimable", part("slab_reclaimable")),
            ("slab_unreclaimable", part("slab_unreclaimable")),
            ("huge_used", part("huge_used")),
            ("huge_free", part("huge_free")),
            ("zram", part("zram")),
            ("zswap", part("zswap")),
            ("balloon", part("balloon")),
            ("unread", part("unread")),
            ("pinned", part("pinned")),
            ("resident", Value::unsigned(self.resident())),
            ("growth", Value::signed(assessment.growth.map(|growth| growth.round() as i64))),
            ("rate", Value::real(rate)),
            ("full_in", Value::real(full_in)),
        ];
        let total = |(name, value)| {
            let unit = match name {
                "rate" => Unit::BytesPerSecond,
                "full_in" => Unit::Seconds,
                _ => Unit::Bytes,
            };
            let column = Column::gauge(name, unit);
            let column = match name {
                "total" => column.otel("system.memory.limit", None),
                "available" => column.otel("system.memory.linux.available", None),
                "free" => column.otel("system.memory.usage", Some(("system.memory.state", "free"))),
                _ => column,
            };
            Total::new(column, value)
        };
        totals.map(total).to_vec()
    }
}

/// Bytes of page cache: files, and shared memory.
const fn file(machine: &Machine) -> u64 {
    machine.cached.saturating_add(machine.buffers)
}

fn kernel_other(machine: &Machine) -> Option<u64> {
    // With CONFIG_VMAP_STACK, kernel stacks are vmalloc memory, and in both accounts.
    let vmalloc = machine.vmalloc?.max(machine.kernel_stack);
    // Kernels before 6.1 do not count secondary page tables.
    let secondary = machine.secondary_page_tables.unwrap_or(0);
    Some(sum(&[machine.page_tables, secondary, machine.per_cpu?, vmalloc]))
}

/// A sum that saturates: a recording can contain any number.
fn sum(accounts: &[u64]) -> u64 {
    accounts.iter().copied().fold(0, u64::saturating_add)
}

/// Memory in no account, in bytes. Objects that hold kernel memory are not subtracted.
pub(super) fn unaccounted(machine: &Machine, accounts: &Accounts) -> Option<u64> {
    parts(machine, Some(accounts), 0).last().copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine {
        total: 1000,
        free: 100,
        available: Some(300),
        buffers: 5,
        cached: 200,
        swap_cached: 0,
        anon: 400,
        shmem: 20,
        slab: 50,
        kernel_stack: 8,
        page_tables: 10,
        secondary_page_tables: None,
        per_cpu: Some(7),
        vmalloc: Some(20),
        hugetlb: 64,
        swap_total: 0,
        swap_free: 0,
    };

    #[test]
    fn the_accounts_add_up_to_the_total() {
        let mut memory = MachineMemory::new(60.0);
        memory.take(&MACHINE);
        let totals = memory.totals(Timestamp::default());
        let number =
            |name| totals.iter().find(|total| total.column.name == name).unwrap().value.number().unwrap();
        assert_eq!(number("kernel_other"), 37.0, "stacks are within vmalloc");
        let named =
            ["anon", "file", "slab", "kernel_other", "unaccounted", "huge"].map(number).iter().sum::<f64>();
        assert_eq!(named + 100.0, number("total"), "with what is free");
        assert_eq!(memory.size(), Some((1000, 0.7)));
    }

    #[test]
    fn slab_caches_are_queried_when_they_changed_or_after_a_while() {
        let at = |seconds: u64| Timestamp { boot: seconds * 1_000_000_000, ..Timestamp::default() };
        let mut memory = MachineMemory::new(60.0);
        memory.take(&MACHINE);
        assert!(memory.slabs_due(at(1)), "never queried");
        memory.sample(at(1), 0);
        assert!(!memory.slabs_due(at(10)));
        assert!(memory.slabs_due(at(11)), "queried ten seconds ago");
        memory.take(&Machine { slab: MACHINE.slab + SLAB_STEP, ..MACHINE });
        assert!(memory.slabs_due(at(2)), "they have changed");
    }

    #[test]
    fn slab_caches_that_are_expensive_to_read_are_read_less_often_and_a_note_says_so() {
        let at = |milliseconds: u64| Timestamp { boot: milliseconds * 1_000_000, ..Timestamp::default() };
        let mut memory = MachineMemory::new(60.0);
        memory.take(&MACHINE);
        memory.slabs_read(4_000_000);
        memory.sample(at(1000), 0);
        memory.take(&Machine { slab: MACHINE.slab + SLAB_STEP, ..MACHINE });
        assert!(!memory.slabs_due(at(4900)), "a thousand times four milliseconds have not passed");
        let note = memory.note(at(4900)).expect("they have changed and are not read");
        assert!(note.text.contains(" 3.9 s ago") && note.text.contains(" 4.0 ms "), "{}", note.text);
        assert!(memory.slabs_due(at(5000)));
        memory.sample(at(5000), 0);
        assert_eq!(memory.note(at(5000)), None, "just read");
        memory.slabs_read(u64::MAX);
        assert!(!memory.slabs_due(at(34_900)) && memory.slabs_due(at(35_000)), "however expensive");
        memory.slabs_read(100_000);
        assert!(!memory.slabs_due(at(6000)) && memory.note(at(6000)).is_none(), "nothing has changed");
        memory.take(&MACHINE);
        assert!(memory.slabs_due(at(5200)), "cheap again");
    }

    #[test]
    fn a_destroyed_slab_cache_shrinks_and_then_leaves() {
        let at = |seconds: u64| Timestamp { boot: seconds * 1_000_000_000, ..Timestamp::default() };
        let cache = KernelPart::Slab(b"passing".to_vec());
        let held = |memory: &MachineMemory| {
            let series = memory.kernel().find(|(_, name, _)| name.is_some()).map(|(_, _, series)| series);
            series.and_then(|series| series.window.latest())
        };
        let mut memory = MachineMemory::new(60.0);
        memory.take_part(&cache, 4096);
        memory.sample(at(1), 0);
        assert_eq!((memory.slabs(), held(&memory)), ([b"passing".to_vec()].into(), Some(4096.0)));
        memory.take_part(&cache, 0);
        memory.sample(at(2), 0);
        assert_eq!((memory.slabs(), held(&memory)), (BTreeSet::new(), Some(0.0)), "it is no longer queried");
        memory.sample(at(70), 0);
        assert_eq!(held(&memory), None);
        memory.take_part(&cache, 0);
        assert_eq!(held(&memory), None, "an empty one is none");
    }

    #[test]
    fn accounts_that_the_kernel_lacks_are_missing() {
        let mut memory = MachineMemory::new(60.0);
        memory.take(&Machine { available: None, per_cpu: None, ..MACHINE });
        let totals = memory.totals(Timestamp::default());
        for name in ["available", "kernel_other", "unaccounted"] {
            let total = totals.iter().find(|total| total.column.name == name).unwrap();
            assert_eq!(total.value, Value::Missing, "{name}");
        }
        assert_eq!(memory.size(), None);
    }
}
