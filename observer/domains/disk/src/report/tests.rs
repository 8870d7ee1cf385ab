//! What is reported of made-up facts.

use crate::{
    queries::{DiskQueries, ReachedBy, StatMode},
    state::DiskState,
};
use observer_core::{
    domain::{Context, Domain as _},
    facts::{
        Fact, TaskId,
        disk::{
            Answer, Descriptor, DiskFact, File, FileGrowth, Found, Hold, HoldKind, InodeId, Mount, Space,
            Stat,
        },
        process::ProcessFact,
        session::{Missing, SessionFact, Timestamp},
    },
    identity::process::Processes,
    report::{Note, Report, Value, shape},
    units,
    view::{Request, Sort, View},
};

const LOG: InodeId = InodeId { dev: 8 << 20 | 1, generation: 7, ino: 4711 };
const LEGACY: TaskId = TaskId { start: 1, tgid: 1204 };
const OTHER: TaskId = TaskId { start: 2, tgid: 4410 };
const ROTATE: TaskId = TaskId { start: 3, tgid: 998 };
const EXT4: u64 = 0xef53;
const XFS: u64 = 0x5846_5342;
const TMPFS: u64 = 0x0102_1994;
const NFS: u64 = 0x6969;
const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;

/// A state, the processes that it tells of, and the time.
struct World {
    state: DiskState,
    processes: Processes,
    session: SessionFact,
    request: Request,
    now: Timestamp,
    previous: Timestamp,
}

impl World {
    fn new() -> Self {
        Self::seen(View::DeletedOpen, &[])
    }

    fn seen(view: View, missing: &[&str]) -> Self {
        let missing = missing.iter().map(|hook| Missing {
            hook: (*hook).to_owned(),
            text: String::new(),
            columns: Vec::new(),
        });
        let at = Timestamp { boot: 100 * SECOND, wall: 1_000_000 * SECOND };
        let session = SessionFact { began: at, missing: missing.collect(), ..SessionFact::default() };
        let request = Request::new(view);
        let mut world = Self {
            state: DiskState::new(&request),
            processes: Processes::default(),
            session: session.clone(),
            request,
            now: at,
            previous: at,
        };
        world.state.apply(&Fact::Session(session.into()));
        for (id, comm) in [(LEGACY, "legacyd"), (OTHER, "sort"), (ROTATE, "logrotate")] {
            let (comm, uid) = (comm.as_bytes().into(), 0);
            world.processes.apply(&ProcessFact::Met { id, comm, uid, kernel_thread: false });
        }
        let mount = |dev, point: &str, fs: &str| Mount {
            dev,
            root: b"/".to_vec(),
            point: point.into(),
            fs: fs.into(),
            source: Vec::new(),
            read_only: false,
        };
        world.take(DiskFact::Mounts(vec![mount(LOG.dev, "/var", "ext4"), mount(27, "/dev/shm", "tmpfs")]));
        world
    }

    fn take(&mut self, fact: DiskFact) {
        self.state.apply(&Fact::Disk(fact));
    }

    fn file(&mut self, inode: InodeId, size: u64, allocated: u64, magic: u64) {
        self.take(DiskFact::File { inode, file: File { size, allocated, magic } });
    }

    fn hold(&mut self, inode: InodeId, id: TaskId, append: bool) {
        let descriptor = Descriptor { fd: 7, thread: id.pid(), append, writable: true };
        self.take(DiskFact::Holder { inode, id, hold: Hold::Descriptors(vec![descriptor]) });
    }

    fn asked(&mut self, inode: InodeId, allocated: u64, path: &str) {
        let stat = Some(Stat { size: 0, allocated });
        self.take(DiskFact::Asked { inode, answer: Answer { stat, path: Some(path.into()) } });
    }

    /// A second passes, and a report is due.
    fn due(&mut self) -> Report {
        self.previous = self.now;
        self.now.boot += SECOND;
        self.now.wall += SECOND;
        self.state.tick(self.now);
        self.with(|state, context| state.report(context))
    }

    fn queries(&self, shown: &Report) -> DiskQueries {
        self.with(|state, context| state.wants(shown, context)).own::<DiskQueries>().unwrap().clone()
    }

    fn with<T>(&self, make: impl Fn(&DiskState, &Context<'_>) -> T) -> T {
        let context = Context {
            session: &self.session,
            processes: &self.processes,
            request: &self.request,
            now: self.now,
            previous: self.previous,
            first: false,
        };
        make(&self.state, &context)
    }
}

fn cell(report: &Report, row: usize, name: &str) -> Value {
    let table = &report.tables[0];
    table.rows[row].cells[table.position(name).unwrap_or_else(|| panic!("no {name}"))].clone()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn holders(report: &Report, row: usize) -> Vec<Vec<(&'static str, Value)>> {
    let Value::List(holders) = cell(report, row, "holders") else { panic!() };
    let fields = |holder| if let Value::Object(fields) = holder { fields } else { panic!() };
    holders.into_iter().map(fields).collect()
}

fn field(fields: &[(&'static str, Value)], name: &str) -> Value {
    fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.clone()).unwrap()
}

fn has_note(report: &Report, code: &str) -> bool {
    report.notes.iter().any(|note| note.kind.code == code)
}

#[test]
fn a_growing_log_is_told_with_everything_that_is_known_of_it() {
    let mut world = World::new();
    world.due();
    world.file(LOG, 2 * MIB, 0, EXT4);
    world.hold(LOG, LEGACY, true);
    world.asked(LOG, 2 * MIB, "/var/log/debug.log");
    world.take(DiskFact::Deleted { inode: LOG, by: ROTATE, at: world.now.boot - SECOND / 2 });
    world.due();
    world.file(LOG, 5 * MIB, 0, EXT4);
    world.take(DiskFact::Writers { inode: LOG, written: vec![(LEGACY, 3 * MIB)] });
    let report = world.due();
    assert_eq!(cell(&report, 0, "dev"), text("8:1"));
    assert_eq!(cell(&report, 0, "path"), text("/var/log/debug.log"));
    assert_eq!((cell(&report, 0, "mount"), cell(&report, 0, "fs")), (text("/var"), text("ext4")));
    assert_eq!(cell(&report, 0, "size"), Value::Unsigned(5 * MIB));
    assert_eq!(
        cell(&report, 0, "allocated"),
        Value::Unsigned(2 * MIB),
        "promised blocks are known by asking"
    );
    assert_eq!(cell(&report, 0, "growth"), Value::Signed(3 * MIB as i64));
    assert_eq!(cell(&report, 0, "rate"), Value::Real(3.0 * MIB as f64));
    assert_eq!(cell(&report, 0, "growing"), Value::Flag(true));
    assert_eq!(cell(&report, 0, "deleted_at"), Value::Real(1_000_000.5));
    assert_eq!(cell(&report, 0, "deleted"), text("2 s ago by 998 logrotate"));
    let holder = &holders(&report, 0)[0];
    assert_eq!(field(holder, "written"), Value::Unsigned(3 * MIB));
    assert_eq!(field(holder, "fds"), Value::List(vec![Value::Unsigned(7)]));
    assert_eq!(
        cell(&report, 0, "reclaim"),
        text("opened for append: `truncate -s 0 /proc/1204/fd/7` frees it without a restart")
    );
    assert_eq!(report.headline, ["/var (ext4) holds 2 MiB in 1 deleted file."]);
}

#[test]
fn a_holder_wrote_no_more_than_the_file_has_grown() {
    let mut world = World::new();
    world.take(DiskFact::Writers { inode: LOG, written: vec![(LEGACY, 2 * MIB)] });
    world.file(LOG, 2 * MIB, 0, EXT4);
    world.hold(LOG, LEGACY, true);
    let written = |report: &Report| field(&holders(report, 0)[0], "written");
    assert_eq!(written(&world.due()), Value::Unsigned(0), "what was before the base line is not growth");
    world.take(DiskFact::Writers { inode: LOG, written: vec![(LEGACY, 5 * MIB)] });
    world.file(LOG, 5 * MIB, 0, EXT4);
    let report = world.due();
    assert_eq!(cell(&report, 0, "growth"), Value::Signed(3 * MIB as i64));
    assert_eq!(written(&report), Value::Unsigned(3 * MIB));
}

#[test]
fn truncation_is_not_advised_where_it_would_harm() {
    let mut world = World::new();
    world.file(LOG, MIB, MIB, EXT4);
    world.hold(LOG, LEGACY, true);
    world.hold(LOG, OTHER, false);
    assert_eq!(
        cell(&world.due(), 0, "reclaim"),
        text(
            "end or restart 1204 legacyd, 4410 sort (cut by truncation, it would be as long again with the next write, as a hole)"
        )
    );
    world.take(DiskFact::HolderGone { inode: LOG, id: OTHER, how: HoldKind::Descriptors });
    world.take(DiskFact::Holder { inode: LOG, id: LEGACY, hold: Hold::Mapping { start: 1, end: 2 } });
    let reclaim = "mapped into memory, so it must not be truncated: end or restart 1204 legacyd";
    assert_eq!(cell(&world.due(), 0, "reclaim"), text(reclaim));
    let alternatives: Vec<Value> =
        holders(&world.due(), 0).iter().map(|holder| field(holder, "how")).collect();
    assert_eq!(alternatives, [text("fd"), text("mmap")]);
}

#[test]
fn a_service_is_restarted_by_its_name() {
    let mut world = World::new();
    let cgroup = Some(b"/system.slice/legacy.service".to_vec());
    world.processes.apply(&ProcessFact::Named { id: LEGACY, exe: None, cgroup, cmdline: None });
    world.file(LOG, MIB, MIB, EXT4);
    world.hold(LOG, LEGACY, false);
    let report = world.due();
    assert_eq!(
        cell(&report, 0, "reclaim"),
        text(
            "reload or restart legacy.service (cut by truncation, it would be as long again with the next write, as a hole)"
        )
    );
    assert_eq!(cell(&report, 0, "held_by"), text("1204 legacyd (legacy.service)"));
    let headline =
        "/var (ext4) holds 1 MiB in 1 deleted file. Freeing them: restart legacy.service, or see below.";
    assert_eq!(report.headline, [headline]);
}

#[test]
fn what_is_not_known_is_missing_and_a_note_says_why() {
    let mut world = World::new();
    world.file(LOG, 5000, 0, EXT4);
    world.hold(LOG, LEGACY, false);
    world.file(InodeId { ino: 2, ..LOG }, 5000, 8192, XFS);
    world.hold(InodeId { ino: 2, ..LOG }, LEGACY, false);
    let report = world.due();
    for (row, name) in [
        (0, "reclaimable"),
        (0, "path"),
        (0, "deleted_by"),
        (0, "deleted_at"),
        (0, "growth"),
        (1, "allocated"),
    ] {
        assert_eq!(cell(&report, row, name), Value::Missing, "{name}");
    }
    for code in ["deleted-before", "path-unknown", "allocated-unknown", "blocks-shared", "growth-unknown"] {
        assert!(has_note(&report, code), "{code}");
    }
    assert_eq!(cell(&world.due(), 0, "growth"), Value::Signed(0));
}

#[test]
fn of_blocks_that_may_be_shared_what_no_other_file_has_comes_back() {
    let mut world = World::new();
    world.file(LOG, 8192, 8192, XFS);
    world.hold(LOG, LEGACY, false);
    let stat = Some(Stat { size: 8192, allocated: 8192 });
    world.take(DiskFact::Asked { inode: LOG, answer: Answer { stat, path: None } });
    let reclaimable = |world: &mut World| cell(&world.due(), 0, "reclaimable");
    let shown = world.with(|state, context| state.report(context));
    let asked = |world: &World| world.queries(&shown).extents.len();
    assert_eq!(asked(&world), 1, "at once");
    world.file(InodeId { ino: 2, ..LOG }, 8192, 8192, NFS);
    world.hold(InodeId { ino: 2, ..LOG }, LEGACY, false);
    assert_eq!(asked(&world), 1, "what may hang is never asked");
    world.take(DiskFact::FileGone { inode: InodeId { ino: 2, ..LOG } });
    assert_eq!(reclaimable(&mut world), Value::Missing);
    assert_eq!(asked(&world), 0, "not again while it stays as it is");
    world.take(DiskFact::Shared { inode: LOG, bytes: Some(4096) });
    assert_eq!(reclaimable(&mut world), Value::Unsigned(4096));
    world.file(LOG, 9000, 8192, XFS);
    assert_eq!(asked(&world), 1, "it has grown");
    world.take(DiskFact::Shared { inode: LOG, bytes: None });
    assert_eq!(reclaimable(&mut world), Value::Missing);
}

#[test]
fn a_log_is_what_grows_by_many_small_appends_for_a_while() {
    let log =
        FileGrowth { magic: EXT4, size: 2 * MIB, appends: 20_000, exact: true, ..FileGrowth::default() };
    let told = |growing: &FileGrowth, reports: u64| {
        let mut world = World::seen(View::Disk, &[]);
        for report in 0..=reports {
            let size = growing.size - growing.size / 100 * (reports - report);
            let growing = FileGrowth { size, ..growing.clone() };
            world.take(DiskFact::FileGrowth { inode: LOG, growing: growing.into() });
            let stat = Stat { size, allocated: size };
            let path = Some(b"/var/log/x".to_vec());
            world.take(DiskFact::Found { inode: LOG, found: Found::File { stat, path } });
            world.due();
            world.state.delivered(world.now);
        }
        texts(&world.due(), "small-appends")
    };
    let expected =
        "/var/log/x grew by 2 MiB, in 20000 appends of 104 B on average: a log that grows line by line.";
    assert_eq!(told(&log, 5), [expected]);
    assert_eq!(told(&log, 4), [""; 0], "it may as well be written at once");
    for other in [
        FileGrowth { appends: 2000, ..log.clone() },
        FileGrowth { size: MIB, appends: 999, ..log.clone() },
        FileGrowth { first_size: MIB + 1, ..log.clone() },
        FileGrowth { exact: false, ..log.clone() },
    ] {
        assert_eq!(told(&other, 5), [""; 0], "{other:?}");
    }
}

#[test]
fn two_holders_without_events_have_unknown_shares_and_one_has_all() {
    let mut world = World::seen(View::DeletedOpen, &["disk.growth"]);
    let written = |report: &Report| -> Vec<Value> {
        holders(report, 0).iter().map(|holder| field(holder, "written")).collect()
    };
    world.file(LOG, 100, 4096, EXT4);
    world.hold(LOG, LEGACY, false);
    world.due();
    world.file(LOG, 900, 4096, EXT4);
    world.due();
    world.file(LOG, 300, 4096, EXT4);
    world.due();
    world.file(LOG, 400, 4096, EXT4);
    assert_eq!(written(&world.due()), [Value::Unsigned(900)], "what was cut off was written all the same");
    world.hold(LOG, OTHER, false);
    let report = world.due();
    assert_eq!(written(&report), [Value::Missing, Value::Missing]);
    assert!(has_note(&report, "written-unknown"));
    world.take(DiskFact::HolderGone { inode: LOG, id: OTHER, how: HoldKind::Descriptors });
    assert_eq!(written(&world.due()), [Value::Missing], "it may have written meanwhile");
}

#[test]
fn memory_is_told_apart_from_disk() {
    let mut world = World::new();
    let shm = InodeId { dev: 27, generation: 1, ino: 3 };
    world.file(shm, MIB, MIB, TMPFS);
    world.hold(shm, LEGACY, false);
    let report = world.due();
    assert_eq!((cell(&report, 0, "medium"), cell(&report, 0, "mount")), (text("ram"), text("/dev/shm")));
    assert_eq!(report.headline, ["/dev/shm (tmpfs) holds 1 MiB of memory in 1 deleted file."]);
    assert_eq!(report.total("ram"), Some(&Value::Unsigned(MIB)));
    assert_eq!(report.total("disk"), Some(&Value::Unsigned(0)));
}

#[test]
fn a_row_leaves_with_its_last_holder_and_mappings_are_looked_at_now_and_then() {
    let mut world = World::seen(View::DeletedOpen, &["disk.inodes"]);
    world.file(LOG, MIB, MIB, EXT4);
    world.hold(LOG, LEGACY, false);
    let report = world.due();
    let mappings = |world: &World, shown: &Report| world.queries(shown).mappings;
    let shown = report.clone();
    world.due();
    assert!(!mappings(&world, &shown), "nothing changed");
    world.take(DiskFact::HolderGone { inode: LOG, id: LEGACY, how: HoldKind::Descriptors });
    world.take(DiskFact::FileGone { inode: LOG });
    assert!(!mappings(&world, &report), "they were looked at before it was said to be gone");
    let report = world.due();
    assert_eq!(report.tables[0].rows, []);
    assert_eq!(report.headline, ["No deleted file is held open: nothing takes space that `du` cannot find."]);
    for _ in 0..11 {
        world.now.boot += SECOND;
    }
    assert!(mappings(&world, &report), "now and then they are read anyway");
}

#[test]
fn a_file_on_a_network_is_asked_for_its_path_alone() {
    let mut world = World::new();
    world.file(LOG, MIB, 0, NFS);
    world.hold(LOG, LEGACY, false);
    let report = world.due();
    let wants = world.queries(&report);
    let handle = wants.files.first().unwrap();
    assert_eq!((handle.ask, handle.through), (StatMode::Path, ReachedBy::Descriptor { thread: 1204, fd: 7 }));
}

#[test]
fn without_passes_the_writers_are_all_that_is_known() {
    let mut world = World::seen(View::DeletedOpen, &["disk.descriptors"]);
    world.take(DiskFact::Writers { inode: LOG, written: vec![(LEGACY, 77)] });
    let report = world.due();
    assert_eq!((cell(&report, 0, "size"), cell(&report, 0, "growth")), (Value::Missing, Value::Signed(77)));
    assert_eq!(field(&holders(&report, 0)[0], "how"), text("unknown"));
    assert!(has_note(&report, "holders-unknown"));

    let mut world = World::new();
    world.take(DiskFact::Writers { inode: LOG, written: vec![(LEGACY, 77)] });
    assert_eq!(world.due().tables[0].rows, [], "it is gone: a pass would find it");
}

#[test]
fn a_filesystem_that_fills_says_when_it_is_full() {
    let mut world = World::seen(View::Disk, &[]);
    for second in 0..20 {
        let used = 50 * MIB + second * MIB;
        let space =
            Space { size: 200 * MIB, used, available: 150 * MIB - second * MIB, inodes: 10, inodes_used: 3 };
        world.take(DiskFact::Space { dev: LOG.dev, space });
        world.due();
    }
    let report = world.due();
    assert_eq!(cell(&report, 0, "mount"), text("/var"));
    assert_eq!(cell(&report, 0, "deleted_open"), Value::Unsigned(0));
    let Value::Real(full_in) = cell(&report, 0, "full_in") else { panic!("{report:#?}") };
    assert!((100.0..170.0).contains(&full_in), "131 MiB at 1 MiB a second: {full_in}");
}

#[test]
fn what_is_only_promised_makes_nothing_negative_where_it_is_counted_later() {
    for (fs, expected) in [("btrfs", Value::Missing), ("ext4", Value::Signed(-(MIB as i64)))] {
        let mut world = World::seen(View::Disk, &[]);
        let mount = Mount {
            dev: LOG.dev,
            root: b"/".to_vec(),
            point: b"/var".to_vec(),
            fs: fs.into(),
            ..Mount::default()
        };
        world.take(DiskFact::Mounts(vec![mount]));
        let space = Space { size: 9 * MIB, ..Space::default() };
        world.take(DiskFact::Space { dev: LOG.dev, space });
        world.due();
        let growing = FileGrowth { magic: EXT4, size: MIB, exact: true, ..FileGrowth::default() };
        world.take(DiskFact::FileGrowth { inode: LOG, growing: growing.into() });
        let stat = Stat { size: MIB, allocated: MIB };
        world.take(DiskFact::Found { inode: LOG, found: Found::File { stat, path: None } });
        let report = world.due();
        assert_eq!(cell(&report, 0, "unexplained"), expected, "{fs}");
        assert_eq!(has_note(&report, "unexplained-promised"), fs == "btrfs");
        world.take(DiskFact::Space { dev: LOG.dev, space: Space { used: 2 * MIB, ..space } });
        assert_eq!(cell(&world.due(), 0, "unexplained"), Value::Signed(MIB as i64), "{fs}");
    }
}

#[test]
fn what_was_written_before_observation_began_is_not_counted() {
    let mut world = World::seen(View::Disk, &[]);
    let written = |written| DiskFact::Written { id: LEGACY, written, cancelled: MIB };
    world.take(written(9 * MIB));
    world.due();
    world.state.delivered(world.now);
    world.take(written(11 * MIB));
    let report = world.due();
    let table = &report.tables[1];
    let cell = |name| table.rows[0].cells[table.position(name).unwrap()].clone();
    assert_eq!((cell("written"), cell("rate")), (Value::Unsigned(2 * MIB), Value::Real(2.0 * MIB as f64)));
}

#[test]
fn of_many_files_that_grow_each_has_its_turn_and_is_left_alone_afterwards() {
    let mut world = World::seen(View::Disk, &[]);
    let files: Vec<_> = (0..1500).map(|ino| InodeId { ino, ..LOG }).collect();
    let growing = FileGrowth { magic: EXT4, size: MIB, exact: true, ..FileGrowth::default() };
    for inode in &files {
        world.take(DiskFact::FileGrowth { inode: *inode, growing: growing.clone().into() });
    }
    world.take(DiskFact::Space { dev: LOG.dev, space: Space { size: 9 * MIB, ..Space::default() } });
    let mut asked = vec![0; files.len()];
    let mut shown = world.due();
    assert_eq!(cell(&shown, 0, "unexplained"), Value::Missing);
    assert!(has_note(&shown, "growth-late"), "a third of the files was not asked for");
    for _ in 0..10 {
        let wants = world.queries(&shown);
        for file in wants.growing {
            let known = &mut asked[file.inode.ino as usize];
            let stat = Stat { size: MIB, allocated: MIB };
            // An answer that is equal to the last one is dropped on its way.
            if *known == 0 {
                world.take(DiskFact::Found { inode: file.inode, found: Found::File { stat, path: None } });
            }
            *known += 1;
        }
        shown = world.due();
    }
    // The first was due before anything was asked.
    assert!(asked.iter().all(|times| (1..=2).contains(times)), "{asked:?}");
    assert!(world.queries(&shown).growing.is_empty());
    world.now.boot += 60 * SECOND;
    let later = world.due();
    assert_eq!(cell(&later, 0, "growth_files"), Value::Signed(0));
    assert_eq!((cell(&later, 0, "unexplained"), has_note(&later, "growth-late")), (Value::Signed(0), false));
}

#[test]
fn files_that_grow_all_the_time_take_turns() {
    let mut world = World::seen(View::Disk, &[]);
    let growing = FileGrowth { magic: EXT4, exact: true, ..FileGrowth::default() };
    world.take(DiskFact::Space { dev: LOG.dev, space: Space { size: 9 * MIB, ..Space::default() } });
    let mut asked = std::collections::BTreeSet::new();
    let mut shown = world.due();
    for size in 1..4 {
        for ino in 0..2500 {
            let growing = FileGrowth { size, ..growing.clone() };
            world.take(DiskFact::FileGrowth { inode: InodeId { ino, ..LOG }, growing: growing.into() });
        }
        let wants = world.queries(&shown);
        asked.extend(wants.growing.into_iter().map(|file| file.inode));
        shown = world.due();
    }
    assert_eq!(asked.len(), 2500);
}

#[test]
fn only_of_a_process_that_started_while_observed_all_is_counted() {
    let mut world = World::seen(View::Disk, &[]);
    world.due();
    world.state.delivered(world.now);
    let started = TaskId { start: 101 * SECOND, tgid: 5000 };
    let written = |id, written| DiskFact::Written { id, written, cancelled: 0 };
    world.take(written(LEGACY, MIB));
    world.take(written(started, 2 * MIB));
    let report = world.due();
    assert_eq!(report.tables[1].rows.len(), 1, "what the old one wrote it may have written before");
    assert_eq!(report.tables[1].rows[0].processes, [started]);
    world.state.delivered(world.now);
    world.take(written(LEGACY, 4 * MIB));
    let report = world.due();
    let written = report.tables[1].position("written").unwrap();
    let of =
        |id| report.tables[1].rows.iter().find(|row| row.processes == [id]).unwrap().cells[written].clone();
    assert_eq!((of(LEGACY), of(started)), (Value::Unsigned(3 * MIB), Value::Unsigned(2 * MIB)));
}

#[test]
fn of_writers_that_are_not_shown_no_row_is_made_and_the_report_is_the_same() {
    let mut world = World::seen(View::Disk, &[]);
    world.due();
    world.state.delivered(world.now);
    for number in 1..=40 {
        let id = TaskId { start: 101 * SECOND, tgid: 5000 + number };
        let comm = format!("writer-{}", number % 7).into_bytes();
        world.processes.apply(&ProcessFact::Met { id, comm: comm.into(), uid: 0, kernel_thread: false });
        // Neither by number nor in its reverse.
        let written = (number * 17 % 41) * MIB;
        world.take(DiskFact::Written { id, written, cancelled: 0 });
    }
    let space = Space { size: 100, used: 50, available: 50, inodes: 9, inodes_used: 1 };
    world.take(DiskFact::Space { dev: LOG.dev, space });
    let whole = world.due();
    assert_eq!(whole.tables[1].rows.len(), 40);
    // The last two are columns of filesystems, by which writers are not sorted, whether they have them or not.
    for sort in
        [None, Some(("written", false)), Some(("pid", true)), Some(("rate", true)), Some(("used", false))]
    {
        world.request.sort = sort.map(|(column, ascending)| Sort { column: column.to_owned(), ascending });
        for (top, comm) in [(None, None), (Some(0), None), (Some(7), None), (Some(7), Some("writer-[0-4]"))] {
            world.request.top = top;
            world.request.comm = comm.map(|pattern| regex::Regex::new(pattern).unwrap());
            let shaped = |mut report: Report| {
                shape::shape(&mut report, &world.request, &world.processes).expect("a column that exists");
                report
            };
            let [expected, report] =
                [whole.clone(), world.with(|state, context| state.report(context))].map(shaped);
            assert_eq!(report.tables, expected.tables, "{top:?} {comm:?} by {sort:?}");
            assert_eq!(report.notes, expected.notes);
            let draft = shaped(world.with(|state, context| state.draft(context)));
            let human = |report: &Report| -> Vec<Vec<TaskId>> {
                report.tables[1].rows.iter().map(|row| row.processes.clone()).collect()
            };
            assert_eq!(human(&draft), human(&expected), "{top:?} {comm:?} by {sort:?}");
            assert!(draft.tables[1].rows.iter().all(|row| row.cells.is_empty()));
        }
    }
}

/// What notes of this code say.
fn texts(report: &Report, code: &str) -> Vec<String> {
    report.notes.iter().filter(|note| note.kind.code == code).map(|note| note.text.clone()).collect()
}

#[test]
fn of_many_folders_and_files_that_fill_a_disk_the_biggest_few_are_named_and_the_rest_counted() {
    let mut world = World::seen(View::Disk, &[]);
    let grown = |world: &mut World, number: u64, path: String, writers: Vec<TaskId>| {
        let inode = InodeId { ino: number, ..LOG };
        for id in &writers {
            let comm = format!("maker{}", id.tgid).into_bytes();
            let comm = if path.contains("log") { b"crashes".to_vec() } else { comm };
            world.processes.apply(&ProcessFact::Met {
                id: *id,
                comm: comm.into(),
                uid: 0,
                kernel_thread: false,
            });
        }
        let size = number * MIB;
        let growing = FileGrowth {
            magic: EXT4,
            size,
            exact: true,
            owner: writers.last().copied(),
            writers: writers.iter().map(|id| (*id, size / writers.len() as u64)).collect(),
            ..FileGrowth::default()
        };
        world.take(DiskFact::FileGrowth { inode, growing: growing.into() });
        let stat = Stat { size, allocated: size };
        world.take(DiskFact::Found { inode, found: Found::File { stat, path: Some(path.into_bytes()) } });
        for id in writers {
            world.state.apply(&Fact::Process(ProcessFact::Ended { id, at: world.now.boot }));
        }
    };
    let of = |number: u64, count: u64| {
        (0..count).map(|turn| TaskId { start: 10 + turn, tgid: number * 100 + turn }).collect::<Vec<_>>()
    };
    for number in 1..=50 {
        grown(&mut world, number, format!("/var/tmp/{number}/a"), of(number, 6));
        // The more often it is started over, the higher the number.
        grown(&mut world, 100 + number, format!("/var/log/{number}"), of(100 + number, 2 + number));
    }
    let report = world.due();
    let left = texts(&report, "left-behind");
    assert_eq!(left.len(), Note::FEW + 1);
    assert_eq!(
        left[0],
        "1 file, 50 MiB in /var/tmp/50, made by maker5000, maker5001, maker5002 and 3 more while observed: whoever made \
         them has ended."
    );
    let bytes = units::bytes((1..=45).sum::<u64>() * MIB);
    let rest =
        format!("45 files, {bytes} in 45 more folders, made while observed: whoever made them has ended.");
    assert_eq!(left[Note::FEW], rest);
    let restarted = texts(&report, "restarted-writer");
    assert_eq!(restarted.len(), Note::FEW + 1);
    assert!(restarted[0].starts_with("52 processes of crashes wrote to /var/log/50 and"), "{}", restarted[0]);
    assert_eq!(restarted[Note::FEW], "45 more files are written to by what is started over and over.");
}
