//! What observing adds to each call of the observed.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    books::{Books, Ran},
    child::Speaker,
    measure::{Figure, Rounds},
    peers,
    place::{COMMANDS, Place},
    table::{Cell, Table, Unit},
};

/// What is attached while calls are timed. The order is that of the columns.
const EMPTY: usize = 0;
const FLOOR: usize = 1;
const DISK: usize = 3;
const ALL: usize = 5;
const BPFTRACE: usize = 6;

/// What is added can be told where what the floor and observer add spreads by no more than this, in parts of itself.
const TOLD: f64 = 0.25;

/// Runs a call below which no program is on its way: somebody else's, or the load's own between calls.
const SELDOM: f64 = 0.1;

/// Milliseconds for which a call is made while the kernel keeps books.
const BOOKED: u32 = 5;

/// How often a call is timed with the same attached, each time after all others: what else the machine does takes a tenth of
/// a second, more often than not, and can only make a call slower.
const LOOKS: usize = 4;

/// The goal: observer against an empty program plus one map update.
const GOAL: f64 = 1.5;

/// What watching files may add to an append, as part of it.
const APPEND: f64 = 0.05;

/// bpftrace counting what observer counts, on the same tracepoints.
const SCRIPT: &str = "tracepoint:raw_syscalls:sys_exit { @calls[pid] = count(); }
tracepoint:sched:sched_process_fork { @forks[pid] = count(); }
tracepoint:sched:sched_process_exec { @execs[pid] = count(); }
tracepoint:sched:sched_process_exit { @exits[pid] = count(); }
tracepoint:ext4:ext4_mark_inode_dirty { @dirtied[pid] = count(); }
tracepoint:ext4:ext4_da_write_end { @written[pid] = sum(args->copied); }
tracepoint:ext4:ext4_free_inode { @freed[pid] = count(); }
tracepoint:sock:inet_sock_set_state { @states[pid] = count(); }
tracepoint:tcp:tcp_destroy_sock { @destroyed[pid] = count(); }
tracepoint:sock:sock_send_length { @sent[pid] = sum(args->ret); }
tracepoint:sock:sock_recv_length { @received[pid] = sum(args->ret); }
";

/// Times every call with nothing attached, with the floor, with observer, with a peer, in turns.
pub fn run(place: &Place) -> Result<Table> {
    let mut table = Table::new(
        "added",
        "What a call of the observed costs more",
        "The first column is a call with nothing attached; the others are what it takes more with an empty program on \
         all hooks of observer, with one that updates a map by process there (the floor), with each command of observer, \
         with all three at once, and with bpftrace counting the same events. Median of rounds that take turns, each \
         against the calls with nothing attached before and after it, ± half the distance of the quartiles; of each the \
         least of four looks, since what else the machine does can only make a call slower. In the last columns is how \
         long the programs themselves run in a call, by the kernel's books, with one look at the clock a run, of the \
         calmer half of the rounds: less than what the call takes more, but not lost in noise. The goal is judged by the \
         former where that can be told, else by the latter.",
        &[
            "call",
            "nothing",
            "empty",
            "floor",
            "mem",
            "disk",
            "net",
            "all three",
            "bpftrace",
            "all : floor",
            "programs: floor",
            "programs: all three",
            "all : floor",
        ],
    );
    let bpftrace = peers::bpftrace(place, SCRIPT);
    if let Err(reason) = &bpftrace {
        table.missing.push(format!("bpftrace: {reason:#}"));
    }
    let mut load = Speaker::start(place.program("load").args(["calls", &place.folder_name()]))?;
    let ready = load.value()?;
    let calls: Vec<String> = ready["calls"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| Some(name.as_str()?.to_owned()))
        .collect();
    let mut rounds = vec![Rounds::default(); calls.len()];
    let mut programs = vec![Programs::default(); calls.len()];
    let count = place.rounds(11, 25);
    for round in 0..=count {
        for (rounds, nanoseconds) in rounds.iter_mut().zip(time(place, &mut load, &calls)?) {
            rounds.baseline(nanoseconds);
        }
        if round == count {
            break;
        }
        for attached in EMPTY..=BPFTRACE {
            let held = match attached {
                BPFTRACE => match &bpftrace {
                    Ok(script) => vec![peers::start_bpftrace(script)?],
                    Err(_) => continue,
                },
                _ => attach(place, attached)?,
            };
            for (rounds, nanoseconds) in rounds.iter_mut().zip(time(place, &mut load, &calls)?) {
                rounds.other(attached, nanoseconds);
            }
            if matches!(attached, FLOOR | ALL) {
                for (programs, ran) in programs.iter_mut().zip(books(&mut load, &calls, &held)?) {
                    programs.add(attached, ran);
                }
            }
            held.into_iter().try_for_each(|held| held.end().map(drop))?;
        }
    }
    for ((name, rounds), programs) in calls.iter().zip(&rounds).zip(&programs) {
        row(&mut table, name, rounds, programs);
        if let (true, Some(base), Some(disk)) =
            (name.starts_with("append"), rounds.baselines(), rounds.added(DISK))
        {
            let part = disk.median / base.median;
            table.goal(
                format!("{name}: disk adds at most {}", Unit::Part.text(APPEND)),
                Unit::Part.text(part),
                part <= APPEND,
            );
        }
    }
    Ok(table)
}

/// How long programs run in a call, and how often: of the floor, and of observer.
#[derive(Clone, Debug, Default)]
struct Programs {
    floor: Vec<f64>,
    all: Vec<f64>,
    runs: Vec<f64>,
}

impl Programs {
    fn add(&mut self, attached: usize, (nanoseconds, runs): (f64, f64)) {
        if attached == FLOOR {
            self.floor.push(nanoseconds);
        } else {
            self.all.push(nanoseconds);
            self.runs.push(runs);
        }
    }

    /// Of the floor and of observer; `None` where none runs.
    fn figures(&self) -> Option<(Figure, Figure)> {
        Figure::of(&self.runs).filter(|runs| runs.median >= SELDOM)?;
        Some((Figure::of_lower_half(&self.floor)?, Figure::of_lower_half(&self.all)?))
    }
}

fn row(table: &mut Table, name: &str, rounds: &Rounds, programs: &Programs) {
    let mut cells = vec![Cell::of(rounds.baselines(), Unit::Nanoseconds)];
    cells.extend((EMPTY..=BPFTRACE).map(|other| Cell::of(rounds.added(other), Unit::Nanoseconds)));
    let times = |ratio: Option<f64>| ratio.map_or(Cell::None, |ratio| Cell::exact(ratio, Unit::Times));
    let added = told(rounds);
    cells.push(times(added.map(|(floor, all)| all.median / floor.median)));
    let ran = programs.figures();
    cells.push(Cell::of(ran.map(|(floor, _)| floor), Unit::Nanoseconds));
    cells.push(Cell::of(ran.map(|(_, all)| all), Unit::Nanoseconds));
    cells.push(times(ran.map(|(floor, all)| all.median / floor.median)));
    table.row(name, cells);
    let wanted = format!("{name}: at most {GOAL} × the floor");
    let (how, compared) = match (added, ran) {
        (_, None) => return table.goal(wanted, "no program runs there", true),
        (Some(added), _) => ("a call", added),
        (None, Some(ran)) => ("of the programs alone, a call cannot tell", ran),
    };
    let ratio = compared.1.median / compared.0.median;
    let [floor, all] = [compared.0, compared.1].map(|figure| Unit::Nanoseconds.figure(&figure));
    table.goal(wanted, format!("{} ({all} to {floor}, {how})", Unit::Times.text(ratio)), ratio <= GOAL);
}

/// What the floor and observer add to a call, where that can be told from noise.
fn told(rounds: &Rounds) -> Option<(Figure, Figure)> {
    let (floor, all) = (rounds.added(FLOOR)?, rounds.added(ALL)?);
    let part = |figure: Figure| figure.spread() / figure.median;
    let positive = floor.median > 0.0 && all.median > 0.0;
    (positive && part(floor).hypot(part(all)) <= TOLD).then_some((floor, all))
}

/// Nanoseconds that the programs of `held` run in each call, the least of some looks, and how often one does.
fn books(load: &mut Speaker, calls: &[String], held: &[Speaker]) -> Result<Vec<(f64, f64)>> {
    let books = Books::open()?;
    let mut least = vec![(f64::INFINITY, 0.0); calls.len()];
    for _ in 0..LOOKS {
        for (call, least) in calls.iter().zip(&mut least) {
            let before = books.read(held)?;
            let made = ask(call, load, BOOKED)?["calls"].as_f64();
            let made = made.with_context(|| format!("{call}: how many?"))?;
            let Ran { nanoseconds, times } = books.read(held)?;
            let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / made;
            let looked = (each(nanoseconds, before.nanoseconds), each(times, before.times));
            if looked.0 < least.0 {
                *least = looked;
            }
        }
    }
    Ok(least)
}

fn attach(place: &Place, what: usize) -> Result<Vec<Speaker>> {
    let second = Duration::from_secs(1);
    match what {
        EMPTY | FLOOR => {
            let kind = if what == EMPTY { "empty" } else { "counting" };
            let object = place.root.join("observer/objects/floor.o");
            Ok(vec![Speaker::load(place.program("floor").arg(kind).arg(object))?])
        }
        ALL => place.observers(),
        one => Ok(vec![place.observer(COMMANDS[one - 2].1, second)?]),
    }
}

/// Nanoseconds of each call: the least of some looks.
fn time(place: &Place, load: &mut Speaker, calls: &[String]) -> Result<Vec<f64>> {
    let milliseconds = place.choose(10, 25);
    let mut least = vec![f64::INFINITY; calls.len()];
    for _ in 0..LOOKS {
        for (call, least) in calls.iter().zip(&mut least) {
            let said = ask(call, load, milliseconds)?;
            *least = least.min(said["ns"].as_f64().with_context(|| format!("{call}: {said}"))?);
        }
    }
    Ok(least)
}

fn ask(call: &str, load: &mut Speaker, milliseconds: u32) -> Result<Value> {
    // Names have spaces, and the load hears words.
    load.ask(&format!("{} {milliseconds}", call.replace(' ', "_")))
}
