//! The pure part alone, for counting its instructions: a minute of a busy machine through decoder, changes, engine and
//! report, and a recorded minute through replay, engine and report.
//!
//! `pure decode mem|disk|net` and `pure replay FILE mem|disk|net`; only the function [`counted`] is counted, after all
//! preparation. `pure record FILE` writes the recording.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use observer::domains;
use observer_core::{
    domain::Decoded,
    engine::Engine,
    facts::{
        Fact, StreamItem,
        session::{SessionFact, Timestamp},
    },
    view::{Request, View},
};
use observer_sources::{changes::Changes, record::Recorder, replay::Replay};

use crate::minute::{Minute, SECONDS, Second};

mod minute;

const VIEWS: [(&str, View); 3] = [
    ("mem", observer_mem::views::MEM),
    ("disk", observer_disk::views::DELETED_OPEN),
    ("net", observer_net::views::NET),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["decode", name] => decode(name),
        ["replay", file, name] => replay(file.as_ref(), name),
        ["record", file] => record(file.as_ref()),
        _ => Err(anyhow::anyhow!("pure decode NAME | replay FILE NAME | record FILE")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pure {}: {error:#}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn view(name: &str) -> Result<View> {
    let view = VIEWS.iter().find(|(known, _)| *known == name);
    view.map(|(_, view)| *view).with_context(|| format!("no view {name}"))
}

fn decode(name: &str) -> Result<()> {
    let view = view(name)?;
    let minute = Minute::of(name);
    let mut rows = 0;
    counted(&mut || rows = observe(view, &minute, &mut |_| ()));
    done(rows)
}

fn replay(file: &Path, name: &str) -> Result<()> {
    let view = view(name)?;
    let mut rows = 0;
    let mut outcome = Ok(());
    counted(&mut || outcome = replayed(file, view).map(|seen| rows = seen));
    outcome?;
    done(rows)
}

fn done(rows: usize) -> Result<()> {
    println!("{rows} rows");
    ensure!(rows > 0, "nothing was reported");
    Ok(())
}

/// callgrind counts this function, by its name.
#[inline(never)]
#[unsafe(no_mangle)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

/// One minute, as the live source goes through it; the rows of all reports together.
fn observe(view: View, minute: &Minute, tell: &mut dyn FnMut(&dyn Fn() -> StreamItem)) -> usize {
    let mut engine = domains::engine(Request { resolve: false, ..Request::new(view) });
    let mut decoder = domains::of(view).decoder(4096);
    let mut changes = Changes::default();
    let mut feed = |facts: &[Fact], engine: &mut Engine, tick: Option<Timestamp>| {
        for fact in facts {
            tell(&|| StreamItem::Fact(fact.clone()));
            engine.apply(fact);
        }
        tick.into_iter().for_each(|now| tell(&|| StreamItem::Tick(now)));
    };
    feed(&[session()], &mut engine, None);
    let mut rows = 0;
    for (number, second) in minute.seconds.iter().enumerate() {
        let mut facts = Vec::new();
        pass(&mut *decoder, &mut changes, second, &mut facts);
        let now = moment(number as u64 + 1);
        changes.tick();
        feed(&facts, &mut engine, Some(now));
        rows += report(&mut engine, now);
    }
    rows
}

fn pass(
    decoder: &mut dyn observer_core::domain::Decode,
    changes: &mut Changes,
    second: &Second,
    facts: &mut Vec<Fact>,
) {
    let mut decoded = Decoded::default();
    for record in &second.records {
        decoder.record(record, &mut decoded).expect("a record of this version");
    }
    for (map, key, value) in &second.entries {
        decoder.entry(*map, key, value, &mut decoded).expect("an entry of this version");
    }
    decoded.facts.drain(..).for_each(|fact| changes.single(fact, facts));
    for (program, bytes) in &second.passes {
        let mut decoded = Decoded::default();
        decoder.scan(*program, bytes, &mut decoded).expect("a pass of this version");
        changes.scan(*program, decoded.take_facts(), facts);
    }
    changes.settle(facts);
    let mut decoded = Decoded::default();
    decoder.scans_completed(&mut decoded);
    decoded.facts.drain(..).for_each(|fact| changes.single(fact, facts));
}

fn report(engine: &mut Engine, now: Timestamp) -> usize {
    engine.tick(now);
    let report = engine.report(now, None).expect("nothing unknown was asked for");
    engine.delivered(now);
    report.map_or(0, |report| report.tables.iter().map(|table| table.rows.len()).sum())
}

fn replayed(file: &Path, view: View) -> Result<usize> {
    let mut engine = domains::engine(Request { resolve: false, ..Request::new(view) });
    let mut rows = 0;
    for item in Replay::open(file)? {
        match item? {
            StreamItem::Fact(fact) => engine.apply(&fact),
            StreamItem::Tick(now) => rows += report(&mut engine, now),
        }
    }
    Ok(rows)
}

/// Writes the minute of all domains like `observer record`.
fn record(file: &Path) -> Result<()> {
    let mut recorder = Recorder::create(file)?;
    let mut streams = Vec::new();
    for (name, view) in VIEWS {
        let mut facts = Vec::new();
        observe(view, &Minute::of(name), &mut |item| facts.push(item()));
        streams.push(facts);
    }
    // For each second: the facts of each domain, then a tick.
    recorder.push(&session());
    let mut rests: Vec<&[StreamItem]> = streams.iter().map(|facts| &facts[1..]).collect();
    for _ in 0..SECONDS {
        let mut due = None;
        for rest in &mut rests {
            due = loop {
                match rest.split_off_first() {
                    Some(StreamItem::Fact(fact)) => recorder.push(fact),
                    Some(StreamItem::Tick(now)) => break Some(*now),
                    None => bail!("a second without a report"),
                }
            };
        }
        due.into_iter().for_each(|now| recorder.tick(now));
    }
    recorder.finish()?;
    Ok(())
}

fn session() -> Fact {
    Fact::Session(Box::new(SessionFact {
        began: moment(0),
        host: "busy".to_owned(),
        kernel: "6.18".to_owned(),
        page_size: 4096,
        cpus: 8,
        observer: 1,
        missing: Vec::new(),
        limitations: Vec::new(),
    }))
}

/// The time this many seconds after the start.
fn moment(seconds: u64) -> Timestamp {
    let at = seconds * 1_000_000_000;
    Timestamp { boot: 1_000_000_000_000 + at, wall: 1_790_000_000_000_000_000 + at }
}
