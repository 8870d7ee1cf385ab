//! Reads the mem domain's part of `/proc`: the machine's memory, the exact counters of single processes, and the
//! control groups that limit them.
//!
//! `/proc/PID/status` adds the per-CPU remainders to the counters. On kernels 6.2 to 6.15 it does not, and a counter
//! can be off by one batch per CPU.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use self::{
    beyond::{Rollups, status},
    objects::{Levels, Objects},
    runtimes::Runtimes,
};
use crate::{decode::LeftToProc, machine::unaccounted, queries::MemQueries};
use observer_core::{
    domain::{Decoded, ReadHost},
    facts::{
        Fact, TaskId,
        mem::{KernelPart, Limit, Machine, MemFact, Memory, Status},
    },
    queries::HostQueries,
};
use observer_host::{
    cgroup::{Mounts, memory_group, stalls},
    process::Clock,
    text::Text,
};

mod accounts;
mod beyond;
mod descriptors;
mod mapped;
mod objects;
mod queues;
mod runtimes;
mod socket_diag;

/// The smallest object that gets a row, in bytes.
const LEAST: u64 = 1 << 20;

/// The smallest slab cache, in bytes, that is looked up: whether the kernel can shrink it.
const RECLAIMABLE_FROM: u64 = 1 << 20;

/// The reader, with its state between two reports.
#[derive(Debug)]
pub(crate) struct MemReader {
    root: PathBuf,
    clock: Clock,
    /// Per-thread remainders of the kernel's counters, by the last scan, in bytes.
    remainders: HashMap<TaskId, [i64; 4]>,
    objects: Objects,
    /// Slab caches, and whether the kernel shrinks them when memory is needed.
    reclaimable: HashMap<Vec<u8>, bool>,
    rollups: Rollups,
    runtimes: Runtimes,
}

impl MemReader {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            clock: Clock::of(root),
            remainders: HashMap::new(),
            objects: Objects::default(),
            reclaimable: HashMap::new(),
            rollups: Rollups::default(),
            runtimes: Runtimes::default(),
        }
    }
}

impl ReadHost for MemReader {
    fn tick(&mut self, now: u64, out: &mut Vec<Fact>) {
        self.runtimes.take(out);
        if let Some(levels) = tick(&self.root, out) {
            self.objects.tick(&self.root, now, levels, out);
        }
    }

    fn take(&mut self, left: Box<dyn Any>, decoded: &mut Decoded) {
        let facts = &mut decoded.facts;
        if let Ok(left) = left.downcast::<LeftToProc>() {
            count(&self.root, self.clock, &left.uncounted, facts);
            self.remainders = left.remainders;
            add_remainders(&self.remainders, facts);
        }
    }

    fn answer(&mut self, queries: &HostQueries, out: &mut Vec<Fact>) {
        let Some(queries) = queries.own() else { return };
        let before = out.len();
        answer(&self.root, self.clock, queries, out);
        self.reclaimable_slabs(before, out);
        self.rollups.answer(&self.root, self.clock, &queries.details, out);
        self.runtimes.request(&self.root, self.clock, &queries.heaps);
        add_remainders(&self.remainders, &mut out[before..]);
    }
}

impl MemReader {
    /// Adds which caches in the facts from `begin` on the kernel can shrink. Each large cache is looked up once.
    fn reclaimable_slabs(&mut self, begin: usize, out: &mut Vec<Fact>) {
        let mut found = Vec::new();
        for fact in out.get(begin..).unwrap_or_default() {
            let Fact::Mem(MemFact::Kernel { part: KernelPart::Slab(name), bytes: RECLAIMABLE_FROM.. }) = fact
            else {
                continue;
            };
            let root = &self.root;
            let reclaimable = self.reclaimable.entry(name.clone()).or_insert_with(|| {
                let folder = root.join("sys/kernel/slab").join(OsStr::from_bytes(name));
                fs::read(folder.join("reclaim_account")).is_ok_and(|text| text.starts_with(b"1"))
            });
            if *reclaimable {
                found.push(Fact::Mem(MemFact::ReclaimableSlab { name: name.clone() }));
            }
        }
        out.extend(found);
    }
}

/// Facts about the machine for every report. Values that this kernel lacks, or that this user may not read, have no
/// fact.
fn tick(root: &Path, out: &mut Vec<Fact>) -> Option<Levels> {
    let mut text = Text::default();
    let mut tell = |fact| out.push(Fact::Mem(fact));
    let mut levels = None;
    let meminfo = text.str(&root.join("proc/meminfo")).unwrap_or_default();
    if let Some(machine) = machine(meminfo) {
        let accounts = accounts::accounts(root, meminfo);
        tell(MemFact::Machine(Box::new(machine)));
        tell(MemFact::Accounts(Box::new(accounts)));
        if let Some(bytes) = field(meminfo, "Mapped") {
            tell(MemFact::Mapped { bytes });
        }
        let reclaimable = accounts.slab_reclaimable.unwrap_or(0);
        let unnamed = unaccounted(&machine, &accounts).unwrap_or(0);
        let unnamed = unnamed.saturating_add(machine.slab.saturating_sub(reclaimable));
        levels = Some(Levels { shared: machine.shmem, unnamed });
    }
    let page_size = rustix::param::page_size() as u64;
    if let Some(pages) = text.str(&root.join("proc/net/sockstat")).and_then(socket_pages) {
        tell(MemFact::Kernel { part: KernelPart::Sockets, bytes: pages.saturating_mul(page_size) });
    }
    if let Some(stalls) = text.str(&root.join("proc/pressure/memory")).and_then(stalls) {
        tell(MemFact::PressureTotals { cgroup: None, stalls });
    }
    levels
}

/// The bytes of each slab cache that is not empty. Caches in `known` that are gone or empty get 0 bytes. There are no
/// facts if this user may not read the caches.
fn slab_caches(root: &Path, known: &BTreeSet<Vec<u8>>, out: &mut Vec<Fact>) {
    let page_size = rustix::param::page_size() as u64;
    let mut text = Text::default();
    let caches: BTreeMap<&[u8], u64> = text
        .of(&root.join("proc/slabinfo"))
        .into_iter()
        .flat_map(slabs)
        .filter(|(_, pages)| *pages > 0)
        .collect();
    if caches.is_empty() {
        return;
    }
    let mut tell = |name: &[u8], pages: u64| {
        let part = KernelPart::Slab(name.to_vec());
        out.push(Fact::Mem(MemFact::Kernel { part, bytes: pages.saturating_mul(page_size) }));
    };
    caches.iter().for_each(|(name, pages)| tell(name, *pages));
    known.iter().filter(|name| !caches.contains_key(name.as_slice())).for_each(|name| tell(name, 0));
}

/// Nanoseconds of processor time used by this thread.
fn processor_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Pages in buffers of TCP and UDP sockets, from the text of `sockstat`. The counts cover all network namespaces.
fn socket_pages(sockstat: &str) -> Option<u64> {
    let of = |protocol: &str| -> Option<u64> {
        let line = sockstat.lines().find_map(|line| line.strip_prefix(protocol)?.strip_prefix(':'))?;
        line.split_whitespace().skip_while(|word| *word != "mem").nth(1)?.parse().ok()
    };
    of("TCP")?.checked_add(of("UDP").unwrap_or(0))
}

/// Each slab cache and its pages, from the text of `slabinfo`, version 2.1. Merged caches have one entry, under one of
/// their names.
fn slabs(slabinfo: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    slabinfo.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")).filter_map(|line| {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse::<u64>().ok();
        let name = words.next()?;
        let a_slab = number(words.nth(4)?)?;
        let slabs = number(words.skip_while(|word| *word != b"slabdata").nth(2)?)?;
        Some((name, a_slab.checked_mul(slabs)?))
    })
}

/// Answers the queries of the mem domain's report. A process that is gone has no answer.
fn answer(root: &Path, clock: Clock, wants: &MemQueries, out: &mut Vec<Fact>) {
    if let Some(known) = &wants.slabs {
        let began = processor_time();
        slab_caches(root, known, out);
        let took = processor_time().saturating_sub(began);
        out.push(Fact::Mem(MemFact::SlabsRead { took }));
    }
    if wants.counters.is_empty() && wants.limits.is_empty() {
        return;
    }
    let mut groups: BTreeSet<Vec<u8>> = wants.limits.clone();
    let mut text = Text::default();
    for id in &wants.counters {
        let folder = root.join("proc").join(id.pid().to_string());
        let Some((memory, status)) = counters(&mut text, &folder) else { continue };
        // A process without a hierarchy that can limit memory is in the root of one.
        let group = text.of(&folder.join("cgroup")).map(|lines| memory_group(lines).unwrap_or(b"/".to_vec()));
        // The identity is checked last, so that it also covers the values read before.
        if !clock.is(&folder, *id) {
            continue;
        }
        out.push(Fact::Mem(MemFact::Exact { id: *id, memory }));
        if wants.details.contains(id) || (status.hugetlb, status.pinned, status.locked) != (0, 0, 0) {
            out.push(Fact::Mem(MemFact::Status { id: *id, status }));
        }
        if let Some(cgroup) = group {
            groups.insert(cgroup.clone());
            out.push(Fact::Mem(MemFact::Place { id: *id, cgroup }));
        }
    }
    let mounts = Mounts::read(&mut text, root);
    for cgroup in groups {
        if let Some(stalls) = mounts.stalls(&mut text, &cgroup) {
            out.push(Fact::Mem(MemFact::PressureTotals { cgroup: Some(cgroup.clone()), stalls }));
        }
        let Some(nearest) = mounts.nearest(&mut text, &cgroup) else { continue };
        let (nearest, memory) = nearest.unzip();
        let group = nearest.as_ref().map(|limit: &Limit| limit.group.clone());
        out.push(Fact::Mem(MemFact::Limit { cgroup, nearest }));
        if let (Some(group), Some(memory)) = (group, memory) {
            out.push(Fact::Mem(MemFact::GroupMemory { group, memory }));
        }
    }
}

/// Adds the per-thread remainders to the kernel's values of the processes.
fn add_remainders(remainders: &HashMap<TaskId, [i64; 4]>, facts: &mut [Fact]) {
    if remainders.is_empty() {
        return;
    }
    for fact in facts {
        let Fact::Mem(MemFact::Counters { id, memory, .. } | MemFact::Exact { id, memory }) = fact else {
            continue;
        };
        let Some([file, anon, swap, shmem]) = remainders.get(id) else { continue };
        memory.file = memory.file.saturating_add(*file);
        memory.anon = memory.anon.saturating_add(*anon);
        memory.swap = memory.swap.saturating_add(*swap);
        memory.shmem = memory.shmem.saturating_add(*shmem);
    }
}

/// The counters of each of `processes`, with the bytes of page tables from the scan. For kernels on which scans cannot
/// read the counters. A process that is gone has none.
fn count(root: &Path, clock: Clock, processes: &[(TaskId, u64)], out: &mut Vec<Fact>) {
    if processes.is_empty() {
        return;
    }
    let mut text = Text::default();
    for (id, page_tables) in processes {
        let folder = root.join("proc").join(id.pid().to_string());
        let Some((memory, _)) = counters(&mut text, &folder) else { continue };
        if !clock.is(&folder, *id) {
            continue;
        }
        out.push(Fact::Mem(MemFact::Counters { id: *id, memory, page_tables: *page_tables }));
    }
}

/// The counters of a process. If its main thread has ended, any other thread provides them.
fn counters(text: &mut Text, folder: &Path) -> Option<(Memory, Status)> {
    let mut of = |folder: &Path| {
        let text = text.str(&folder.join("status"))?;
        Some((memory(text)?, status(text)))
    };
    of(folder)
        .or_else(|| fs::read_dir(folder.join("task")).ok()?.flatten().find_map(|thread| of(&thread.path())))
}

/// The value of `name` in a file with lines like `VmSize:   1364 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The counters in the text of `status`; `None` for a process without memory: a kernel thread, or one that is exiting.
fn memory(status: &str) -> Option<Memory> {
    let field = |name| field(status, name).and_then(|bytes| i64::try_from(bytes).ok());
    Some(Memory {
        file: field("RssFile")?,
        anon: field("RssAnon")?,
        swap: field("VmSwap")?,
        shmem: field("RssShmem")?,
        virt: field("VmSize")?,
    })
}

fn machine(meminfo: &str) -> Option<Machine> {
    let field = |name| field(meminfo, name);
    let or_none = |name| field(name).unwrap_or(0);
    Some(Machine {
        total: field("MemTotal")?,
        free: field("MemFree")?,
        available: field("MemAvailable"),
        buffers: field("Buffers")?,
        cached: field("Cached")?,
        // A kernel without swap or huge pages lacks these lines; the values are 0.
        swap_cached: or_none("SwapCached"),
        anon: field("AnonPages")?,
        shmem: or_none("Shmem"),
        slab: field("Slab")?,
        kernel_stack: field("KernelStack")?,
        page_tables: field("PageTables")?,
        secondary_page_tables: field("SecPageTables"),
        per_cpu: field("Percpu"),
        vmalloc: field("VmallocUsed"),
        hugetlb: or_none("Hugetlb"),
        swap_total: or_none("SwapTotal"),
        swap_free: or_none("SwapFree"),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use observer_core::facts::mem::{GroupMemory, PressureTotals};

    /// A temporary root folder for test files, removed when dropped.
    struct Root(PathBuf);

    impl Root {
        fn with(files: &[(&str, &str)]) -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let name =
                format!("observer-mem-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
            let root = Self(std::env::temp_dir().join(name));
            for (path, text) in files {
                let path = root.0.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            root
        }

        fn ask(&self, id: TaskId) -> Vec<MemFact> {
            let mut out = Vec::new();
            answer(
                &self.0,
                Clock::of(&self.0),
                &MemQueries { counters: [id].into(), ..MemQueries::default() },
                &mut out,
            );
            out.into_iter().map(|fact| if let Fact::Mem(fact) = fact { fact } else { panic!() }).collect()
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const ID: TaskId = TaskId { start: 123_456_789_000, tgid: 42 };
    const STAT: &str = "42 (a) R 1) S 1 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
    const STATUS: &str = "Name:\tx\nVmSize:\t 100 kB\nRssAnon:\t 12 kB\nRssFile:\t 8 kB\nRssShmem:\t 4 kB\n\
                          VmSwap:\t 16 kB\n";

    #[test]
    fn a_process_in_a_group_of_version_2_is_limited_from_above() {
        let root = Root::with(&[
            ("proc/42/stat", STAT),
            ("proc/42/status", STATUS),
            ("proc/42/cgroup", "0::/app.slice/x.service\n"),
            ("proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"),
            ("sys/fs/cgroup/app.slice/memory.max", "1000\n"),
            ("sys/fs/cgroup/app.slice/memory.high", "max\n"),
            ("sys/fs/cgroup/app.slice/memory.current", "900\n"),
            ("sys/fs/cgroup/app.slice/memory.stat", "anon 1\nshmem 700\ninactive_file 50\n"),
            ("sys/fs/cgroup/app.slice/memory.events", "low 0\noom 5\noom_kill 3\n"),
            ("sys/fs/cgroup/app.slice/x.service/memory.max", "max\n"),
            ("sys/fs/cgroup/app.slice/x.service/memory.high", "800\n"),
            ("sys/fs/cgroup/app.slice/x.service/memory.current", "100\n"),
        ]);
        let memory = Memory { file: 8192, anon: 12_288, swap: 16_384, shmem: 4096, virt: 102_400 };
        let cgroup = b"/app.slice/x.service".to_vec();
        let nearest =
            Limit { group: b"/app.slice".to_vec(), file: "memory.max".to_owned(), limit: 1000, usage: 850 };
        let charged = GroupMemory { limit: 1000, usage: 850, shmem: Some(700), kills: Some(3) };
        assert_eq!(
            root.ask(ID),
            [
                MemFact::Exact { id: ID, memory },
                MemFact::Place { id: ID, cgroup: cgroup.clone() },
                MemFact::Limit { cgroup, nearest: Some(nearest) },
                MemFact::GroupMemory { group: b"/app.slice".to_vec(), memory: charged },
            ]
        );
    }

    #[test]
    fn a_process_in_a_group_of_version_1_is_charged_there() {
        let root = Root::with(&[
            ("proc/42/stat", STAT),
            ("proc/42/status", STATUS),
            ("proc/42/cgroup", "5:cpu,memory:/jobs\n0::/elsewhere\n"),
            ("proc/self/mounts", "cgroup /cg/memory cgroup rw,memory 0 0\ncgroup2 /cg/u cgroup2 rw 0 0\n"),
            ("cg/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("cg/memory/jobs/memory.limit_in_bytes", "4096\n"),
            ("cg/memory/jobs/memory.usage_in_bytes", "1024\n"),
            ("cg/memory/jobs/memory.stat", "inactive_file 1\ntotal_shmem 600\ntotal_inactive_file 24\n"),
            ("cg/memory/jobs/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
        ]);
        let mut facts = root.ask(ID);
        let memory = GroupMemory { limit: 4096, usage: 1000, shmem: Some(600), kills: Some(2) };
        assert_eq!(facts.pop(), Some(MemFact::GroupMemory { group: b"/jobs".to_vec(), memory }));
        let Some(MemFact::Limit { cgroup, nearest: Some(limit) }) = facts.last() else { panic!("{facts:?}") };
        assert_eq!(cgroup, b"memory:/jobs");
        assert_eq!((limit.limit, limit.usage, limit.file.as_str()), (4096, 1000, "memory.limit_in_bytes"));
    }

    #[test]
    fn a_process_without_its_main_thread_tells_by_another() {
        let root = Root::with(&[
            ("proc/42/stat", STAT),
            ("proc/42/status", "Name:\tx\nState:\tZ (zombie)\n"),
            ("proc/42/task/42/status", "Name:\tx\nState:\tZ (zombie)\n"),
            ("proc/42/task/43/status", STATUS),
        ]);
        assert!(matches!(root.ask(ID)[..], [MemFact::Exact { memory: Memory { anon: 12_288, .. }, .. }]));
    }

    #[test]
    fn what_threads_keep_is_added_to_what_the_kernel_says() {
        let memory = Memory { file: 8, anon: 12, swap: 16, shmem: 4, virt: 100 };
        let mut facts = [Fact::Mem(MemFact::Exact { id: ID, memory })];
        add_remainders(&[(ID, [1, -2, 0, 3])].into(), &mut facts);
        let memory = Memory { file: 9, anon: 10, swap: 16, shmem: 7, virt: 100 };
        assert_eq!(facts, [Fact::Mem(MemFact::Exact { id: ID, memory })]);
    }

    #[test]
    fn another_process_of_the_same_number_gives_no_answer() {
        let root = Root::with(&[("proc/42/stat", STAT), ("proc/42/status", STATUS)]);
        assert_eq!(root.ask(TaskId { start: 123_466_789_000, tgid: 42 }), []);
        assert_eq!(root.ask(ID).len(), 1, "unlike the process itself");
    }

    #[test]
    fn in_a_time_namespace_a_process_is_still_found() {
        let root = Root::with(&[
            ("proc/42/stat", STAT),
            ("proc/42/status", STATUS),
            ("proc/self/timens_offsets", "monotonic  0  0\nboottime  -10  500000000\n"),
        ]);
        assert_eq!(root.ask(TaskId { start: ID.start + 9_500_000_000, tgid: 42 }).len(), 1);
        assert_eq!(root.ask(ID), []);
    }

    #[test]
    fn of_a_group_that_no_mount_shows_no_limit_is_known() {
        for (group, mounts) in [("0::/a\n", ""), ("0::/../b\n", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")] {
            let root = Root::with(&[
                ("proc/42/stat", STAT),
                ("proc/42/status", STATUS),
                ("proc/42/cgroup", group),
                ("proc/self/mounts", mounts),
            ]);
            let told = root.ask(ID);
            assert!(matches!(told.last(), Some(MemFact::Place { .. })), "{told:?}");
        }
    }

    #[test]
    fn a_group_without_limit_is_known_to_have_none() {
        let root = Root::with(&[
            ("proc/42/stat", STAT),
            ("proc/42/status", STATUS),
            ("proc/42/cgroup", "0::/\n"),
            ("proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"),
        ]);
        assert_eq!(root.ask(ID).last(), Some(&MemFact::Limit { cgroup: b"/".to_vec(), nearest: None }));
    }

    #[test]
    fn kernel_memory_is_told_by_its_caches_and_sockets() {
        let root = Root::with(&[
            (
                "proc/slabinfo",
                "slabinfo - version: 2.1\n# name <active_objs> : tunables <limit> : slabdata <active_slabs>\n\
                 dentry 9 99 192 21 2 : tunables 0 0 0 : slabdata 7 8 0\n\
                 empty 0 0 192 21 1 : tunables 0 0 0 : slabdata 0 0 0\n\
                 ext4 inode 1 2 3 4 5 : tunables 0 0 0 : slabdata 1 x 0\n",
            ),
            (
                "proc/net/sockstat",
                "sockets: used 9\nTCP: inuse 5 orphan 0 tw 1 alloc 5 mem 12\nUDP: inuse 4 mem 3\n",
            ),
            (
                "proc/pressure/memory",
                "some avg10=0.00 avg60=0.44 avg300=0.60 total=62763186\nfull avg10=0.00 avg60=0.1 avg300=0.0 total=7\n",
            ),
        ]);
        let mut out = Vec::new();
        tick(&root.0, &mut out);
        let known = [b"dentry".to_vec(), b"empty".to_vec(), b"gone".to_vec()].into();
        answer(
            &root.0,
            Clock::of(&root.0),
            &MemQueries { slabs: Some(known), ..MemQueries::default() },
            &mut out,
        );
        let read = out.pop();
        assert!(matches!(read, Some(Fact::Mem(MemFact::SlabsRead { took })) if took > 0), "{read:?}");
        let page = rustix::param::page_size() as u64;
        let kernel = |part, pages| Fact::Mem(MemFact::Kernel { part, bytes: pages * page });
        let stalls = PressureTotals { some: 62_763_186, full: 7 };
        assert_eq!(
            out,
            [
                kernel(KernelPart::Sockets, 15),
                Fact::Mem(MemFact::PressureTotals { cgroup: None, stalls }),
                kernel(KernelPart::Slab(b"dentry".to_vec()), 16),
                kernel(KernelPart::Slab(b"empty".to_vec()), 0),
                kernel(KernelPart::Slab(b"gone".to_vec()), 0),
            ]
        );
    }

    #[test]
    fn what_this_kernel_does_not_say_of_the_machine_is_unknown() {
        let text = "MemTotal: 100 kB\nMemFree: 10 kB\nBuffers: 1 kB\nCached: 20 kB\nAnonPages: 5 kB\nSlab: 3 kB\n\
                    KernelStack: 2 kB\nPageTables: 1 kB\n";
        let machine = machine(text).expect("all that is needed");
        assert_eq!((machine.total, machine.available, machine.per_cpu), (102_400, None, None));
    }
}
