//! Which facts are new, gone and forgotten.

use std::sync::Arc;

use super::*;
use observer_core::facts::{
    TaskId,
    mem::{MemFact, Memory},
    net::{
        ConnectionFact, Counters, Endpoints, Holders, NetFact, Protocol, SocketFact, TcpMeasures, TcpTimes,
    },
    process::ProcessFact,
};

fn met(tgid: u64, comm: &str) -> Fact {
    let id = TaskId { start: 7, tgid };
    Fact::Process(ProcessFact::Met { id, comm: comm.as_bytes().into(), uid: 0, kernel_thread: false })
}

fn named(tgid: u64) -> Fact {
    let id = TaskId { start: 7, tgid };
    Fact::Process(ProcessFact::Named { id, exe: None, cgroup: None, cmdline: None })
}

fn counters(tgid: u64, anon: i64) -> Fact {
    let id = TaskId { start: 7, tgid };
    let memory = Memory { anon, ..Memory::default() };
    Fact::Mem(MemFact::Counters { id, memory, page_tables: 0 })
}

fn exact(tgid: u64) -> Fact {
    let id = TaskId { start: 7, tgid };
    Fact::Mem(MemFact::Exact { id, memory: Memory::default() })
}

fn gone(tgid: u64) -> Fact {
    Fact::Mem(MemFact::Gone { id: TaskId { start: 7, tgid } })
}

fn ended(tgid: u64) -> Fact {
    Fact::Process(ProcessFact::Ended { id: TaskId { start: 7, tgid }, at: 9 })
}

fn scan(changes: &mut Changes, program: &'static str, facts: &[Fact]) -> Vec<Fact> {
    let mut out = Vec::new();
    changes.scan(ProgramName::new(program), facts.to_vec(), &mut out);
    changes.settle(&mut out);
    out
}

fn single(changes: &mut Changes, fact: Fact) -> Vec<Fact> {
    let mut out = Vec::new();
    changes.single(fact, &mut out);
    out
}

fn state(changes: &Changes) -> Vec<Fact> {
    changes.keyframe().map(Cow::into_owned).collect()
}

#[test]
fn an_equal_fact_is_dropped_and_a_changed_one_passed_on() {
    let mut changes = Changes::default();
    assert_eq!(scan(&mut changes, "a", &[met(1, "x"), met(2, "y")]), [met(1, "x"), met(2, "y")]);
    assert_eq!(scan(&mut changes, "a", &[met(1, "x"), met(2, "z")]), [met(2, "z")]);
    assert_eq!(single(&mut changes, met(2, "z")), []);
    assert_eq!(single(&mut changes, met(2, "y")), [met(2, "y")]);
    assert_eq!(state(&changes), [met(1, "x"), met(2, "y")]);
}

#[test]
fn a_known_fact_in_a_running_scan_is_stored_once() {
    let socket = |cookie, queued| {
        let ends = Endpoints { netns: 1, local: "10.0.0.1:53".parse().unwrap(), remote: None };
        SocketHandle::Socket(Arc::new(SocketFact {
            cookie,
            holders: Holders::new(),
            protocol: Protocol::Udp,
            listening: false,
            ends,
            queued,
            queue_limit: None,
            drops: 0,
        }))
    };
    let mut changes = Changes::default();
    let known = socket(1, 0);
    single(&mut changes, known.clone().into());
    let mut facts = [socket(1, 0), socket(2, 0)];
    changes.compact(&mut facts);
    let same = |one: &SocketHandle, other: &SocketHandle| match (one, other) {
        (SocketHandle::Socket(one), SocketHandle::Socket(other)) => Arc::ptr_eq(one, other),
        _ => false,
    };
    assert!(same(&facts[0], &known));
    assert_eq!(facts[1], socket(2, 0), "a new fact stays as it is");
    let mut changed = [socket(1, 9)];
    changes.compact(&mut changed);
    assert_eq!(changed, [socket(1, 9)], "and so does a changed one");
}

#[test]
fn facts_about_many_sockets_are_packed_and_stay_equal() {
    let fact = |cookie: u64, tx| {
        let connection = ConnectionFact {
            cookie,
            opened: 0,
            passive: false,
            owner: None,
            holders: Holders::new(),
            ends: Endpoints { netns: 1, local: "10.0.0.1:80".parse().unwrap(), remote: None },
            state: 1,
            counters: Counters { tx, ..Counters::default() },
            measures: TcpMeasures::default(),
            times: Some(TcpTimes::default()),
        };
        Fact::Net(NetFact::Connection(connection.into()))
    };
    let whole_pass = |changes: &mut Changes, facts: Vec<Fact>| {
        let sockets = facts.into_iter().map(|fact| SocketHandle::try_from(fact).unwrap());
        let mut sockets: Vec<SocketHandle> = sockets.collect();
        // In parts, as they are read.
        sockets.chunks_mut(100).for_each(|part| changes.compact(part));
        scan(changes, "sockets", &sockets.into_iter().map(Fact::from).collect::<Vec<_>>())
    };
    let packed = |facts: &[Fact]| {
        let is_packed =
            |fact: &&Fact| matches!(fact, Fact::Net(NetFact::Connection(fact)) if fact.packed().is_some());
        facts.iter().filter(is_packed).count()
    };
    let mut changes = Changes::default();
    let few: Vec<Fact> = (0..FEW as u64).map(|cookie| fact(cookie, 1)).collect();
    let out = whole_pass(&mut changes, few.clone());
    assert_eq!((out.len(), packed(&out)), (FEW, 0), "a few stay as they were read");
    let many: Vec<Fact> = (0..3 * FEW as u64).map(|cookie| fact(cookie, 1)).collect();
    let out = whole_pass(&mut changes, many.clone());
    assert_eq!(out, many[FEW..]);
    assert!(packed(&out) > FEW, "{}", packed(&out));
    assert_eq!(whole_pass(&mut changes, many.clone()), [], "an equal fact in another form is not new");
    let mut moved = many.clone();
    (moved[3], moved[3 * FEW - 1]) = (fact(3, 2), fact(3 * FEW as u64 - 1, 2));
    let out = whole_pass(&mut changes, moved.clone());
    assert_eq!(out, [fact(3, 2), fact(3 * FEW as u64 - 1, 2)]);
    assert_eq!(packed(&out), 2);
    assert_eq!(state(&changes), moved);
}

#[test]
fn equal_names_read_again_after_an_exec_are_new() {
    let mut changes = Changes::default();
    single(&mut changes, met(1, "x"));
    assert_eq!(single(&mut changes, named(1)), [named(1)]);
    assert_eq!(single(&mut changes, named(1)), []);
    single(&mut changes, met(1, "y"));
    assert_eq!(state(&changes), [met(1, "y")]);
    assert_eq!(single(&mut changes, named(1)), [named(1)]);
}

#[test]
fn events_are_never_dropped() {
    let mut changes = Changes::default();
    assert_eq!(single(&mut changes, ended(1)), [ended(1)]);
    assert_eq!(single(&mut changes, ended(1)), [ended(1)]);
    assert_eq!(scan(&mut changes, "a", &[ended(1)]), [ended(1)]);
    assert_eq!(state(&changes), []);
}

#[test]
fn a_vanished_thing_is_forgotten_and_new_when_it_comes_back() {
    let mut changes = Changes::default();
    scan(&mut changes, "a", &[met(1, "x"), met(2, "y"), met(1, "x")]);
    scan(&mut changes, "a", &[met(2, "y")]);
    assert_eq!(state(&changes), [met(2, "y")]);
    assert_eq!(scan(&mut changes, "a", &[met(1, "x"), met(2, "y")]), [met(1, "x")]);
}

#[test]
fn a_vanished_thing_is_gone_once() {
    let mut changes = Changes::default();
    scan(&mut changes, "a", &[counters(1, 10), counters(2, 20)]);
    single(&mut changes, exact(1));
    assert_eq!(scan(&mut changes, "a", &[counters(2, 20)]), [gone(1)]);
    assert_eq!(scan(&mut changes, "a", &[counters(2, 20)]), []);
    (0..2).for_each(|_| changes.tick());
    assert_eq!(state(&changes), [counters(2, 20)], "facts from outside scans are forgotten with it");
    assert_eq!(scan(&mut changes, "a", &[counters(1, 10), counters(2, 20)]), [counters(1, 10)]);
}

#[test]
fn a_thing_that_another_program_still_finds_is_not_gone() {
    let mut changes = Changes::default();
    scan(&mut changes, "a", &[met(1, "x")]);
    assert_eq!(scan(&mut changes, "b", &[met(1, "x")]), []);
    scan(&mut changes, "a", &[]);
    scan(&mut changes, "a", &[]);
    assert_eq!(state(&changes), [met(1, "x")]);
    scan(&mut changes, "b", &[]);
    assert_eq!(state(&changes), []);
}

#[test]
fn an_interrupted_scan_declares_nothing_gone() {
    let mut changes = Changes::default();
    let mut out = Vec::new();
    scan(&mut changes, "a", &[met(1, "x"), met(2, "y")]);
    changes.interrupted_scan(ProgramName::new("a"), vec![met(1, "x"), met(3, "z")], &mut out);
    assert_eq!(out, [met(3, "z")]);
    assert_eq!(state(&changes), [met(1, "x"), met(2, "y"), met(3, "z")]);
    scan(&mut changes, "a", &[met(3, "z")]);
    assert_eq!(state(&changes), [met(3, "z")]);
    scan(&mut changes, "a", &[]);
    assert_eq!(state(&changes), []);
}

#[test]
fn an_ended_process_is_forgotten_after_its_last_report() {
    let mut changes = Changes::default();
    single(&mut changes, met(1, "x"));
    single(&mut changes, named(1));
    single(&mut changes, ended(1));
    changes.tick();
    assert_eq!(
        single(&mut changes, met(1, "x")),
        [],
        "known facts stay known until the report after the end"
    );
    changes.tick();
    assert!(changes.is_empty());
}

#[test]
fn a_zombie_stays_known_while_scans_find_it() {
    let mut changes = Changes::default();
    scan(&mut changes, "a", &[met(1, "x")]);
    single(&mut changes, ended(1));
    for _ in 0..3 {
        changes.tick();
        assert_eq!(scan(&mut changes, "a", &[met(1, "x")]), []);
    }
    scan(&mut changes, "a", &[]);
    assert!(changes.is_empty());
}

#[test]
fn facts_about_a_file_that_came_back_are_new() {
    use observer_core::facts::disk::{Answer, DiskFact, File, InodeId};
    let inode = InodeId::default();
    let file = Fact::Disk(DiskFact::File { inode, file: File::default() });
    let asked = Fact::Disk(DiskFact::Asked { inode, answer: Answer::default() });
    let mut changes = Changes::default();
    scan(&mut changes, "a", std::slice::from_ref(&file));
    assert_eq!(single(&mut changes, asked.clone()), std::slice::from_ref(&asked));
    assert_eq!(single(&mut changes, asked.clone()), []);
    assert_eq!(scan(&mut changes, "a", &[]), [Fact::Disk(DiskFact::FileGone { inode })]);
    scan(&mut changes, "b", &[file]);
    assert_eq!(single(&mut changes, asked.clone()), [asked]);
}

#[test]
fn entries_are_reused() {
    let mut changes = Changes::default();
    for tgid in 0..1000 {
        scan(&mut changes, "a", &[met(tgid, "x"), met(tgid + 1, "x")]);
    }
    assert!(changes.values.len() <= 4, "{}", changes.values.len());
}

fn cgroup_of(tgid: u64, cgroup: &str) -> Fact {
    Fact::Mem(MemFact::Place { id: TaskId { start: 7, tgid }, cgroup: cgroup.into() })
}

fn limit(cgroup: &str) -> Fact {
    Fact::Mem(MemFact::Limit { cgroup: cgroup.into(), nearest: None })
}

#[test]
fn exact_memory_is_new_again_after_the_counters_changed() {
    let mut changes = Changes::default();
    scan(&mut changes, "a", &[counters(1, 10)]);
    assert_eq!(single(&mut changes, exact(1)), [exact(1)]);
    assert_eq!(single(&mut changes, exact(1)), []);
    scan(&mut changes, "a", &[counters(1, 20)]);
    assert_eq!(single(&mut changes, exact(1)), [exact(1)], "one CPU may free what another allocated");
}

#[test]
fn the_limit_of_a_group_is_new_when_it_has_processes_again() {
    let mut changes = Changes::default();
    scan(&mut changes, "a", &[counters(1, 10)]);
    assert_eq!(single(&mut changes, cgroup_of(1, "/g")), [cgroup_of(1, "/g")]);
    assert_eq!(single(&mut changes, limit("/g")), [limit("/g")]);
    assert_eq!(single(&mut changes, limit("/g")), []);
    single(&mut changes, ended(1));
    changes.tick();
    scan(&mut changes, "a", &[counters(2, 10)]);
    single(&mut changes, cgroup_of(2, "/g"));
    assert_eq!(single(&mut changes, limit("/g")), [limit("/g")], "the report after the end has forgotten it");
}

#[test]
fn the_space_of_a_filesystem_is_new_when_it_is_mounted_again() {
    use observer_core::facts::disk::{DiskFact, Mount, Space};
    let space = Fact::Disk(DiskFact::Space { dev: 8, space: Space::default() });
    let mounted = Fact::Disk(DiskFact::Mounts(vec![Mount { dev: 8, ..Mount::default() }]));
    let mut changes = Changes::default();
    let mut tick = |mounts: Fact, spaces: &[Fact]| {
        let mut out = Vec::new();
        spaces.iter().for_each(|space| changes.single(space.clone(), &mut out));
        changes.single(mounts, &mut out);
        changes.tick();
        out
    };
    assert_eq!(tick(mounted.clone(), std::slice::from_ref(&space)), [space.clone(), mounted.clone()]);
    assert_eq!(tick(mounted.clone(), std::slice::from_ref(&space)), []);
    tick(Fact::Disk(DiskFact::Mounts(Vec::new())), &[]);
    assert_eq!(tick(mounted.clone(), std::slice::from_ref(&space)), [space, mounted]);
}

/// One report with number `number`: a process in its own cgroup, with a deleted file that it wrote, a socket, and a
/// filesystem. Half of the processes end without a report, and process ids are reused.
fn report(changes: &mut Changes, number: u64) {
    use observer_core::facts::{
        disk::{Answer, DiskFact, File, Hold, InodeId, Mount, Space},
        net::{FlowFact, FlowSlot, NetFact, Protocol},
    };
    let id = TaskId { start: 1000 + number, tgid: number % 10 };
    let inode = InodeId { ino: number, ..InodeId::default() };
    let without_holder = InodeId { ino: number, generation: 1, ..InodeId::default() };
    let key = FlowSlot { task: id, cookie: number, created: number };
    let cgroup = format!("/job-{number}").into_bytes();
    let mount = Mount { dev: number as u32, ..Mount::default() };
    let mem = Fact::Mem;
    let disk = Fact::Disk;
    let named = ProcessFact::Named { id, exe: None, cgroup: Some(cgroup.clone()), cmdline: None };
    let met = ProcessFact::Met { id, comm: b"job"[..].into(), uid: 0, kernel_thread: false };
    let mut singles = vec![
        Fact::Process(met.clone()),
        Fact::Process(named),
        mem(MemFact::Totals { id, totals: observer_core::facts::mem::Totals::default() }),
        mem(MemFact::Exact { id, memory: Memory::default() }),
        mem(MemFact::Place { id, cgroup: cgroup.clone() }),
        mem(MemFact::Limit { cgroup, nearest: None }),
        mem(MemFact::Limit { cgroup: format!("/left-{number}").into_bytes(), nearest: None }),
        disk(DiskFact::Asked { inode, answer: Answer::default() }),
        disk(DiskFact::Space { dev: number as u32, space: Space::default() }),
        disk(DiskFact::Mounts(vec![mount])),
        Fact::Net(NetFact::Flow(FlowFact { key, protocol: Protocol::Udp, remote: None, tx: 1, rx: 1 })),
        Fact::Net(NetFact::FlowEnded { key }),
    ];
    for inode in [inode, without_holder] {
        singles.push(disk(DiskFact::Deleted { inode, by: id, at: 1 }));
        singles.push(disk(DiskFact::Writers { inode, written: vec![(id, 1)] }));
    }
    if number.is_multiple_of(2) {
        singles.push(Fact::Process(ProcessFact::Ended { id, at: 1 }));
    }
    let mut out = Vec::new();
    let counters = MemFact::Counters { id, memory: Memory::default(), page_tables: 0 };
    changes.scan(ProgramName::new("mem"), vec![Fact::Process(met), mem(counters)], &mut out);
    let holder = DiskFact::Holder { inode, id, hold: Hold::Descriptors(Vec::new()) };
    let written = DiskFact::Written { id, written: 1, cancelled: 0 };
    let file = DiskFact::File { inode, file: File::default() };
    changes.scan(ProgramName::new("disk"), [file, holder, written].map(disk).to_vec(), &mut out);
    changes.settle(&mut out);
    singles.into_iter().for_each(|fact| changes.single(fact, &mut out));
    changes.tick();
}

#[test]
fn the_number_of_known_slots_is_bounded_by_what_exists() {
    let mut changes = Changes::default();
    (0..100).for_each(|number| report(&mut changes, number));
    let (len, values) = (changes.len(), changes.values.len());
    (100..1100).for_each(|number| report(&mut changes, number));
    assert_eq!(changes.len(), len, "{:#?}", changes.keyframe().collect::<Vec<_>>());
    assert_eq!(changes.values.len(), values);
    assert!(changes.kept.len() <= len && changes.loose.is_empty(), "{:?} {:?}", changes.kept, changes.loose);
    assert!(len < 100, "{len}");
}

#[test]
fn a_thing_that_another_scan_of_the_same_report_finds_is_not_gone() {
    use observer_core::facts::disk::{DiskFact, File, InodeId};
    let file = Fact::Disk(DiskFact::File { inode: InodeId::default(), file: File::default() });
    let gone = Fact::Disk(DiskFact::FileGone { inode: InodeId::default() });
    let (mut changes, mut out) = (Changes::default(), Vec::new());
    scan(&mut changes, "descriptors", &[file.clone(), met(1, "x")]);
    changes.scan(ProgramName::new("descriptors"), vec![file.clone()], &mut out);
    assert!(!changes.has_missing(), "no other scan finds processes");
    changes.scan(ProgramName::new("descriptors"), Vec::new(), &mut out);
    assert!(changes.has_missing(), "a mapping may hold it");
    changes.scan(ProgramName::new("mappings"), vec![file], &mut out);
    assert!(!changes.has_missing());
    changes.settle(&mut out);
    assert_eq!(out, []);
    assert_eq!(scan(&mut changes, "mappings", &[]), [gone]);
}

#[test]
fn the_order_in_a_scan_does_not_matter() {
    let (mut ordered, mut scattered) = (Changes::default(), Changes::default());
    let mut random = 1_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut alive: Vec<u64> = (1..300).collect();
    for round in 0..40 {
        alive.retain(|_| next(9) > 0);
        alive.extend((0..next(60)).map(|number| 1000 * (round + 1) + number));
        let facts: Vec<Fact> = alive
            .iter()
            .flat_map(|tgid| [met(*tgid, "x"), counters(*tgid, 4096 * (next(20) / 19) as i64)])
            .collect();
        let mut others = facts.clone();
        for place in (1..others.len()).rev() {
            others.swap(place, next(place as u64 + 1) as usize);
        }
        let sorted = |mut facts: Vec<Fact>| {
            facts.sort_by_key(|fact| format!("{fact:?}"));
            facts
        };
        assert_eq!(
            sorted(scan(&mut ordered, "p", &facts)),
            sorted(scan(&mut scattered, "p", &others)),
            "{round}"
        );
        assert_eq!(state(&ordered), state(&scattered));
    }
}
