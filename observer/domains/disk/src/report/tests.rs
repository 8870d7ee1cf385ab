//! Reports from invented facts.

use crate::views;
use crate::{
    queries::{DiskQueries, ReachedBy, StatMode},
    state::DiskState,
};
use observer_core::{
    context::Context,
    domain::State as _,
    facts::{
        Fact, TaskId,
        disk::{
            Answer, Descriptor, DiskFact, File, FileGrowth, Found, Hold, HoldKind, InodeId, Mount, Space,
            Stat,
        },
        process::ProcessFact,
        session::{Gap, SessionFact, Timestamp},
    },
    identity::process::Processes,
    report::{Note, Report, Value, shape},
    units,
    view::{Request, Sort, View},
};

pub(crate) const LOG: InodeId = InodeId { dev: 8 << 20 | 1, generation: 7, ino: 4711 };
pub(crate) const LEGACY: TaskId = TaskId { start: 1, tgid: 1204 };
const OTHER: TaskId = TaskId { start: 2, tgid: 4410 };
pub(crate) const ROTATE: TaskId = TaskId { start: 3, tgid: 998 };
pub(crate) const EXT4: u64 = 0xef53;
const XFS: u64 = 0x5846_5342;
const TMPFS: u64 = 0x0102_1994;
const NFS: u64 = 0x6969;
const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;

/// A state, its processes, and the time.
pub(crate) struct Fixture {
    state: DiskState,
    processes: Processes,
    session: SessionFact,
    request: Request,
    pub(crate) now: Timestamp,
    previous: Timestamp,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::seen(views::DELETED_OPEN, &[])
    }

    pub(crate) fn seen(view: View, missing: &[&str]) -> Self {
        let missing = missing.iter().map(|hook| Gap {
            hook: (*hook).to_owned(),
            text: String::new(),
            columns: Vec::new(),
        });
        let at = Timestamp { boot: 100 * SECOND, wall: 1_000_000 * SECOND };
        let session = SessionFact { began: at, missing: missing.collect(), ..SessionFact::default() };
        let request = Request::new(view);
        let mut fixture = Self {
            state: DiskState::new(&request),
            processes: Processes::default(),
            session: session.clone(),
            request,
            now: at,
            previous: at,
        };
        fixture.state.apply(&Fact::Session(session.into()));
        for (id, comm) in [(LEGACY, "legacyd"), (OTHER, "sort"), (ROTATE, "logrotate")] {
            let (comm, uid) = (comm.as_bytes().into(), 0);
            fixture.processes.apply(&ProcessFact::Met { id, comm, uid, kernel_thread: false });
        }
        let mount = |dev, point: &str, fs: &str| Mount {
            dev,
            root: b"/".to_vec(),
            point: point.into(),
            fs: fs.into(),
            source: Vec::new(),
            read_only: false,
        };
        fixture.take(DiskFact::Mounts(vec![mount(LOG.dev, "/var", "ext4"), mount(27, "/dev/shm", "tmpfs")]));
        fixture
    }

    pub(crate) fn take(&mut self, fact: DiskFact) {
        self.state.apply(&Fact::Disk(fact));
    }

    pub(crate) fn file(&mut self, inode: InodeId, size: u64, allocated: u64, magic: u64) {
        self.take(DiskFact::File { inode, file: File { size, allocated, magic } });
    }

    pub(crate) fn hold(&mut self, inode: InodeId, id: TaskId, append: bool) {
        let descriptor = Descriptor { fd: 7, thread: id.pid(), append, writable: true };
        self.take(DiskFact::Holder { inode, id, hold: Hold::Descriptors(vec![descriptor]) });
    }

    pub(crate) fn asked(&mut self, inode: InodeId, allocated: u64, path: &str) {
        let stat = Some(Stat { size: 0, allocated });
        self.take(DiskFact::Asked { inode, answer: Answer { stat, path: Some(path.into()) } });
    }

    /// One second passes, and a report is due.
    pub(crate) fn due(&mut self) -> Report {
        self.previous = self.now;
        self.now.boot += SECOND;
        self.now.wall += SECOND;
        self.state.tick(self.now);
        self.with(|state, context| state.report(context))
    }

    pub(crate) fn deliver(&mut self) {
        self.state.delivered(self.now);
    }

    fn queries(&self, shown: &Report) -> DiskQueries {
        self.with(|state, context| state.queries(shown, context)).own::<DiskQueries>().unwrap().clone()
    }

    pub(crate) fn with<T>(&self, make: impl Fn(&DiskState, &Context<'_>) -> T) -> T {
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
fn a_growing_log_is_shown_with_everything_that_is_known() {
    let mut fixture = Fixture::new();
    fixture.due();
    fixture.file(LOG, 2 * MIB, 0, EXT4);
    fixture.hold(LOG, LEGACY, true);
    fixture.asked(LOG, 2 * MIB, "/var/log/debug.log");
    fixture.take(DiskFact::Deleted { inode: LOG, by: ROTATE, at: fixture.now.boot - SECOND / 2 });
    fixture.due();
    fixture.file(LOG, 5 * MIB, 0, EXT4);
    fixture.take(DiskFact::Writers { inode: LOG, written: vec![(LEGACY, 3 * MIB)] });
    let report = fixture.due();
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
    let mut fixture = Fixture::new();
    fixture.take(DiskFact::Writers { inode: LOG, written: vec![(LEGACY, 2 * MIB)] });
    fixture.file(LOG, 2 * MIB, 0, EXT4);
    fixture.hold(LOG, LEGACY, true);
    let written = |report: &Report| field(&holders(report, 0)[0], "written");
    assert_eq!(written(&fixture.due()), Value::Unsigned(0), "growth before the baseline does not count");
    fixture.take(DiskFact::Writers { inode: LOG, written: vec![(LEGACY, 5 * MIB)] });
    fixture.file(LOG, 5 * MIB, 0, EXT4);
    let report = fixture.due();
    assert_eq!(cell(&report, 0, "growth"), Value::Signed(3 * MIB as i64));
    assert_eq!(written(&report), Value::Unsigned(3 * MIB));
}

#[test]
fn truncation_is_not_advised_if_it_would_do_harm() {
    let mut fixture = Fixture::new();
    fixture.file(LOG, MIB, MIB, EXT4);
    fixture.hold(LOG, LEGACY, true);
    fixture.hold(LOG, OTHER, false);
    assert_eq!(
        cell(&fixture.due(), 0, "reclaim"),
        text(
            "end or restart 1204 legacyd, 4410 sort (after a truncation, the next write would make it \
             as long as before, with a hole)"
        )
    );
    fixture.take(DiskFact::HolderGone { inode: LOG, id: OTHER, how: HoldKind::Descriptors });
    fixture.take(DiskFact::Holder { inode: LOG, id: LEGACY, hold: Hold::Mapping { start: 1, end: 2 } });
    let reclaim = "mapped into memory, and must not be truncated: end or restart 1204 legacyd";
    assert_eq!(cell(&fixture.due(), 0, "reclaim"), text(reclaim));
    let alternatives: Vec<Value> =
        holders(&fixture.due(), 0).iter().map(|holder| field(holder, "how")).collect();
    assert_eq!(alternatives, [text("fd"), text("mmap")]);
}

#[test]
fn a_service_is_restarted_by_its_name() {
    let mut fixture = Fixture::new();
    let cgroup = Some(b"/system.slice/legacy.service".to_vec());
    fixture.processes.apply(&ProcessFact::Named { id: LEGACY, exe: None, cgroup, cmdline: None });
    fixture.file(LOG, MIB, MIB, EXT4);
    fixture.hold(LOG, LEGACY, false);
    let report = fixture.due();
    assert_eq!(
        cell(&report, 0, "reclaim"),
        text(
            "reload or restart legacy.service (after a truncation, the next write would make it as long as before, \
             with a hole)"
        )
    );
    assert_eq!(cell(&report, 0, "held_by"), text("1204 legacyd (legacy.service)"));
    let headline =
        "/var (ext4) holds 1 MiB in 1 deleted file. Freeing them: restart legacy.service, or see below.";
    assert_eq!(report.headline, [headline]);
}

#[test]
fn unknown_values_are_missing_and_a_note_gives_the_reason() {
    let mut fixture = Fixture::new();
    fixture.file(LOG, 5000, 0, EXT4);
    fixture.hold(LOG, LEGACY, false);
    fixture.file(InodeId { ino: 2, ..LOG }, 5000, 8192, XFS);
    fixture.hold(InodeId { ino: 2, ..LOG }, LEGACY, false);
    let report = fixture.due();
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
    assert_eq!(cell(&fixture.due(), 0, "growth"), Value::Signed(0));
}

#[test]
fn only_extents_that_are_not_shared_are_reclaimable() {
    let mut fixture = Fixture::new();
    fixture.file(LOG, 8192, 8192, XFS);
    fixture.hold(LOG, LEGACY, false);
    let stat = Some(Stat { size: 8192, allocated: 8192 });
    fixture.take(DiskFact::Asked { inode: LOG, answer: Answer { stat, path: None } });
    let reclaimable = |fixture: &mut Fixture| cell(&fixture.due(), 0, "reclaimable");
    let shown = fixture.with(|state, context| state.report(context));
    let asked = |fixture: &Fixture| fixture.queries(&shown).extents.len();
    assert_eq!(asked(&fixture), 1, "at once");
    fixture.file(InodeId { ino: 2, ..LOG }, 8192, 8192, NFS);
    fixture.hold(InodeId { ino: 2, ..LOG }, LEGACY, false);
    assert_eq!(asked(&fixture), 1, "what may hang is never asked");
    fixture.take(DiskFact::FileGone { inode: InodeId { ino: 2, ..LOG } });
    assert_eq!(reclaimable(&mut fixture), Value::Missing);
    assert_eq!(asked(&fixture), 0, "not again while it stays as it is");
    fixture.take(DiskFact::Shared { inode: LOG, bytes: Some(4096) });
    assert_eq!(reclaimable(&mut fixture), Value::Unsigned(4096));
    fixture.file(LOG, 9000, 8192, XFS);
    assert_eq!(asked(&fixture), 1, "it has grown");
    fixture.take(DiskFact::Shared { inode: LOG, bytes: None });
    assert_eq!(reclaimable(&mut fixture), Value::Missing);
}

#[test]
fn a_file_that_grows_by_many_small_appends_is_a_log() {
    let log =
        FileGrowth { magic: EXT4, size: 2 * MIB, appends: 20_000, exact: true, ..FileGrowth::default() };
    let told = |growing: &FileGrowth, reports: u64| {
        let mut fixture = Fixture::seen(views::DISK, &[]);
        for report in 0..=reports {
            let size = growing.size - growing.size / 100 * (reports - report);
            let growing = FileGrowth { size, ..growing.clone() };
            fixture.take(DiskFact::FileGrowth { inode: LOG, growing: growing.into() });
            let stat = Stat { size, allocated: size };
            let path = Some(b"/var/log/x".to_vec());
            fixture.take(DiskFact::Found { inode: LOG, found: Found::File { stat, path } });
            fixture.due();
            fixture.state.delivered(fixture.now);
        }
        texts(&fixture.due(), "small-appends")
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
    let mut fixture = Fixture::seen(views::DELETED_OPEN, &["disk.growth"]);
    let written = |report: &Report| -> Vec<Value> {
        holders(report, 0).iter().map(|holder| field(holder, "written")).collect()
    };
    fixture.file(LOG, 100, 4096, EXT4);
    fixture.hold(LOG, LEGACY, false);
    fixture.due();
    fixture.file(LOG, 900, 4096, EXT4);
    fixture.due();
    fixture.file(LOG, 300, 4096, EXT4);
    fixture.due();
    fixture.file(LOG, 400, 4096, EXT4);
    assert_eq!(written(&fixture.due()), [Value::Unsigned(900)], "what was cut off was written all the same");
    fixture.hold(LOG, OTHER, false);
    let report = fixture.due();
    assert_eq!(written(&report), [Value::Missing, Value::Missing]);
    assert!(has_note(&report, "written-unknown"));
    fixture.take(DiskFact::HolderGone { inode: LOG, id: OTHER, how: HoldKind::Descriptors });
    assert_eq!(written(&fixture.due()), [Value::Missing], "it may have written meanwhile");
}

#[test]
fn files_in_memory_are_separate_from_files_on_disk() {
    let mut fixture = Fixture::new();
    let shm = InodeId { dev: 27, generation: 1, ino: 3 };
    fixture.file(shm, MIB, MIB, TMPFS);
    fixture.hold(shm, LEGACY, false);
    let report = fixture.due();
    assert_eq!((cell(&report, 0, "medium"), cell(&report, 0, "mount")), (text("ram"), text("/dev/shm")));
    assert_eq!(report.headline, ["/dev/shm (tmpfs) holds 1 MiB of memory in 1 deleted file."]);
    assert_eq!(report.total("ram"), Some(&Value::Unsigned(MIB)));
    assert_eq!(report.total("disk"), Some(&Value::Unsigned(0)));
}

#[test]
fn a_row_leaves_with_its_last_holder_and_mappings_are_scanned_now_and_then() {
    let mut fixture = Fixture::seen(views::DELETED_OPEN, &["disk.inodes"]);
    fixture.file(LOG, MIB, MIB, EXT4);
    fixture.hold(LOG, LEGACY, false);
    let report = fixture.due();
    let mappings = |fixture: &Fixture, shown: &Report| fixture.queries(shown).mappings;
    let shown = report.clone();
    fixture.due();
    assert!(!mappings(&fixture, &shown), "nothing changed");
    fixture.take(DiskFact::HolderGone { inode: LOG, id: LEGACY, how: HoldKind::Descriptors });
    fixture.take(DiskFact::FileGone { inode: LOG });
    assert!(!mappings(&fixture, &report), "they were looked at before it was said to be gone");
    let report = fixture.due();
    assert_eq!(report.tables[0].rows, []);
    assert_eq!(report.headline, ["No deleted file is held open: nothing takes space that `du` cannot find."]);
    for _ in 0..11 {
        fixture.now.boot += SECOND;
    }
    assert!(mappings(&fixture, &report), "now and then they are read anyway");
}

#[test]
fn a_file_of_a_network_filesystem_is_queried_for_its_path_only() {
    let mut fixture = Fixture::new();
    fixture.file(LOG, MIB, 0, NFS);
    fixture.hold(LOG, LEGACY, false);
    let report = fixture.due();
    let wants = fixture.queries(&report);
    let handle = wants.files.first().unwrap();
    assert_eq!((handle.ask, handle.through), (StatMode::Path, ReachedBy::Descriptor { thread: 1204, fd: 7 }));
}

#[test]
fn without_scans_only_the_writers_are_known() {
    let mut fixture = Fixture::seen(views::DELETED_OPEN, &["disk.descriptors"]);
    fixture.take(DiskFact::Writers { inode: LOG, written: vec![(LEGACY, 77)] });
    let report = fixture.due();
    assert_eq!((cell(&report, 0, "size"), cell(&report, 0, "growth")), (Value::Missing, Value::Signed(77)));
    assert_eq!(field(&holders(&report, 0)[0], "how"), text("unknown"));
    assert!(has_note(&report, "holders-unknown"));

    let mut fixture = Fixture::new();
    fixture.take(DiskFact::Writers { inode: LOG, written: vec![(LEGACY, 77)] });
    assert_eq!(fixture.due().tables[0].rows, [], "it is gone: a pass would find it");
}

#[test]
fn a_filling_filesystem_shows_when_it_is_full() {
    let mut fixture = Fixture::seen(views::DISK, &[]);
    for second in 0..20 {
        let used = 50 * MIB + second * MIB;
        let space =
            Space { size: 200 * MIB, used, available: 150 * MIB - second * MIB, inodes: 10, inodes_used: 3 };
        fixture.take(DiskFact::Space { dev: LOG.dev, space });
        fixture.due();
    }
    let report = fixture.due();
    assert_eq!(cell(&report, 0, "mount"), text("/var"));
    assert_eq!(cell(&report, 0, "deleted_open"), Value::Unsigned(0));
    let Value::Real(full_in) = cell(&report, 0, "full_in") else { panic!("{report:#?}") };
    assert!((100.0..170.0).contains(&full_in), "131 MiB at 1 MiB a second: {full_in}");
}

#[test]
fn delayed_allocation_that_is_counted_later_makes_nothing_negative() {
    for (fs, expected) in [("btrfs", Value::Missing), ("ext4", Value::Signed(-(MIB as i64)))] {
        let mut fixture = Fixture::seen(views::DISK, &[]);
        let mount = Mount {
            dev: LOG.dev,
            root: b"/".to_vec(),
            point: b"/var".to_vec(),
            fs: fs.into(),
            ..Mount::default()
        };
        fixture.take(DiskFact::Mounts(vec![mount]));
        let space = Space { size: 9 * MIB, ..Space::default() };
        fixture.take(DiskFact::Space { dev: LOG.dev, space });
        fixture.due();
        let growing = FileGrowth { magic: EXT4, size: MIB, exact: true, ..FileGrowth::default() };
        fixture.take(DiskFact::FileGrowth { inode: LOG, growing: growing.into() });
        let stat = Stat { size: MIB, allocated: MIB };
        fixture.take(DiskFact::Found { inode: LOG, found: Found::File { stat, path: None } });
        let report = fixture.due();
        assert_eq!(cell(&report, 0, "unexplained"), expected, "{fs}");
        assert_eq!(has_note(&report, "unexplained-promised"), fs == "btrfs");
        fixture.take(DiskFact::Space { dev: LOG.dev, space: Space { used: 2 * MIB, ..space } });
        assert_eq!(cell(&fixture.due(), 0, "unexplained"), Value::Signed(MIB as i64), "{fs}");
    }
}

#[test]
fn writes_before_observation_began_do_not_count() {
    let mut fixture = Fixture::seen(views::DISK, &[]);
    let written = |written| DiskFact::Written { id: LEGACY, written, cancelled: MIB };
    fixture.take(written(9 * MIB));
    fixture.due();
    fixture.state.delivered(fixture.now);
    fixture.take(written(11 * MIB));
    let report = fixture.due();
    let table = &report.tables[1];
    let cell = |name| table.rows[0].cells[table.position(name).unwrap()].clone();
    assert_eq!((cell("written"), cell("rate")), (Value::Unsigned(2 * MIB), Value::Real(2.0 * MIB as f64)));
}

#[test]
fn each_of_many_growing_files_has_its_turn_and_is_not_queried_afterwards() {
    let mut fixture = Fixture::seen(views::DISK, &[]);
    let files: Vec<_> = (0..1500).map(|ino| InodeId { ino, ..LOG }).collect();
    let growing = FileGrowth { magic: EXT4, size: MIB, exact: true, ..FileGrowth::default() };
    for inode in &files {
        fixture.take(DiskFact::FileGrowth { inode: *inode, growing: growing.clone().into() });
    }
    fixture.take(DiskFact::Space { dev: LOG.dev, space: Space { size: 9 * MIB, ..Space::default() } });
    let mut asked = vec![0; files.len()];
    let mut shown = fixture.due();
    assert_eq!(cell(&shown, 0, "unexplained"), Value::Missing);
    assert!(has_note(&shown, "growth-late"), "a third of the files was not asked for");
    for _ in 0..10 {
        let wants = fixture.queries(&shown);
        for file in wants.growing {
            let known = &mut asked[file.inode.ino as usize];
            let stat = Stat { size: MIB, allocated: MIB };
            // An answer that equals the last one is not delivered.
            if *known == 0 {
                fixture.take(DiskFact::Found { inode: file.inode, found: Found::File { stat, path: None } });
            }
            *known += 1;
        }
        shown = fixture.due();
    }
    // The first report was due before the first query.
    assert!(asked.iter().all(|times| (1..=2).contains(times)), "{asked:?}");
    assert!(fixture.queries(&shown).growing.is_empty());
    fixture.now.boot += 60 * SECOND;
    let later = fixture.due();
    assert_eq!(cell(&later, 0, "growth_files"), Value::Signed(0));
    assert_eq!((cell(&later, 0, "unexplained"), has_note(&later, "growth-late")), (Value::Signed(0), false));
}

#[test]
fn files_that_grow_all_the_time_take_turns() {
    let mut fixture = Fixture::seen(views::DISK, &[]);
    let growing = FileGrowth { magic: EXT4, exact: true, ..FileGrowth::default() };
    fixture.take(DiskFact::Space { dev: LOG.dev, space: Space { size: 9 * MIB, ..Space::default() } });
    let mut asked = std::collections::BTreeSet::new();
    let mut shown = fixture.due();
    for size in 1..4 {
        for ino in 0..2500 {
            let growing = FileGrowth { size, ..growing.clone() };
            fixture.take(DiskFact::FileGrowth { inode: InodeId { ino, ..LOG }, growing: growing.into() });
        }
        let wants = fixture.queries(&shown);
        asked.extend(wants.growing.into_iter().map(|file| file.inode));
        shown = fixture.due();
    }
    assert_eq!(asked.len(), 2500);
}

#[test]
fn all_writes_count_only_if_the_process_started_while_observed() {
    let mut fixture = Fixture::seen(views::DISK, &[]);
    fixture.due();
    fixture.state.delivered(fixture.now);
    let started = TaskId { start: 101 * SECOND, tgid: 5000 };
    let written = |id, written| DiskFact::Written { id, written, cancelled: 0 };
    fixture.take(written(LEGACY, MIB));
    fixture.take(written(started, 2 * MIB));
    let report = fixture.due();
    assert_eq!(report.tables[1].rows.len(), 1, "what the old one wrote it may have written before");
    assert_eq!(report.tables[1].rows[0].processes, [started]);
    fixture.state.delivered(fixture.now);
    fixture.take(written(LEGACY, 4 * MIB));
    let report = fixture.due();
    let written = report.tables[1].position("written").unwrap();
    let of =
        |id| report.tables[1].rows.iter().find(|row| row.processes == [id]).unwrap().cells[written].clone();
    assert_eq!((of(LEGACY), of(started)), (Value::Unsigned(3 * MIB), Value::Unsigned(2 * MIB)));
}

#[test]
fn rows_of_writers_that_are_not_shown_are_not_made_and_the_report_is_the_same() {
    let mut fixture = Fixture::seen(views::DISK, &[]);
    fixture.due();
    fixture.state.delivered(fixture.now);
    for number in 1..=40 {
        let id = TaskId { start: 101 * SECOND, tgid: 5000 + number };
        let comm = format!("writer-{}", number % 7).into_bytes();
        fixture.processes.apply(&ProcessFact::Met { id, comm: comm.into(), uid: 0, kernel_thread: false });
        // The order by bytes is neither the order by number nor its reverse.
        let written = (number * 17 % 41) * MIB;
        fixture.take(DiskFact::Written { id, written, cancelled: 0 });
    }
    let space = Space { size: 100, used: 50, available: 50, inodes: 9, inodes_used: 1 };
    fixture.take(DiskFact::Space { dev: LOG.dev, space });
    let whole = fixture.due();
    assert_eq!(whole.tables[1].rows.len(), 40);
    // `rate` and `used` are columns of filesystems. Writers are not sorted by them, even if they have such a column.
    for sort in
        [None, Some(("written", false)), Some(("pid", true)), Some(("rate", true)), Some(("used", false))]
    {
        fixture.request.sort = sort.map(|(column, ascending)| Sort { column: column.to_owned(), ascending });
        for (top, comm) in [(None, None), (Some(0), None), (Some(7), None), (Some(7), Some("writer-[0-4]"))] {
            fixture.request.top = top;
            fixture.request.comm = comm.map(|pattern| regex::Regex::new(pattern).unwrap());
            let shaped = |mut report: Report| {
                shape::shape(&mut report, &fixture.request, &fixture.processes)
                    .expect("a column that exists");
                report
            };
            let [expected, report] =
                [whole.clone(), fixture.with(|state, context| state.report(context))].map(shaped);
            assert_eq!(report.tables, expected.tables, "{top:?} {comm:?} by {sort:?}");
            assert_eq!(report.notes, expected.notes);
            let draft = shaped(fixture.with(|state, context| state.draft(context)));
            let human = |report: &Report| -> Vec<Vec<TaskId>> {
                report.tables[1].rows.iter().map(|row| row.processes.clone()).collect()
            };
            assert_eq!(human(&draft), human(&expected), "{top:?} {comm:?} by {sort:?}");
            assert!(draft.tables[1].rows.iter().all(|row| row.cells.is_empty()));
        }
    }
}

/// The texts of the notes with the code `code`.
fn texts(report: &Report, code: &str) -> Vec<String> {
    report.notes.iter().filter(|note| note.kind.code == code).map(|note| note.text.clone()).collect()
}

#[test]
fn the_largest_few_of_many_folders_and_files_are_named_and_the_others_counted() {
    let mut fixture = Fixture::seen(views::DISK, &[]);
    let grown = |fixture: &mut Fixture, number: u64, path: String, writers: Vec<TaskId>| {
        let inode = InodeId { ino: number, ..LOG };
        for id in &writers {
            let comm = format!("maker{}", id.tgid).into_bytes();
            let comm = if path.contains("log") { b"crashes".to_vec() } else { comm };
            fixture.processes.apply(&ProcessFact::Met {
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
        fixture.take(DiskFact::FileGrowth { inode, growing: growing.into() });
        let stat = Stat { size, allocated: size };
        fixture.take(DiskFact::Found { inode, found: Found::File { stat, path: Some(path.into_bytes()) } });
        for id in writers {
            fixture.state.apply(&Fact::Process(ProcessFact::Ended { id, at: fixture.now.boot }));
        }
    };
    let of = |number: u64, count: u64| {
        (0..count).map(|turn| TaskId { start: 10 + turn, tgid: number * 100 + turn }).collect::<Vec<_>>()
    };
    for number in 1..=50 {
        grown(&mut fixture, number, format!("/var/tmp/{number}/a"), of(number, 6));
        // Higher numbers have more restarts.
        grown(&mut fixture, 100 + number, format!("/var/log/{number}"), of(100 + number, 2 + number));
    }
    let report = fixture.due();
    let left = texts(&report, "left-behind");
    assert_eq!(left.len(), Note::FEW + 1);
    assert_eq!(
        left[0],
        "1 file, 50 MiB in /var/tmp/50, created by maker5000, maker5001, maker5002 and 3 more while observed; \
         the processes that created them have ended."
    );
    let bytes = units::bytes((1..=45).sum::<u64>() * MIB);
    let rest = format!(
        "45 files, {bytes} in 45 more folders, created while observed; the processes that created them have ended."
    );
    assert_eq!(left[Note::FEW], rest);
    let restarted = texts(&report, "restarted-writer");
    assert_eq!(restarted.len(), Note::FEW + 1);
    assert!(restarted[0].starts_with("52 processes of crashes wrote to /var/log/50 and"), "{}", restarted[0]);
    assert_eq!(
        restarted[Note::FEW],
        "45 more files are written to by programs that are started again and again."
    );
}
