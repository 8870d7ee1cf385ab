//! Conditions from invented facts, one place for each kind.

use crate::domain::tests::Fixture;
use observer_core::{
    domain::State as _,
    facts::{
        TaskId,
        mem::{
            GroupMemory, KernelPart, Limit, Machine, MemFact, MemoryObject, ObjectId, ObjectKind,
            ObjectProcess, PressureTotals, Totals,
        },
    },
    problem::condition::Condition,
    report::Subject,
    severity::Severity,
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1_000_000_000;
const WORKER: TaskId = TaskId { start: 1, tgid: 10 };
const OTHER: TaskId = TaskId { start: 2, tgid: 20 };

fn conditions(fixture: &Fixture) -> Vec<Condition> {
    fixture.state.outlook(&fixture.context()).conditions
}

/// Kind, severity and whether it begins, of each condition.
fn brief(fixture: &Fixture) -> Vec<(&'static str, Severity, bool)> {
    let brief = |condition: &Condition| (condition.kind.name, condition.problem.severity, condition.begins);
    conditions(fixture).iter().map(brief).collect()
}

fn fixture() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.met(WORKER, b"worker");
    fixture.met(OTHER, b"other");
    fixture.counters(OTHER, 100 * MIB as i64);
    fixture
}

fn machine(fixture: &mut Fixture, available: u64) {
    let machine = Machine { total: 24 * GIB, available: Some(available), ..Machine::default() };
    fixture.apply(MemFact::Machine(machine.into()));
}

/// A minute in which the worker grows by `rate` bytes a second and `left` bytes are available in the end.
fn growing(rate: u64, left: u64) -> Fixture {
    let mut fixture = fixture();
    for second in 1..=60 {
        machine(&mut fixture, left + (60 - second) * rate);
        fixture.counters(WORKER, (second * rate) as i64);
        fixture.due(second);
    }
    fixture
}

#[test]
fn full_memory_is_a_problem_now_and_its_largest_process_is_named() {
    let found = |available: u64| {
        let mut fixture = fixture();
        fixture.counters(WORKER, 20 * GIB as i64);
        machine(&mut fixture, available);
        fixture.due(1);
        fixture
    };
    assert_eq!(brief(&found(4 * GIB)), []);
    assert_eq!(brief(&found(5 * GIB / 2)), [("memory-full", Severity::Watch, false)], "just above a tenth");
    assert_eq!(brief(&found(2 * GIB)), [("memory-full", Severity::Watch, true)]);
    assert_eq!(brief(&found(GIB)), [("memory-full", Severity::Soon, true)]);
    let fixture = found(200 * MIB);
    assert_eq!(brief(&fixture), [("memory-full", Severity::Now, true)]);
    let problem = &conditions(&fixture)[0].problem;
    assert!(problem.text.ends_with("200 MiB available: 10 worker holds most, 20 GiB."), "{}", problem.text);
    assert_eq!(problem.next.as_deref(), Some("observer mem -p 10"));
}

#[test]
fn memory_that_fills_is_urgent_when_most_of_it_is_used() {
    let fixture = growing(100 * MIB, 6 * GIB);
    let found = brief(&fixture);
    assert_eq!(found[0], ("memory-full", Severity::Now, true), "a minute is left");
    let harm = conditions(&fixture)[0].problem.harm_in.unwrap();
    assert!((harm.expected - 61.4).abs() < 2.0, "{harm:?}");
    let empty = brief(&growing(20 * MIB, 16 * GIB));
    assert!(empty.iter().all(|(kind, _, _)| *kind != "memory-full"), "a build does that: {empty:?}");
}

fn limited(anon: u64, usage: u64) -> Fixture {
    let mut fixture = fixture();
    machine(&mut fixture, 20 * GIB);
    fixture.counters(WORKER, anon as i64);
    fixture.apply(MemFact::Place { id: WORKER, cgroup: b"/a/b".to_vec() });
    let limit = Limit { group: b"/a".to_vec(), file: "memory.max".to_owned(), limit: 512 * MIB, usage };
    fixture.apply(MemFact::Limit { cgroup: b"/a/b".to_vec(), nearest: Some(limit) });
    fixture.due(1);
    fixture
}

#[test]
fn a_group_at_its_limit_is_a_problem_unless_cache_fills_it() {
    let fixture = limited(480 * MIB, 506 * MIB);
    assert_eq!(brief(&fixture), [("group-full", Severity::Now, true)]);
    let problem = &conditions(&fixture)[0].problem;
    assert_eq!(problem.text, "The control group /a uses 99 % of its 512 MiB: 10 worker holds most, 480 MiB.");
    assert_eq!(problem.subject, Subject::ControlGroup { path: b"/a".to_vec() });
    assert_eq!(brief(&limited(440 * MIB, 480 * MIB)), [("group-full", Severity::Soon, true)]);
    assert_eq!(brief(&limited(100 * MIB, 511 * MIB)), [], "the rest is cache");
    assert_eq!(brief(&limited(300 * MIB, 320 * MIB)), []);
}

#[test]
fn files_in_ram_fill_a_group_although_its_processes_hold_little() {
    let mut fixture = limited(MIB, 506 * MIB);
    let memory = GroupMemory { limit: 512 * MIB, usage: 506 * MIB, shmem: Some(500 * MIB), kills: Some(0) };
    fixture.apply(MemFact::GroupMemory { group: b"/a".to_vec(), memory });
    fixture.due(2);
    assert_eq!(brief(&fixture), [("group-full", Severity::Now, true)]);
    let text = &conditions(&fixture)[0].problem.text;
    let expected =
        "The control group /a uses 99 % of its 512 MiB: 500 MiB of it shared memory and files in RAM.";
    assert_eq!(text, expected);
}

#[test]
fn a_group_of_version_1_has_its_processes() {
    let mut fixture = limited(0, 0);
    fixture.counters(WORKER, 480 * MIB as i64);
    fixture.apply(MemFact::Place { id: WORKER, cgroup: b"memory:/a/b".to_vec() });
    let limit = Limit {
        group: b"/a".to_vec(),
        file: "memory.limit_in_bytes".to_owned(),
        limit: 512 * MIB,
        usage: 506 * MIB,
    };
    fixture.apply(MemFact::Limit { cgroup: b"memory:/a/b".to_vec(), nearest: Some(limit) });
    fixture.due(2);
    assert_eq!(brief(&fixture), [("group-full", Severity::Now, true)]);
}

#[test]
fn limits_of_groups_are_queried_for_problems_although_no_row_is_shown() {
    let mut fixture = limited(MIB, 2 * MIB);
    fixture.request.problems = true;
    assert!(fixture.queries().limits.contains(b"/a/b".as_slice()));
}

#[test]
fn an_oom_kill_is_a_problem_of_its_group_or_the_machine() {
    let mut fixture = limited(MIB, 2 * MIB);
    for tgid in [WORKER.tgid, 11] {
        let victim = TaskId { start: 1, tgid };
        fixture.apply(MemFact::OutOfMemory { at: SECOND, victim, trigger: victim, memory: None });
    }
    fixture.due(3);
    assert_eq!(
        brief(&fixture),
        [("oom-kill", Severity::Now, true); 2],
        "one of the group, one of the machine"
    );
    let problem = conditions(&fixture).pop().unwrap().problem;
    assert_eq!(problem.subject, Subject::ControlGroup { path: b"/a".to_vec() });
    assert!(problem.text.starts_with("Out of memory 2 s ago: 10 worker was killed"), "{}", problem.text);
    assert_eq!(problem.since, SECOND);
}

#[test]
fn stalls_count_over_ten_seconds() {
    let stalled = |some: u64, full: u64| {
        let mut fixture = fixture();
        machine(&mut fixture, 20 * GIB);
        for second in 1..=20 {
            let stalls = PressureTotals { some: second * some, full: second * full };
            fixture.apply(MemFact::PressureTotals { cgroup: None, stalls });
            fixture.due(second);
        }
        brief(&fixture)
    };
    assert_eq!(stalled(50_000, 5_000), []);
    assert_eq!(stalled(150_000, 50_000), [("memory-stall", Severity::Watch, true)]);
    assert_eq!(stalled(300_000, 50_000), [("memory-stall", Severity::Soon, true)]);
    assert_eq!(stalled(600_000, 300_000), [("memory-stall", Severity::Now, true)]);
}

#[test]
fn a_leak_has_the_time_that_is_left_and_growth_alone_is_none() {
    let mut fixture = fixture();
    for second in 1..=1200 {
        machine(&mut fixture, 20 * GIB - second * MIB);
        fixture.counters(WORKER, (second * MIB) as i64);
        let totals = Totals { mapped: second * MIB, ..Totals::default() };
        fixture.apply(MemFact::Totals { id: WORKER, totals });
        fixture.due(second);
        if second == 60 {
            assert_eq!(brief(&fixture), [("leak", Severity::Soon, false)], "it only continues a leak");
        }
    }
    assert_eq!(brief(&fixture), [("leak", Severity::Soon, true)]);
    let problem = &conditions(&fixture)[0].problem;
    assert!(
        problem.text.starts_with("10 worker leaks 61.8 MiB a minute: memory is full in about 5 h"),
        "{problem:?}"
    );
    assert_eq!(problem.processes, [WORKER]);
    assert!(problem.evidence.contains("never gave back"), "{}", problem.evidence);
}

#[test]
fn a_kernel_cache_is_worth_a_look_and_other_kernel_memory_is_sooner() {
    let grown = |reclaimable: bool, start: u64| {
        let mut fixture = fixture();
        let name = b"dentry".to_vec();
        if reclaimable {
            fixture.apply(MemFact::ReclaimableSlab { name: name.clone() });
        }
        for second in 1..=60 {
            machine(&mut fixture, 20 * GIB);
            let part = KernelPart::Slab(name.clone());
            fixture.apply(MemFact::Kernel { part, bytes: start + second * 4 * MIB });
            fixture.due(second);
        }
        fixture
    };
    assert_eq!(brief(&grown(true, 100 * MIB)), [], "a small cache");
    let cache = grown(true, 3 * GIB);
    assert_eq!(brief(&cache), [("kernel-memory", Severity::Watch, true)]);
    assert!(conditions(&cache)[0].problem.text.contains("frees it when memory is needed"));
    let other = grown(false, 100 * MIB);
    assert_eq!(brief(&other), [("kernel-memory", Severity::Watch, true)]);
    let text = &conditions(&other)[0].problem.text;
    assert!(text.starts_with("Kernel memory (slab dentry) holds 340 MiB and grew 236 MiB"), "{text}");
}

#[test]
fn unread_data_that_grows_names_who_should_read_it() {
    let mut fixture = fixture();
    for second in 1..=60 {
        machine(&mut fixture, 20 * GIB);
        let process = |tgid: u32, comm: &[u8]| Some(ObjectProcess { pid: tgid, comm: comm.to_vec() });
        fixture.apply(MemFact::Object(Box::new(MemoryObject {
            id: ObjectId { kind: ObjectKind::UnixSocket, device: 0, number: 7 },
            bytes: second * 4 * MIB,
            name: b"socket".to_vec(),
            mount: None,
            holder: process(10, b"worker"),
            writer: process(20, b"other"),
            uid: None,
            cgroup: None,
            appeared: true,
        })));
        fixture.due(second);
    }
    assert_eq!(brief(&fixture), [("object-grows", Severity::Watch, true)]);
    let problem = &conditions(&fixture)[0].problem;
    assert!(problem.text.contains("not read by 10 worker, written by 20 other"), "{}", problem.text);
    assert_eq!(problem.next.as_deref(), Some("observer mem -p 10"));
}
