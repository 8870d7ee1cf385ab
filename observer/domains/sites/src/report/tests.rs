//! Reports of made-up facts: a process with two sites, one that keeps and one that frees.

use observer_core::{
    domain::Views as _,
    engine::Engine,
    facts::{
        Fact, TaskId,
        session::{SessionFact, Timestamp},
        sites::{FaultFact, Found, FunctionName, Language, ModuleFact, NamedFact, SitesFact},
    },
    report::{Report, Subject, Value},
    view::Request,
};

use crate::{Sites, queries::SitesQueries, views::MEM_WHERE};

const ID: TaskId = TaskId { start: 1, tgid: 42 };
const SECOND: u64 = 1_000_000_000;
/// Addresses of frames: of the C library, of the two sites, and of what calls both.
const MALLOC: u64 = 0x7000_0010;
const KEEPER: u64 = 0x1010;
const CHURNER: u64 = 0x1020;
const MAIN: u64 = 0x1030;

fn at(second: u64) -> Timestamp {
    Timestamp { boot: second * SECOND, wall: second * SECOND }
}

fn module(start: u64, path: &[u8]) -> Fact {
    let (end, offset) = (start + 0x1000, 0x4000);
    let module = ModuleFact { process: ID, start, end, offset, path: path.into(), build_id: None };
    Fact::Sites(SitesFact::Module(Box::new(module)))
}

fn fault(number: u64, second: u64, path: &[u64], address: u64) -> Fact {
    Fact::Sites(SitesFact::Fault(Box::new(FaultFact {
        number,
        process: ID,
        at: second * SECOND,
        address,
        weight: 4096,
        path: path.into(),
        complete: true,
        by_kernel: false,
        interpreted: Box::default(),
    })))
}

fn look(number: u64, before: Found, after: Found) -> Fact {
    Fact::Sites(SitesFact::Look { process: ID, number, age: 8_000, before, after })
}

fn named(address: u64, function: &str, line: u32) -> Fact {
    let function = FunctionName {
        function: function.into(),
        file: Some("/src/cache.c".into()),
        line: Some(line),
        inlined: false,
        language: Language::Native,
    };
    let functions = [function].into();
    Fact::Sites(SitesFact::Named(Box::new(NamedFact { process: ID, address, functions })))
}

/// Twenty seconds of 40 kept objects, cut off the end of glibc's heap, and 100 freed ones.
fn observed() -> (Engine, Request) {
    let request = Request { pids: vec![42], ..Request::new(MEM_WHERE) };
    let mut engine = Engine::new(request.clone(), Sites.state(&request));
    let session = SessionFact { began: at(10), ..SessionFact::default() };
    let mut facts = vec![
        Fact::Session(Box::new(session)),
        module(0x1000, b"/usr/bin/program"),
        module(0x7000_0000, b"/lib/libc.so.6"),
    ];
    for number in 0..40 {
        facts.push(fault(number, 11 + 13 * (number % 2), &[MALLOC, KEEPER, MAIN], 0x9008));
    }
    for number in 40..140 {
        facts.push(fault(number, 11 + 13 * (number % 2), &[CHURNER, MAIN], 0x9000));
    }
    for (at, bytes) in [(11, 0), (36, 25 << 20)] {
        facts.push(Fact::Sites(SitesFact::Size { process: ID, at: at * SECOND, bytes }));
    }
    // What follows a kept object is another one, which is freed.
    facts.extend((0..40).map(|number| look(number, Found::Same, Found::Changed)));
    facts.extend((40..140).map(|number| look(number, Found::Same, Found::Changed)));
    facts.iter().for_each(|fact| engine.apply(fact));
    (engine, request)
}

fn reported(engine: &mut Engine) -> Report {
    engine.tick(at(36));
    engine.report(at(36), None).expect("no column was chosen").expect("it has begun")
}

/// The text in the column `name` of each row.
fn column(report: &Report, name: &str) -> Vec<Value> {
    let place = report.tables[0].position(name).expect("a column");
    report.tables[0].rows.iter().map(|row| row.cell(place).clone()).collect()
}

fn texts(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| Value::Text((*text).to_owned())).collect()
}

#[test]
fn the_site_that_keeps_its_content_is_called_a_leak_without_any_name() {
    let (mut engine, _) = observed();
    let report = reported(&mut engine);
    assert_eq!(column(&report, "judgement"), texts(&["leaks", "churns"]));
    assert_eq!(column(&report, "at"), texts(&["program+0x4010", "program+0x4020"]), "the file is enough");
    let keeps = column(&report, "keeps");
    assert!(
        (keeps[0].number().expect("known") - f64::from(1 << 20)).abs() < 1.0,
        "all of the growth: {keeps:?}"
    );
    assert_eq!(keeps[1], Value::Real(0.0));
    assert!(report.headline[0].contains("leaks") && report.headline[0].contains("program+0x4010"));
    let subject = Subject::CallPath { process: ID, frames: vec![MALLOC, KEEPER, MAIN] };
    assert_eq!(report.tables[0].rows[0].subject, subject);
    let [low, share, high] =
        ["kept_share_low", "kept_share", "kept_share_high"].map(|name| column(&report, name)[0].number());
    assert!(low < share && share <= high, "{low:?} {share:?} {high:?}");
}

#[test]
fn names_are_asked_for_once_and_shown_with_their_lines() {
    let (mut engine, _) = observed();
    let queries = engine.queries(at(36), None).expect("no column was chosen");
    let asked = queries.own::<SitesQueries>().expect("it asks its reader");
    assert_eq!((asked.pids.iter().copied().collect::<Vec<_>>(), asked.growers), (vec![42], 0));
    let mut addresses: Vec<u64> = asked.addresses.iter().map(|(_, address)| *address).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, [KEEPER, CHURNER, MAIN, MALLOC]);
    let answers = [
        named(MALLOC, "_int_malloc", 1),
        named(KEEPER, "remember", 88),
        named(CHURNER, "parse", 7),
        named(MAIN, "main", 3),
    ];
    answers.iter().for_each(|fact| engine.apply(fact));
    let queries = engine.queries(at(36), None).expect("no column was chosen");
    assert!(queries.own::<SitesQueries>().expect("it asks its reader").addresses.is_empty());
    let report = reported(&mut engine);
    assert_eq!(column(&report, "at"), texts(&["remember (cache.c:88)", "parse (cache.c:7)"]));
    let Value::List(path) = &column(&report, "path")[0] else { panic!("a list of frames") };
    assert_eq!(path.len(), 3, "JSON has the frames of the allocator as well");
    assert!(report.tables[0].rows[0].details[0].contains("main (cache.c:3)"));
}

#[test]
fn a_process_that_does_not_grow_has_no_leak() {
    let (mut engine, _) = observed();
    engine.apply(&Fact::Sites(SitesFact::Size { process: ID, at: 36 * SECOND, bytes: 0 }));
    let judgements = column(&reported(&mut engine), "judgement");
    assert!(!judgements.contains(&Value::Text("leaks".to_owned())), "{judgements:?}");
}

#[test]
fn a_process_that_cannot_be_watched_is_named_and_the_answer_is_incomplete() {
    let (mut engine, _) = observed();
    let reason = "its memory cannot be read without root or CAP_SYS_PTRACE".into();
    engine.apply(&Fact::Sites(SitesFact::Unwatched { pid: 7, reason }));
    let report = reported(&mut engine);
    let note = report.notes.iter().find(|note| note.kind.code == "where-unwatched").expect("a note");
    assert!(note.kind.incomplete && note.text.starts_with("7 cannot be watched"), "{}", note.text);
}

#[test]
fn growth_that_no_site_keeps_has_a_note() {
    let (mut engine, _) = observed();
    let code = |report: &Report| report.notes.iter().any(|note| note.kind.code == "where-reused");
    assert!(!code(&reported(&mut engine)), "one site keeps");
    (0..40).for_each(|number| engine.apply(&look(number, Found::Changed, Found::Changed)));
    let report = reported(&mut engine);
    assert!(code(&report) && !column(&report, "judgement").contains(&Value::Text("leaks".to_owned())));
}
