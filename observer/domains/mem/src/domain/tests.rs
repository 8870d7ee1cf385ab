//! Reports from facts, without a kernel.

use crate::views;
use std::collections::BTreeMap;

use super::*;
use crate::queries::MemQueries;
use observer_core::{
    facts::{
        self,
        mem::{Limit, Machine, MemFact, Memory, Totals},
        session::{Gap, SessionFact},
    },
    identity::process::Processes,
    report::{Note, Row, Subject, Value, shape},
    trend::verdict::assess_life,
    view::{GroupBy, Request, Sort},
};

const MIB: i64 = 1 << 20;
const SECOND: u64 = 1_000_000_000;
const GROWING: TaskId = TaskId { start: 1, tgid: 10 };
const RESTING: TaskId = TaskId { start: 2, tgid: 20 };

/// A state, and the context of its reports.
pub(crate) struct Fixture {
    pub(crate) state: MemState,
    session: SessionFact,
    pub(crate) processes: Processes,
    pub(crate) request: Request,
    pub(crate) now: Timestamp,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let request = Request::new(views::MEM);
        Self {
            state: MemState::new(&request),
            session: SessionFact::default(),
            processes: Processes::default(),
            request,
            now: Timestamp::default(),
        }
    }

    pub(crate) fn apply(&mut self, fact: MemFact) {
        self.state.apply(&Fact::Mem(fact));
    }

    pub(crate) fn met(&mut self, id: TaskId, comm: &[u8]) {
        self.processes.apply(&ProcessFact::Met { id, comm: comm.into(), uid: 0, kernel_thread: false });
    }

    pub(crate) fn counters(&mut self, id: TaskId, anon: i64) {
        let memory = Memory { file: 3 * MIB, anon, swap: 0, shmem: MIB, virt: 100 * MIB };
        self.apply(MemFact::Counters { id, memory, page_tables: 4096 });
    }

    fn exact(&mut self, id: TaskId, anon: i64) {
        let memory = Memory { file: 3 * MIB, anon, swap: 0, shmem: MIB, virt: 100 * MIB };
        self.apply(MemFact::Exact { id, memory });
    }

    pub(crate) fn ended(&mut self, id: TaskId) {
        self.state.apply(&Fact::Process(ProcessFact::Ended { id, at: self.now.boot }));
    }

    /// A report is due `second` seconds after the start.
    pub(crate) fn due(&mut self, second: u64) {
        self.now = Timestamp { boot: second * SECOND, wall: 0 };
        self.state.tick(self.now);
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            session: &self.session,
            processes: &self.processes,
            request: &self.request,
            now: self.now,
            previous: Timestamp::default(),
            first: false,
        }
    }

    fn report(&self) -> Report {
        self.state.report(&self.context())
    }

    pub(crate) fn queries(&self) -> MemQueries {
        self.state.queries(&self.report(), &self.context()).own::<MemQueries>().expect("always asked").clone()
    }

    fn cell(&self, id: TaskId, column: &str) -> Value {
        let report = self.report();
        let row = report.tables[0].rows.iter().find(|row| row.processes == [id]).expect("a row");
        row.cells[report.tables[0].position(column).expect("a column")].clone()
    }

    fn limit(&mut self, nearest: Option<Limit>) {
        let machine = Machine { total: 1 << 30, available: Some(512 << 20), ..Machine::default() };
        self.apply(MemFact::Machine(machine.into()));
        self.apply(MemFact::Place { id: GROWING, cgroup: b"/a".to_vec() });
        self.apply(MemFact::Limit { cgroup: b"/a".to_vec(), nearest });
    }

    /// One minute in which one process grows by 1 MiB a second and another does not grow.
    fn minute(&mut self) {
        self.counters(RESTING, 500 * MIB);
        for second in 1..=60 {
            self.counters(GROWING, second as i64 * MIB);
            self.due(second);
        }
    }
}

#[test]
fn every_row_has_a_cell_for_every_column() {
    let mut fixture = Fixture::new();
    fixture.minute();
    fixture.ended(RESTING);
    let report = fixture.report();
    assert_eq!(report.tables[0].rows.len(), 2, "one that lives and one that has ended");
    for table in &report.tables {
        for row in &table.rows {
            assert_eq!(row.cells.len(), table.columns.len());
        }
    }
}

#[test]
fn exact_counters_hold_until_a_scan_sees_a_change_and_shift_it_then() {
    let mut fixture = Fixture::new();
    fixture.counters(GROWING, 10 * MIB);
    fixture.exact(GROWING, 11 * MIB);
    assert_eq!(fixture.cell(GROWING, "anon"), Value::Unsigned(11 << 20));
    assert_eq!(fixture.cell(GROWING, "rss"), Value::Unsigned(15 << 20), "with file and shared memory");
    fixture.counters(GROWING, 12 * MIB);
    assert_eq!(fixture.cell(GROWING, "anon"), Value::Unsigned(13 << 20));
    fixture.exact(GROWING, 12 * MIB);
    assert_eq!(fixture.cell(GROWING, "anon"), Value::Unsigned(12 << 20));
}

#[test]
fn counters_without_their_remainders_are_never_shown_as_negative() {
    let mut fixture = Fixture::new();
    fixture.counters(GROWING, -8192);
    assert_eq!(fixture.cell(GROWING, "anon"), Value::Unsigned(0));
}

#[test]
fn a_growing_process_comes_first_with_its_rate_and_the_time_until_memory_is_full() {
    let mut fixture = Fixture::new();
    fixture.limit(None);
    fixture.minute();
    assert_eq!(fixture.report().tables[0].rows[0].processes, [GROWING], "though the other is bigger");
    assert_eq!(fixture.cell(GROWING, "verdict"), Value::Text("growing".to_owned()));
    assert_eq!(fixture.cell(GROWING, "growth"), Value::Signed(59 * MIB));
    let rate = fixture.cell(GROWING, "rate").number().expect("a rate");
    assert!((rate / MIB as f64 - 1.0).abs() < 0.01, "{rate}");
    assert_eq!(fixture.cell(GROWING, "limit"), Value::Unsigned(512 << 20), "what is available");
    let full = fixture.cell(GROWING, "full_in").number().expect("an end");
    assert!((full - 512.0).abs() < 6.0, "{full}");
    assert_eq!(fixture.cell(RESTING, "verdict"), Value::Text("stable".to_owned()));
    assert_eq!(fixture.cell(RESTING, "full_in"), Value::Missing);
}

#[test]
fn the_nearest_limit_is_the_one_with_the_least_left() {
    let limit = |limit: u64, usage: u64| Limit {
        group: b"/a".to_vec(),
        file: "memory.max".to_owned(),
        limit: limit << 20,
        usage: usage << 20,
    };
    let mut fixture = Fixture::new();
    fixture.counters(GROWING, MIB);
    fixture.limit(Some(limit(200, 100)));
    assert_eq!(fixture.cell(GROWING, "limit"), Value::Unsigned(200 << 20));
    fixture.limit(Some(limit(2000, 100)));
    assert_eq!(fixture.cell(GROWING, "limit"), Value::Unsigned(512 << 20), "the machine is nearer");
}

#[test]
fn a_limit_that_was_not_read_is_unknown_and_not_the_machines() {
    let mut fixture = Fixture::new();
    fixture.limit(None);
    fixture.counters(RESTING, MIB);
    assert_eq!(fixture.cell(RESTING, "limit"), Value::Missing);
    assert!(fixture.report().notes.iter().any(|note| note.kind.code == "mem-limit"));
}

#[test]
fn an_ended_process_is_shown_once_with_what_it_mapped() {
    let mut fixture = Fixture::new();
    let totals = Totals { mapped: 7, peak: Some(4096), ..Totals::default() };
    fixture.apply(MemFact::Totals { id: GROWING, totals });
    fixture.ended(GROWING);
    assert_eq!(fixture.cell(GROWING, "mapped"), Value::Unsigned(7));
    assert_eq!(fixture.cell(GROWING, "peak"), Value::Unsigned(4096));
    assert_eq!(fixture.cell(GROWING, "rss"), Value::Missing);
    assert!(fixture.report().tables[0].rows[0].ended);
    fixture.state.delivered(fixture.now);
    assert_eq!(fixture.report().tables[0].rows.len(), 0);
}

#[test]
fn before_there_is_a_trend_the_rate_is_the_growth_so_far() {
    let mut fixture = Fixture::new();
    fixture.counters(GROWING, MIB);
    fixture.due(1);
    assert_eq!(fixture.cell(GROWING, "rate"), Value::Missing, "one moment has no rate");
    fixture.counters(GROWING, 5 * MIB);
    fixture.due(3);
    assert_eq!(fixture.cell(GROWING, "rate"), Value::Real(2.0 * MIB as f64));
    assert_eq!(fixture.cell(GROWING, "rate_low"), Value::Missing);
    assert_eq!(fixture.cell(GROWING, "rate_high"), Value::Missing);
    assert_eq!(fixture.cell(GROWING, "verdict"), Value::Text("unknown".to_owned()));
    assert!(fixture.report().notes.iter().any(|note| note.kind.code == "mem-trend"));
}

#[test]
fn an_ended_process_does_not_come_back_when_scans_miss_it() {
    let mut fixture = Fixture::new();
    fixture.counters(GROWING, MIB);
    fixture.ended(GROWING);
    fixture.state.delivered(fixture.now);
    fixture.apply(MemFact::Gone { id: GROWING });
    assert_eq!(fixture.report().tables[0].rows.len(), 0);
}

#[test]
fn a_process_without_events_mapped_nothing_unless_there_are_no_events() {
    let mut fixture = Fixture::new();
    fixture.counters(RESTING, MIB);
    assert_eq!(fixture.cell(RESTING, "mapped"), Value::Unsigned(0));
    fixture.session.missing.push(Gap {
        hook: "mem.mappings".to_owned(),
        text: String::new(),
        columns: vec!["mapped".to_owned()],
    });
    assert_eq!(fixture.cell(RESTING, "mapped"), Value::Missing);
}

#[test]
fn exact_counters_are_queried_once_for_all_and_again_for_shown_rows() {
    let mut fixture = Fixture::new();
    for pid in 0..100 {
        fixture.counters(TaskId { start: 1, tgid: pid }, MIB);
    }
    assert_eq!(fixture.queries().counters.len(), 100);
    for pid in 0..100 {
        fixture.exact(TaskId { start: 1, tgid: pid }, MIB);
    }
    assert_eq!(fixture.queries().counters.len(), 0, "too many rows to ask without a reason");
    fixture.counters(TaskId { start: 1, tgid: 7 }, 2 * MIB);
    assert_eq!(fixture.queries().counters, [TaskId { start: 1, tgid: 7 }].into());
    let mut shown = fixture.report();
    shown.tables[0].rows.truncate(10);
    let queries = fixture.state.queries(&shown, &fixture.context());
    assert_eq!(queries.own::<MemQueries>().expect("always asked").counters.len(), 10);
}

#[test]
fn the_headline_names_the_growing_process() {
    let mut fixture = Fixture::new();
    fixture.met(GROWING, b"worker.py");
    fixture.limit(None);
    fixture.minute();
    let headline = fixture.report().headline;
    assert!(headline[0].starts_with("Memory 1 GiB, 50 % used"), "{headline:?}");
    assert!(headline[1].starts_with("One process grows: 10 worker.py, +60 MiB a minute."), "{headline:?}");
}

/// Processes: some grow, some are flat, some are new, and one has ended.
fn crowd() -> Fixture {
    let mut fixture = Fixture::new();
    let id = |tgid| TaskId { start: tgid, tgid };
    for second in 1..=30 {
        for tgid in 1..=50 {
            fixture.counters(id(tgid), 10 * MIB + (tgid as i64 % 5) * (second as i64) * MIB / 3);
        }
        fixture.due(second);
    }
    for tgid in 51..=60 {
        fixture.counters(id(tgid), tgid as i64 * MIB);
    }
    fixture.apply(MemFact::Totals { id: id(7), totals: Totals { mapped: 9, ..Totals::default() } });
    fixture.ended(id(7));
    fixture.due(31);
    fixture
}

#[test]
fn rows_that_are_not_shown_are_not_made_and_add_up_all_the_same() {
    let mut fixture = crowd();
    let whole = fixture.report();
    for sort in [None, Some(("rss", false)), Some(("growth", true)), Some(("pid", true))] {
        fixture.request.sort = sort.map(|(column, ascending)| Sort { column: column.to_owned(), ascending });
        for top in [0, 1, 10, 59, 60, 1000] {
            fixture.request.top = Some(top);
            let mut shaped = whole.clone();
            shape::shape(&mut shaped, &fixture.request, &fixture.processes).expect("a column that exists");
            assert_eq!(fixture.report().tables[0], shaped.tables[0], "{top} by {sort:?}");
        }
    }
}

#[test]
fn sums_are_exact_by_every_key() {
    let id = |tgid: u32| TaskId { start: 7, tgid: tgid.into() };
    // The three periods differ, so the groups by program, unit and container overlap.
    let comm = |tgid: u32| format!("worker-{}", tgid % 3);
    let unit = |tgid: u32| format!("job-{}.service", tgid % 4);
    let container = |tgid: u32| (tgid % 5 < 2).then(|| format!("{:064x}", tgid % 5));
    let anon = |tgid: u32| i64::from(tgid) * 40_960 + 4096;
    let mapped = |tgid: u32| u64::from(tgid) * 8192 + 1;
    let mut fixture = Fixture::new();
    for tgid in 1..=60u32 {
        let cgroup = match container(tgid) {
            Some(container) => format!("/system.slice/{}/docker/{container}", unit(tgid)),
            None => format!("/system.slice/{}", unit(tgid)),
        };
        for fact in [
            ProcessFact::Met {
                id: id(tgid),
                comm: comm(tgid).as_bytes().into(),
                uid: 7,
                kernel_thread: false,
            },
            ProcessFact::Named { id: id(tgid), exe: None, cgroup: Some(cgroup.into_bytes()), cmdline: None },
        ] {
            fixture.processes.apply(&fact);
        }
        fixture.counters(id(tgid), anon(tgid));
        let totals = Totals { mapped: mapped(tgid), ..Totals::default() };
        fixture.apply(MemFact::Totals { id: id(tgid), totals });
    }
    fixture.due(1);
    type Key<'a> = &'a dyn Fn(u32) -> Option<String>;
    let keys: [(GroupBy, &str, Key<'_>); 4] = [
        (GroupBy::Process, "pid", &|tgid| Some(tgid.to_string())),
        (GroupBy::Comm, "comm", &|tgid| Some(comm(tgid))),
        (GroupBy::Unit, "unit", &|tgid| Some(unit(tgid))),
        (GroupBy::Container, "container", &container),
    ];
    for (by, name, key) in keys {
        fixture.request.by = by;
        let mut truth: BTreeMap<Option<String>, (u64, u64)> = BTreeMap::new();
        for tgid in 1..=60 {
            let (held, asked) = truth.entry(key(tgid)).or_default();
            (*held, *asked) = (*held + anon(tgid) as u64, *asked + mapped(tgid));
        }
        for top in [None, Some(2)] {
            fixture.request.top = top;
            let mut report = fixture.report();
            shape::shape(&mut report, &fixture.request, &fixture.processes).expect("no column is asked for");
            let table = &report.tables[0];
            let at = |column| table.position(column).expect("a column");
            for row in &table.rows {
                let group = match &row.cells[at(name)] {
                    Value::Text(text) => Some(text.clone()),
                    Value::Unsigned(pid) => Some(pid.to_string()),
                    _ => None,
                };
                let (held, asked) = truth[&group];
                assert_eq!(row.cells[at("anon")], Value::Unsigned(held), "anon of {group:?}");
                assert_eq!(row.cells[at("mapped")], Value::Unsigned(asked), "mapped of {group:?}");
            }
            assert_eq!(table.rows.len(), top.unwrap_or(usize::MAX).min(truth.len()), "by {name}");
            // Readers see resident memory: file, anonymous and shared memory.
            let rss = |row: &Row| row.cells[at("rss")].number().expect("it is known");
            let shown: f64 = table.rows.iter().map(rss).sum();
            let hidden =
                table.hidden.sums.iter().find(|(column, _)| *column == "rss").map_or(0.0, |sum| sum.1);
            let all: f64 = (1..=60).map(|tgid| (anon(tgid) + 4 * MIB) as f64).sum();
            assert_eq!(shown + hidden, all, "with what is hidden, by {name}");
        }
    }
}

#[test]
fn a_draft_names_the_processes_that_the_report_will_show() {
    let mut fixture = crowd();
    let shown = |report: &Report| -> Vec<TaskId> {
        report.tables[0].rows.iter().flat_map(|row| row.processes.clone()).collect()
    };
    fixture.request.top = Some(45);
    let draft = fixture.state.draft(&fixture.context());
    assert_eq!(shown(&draft), shown(&fixture.report()));
    assert!(draft.tables[0].rows.iter().all(|row| row.cells.is_empty()));
    // The first report and its draft show a jump just before it.
    fixture.counters(TaskId { start: 55, tgid: 55 }, 900 * MIB);
    fixture.now.boot += SECOND;
    let draft = shown(&fixture.state.draft(&fixture.context()));
    fixture.due(32);
    assert!(draft.contains(&TaskId { start: 55, tgid: 55 }));
    assert_eq!(draft, shown(&fixture.report()));
}

#[test]
fn flat_series_have_the_same_assessment_at_any_level() {
    let mut fixture = Fixture::new();
    for tgid in 1..=9 {
        fixture.counters(TaskId { start: 1, tgid }, MIB << tgid);
    }
    for second in 1..=90 {
        fixture.due(second);
        assert_eq!(fixture.state.processes.len(), 9);
        for process in fixture.state.processes.values() {
            let own = assess_life(&process.series, fixture.now.boot, None);
            assert_eq!(*fixture.state.assessment(process, fixture.now.boot), own, "second {second}");
        }
    }
}

#[test]
fn a_kill_is_reported_with_its_trigger_and_the_process_that_grew_most() {
    let mut fixture = Fixture::new();
    let met =
        |id, comm: &str| ProcessFact::Met { id, comm: comm.as_bytes().into(), uid: 0, kernel_thread: false };
    fixture.processes.apply(&met(GROWING, "leaky"));
    fixture.processes.apply(&met(RESTING, "innocent"));
    fixture.minute();
    let held = Memory { anon: 450 * MIB, ..Memory::default() };
    let at = fixture.now.boot;
    let killed =
        |victim, memory| MemFact::OutOfMemory { at, victim, trigger: TaskId { start: 3, tgid: 30 }, memory };
    fixture.apply(killed(RESTING, Some(held)));
    fixture.ended(RESTING);
    let text = |fixture: &Fixture| {
        let notes = fixture.report().notes;
        notes
            .iter()
            .filter(|note| note.kind.code == "mem-oom")
            .map(|note| note.text.clone())
            .collect::<Vec<_>>()
    };
    let told = "Out of memory 0 s ago: 20 innocent was killed as 30 asked for more; it held 450 MiB, -50 MiB within the \
                window; most had grown 10 leaky, +59 MiB.";
    assert_eq!(text(&fixture), [told]);
    fixture.state.delivered(fixture.now);
    assert!(fixture.state.remembers(RESTING) && fixture.state.remembers(GROWING));
    fixture.due(119);
    assert_eq!(text(&fixture).len(), 1, "it stays though the process has left");
    fixture.state.delivered(fixture.now);
    fixture.due(120);
    fixture.state.delivered(fixture.now);
    assert_eq!(text(&fixture), [""; 0]);
    assert!(!fixture.state.remembers(RESTING));
    // A kernel that reports only the thread number.
    fixture.apply(killed(TaskId { start: 0, ..GROWING }, None));
    assert!(
        text(&fixture)[0].contains(": 10 leaky was killed as 30 asked for more; it held 60 MiB"),
        "{:?}",
        text(&fixture)
    );
}

#[test]
fn memory_pressure_is_reported_if_it_matters() {
    let mut fixture = Fixture::new();
    let mut waited = |cgroup: Option<&[u8]>, second, some| {
        let stalls = facts::mem::PressureTotals { some, full: some / 2 };
        fixture.apply(MemFact::PressureTotals { cgroup: cgroup.map(<[u8]>::to_vec), stalls });
        fixture.due(second);
        let notes = fixture.report().notes.into_iter().filter(|note| note.kind.code == "mem-stall");
        notes.map(|note| note.text).collect::<Vec<_>>()
    };
    assert_eq!(waited(None, 1, 7_000_000), [""; 0], "before observation began");
    assert_eq!(waited(None, 11, 7_050_000), [""; 0], "5 ms a second");
    assert_eq!(waited(Some(b"/a"), 21, 0), [""; 0]);
    assert_eq!(
        waited(Some(b"/a"), 31, 2_000_000),
        ["Since the last report tasks in the group /a waited for memory 20 % of the time, all at once 10 %."]
    );
    assert_eq!(waited(None, 41, 11_000_000).len(), 2);
}

#[test]
fn the_worst_of_many_stalled_groups_are_named_and_the_others_counted() {
    let mut fixture = Fixture::new();
    let mut waited = |second: u64, some: u64| {
        for group in 1..=8u64 {
            let stalls = facts::mem::PressureTotals { some: some * group, full: 0 };
            let cgroup = Some(format!("/{group}").into_bytes());
            fixture.apply(MemFact::PressureTotals { cgroup, stalls });
        }
        fixture.due(second);
        let notes = fixture.report().notes.into_iter().filter(|note| note.kind.code == "mem-stall");
        notes.map(|note| note.text).collect::<Vec<_>>()
    };
    assert_eq!(waited(1, 0), [""; 0]);
    let told = waited(11, 1_000_000);
    for (text, group) in told.iter().zip([8, 7, 6, 5, 4]) {
        assert!(text.contains(&format!("in the group /{group} waited")), "{told:?}");
    }
    assert_eq!(
        told[5],
        "Since the last report tasks waited for memory in 3 more groups, for less of the time."
    );
    assert_eq!(told.len(), 6);
}

#[test]
fn a_restarted_process_that_holds_as_much_again_is_reported() {
    let mut fixture = Fixture::new();
    let start = |fixture: &mut Fixture, id: TaskId| {
        let met = ProcessFact::Met { id, comm: b"server"[..].into(), uid: 7, kernel_thread: false };
        fixture.processes.apply(&met);
        fixture.state.apply(&Fact::Process(met));
    };
    let told = |fixture: &Fixture| {
        let notes = fixture.report().notes.into_iter().filter(|note| note.kind.code == "mem-restart");
        notes.map(|note| note.text).collect::<Vec<_>>()
    };
    start(&mut fixture, GROWING);
    fixture.minute();
    fixture.ended(GROWING);
    fixture.state.delivered(fixture.now);
    let next = TaskId { start: 62 * SECOND, tgid: 11 };
    start(&mut fixture, next);
    fixture.counters(next, 50 * MIB);
    fixture.due(70);
    assert_eq!(told(&fixture), [""; 0], "it held 60 MiB before");
    fixture.counters(next, 58 * MIB);
    fixture.due(72);
    assert_eq!(
        told(&fixture),
        [
            "11 server, started 10 s ago in place of 10, holds 58 MiB, as much as that did in the end (60 MiB): \
             memory that is taken again so soon is in use, which points away from a leak."
        ]
    );
    // A process that started much later is no successor.
    let other = TaskId { start: 300 * SECOND, tgid: 12 };
    start(&mut fixture, other);
    fixture.counters(other, 60 * MIB);
    fixture.due(301);
    assert_eq!(told(&fixture).len(), 1);
}

#[test]
fn a_few_of_many_restarted_workers_are_named_and_the_others_counted() {
    let mut fixture = Fixture::new();
    let start = |fixture: &mut Fixture, id: TaskId| {
        let met = ProcessFact::Met { id, comm: b"server"[..].into(), uid: 7, kernel_thread: false };
        fixture.processes.apply(&met);
        fixture.state.apply(&Fact::Process(met));
    };
    start(&mut fixture, GROWING);
    fixture.minute();
    fixture.ended(GROWING);
    fixture.state.delivered(fixture.now);
    for tgid in 100..300 {
        let id = TaskId { start: 62 * SECOND, tgid };
        start(&mut fixture, id);
        fixture.counters(id, tgid as i64 * MIB);
    }
    fixture.due(70);
    let notes = fixture.report().notes.into_iter().filter(|note| note.kind.code == "mem-restart");
    let texts: Vec<String> = notes.map(|note| note.text).collect();
    assert_eq!(texts.len(), Note::FEW + 1);
    assert!(texts[0].starts_with("299 server, "), "who holds most comes first: {}", texts[0]);
    let rest = "195 more processes replaced ended processes and hold as much as those did: 37.5 GiB in all.";
    assert_eq!(texts[Note::FEW], rest);
}

fn kills(fixture: &Fixture) -> Vec<String> {
    let notes = fixture.report().notes.into_iter().filter(|note| note.kind.code == "mem-oom");
    notes.map(|note| note.text).collect()
}

#[test]
fn a_few_of_a_thousand_kills_are_named_and_the_others_counted_for_a_minute() {
    let mut fixture = Fixture::new();
    let kill = |fixture: &mut Fixture, second: u64, number: u32| {
        let memory = Some(Memory { anon: i64::from(number) * MIB, ..Memory::default() });
        let victim = TaskId { start: 1, tgid: 1000 + u64::from(number) };
        let trigger = victim;
        fixture.apply(MemFact::OutOfMemory { at: second * SECOND, victim, trigger, memory });
    };
    for number in 0..1000 {
        kill(&mut fixture, 1 + u64::from(number) / 500, number);
    }
    fixture.due(3);
    let told = kills(&fixture);
    assert_eq!(told.len(), Note::FEW + 1);
    assert!(told[0].contains(": 1999 was killed"), "{}", told[0]);
    assert_eq!(told[Note::FEW], "Out of memory: 995 more processes were killed in the last minute.");
    let remembered = (1000..2000).filter(|tgid| fixture.state.remembers(TaskId { start: 1, tgid: *tgid }));
    assert!(remembered.count() < 100, "what is remembered has a bound");
    // Kills of the first second are forgotten before those of the second one.
    fixture.due(61);
    fixture.state.delivered(fixture.now);
    assert_eq!(
        kills(&fixture)[Note::FEW],
        "Out of memory: 495 more processes were killed in the last minute."
    );
    fixture.due(62);
    fixture.state.delivered(fixture.now);
    assert_eq!(kills(&fixture), [""; 0]);
}

#[test]
fn per_cpu_remainders_are_part_of_what_a_killed_process_held() {
    let mut fixture = Fixture::new();
    fixture.met(GROWING, b"leaky");
    // The per-CPU remainder of the process is 30 MiB.
    fixture.counters(GROWING, 10 * MIB);
    fixture.exact(GROWING, 40 * MIB);
    fixture.due(1);
    fixture.due(60);
    let killed = |victim, anon| {
        let memory = Some(Memory { anon, ..Memory::default() });
        MemFact::OutOfMemory { at: 60 * SECOND, victim, trigger: victim, memory }
    };
    fixture.apply(killed(GROWING, 12 * MIB));
    let text = kills(&fixture).remove(0);
    assert!(text.contains("it held 42 MiB, +2 MiB within the window"), "{text}");
    // No scan has found this process, so nothing corrects its counters.
    let mut fixture = Fixture::new();
    fixture.due(60);
    fixture.apply(killed(RESTING, -8192));
    let text = kills(&fixture).remove(0);
    assert!(text.contains("it held 0 B"), "{text}");
}

#[test]
fn growth_of_a_killed_process_while_it_was_read_does_not_count_twice() {
    let mut fixture = Fixture::new();
    fixture.met(GROWING, b"leaky");
    fixture.counters(GROWING, 10 * MIB);
    fixture.exact(GROWING, 10 * MIB);
    fixture.due(1);
    // It grows by 2 MiB between the scan and the exact reading, and then to 48 MiB, where it is killed.
    fixture.counters(GROWING, 20 * MIB);
    fixture.exact(GROWING, 22 * MIB);
    fixture.due(2);
    let memory = Some(Memory { anon: 48 * MIB, ..Memory::default() });
    fixture.apply(MemFact::OutOfMemory { at: 2 * SECOND, victim: GROWING, trigger: GROWING, memory });
    let text = kills(&fixture).remove(0);
    assert!(text.contains("it held 48 MiB"), "{text}");
}

#[test]
fn a_heap_that_leaks_at_constant_resident_memory_comes_first_and_one_with_garbage_does_not() {
    let mut fixture = Fixture::new();
    fixture.met(GROWING, b"java");
    let heap = |live: i64, collections: u64| {
        Some(Box::new(facts::mem::RuntimeHeap {
            runtime: "HotSpot 17".to_owned(),
            live: Some(live as u64),
            garbage: true,
            collections: Some(collections),
            full_collections: Some(collections / 20),
            limit: Some(200 << 20),
            ..Default::default()
        }))
    };
    for second in 1..=1200 {
        fixture.counters(GROWING, 300 * MIB);
        fixture.counters(RESTING, 400 * MIB);
        let (cycle, time) = (second as i64 % 20, second as i64);
        // Every twentieth collection also frees the garbage of the old generation.
        fixture.apply(MemFact::RuntimeHeap {
            id: GROWING,
            heap: heap(20 * MIB + time * MIB / 16 + cycle * 3 * MIB, second),
        });
        fixture.apply(MemFact::RuntimeHeap { id: RESTING, heap: heap(40 * MIB + cycle * 3 * MIB, second) });
        fixture.due(second);
    }
    let report = fixture.report();
    let row = |at: usize| &report.tables[0].rows[at];
    let cell = |at: usize, name| row(at).cell(report.tables[0].position(name).unwrap()).clone();
    assert_eq!(row(0).subject, Subject::Process(GROWING));
    assert_eq!(
        (cell(0, "verdict"), cell(0, "live_verdict")),
        (Value::Text("stable".into()), Value::Text("leak".into()))
    );
    assert_eq!(cell(1, "live_verdict"), Value::Text("stable".into()));
    assert!(
        report.headline.iter().any(
            |line| line.starts_with("One leak suspected: 10 java, +3.") && line.ends_with("in its heap.")
        ),
        "{:?}",
        report.headline
    );
    fixture.apply(MemFact::RuntimeHeap { id: GROWING, heap: None });
    fixture.due(1201);
    assert!(fixture.report().headline.iter().all(|line| !line.contains("leak")));
}

#[test]
fn beside_a_growing_object_no_bystander_is_named_before_there_is_a_trend() {
    use facts::mem::{MemoryObject, ObjectId, ObjectKind};
    let mut fixture = Fixture::new();
    fixture.met(GROWING, b"bystander");
    for second in 1..=5 {
        let id = ObjectId { kind: ObjectKind::Memfd, device: 1, number: 7 };
        let object = MemoryObject::new(id, second << 26, b"memfd:large".to_vec());
        fixture.apply(MemFact::Object(Box::new(object)));
        fixture.counters(GROWING, 10 * MIB + second as i64 * MIB / 4);
        fixture.due(second);
    }
    let headline = fixture.report().headline.join(" ");
    assert!(headline.contains("memfd:large") && !headline.contains("bystander"), "{headline}");
}
