//! Overhead of observer per call of an observed process.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    bpf_stats::{BpfStats, RunTime},
    child::LineChild,
    environment::{BenchEnvironment, COMMANDS},
    measure::{Figure, Rounds},
    peers,
    table::{Cell, Table, Unit},
};

/// What is attached while calls are timed. The order is that of the columns.
const EMPTY: usize = 0;
const FLOOR: usize = 1;
const DISK: usize = 3;
const ALL: usize = 5;
const BPFTRACE: usize = 6;

/// An additional time is above noise if the relative spread of floor and observer together is at most this.
const NOISE_LIMIT: f64 = 0.25;

/// Below this number of runs per call, no program runs in the call itself: the runs belong to other processes, or to
/// the load between calls.
const RARE: f64 = 0.1;

/// How long each call is repeated while BPF statistics are on, milliseconds.
const STATS_MILLISECONDS: u32 = 5;

/// How often a call is timed with the same programs attached, each time after all other calls. Other work on the
/// machine usually lasts a tenth of a second, and can only slow a call down.
const REPETITIONS: usize = 4;

/// The goal: observer against an empty program plus one map update.
const GOAL: f64 = 1.5;

/// How much `disk` may add to an append, as a share of it.
const APPEND: f64 = 0.05;

/// A bpftrace script that counts the same events as observer, on the same tracepoints.
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

/// Times every call with nothing attached, with the floor, with observer, and with bpftrace, in turns.
pub fn run(environment: &BenchEnvironment) -> Result<Table> {
    let mut table = Table::new(
        "added",
        "Overhead per call",
        "The first column is the time of a call with nothing attached. The next columns are the additional time: with an \
         empty program on all hooks of observer; with a program there that updates a map by process (the floor); with each \
         command of observer; with all three; and with bpftrace counting the same events. Each value is the median of \
         rounds that take turns. Each round is compared with calls without programs before and after it, and uses the \
         fastest of four measurements, because other work on the machine can only slow a call down. The last columns are \
         the run time of the programs alone, from the kernel's BPF statistics, which include one clock read per run, in \
         the calmer half of the rounds. They are lower than the additional time of the call, but not hidden by noise. A \
         goal is judged by the additional time if that is above noise, otherwise by the run time.",
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
    let bpftrace = peers::bpftrace(environment, SCRIPT);
    if let Err(reason) = &bpftrace {
        table.missing.push(format!("bpftrace: {reason:#}"));
    }
    let mut load = LineChild::start(environment.program("load").args(["calls", &environment.folder_name()]))?;
    let ready = load.value()?;
    let calls: Vec<String> = ready["calls"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| Some(name.as_str()?.to_owned()))
        .collect();
    let mut rounds = vec![Rounds::default(); calls.len()];
    let mut programs = vec![Programs::default(); calls.len()];
    let count = environment.rounds(11, 25);
    for round in 0..=count {
        for (rounds, nanoseconds) in rounds.iter_mut().zip(time(environment, &mut load, &calls)?) {
            rounds.baseline(nanoseconds);
        }
        if round == count {
            break;
        }
        for attached in EMPTY..=BPFTRACE {
            let children = match attached {
                BPFTRACE => match &bpftrace {
                    Ok(script) => vec![peers::start_bpftrace(script)?],
                    Err(_) => continue,
                },
                _ => attach(environment, attached)?,
            };
            for (rounds, nanoseconds) in rounds.iter_mut().zip(time(environment, &mut load, &calls)?) {
                rounds.other(attached, nanoseconds);
            }
            if matches!(attached, FLOOR | ALL) {
                for (programs, ran) in programs.iter_mut().zip(run_times(&mut load, &calls, &children)?) {
                    programs.add(attached, ran);
                }
            }
            children.into_iter().try_for_each(|child| child.end().map(drop))?;
        }
    }
    for ((name, rounds), programs) in calls.iter().zip(&rounds).zip(&programs) {
        row(&mut table, name, rounds, programs);
        if let (true, Some(base), Some(disk)) =
            (name.starts_with("append"), rounds.baselines(), rounds.added(DISK))
        {
            let share = disk.median / base.median;
            table.goal(
                format!("{name}: disk adds at most {}", Unit::Share.text(APPEND)),
                Unit::Share.text(share),
                share <= APPEND,
            );
        }
    }
    Ok(table)
}

/// Run time of the programs per call, nanoseconds, and their runs per call: of the floor, and of observer.
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

    /// Run time of the floor and of observer; `None` if no program runs in the call.
    fn figures(&self) -> Option<(Figure, Figure)> {
        Figure::of(&self.runs).filter(|runs| runs.median >= RARE)?;
        Some((Figure::of_lower_half(&self.floor)?, Figure::of_lower_half(&self.all)?))
    }
}

fn row(table: &mut Table, name: &str, rounds: &Rounds, programs: &Programs) {
    let mut cells = vec![Cell::of(rounds.baselines(), Unit::Nanoseconds)];
    cells.extend((EMPTY..=BPFTRACE).map(|other| Cell::of(rounds.added(other), Unit::Nanoseconds)));
    let times = |ratio: Option<f64>| ratio.map_or(Cell::None, |ratio| Cell::exact(ratio, Unit::Times));
    let added = above_noise(rounds);
    cells.push(times(added.map(|(floor, all)| all.median / floor.median)));
    let ran = programs.figures();
    cells.push(Cell::of(ran.map(|(floor, _)| floor), Unit::Nanoseconds));
    cells.push(Cell::of(ran.map(|(_, all)| all), Unit::Nanoseconds));
    cells.push(times(ran.map(|(floor, all)| all.median / floor.median)));
    table.row(name, cells);
    let wanted = format!("{name}: at most {GOAL} × the floor");
    let (basis, compared) = match (added, ran) {
        (_, None) => return table.goal(wanted, "no program runs", true),
        (Some(added), _) => ("additional time of a call", added),
        (None, Some(ran)) => ("run time of the programs, because the call is within noise", ran),
    };
    let ratio = compared.1.median / compared.0.median;
    let [floor, all] = [compared.0, compared.1].map(|figure| Unit::Nanoseconds.figure(&figure));
    table.goal(wanted, format!("{} ({all} to {floor}, {basis})", Unit::Times.text(ratio)), ratio <= GOAL);
}

/// The additional time with the floor and with observer; `None` if it is within noise.
fn above_noise(rounds: &Rounds) -> Option<(Figure, Figure)> {
    let (floor, all) = (rounds.added(FLOOR)?, rounds.added(ALL)?);
    let part = |figure: Figure| figure.spread() / figure.median;
    let positive = floor.median > 0.0 && all.median > 0.0;
    (positive && part(floor).hypot(part(all)) <= NOISE_LIMIT).then_some((floor, all))
}

/// For each call, the nanoseconds that the programs of `children` run, the least of some measurements, and their runs.
fn run_times(load: &mut LineChild, calls: &[String], children: &[LineChild]) -> Result<Vec<(f64, f64)>> {
    let stats = BpfStats::enable()?;
    let mut least = vec![(f64::INFINITY, 0.0); calls.len()];
    for _ in 0..REPETITIONS {
        for (call, least) in calls.iter().zip(&mut least) {
            let before = stats.read(children)?;
            let made = ask(call, load, STATS_MILLISECONDS)?["calls"].as_f64();
            let made = made.with_context(|| format!("{call}: the load reports no number of calls"))?;
            let RunTime { nanoseconds, runs } = stats.read(children)?;
            let per_call = |after: u64, before: u64| after.saturating_sub(before) as f64 / made;
            let measured = (per_call(nanoseconds, before.nanoseconds), per_call(runs, before.runs));
            if measured.0 < least.0 {
                *least = measured;
            }
        }
    }
    Ok(least)
}

fn attach(environment: &BenchEnvironment, what: usize) -> Result<Vec<LineChild>> {
    let second = Duration::from_secs(1);
    match what {
        EMPTY | FLOOR => {
            let kind = if what == EMPTY { "empty" } else { "counting" };
            let object = environment.root.join("observer/objects/floor.o");
            Ok(vec![LineChild::load(environment.program("floor").arg(kind).arg(object))?])
        }
        ALL => environment.observers(),
        one => Ok(vec![environment.observer(COMMANDS[one - 2].1, second)?]),
    }
}

/// Nanoseconds of each call: the least of some measurements.
fn time(environment: &BenchEnvironment, load: &mut LineChild, calls: &[String]) -> Result<Vec<f64>> {
    let milliseconds = environment.choose(10, 25);
    let mut least = vec![f64::INFINITY; calls.len()];
    for _ in 0..REPETITIONS {
        for (call, least) in calls.iter().zip(&mut least) {
            let answer = ask(call, load, milliseconds)?;
            *least = least.min(answer["ns"].as_f64().with_context(|| format!("{call}: {answer}"))?);
        }
    }
    Ok(least)
}

fn ask(call: &str, load: &mut LineChild, milliseconds: u32) -> Result<Value> {
    // Names contain spaces, and the load splits its input at spaces.
    load.ask(&format!("{} {milliseconds}", call.replace(' ', "_")))
}
