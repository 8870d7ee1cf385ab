//! Guarantees of recordings: every fact is replayed, damage loses no more than it must, and no file makes the reader
//! panic.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::Cursor,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use observer_common::names::ProgramName;
use observer_core::facts::{
    Fact, StreamItem, TaskId,
    mem::{MemFact, Memory, Totals},
    other::{OtherFact, OtherSlot},
    process::ProcessFact,
    session::{SessionFact, Timestamp},
};
use observer_sources::{
    changes::Changes,
    record::Recorder,
    replay::{Replay, ReplayError},
};
use observer_tests::TempDir;

const SECOND: u64 = 1_000_000_000;

fn at(second: u64) -> Timestamp {
    Timestamp { boot: second * SECOND, wall: 1_800_000_000 * SECOND + second * SECOND }
}

fn session() -> Fact {
    Fact::Session(Box::new(SessionFact { began: at(0), ..SessionFact::default() }))
}

fn met(tgid: u64, comm: &str) -> Fact {
    let id = TaskId { start: tgid * 1_000_003, tgid };
    Fact::Process(ProcessFact::Met { id, comm: comm.as_bytes().into(), uid: 1000, kernel_thread: false })
}

/// Records `seconds` of a machine where one process per second changes its name, with a key frame each minute.
fn record(path: &Path, seconds: u64) -> Vec<StreamItem> {
    let mut recorder = Recorder::create(path).unwrap();
    let mut changes = Changes::default();
    let mut stream = vec![session().into()];
    recorder.push(&session());
    for second in 1..=seconds {
        let mut out = Vec::new();
        changes.single(met(second % 7, &format!("at {second}")), &mut out);
        changes.tick();
        out.iter().for_each(|fact| recorder.push(fact));
        recorder.tick(at(second));
        stream.extend(out.into_iter().map(StreamItem::from));
        stream.push(StreamItem::Tick(at(second)));
        if recorder.wants_key() {
            recorder.key(changes.keyframe());
        }
    }
    let size = recorder.finish().unwrap();
    assert_eq!(size, fs::metadata(path).unwrap().len());
    stream
}

fn replay(bytes: &[u8]) -> (Vec<StreamItem>, Vec<ReplayError>) {
    let mut facts = Vec::new();
    let mut errors = Vec::new();
    match Replay::read(Cursor::new(bytes)) {
        Ok(replay) => replay.for_each(|next| match next {
            Ok(fact) => facts.push(fact),
            Err(error) => errors.push(error),
        }),
        Err(error) => errors.push(error),
    }
    (facts, errors)
}

fn fact(item: &StreamItem) -> Option<&Fact> {
    if let StreamItem::Fact(fact) = item { Some(fact) } else { None }
}

/// The last fact of each slot in a stream: the final state of its reader.
fn names(stream: &[StreamItem]) -> Vec<&Fact> {
    let mut known = std::collections::BTreeMap::new();
    stream.iter().filter_map(fact).filter_map(|fact| Some((fact.slot()?, fact))).for_each(|(slot, fact)| {
        known.insert(slot, fact);
    });
    known.into_values().collect()
}

#[test]
fn a_recording_replays_every_fact() {
    let folder = TempDir::new("recording");
    let stream = record(&folder.file("r"), 200);
    let (facts, errors) = replay(&fs::read(folder.file("r")).unwrap());
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(facts, stream);
}

/// Tools outside this workspace write facts of their own domain. They are kept by slot and replayed.
#[test]
fn facts_of_a_foreign_domain_are_replayed() {
    let folder = TempDir::new("recording");
    let of = |key: u8, value: Option<u8>| {
        let slot = OtherSlot { domain: "load".into(), key: [key].into() };
        Fact::Other(OtherFact { slot, value: value.map(|byte| [byte].into()) })
    };
    let mut recorder = Recorder::create(&folder.file("r")).unwrap();
    let mut changes = Changes::default();
    let mut out = Vec::new();
    for scan in
        [vec![of(1, Some(1)), of(2, Some(1))], vec![of(1, Some(1)), of(2, Some(2))], vec![of(2, Some(2))]]
    {
        changes.scan(ProgramName::new("load"), scan, &mut out);
        changes.settle(&mut out);
    }
    let expected = [of(1, Some(1)), of(2, Some(1)), of(2, Some(2)), of(1, None)];
    assert_eq!(out, expected, "only changes and removals");
    assert_eq!(changes.keyframe().map(|fact| fact.into_owned()).collect::<Vec<_>>(), [of(2, Some(2))]);
    out.iter().for_each(|fact| recorder.push(fact));
    recorder.tick(at(1));
    recorder.finish().unwrap();
    let (items, errors) = replay(&fs::read(folder.file("r")).unwrap());
    assert!(errors.is_empty(), "{errors:?}");
    let expected: Vec<_> =
        expected.into_iter().map(StreamItem::from).chain([StreamItem::Tick(at(1))]).collect();
    assert_eq!(items, expected);
}

#[test]
fn only_the_owner_may_read_a_recording() {
    let folder = TempDir::new("recording");
    let path = folder.file("r");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    record(&path, 1);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    record(&path, 1);
}

#[test]
fn only_a_recording_is_overwritten() {
    let folder = TempDir::new("recording");
    let path = folder.file("precious");
    fs::write(&path, "precious").unwrap();
    symlink(&path, folder.file("link")).unwrap();
    for refused in [path.as_path(), &folder.file("link"), folder.path(), Path::new("/dev/null")] {
        assert!(Recorder::create(refused).is_err(), "{}", refused.display());
    }
    assert!(Recorder::create(&path).err().unwrap().to_string().contains("name another"));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_truncated_recording_replays_every_whole_frame() {
    let folder = TempDir::new("recording");
    let stream = record(&folder.file("r"), 30);
    let bytes = fs::read(folder.file("r")).unwrap();
    let mut most = 0;
    for length in 0..bytes.len() {
        let (facts, errors) = replay(&bytes[..length]);
        assert_eq!(facts, stream[..facts.len()]);
        assert!(facts.len() >= most, "a longer file gives no less");
        most = facts.len();
        assert_eq!(errors.len(), 1, "{length}: {errors:?}");
        match &errors[0] {
            ReplayError::NotARecording => assert!(length < 8),
            ReplayError::Head => assert!(facts.is_empty()),
            error => assert!(matches!(error, ReplayError::Truncated { .. }), "{length}: {error}"),
        }
    }
    assert_eq!(most, stream.len(), "only the end frame was missing");
}

#[test]
fn every_changed_byte_is_detected_without_a_panic() {
    let folder = TempDir::new("recording");
    let stream = record(&folder.file("r"), 70);
    let bytes = fs::read(folder.file("r")).unwrap();
    let mut harmless = 0;
    for place in 0..bytes.len() {
        for flip in [1, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] ^= flip;
            let (facts, errors) = replay(&damaged);
            if errors.is_empty() {
                // The byte was in a key frame, which an undamaged recording does not need.
                assert_eq!(facts, stream);
                harmless += 1;
            } else if errors.iter().any(|error| matches!(error, ReplayError::Damaged { to: Some(_), .. })) {
                assert_eq!(
                    names(&facts),
                    names(&stream),
                    "after damage at {place} the key frame restores the state"
                );
                assert_eq!(facts.last(), stream.last());
            }
        }
    }
    assert!(harmless < bytes.len());
}

#[test]
fn replay_continues_at_the_next_key_frame_after_damage() {
    let folder = TempDir::new("recording");
    let stream = record(&folder.file("r"), 150);
    let mut bytes = fs::read(folder.file("r")).unwrap();
    // The session is lost with the first frames, and restored from the key frame.
    bytes[40..600].fill(0x55);
    let (facts, errors) = replay(&bytes);
    assert!(matches!(errors[..], [ReplayError::Damaged { to: Some(_), .. }]), "{errors:?}");
    assert!(errors[0].is_loss());
    assert_eq!(facts[0], session().into());
    assert_eq!(facts.iter().filter_map(fact).filter(|fact| matches!(fact, Fact::Session(_))).count(), 1);
    assert_eq!(names(&facts), names(&stream));
}

/// 2,000 processes, 200 of them busy: each second they allocate and free some pages, and a few others change.
#[test]
fn an_hour_of_two_thousand_processes_is_small() {
    let folder = TempDir::new("recording");
    let mut recorder = Recorder::create(&folder.file("r")).unwrap();
    let mut changes = Changes::default();
    let mut random = 1_u64;
    let mut below = |bound: u64| {
        // xorshift: the same numbers in every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    recorder.push(&session());
    let mut machine: Vec<(Memory, Totals)> = Vec::new();
    let seconds = 120;
    for second in 1..=seconds {
        let mut out = Vec::new();
        for tgid in 1..=2000 {
            let id = TaskId { start: tgid * 1_234_567_891, tgid };
            if second == 1 {
                out.push(met(tgid, &format!("process-{}", below(300))));
                let exe = Some(format!("/usr/lib/service-{}/bin/worker", below(300)).into());
                let cgroup = Some(format!("/system.slice/service-{}.service", below(300)).into());
                out.push(Fact::Process(ProcessFact::Named { id, exe, cgroup, cmdline: None }));
                let mut pages = |bound: u64| (below(bound) * 4096) as i64;
                let (anon, file, virt) = (pages(1 << 18), pages(1 << 14), pages(1 << 20));
                machine.push((Memory { file, anon, swap: 0, shmem: 0, virt }, Totals::default()));
            }
            let (memory, totals) = &mut machine[tgid as usize - 1];
            let busy = tgid % 10 == 0;
            if busy || below(200) == 0 {
                memory.anon += below(512) as i64 * 4096 - 255 * 4096;
            }
            if busy && below(4) == 0 {
                totals.mapped += below(256) * 4096;
                totals.unmapped += below(256) * 4096;
                out.push(Fact::Mem(MemFact::Totals { id, totals: *totals }));
            }
            out.push(Fact::Mem(MemFact::Counters { id, memory: *memory, page_tables: 1 << 16 }));
        }
        let mut changed = Vec::new();
        out.into_iter().for_each(|fact| changes.single(fact, &mut changed));
        changes.tick();
        changed.iter().for_each(|fact| recorder.push(fact));
        recorder.tick(at(second));
        if recorder.wants_key() {
            recorder.key(changes.keyframe());
        }
    }
    let hour = recorder.finish().unwrap() * 3600 / seconds;
    println!("{:.1} MB an hour", hour as f64 / 1e6);
    assert!(hour <= 20_000_000, "{hour} bytes an hour");
}

#[test]
fn facts_that_vanished_in_a_damaged_part_are_removed() {
    let folder = TempDir::new("recording");
    let counters = |tgid| {
        let id = TaskId { start: tgid, tgid };
        Fact::Mem(MemFact::Counters { id, memory: Memory::default(), page_tables: 0 })
    };
    let gone = |tgid| Fact::Mem(MemFact::Gone { id: TaskId { start: tgid, tgid } });
    let mut recorder = Recorder::create(&folder.file("r")).unwrap();
    let mut changes = Changes::default();
    let mut ends = Vec::new();
    recorder.push(&session());
    for second in 1..=130 {
        let mut out = Vec::new();
        // The first disappears and returns before the key frame, the second does not return, the third stays.
        let there = (1..=3).filter(|tgid| *tgid == 3 || second < 20 || (*tgid == 1 && second > 30));
        changes.scan(ProgramName::new("pass"), there.map(counters), &mut out);
        changes.settle(&mut out);
        changes.tick();
        out.iter().for_each(|fact| recorder.push(fact));
        recorder.tick(at(second));
        ends.push(fs::metadata(folder.file("r")).unwrap().len() as usize);
        if recorder.wants_key() {
            recorder.key(changes.keyframe());
        }
    }
    recorder.finish().unwrap();
    let mut bytes = fs::read(folder.file("r")).unwrap();
    bytes[ends[14]..ends[40]].fill(0);
    let (facts, errors) = replay(&bytes);
    assert!(matches!(errors[..], [ReplayError::Damaged { to: Some(_), .. }]), "{errors:?}");
    let replayed: Vec<_> =
        facts.iter().filter_map(fact).filter(|fact| matches!(fact, Fact::Mem(_))).cloned().collect();
    assert_eq!(
        replayed,
        [counters(1), counters(2), counters(3), gone(2)],
        "only what the reader did not know"
    );
}

#[test]
fn other_files_are_no_recordings() {
    for bytes in [&b""[..], b"obs", b"#!/bin/sh\n", &[0; 4096]] {
        assert!(matches!(replay(bytes).1[..], [ReplayError::NotARecording]));
    }
}

#[test]
fn a_later_format_names_the_version_that_reads_it() {
    let folder = TempDir::new("recording");
    record(&folder.file("r"), 1);
    let mut head = fs::read(folder.file("r")).unwrap();
    head[8] += 1;
    let writer = head[12] as usize;
    let checksum = crc32fast::hash(&head[..13 + writer]).to_le_bytes();
    head[13 + writer..17 + writer].copy_from_slice(&checksum);
    let (_, errors) = replay(&head);
    let [ReplayError::Newer { writer }] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(writer, env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_fact_of_a_later_version_is_not_damage() {
    let folder = TempDir::new("recording");
    record(&folder.file("r"), 1);
    let mut bytes = fs::read(folder.file("r")).unwrap();
    let head = 17 + bytes[12] as usize;
    bytes.truncate(head);
    let unknown = [200, 1, 2, 3];
    let packed = zstd::bulk::compress(&unknown, 3).unwrap();
    bytes.extend(observer_sources::frame::frame(
        observer_sources::frame::Kind::Changes,
        unknown.len(),
        &packed,
    ));
    let (facts, errors) = replay(&bytes);
    assert!(facts.is_empty());
    assert!(matches!(errors[..], [ReplayError::Newer { .. }]), "{errors:?}");
}

#[test]
fn a_frame_larger_than_its_declared_size_is_damage() {
    let folder = TempDir::new("recording");
    record(&folder.file("r"), 1);
    let mut bytes = fs::read(folder.file("r")).unwrap();
    bytes.truncate(17 + bytes[12] as usize);
    let packed = zstd::bulk::compress(&vec![0; 1 << 30], 1).unwrap();
    bytes.extend(observer_sources::frame::frame(observer_sources::frame::Kind::Changes, 1 << 20, &packed));
    let (facts, errors) = replay(&bytes);
    assert!(facts.is_empty());
    assert!(matches!(errors[..], [ReplayError::Damaged { to: None, .. }]), "{errors:?}");
}
