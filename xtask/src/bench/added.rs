//! What observing adds to each call of the observed.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{
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

/// A difference that is less than this part of the call is no difference.
const NOISE: f64 = 0.01;

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
         against the calls with nothing attached before and after it, ± half the distance of the quartiles.",
        &["call", "nothing", "empty", "floor", "mem", "disk", "net", "all three", "bpftrace", "all : floor"],
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
    let count = place.rounds(5, 15);
    for round in 0..=count {
        for (call, nanoseconds) in time(place, &mut load, &calls)?.into_iter().enumerate() {
            rounds[call].baseline(nanoseconds);
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
            for (call, nanoseconds) in time(place, &mut load, &calls)?.into_iter().enumerate() {
                rounds[call].other(attached, nanoseconds);
            }
            held.into_iter().try_for_each(|held| held.end().map(drop))?;
        }
    }
    for (name, rounds) in calls.iter().zip(&rounds) {
        row(&mut table, name, rounds);
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

fn row(table: &mut Table, name: &str, rounds: &Rounds) {
    let mut cells = vec![Cell::of(rounds.baselines(), Unit::Nanoseconds)];
    cells.extend((EMPTY..=BPFTRACE).map(|other| Cell::of(rounds.added(other), Unit::Nanoseconds)));
    let (base, floor, all) = (rounds.baselines(), rounds.added(FLOOR), rounds.added(ALL));
    if let (Some(base), Some(floor), Some(all)) = (base, floor, all) {
        let ratio = all.median / floor.median;
        let in_noise = all.median < NOISE * base.median || all.low < 0.0;
        let word = if in_noise { "noise".to_owned() } else { Unit::Times.text(ratio) };
        cells.push(Cell::words(&word));
        let both = |figure: Figure| Unit::Nanoseconds.figure(&figure);
        table.goal(
            format!("{name}: at most {GOAL} × the floor of {}", both(floor)),
            format!("{} ({word})", both(all)),
            in_noise || (floor.median > 0.0 && ratio <= GOAL),
        );
    }
    table.row(name, cells);
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

/// Nanoseconds of each call.
fn time(place: &Place, load: &mut Speaker, calls: &[String]) -> Result<Vec<f64>> {
    let milliseconds = place.choose(40, 100);
    calls
        .iter()
        .map(|call| {
            // Names have spaces, and the load hears words.
            let name = call.replace(' ', "_");
            let said = load.ask(&format!("{name} {milliseconds}"))?;
            said["ns"].as_f64().with_context(|| format!("{call}: {said}"))
        })
        .collect()
}
