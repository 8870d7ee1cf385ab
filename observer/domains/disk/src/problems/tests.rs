//! Conditions from invented facts, one place for each kind.

use crate::report::tests::{EXT4, Fixture, LEGACY, LOG, ROTATE};
use observer_core::{
    domain::State as _,
    facts::disk::{DiskFact, FileGrowth, Found, Mount, Space, Stat},
    problem::condition::Condition,
    severity::Severity,
};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
const SECOND: u64 = 1_000_000_000;

fn conditions(fixture: &Fixture) -> Vec<Condition> {
    fixture.with(|state, context| state.outlook(context).conditions)
}

/// Kind, severity and whether it begins, of each condition.
fn brief(fixture: &Fixture) -> Vec<(&'static str, Severity, bool)> {
    let brief = |condition: &Condition| (condition.kind.name, condition.problem.severity, condition.begins);
    conditions(fixture).iter().map(brief).collect()
}

fn space(used: u64, left: u64) -> DiskFact {
    let space = Space { size: used + left, used, available: left, inodes: 1000, inodes_used: 10 };
    DiskFact::Space { dev: LOG.dev, space }
}

/// After `seconds` of growth by `rate` bytes a second, `left` bytes are left of `size`.
fn growing(size: u64, left: u64, rate: u64, seconds: u64) -> Fixture {
    let mut fixture = Fixture::new();
    for second in 0..=seconds {
        let left = left + (seconds - second) * rate;
        fixture.take(space(size - left, left));
        fixture.due();
    }
    fixture
}

#[test]
fn a_full_filesystem_is_a_problem_now() {
    let fixture = growing(10 * GIB, 0, 0, 1);
    assert_eq!(brief(&fixture), [("filesystem-full", Severity::Now, true)]);
    let problem = &conditions(&fixture)[0].problem;
    assert_eq!(problem.harm_in, None, "harm has begun");
    assert!(problem.text.starts_with("/var is 100 % full, 0 B left"), "{}", problem.text);
    assert_eq!(problem.next.as_deref(), Some("du -xd2 -- /var | sort -n | tail"));
}

#[test]
fn a_filesystem_that_is_full_in_minutes_is_a_problem_now() {
    let fixture = growing(10 * GIB, 2 * GIB, 5 * MIB, 60);
    assert_eq!(brief(&fixture), [("filesystem-full", Severity::Now, true)]);
    let harm = conditions(&fixture)[0].problem.harm_in.unwrap();
    assert!((harm.expected - 409.6).abs() < 5.0 && harm.low <= harm.expected, "{harm:?}");
}

#[test]
fn growth_that_was_seen_for_a_moment_is_not_believed_for_an_hour() {
    let found = |left: u64, seconds: u64| {
        let found = brief(&growing(100 * GIB, left * GIB, 20 * MIB, seconds));
        found.into_iter().find(|(_, _, begins)| *begins).map(|(_, severity, _)| severity)
    };
    assert_eq!(found(20, 60), Some(Severity::Soon), "17 min are left");
    assert_eq!(found(28, 60), None, "24 min are left");
    assert_eq!(found(20, 12), None, "seen for 12 s");
    assert_eq!(found(45, 60), None, "there is room for what a copy writes");
}

#[test]
fn a_filesystem_that_nothing_fills_is_urgent_only_near_its_end() {
    assert_eq!(brief(&growing(100 * GIB, 12 * GIB, 0, 20)), []);
    assert_eq!(brief(&growing(1000 * GIB, 20 * GIB, 0, 20)), [("filesystem-full", Severity::Watch, true)]);
    assert_eq!(brief(&growing(40 * GIB, GIB, 0, 20)), [("filesystem-full", Severity::Soon, true)]);
    let continues = growing(1000 * GIB, 105 * GIB, 0, 20);
    assert_eq!(brief(&continues), [("filesystem-full", Severity::Watch, false)], "just below the threshold");
}

#[test]
fn the_writer_is_named_with_its_file() {
    let mut fixture = Fixture::new();
    for second in 0..=30 {
        fixture.take(space(8 * GIB + second * 5 * MIB, 2 * GIB - second * 5 * MIB));
        let size = second * 5 * MIB;
        let growth = FileGrowth {
            magic: EXT4,
            size,
            exact: true,
            writers: vec![(LEGACY, size)],
            ..FileGrowth::default()
        };
        fixture.take(DiskFact::FileGrowth { inode: LOG, growing: growth.into() });
        let stat = Stat { size, allocated: size };
        let found = Found::Named { stat, path: Some(b"/var/log/debug.log".to_vec()) };
        fixture.take(DiskFact::Found { inode: LOG, found });
        fixture.due();
        if second < 30 {
            fixture.deliver();
        }
    }
    let condition = &conditions(&fixture)[0];
    let text = &condition.problem.text;
    assert!(text.contains(": 1204 legacyd writes 5 MiB/s to /var/log/debug.log."), "{text}");
    assert_eq!(condition.problem.processes, [LEGACY]);
    assert_eq!(condition.problem.next.as_deref(), Some("observer disk -p 1204"));
}

#[test]
fn a_filesystem_without_inodes_is_a_problem_now() {
    let mut fixture = Fixture::new();
    let space = Space { size: GIB, used: MIB, available: GIB - MIB, inodes: 1000, inodes_used: 1000 };
    fixture.take(DiskFact::Space { dev: LOG.dev, space });
    fixture.due();
    assert_eq!(brief(&fixture), [("inodes-full", Severity::Now, true)]);
    let problem = &conditions(&fixture)[0].problem;
    assert_eq!(problem.text, "/var is out of inodes: all 1,000 are used.");
    assert_eq!(problem.next.as_deref(), Some("du --inodes -xd2 -- /var | sort -n | tail"));
}

#[test]
fn a_large_deleted_file_is_worth_a_look_and_urgent_if_its_space_is_needed() {
    let held = |used: u64, left: u64, bytes: u64| {
        let mut fixture = Fixture::new();
        fixture.take(space(used, left));
        fixture.file(LOG, bytes, bytes, EXT4);
        fixture.hold(LOG, LEGACY, true);
        fixture.asked(LOG, bytes, "/var/log/debug.log");
        fixture.take(DiskFact::Deleted { inode: LOG, by: ROTATE, at: fixture.now.boot - 90 * SECOND });
        fixture.due();
        fixture
    };
    assert_eq!(brief(&held(5 * GIB, 95 * GIB, 64 * MIB)), [], "it is small");
    let fixture = held(5 * GIB, 95 * GIB, 2 * GIB);
    assert_eq!(brief(&fixture), [("deleted-file", Severity::Watch, true)]);
    let problem = &conditions(&fixture)[0].problem;
    assert_eq!(
        problem.text,
        "/var/log/debug.log, deleted 1 min 31 s ago, still takes 2 GiB of /var: 1204 legacyd holds it."
    );
    assert_eq!(problem.next.as_deref(), Some("truncate -s 0 /proc/1204/fd/7"));
    let needed = brief(&held(95 * GIB, 5 * GIB, 2 * GIB));
    assert!(needed.contains(&("deleted-file", Severity::Soon, true)), "{needed:?}");
}

#[test]
fn a_hostile_mount_point_is_quoted_or_left_out() {
    let next = |point: &str| {
        let mut fixture = Fixture::new();
        let mount = Mount {
            dev: LOG.dev,
            root: b"/".to_vec(),
            point: point.into(),
            fs: b"ext4".to_vec(),
            ..Mount::default()
        };
        fixture.take(DiskFact::Mounts(vec![mount]));
        fixture.take(space(GIB, 0));
        fixture.due();
        conditions(&fixture)[0].problem.next.clone().unwrap()
    };
    assert_eq!(next("/a; rm -rf ~"), "du -xd2 -- '/a; rm -rf ~' | sort -n | tail");
    assert_eq!(next("/a'b$(id)"), "du -xd2 -- '/a'\\''b$(id)' | sort -n | tail");
    assert_eq!(next("/a\nb"), "observer disk");
}

#[test]
fn an_overlay_on_a_known_filesystem_is_not_reported_twice() {
    let mut fixture = Fixture::new();
    let mount = |dev, point: &str, fs: &str| Mount {
        dev,
        root: b"/".to_vec(),
        point: point.into(),
        fs: fs.into(),
        ..Mount::default()
    };
    fixture.take(DiskFact::Mounts(vec![mount(LOG.dev, "/", "ext4"), mount(77, "/merged", "overlay")]));
    for dev in [LOG.dev, 77] {
        let space = Space { size: GIB, used: GIB, available: 0, inodes: 0, inodes_used: 0 };
        fixture.take(DiskFact::Space { dev, space });
    }
    fixture.due();
    assert_eq!(brief(&fixture).len(), 1);
}
