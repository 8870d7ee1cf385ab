//! What observer itself takes: processor time a report, memory, wake-ups; by how much there is to report.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    child::{self, Speaker},
    measure::Figure,
    place::{COMMANDS, Place},
    table::{Cell, Table, Unit},
};
use crate::process;

/// The goals: of one core on an idle machine; resident, maps included; by how much a thing may cost more where there are
/// more of them.
const IDLE: f64 = 0.002;
const MEMORY: f64 = 40e6;
const GROWTH: f64 = 1.25;
/// What a report on deleted files may take among so many descriptors, milliseconds; of one core, whatever there is, where
/// nobody asks for more.
const DESCRIPTORS: [(u64, f64); 2] = [(100_000, 30.0), (1_000_000, 250.0)];
const BUDGET: f64 = 0.01;
/// The number of `disk --deleted-open` among the commands.
const DISK: usize = 1;
/// Reports of which one at least is made of everything that there is, and not only of what has changed: that one takes the
/// most memory.
const WITH_A_WHOLE_ONE: usize = 34;

/// What one observer takes.
struct Taken {
    /// Milliseconds of processor time, by report.
    reports: Vec<f64>,
    /// Resident after the last report, and at most since the start; and the kernel's memory for its maps and programs.
    /// Bytes.
    resident: f64,
    peak: f64,
    maps: f64,
    /// What of the maps is among what is resident.
    mapped: f64,
}

impl Taken {
    /// The most that it takes, as if the peak and all maps were at the same time.
    fn memory(&self) -> f64 {
        self.peak + self.maps - self.mapped
    }
}

/// Measures each command among more and more processes, descriptors, connections and events.
pub fn run(place: &Place) -> Result<Table> {
    let mut table = Table::new(
        "own",
        "What observer itself takes",
        "Processor time of each command a report (`--json --top`, the ten biggest rows), all of its threads, and memory: \
         what is resident after the last report + what the kernel keeps for its maps and programs, and the most that was ever \
         resident since the start; rings are mapped, and in both. Events are those that the command counts: heap calls, \
         appended bytes of a deleted file, datagrams.",
        &[
            "there are",
            "mem, a report",
            "disk, a report",
            "net, a report",
            "mem, memory",
            "disk, memory",
            "net, memory",
        ],
    );
    let mut largest = [0.0; COMMANDS.len()];
    idle(place, &mut table)?;
    let folder = place.folder_name();
    let processes: Vec<(u64, Vec<String>)> =
        [100, 1_000, 10_000].map(|count| (count, words(&["processes", &count.to_string()]))).into();
    let descriptors: Vec<(u64, Vec<String>)> = [(1_000, 10), (100_000, 100), (1_000_000, 200)]
        .map(|(count, holders)| {
            let each = (count / holders).to_string();
            (count, words(&["descriptors", &holders.to_string(), &each, "3", &folder]))
        })
        .into();
    let connections: Vec<(u64, Vec<String>)> =
        [100, 10_000, 100_000].map(|count| (count, words(&["connections", &count.to_string()]))).into();
    for (what, scales, views) in [
        ("processes", processes, &[0, 1, 2][..]),
        ("descriptors", descriptors, &[1, 2]),
        ("connections", connections, &[2]),
    ] {
        let mut costs: Vec<(u64, Vec<f64>)> = Vec::new();
        for (count, arguments) in scales {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let load = place.load(&arguments)?;
            let reports = if what == "connections" { WITH_A_WHOLE_ONE } else { place.rounds(5, 20) };
            let taken = of_views(place, views, reports)?;
            if what == "descriptors" && DESCRIPTORS.iter().all(|(most, _)| count >= *most) {
                budget(place, &mut table, count)?;
            }
            drop(load);
            for (largest, taken) in largest.iter_mut().zip(&taken) {
                *largest = taken.as_ref().map_or(*largest, |taken| taken.memory().max(*largest));
            }
            let goal = DESCRIPTORS.iter().find(|(scale, _)| what == "descriptors" && *scale == count);
            if let (Some((_, goal)), Some(found)) = (goal, taken[DISK].as_ref().and_then(Taken::typical)) {
                table.goal(
                    format!(
                        "disk: at most {} a report among {} {what}",
                        Unit::Milliseconds.text(*goal),
                        thousands(count)
                    ),
                    Unit::Milliseconds.text(found),
                    found <= *goal,
                );
            }
            costs.push((count, taken.iter().flatten().filter_map(Taken::typical).collect()));
            row(&mut table, format!("{} {what}", thousands(count)), &taken);
        }
        growth(&mut table, what, &costs);
    }
    events(place, &mut table, &mut largest)?;
    for ((name, _), largest) in COMMANDS.iter().zip(largest) {
        table.goal(
            format!("{name}: never more than {} resident, maps included", Unit::Bytes.text(MEMORY)),
            Unit::Bytes.text(largest),
            largest <= MEMORY,
        );
    }
    Ok(table)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// An idle machine: what each command takes of a core, and how often it wakes between two reports.
fn idle(place: &Place, table: &mut Table) -> Result<()> {
    let mut cells = Vec::new();
    for (name, view) in COMMANDS {
        let mut observer = place.observer(view, Duration::from_secs(1))?;
        let pid = observer.pid();
        let mut shares = Vec::new();
        let mut wakes = 0;
        for _ in 0..place.rounds(5, 20) {
            let before = process::processor_time(pid)?;
            observer.line()?;
            let spent = process::processor_time(pid)? - before;
            shares.push(spent.as_secs_f64());
            // The report is written: until the next, nothing is to be done.
            sleep(Duration::from_millis(200));
            let waits = child::waits(pid)?;
            sleep(Duration::from_millis(500));
            wakes += child::waits(pid)? - waits;
        }
        let figure = Figure::of(&shares);
        cells.push(Cell::of(figure, Unit::Part));
        if let Some(share) = figure {
            table.goal(
                format!("{name}, idle: at most {} of one core", Unit::Part.text(IDLE)),
                Unit::Part.figure(&share),
                share.median <= IDLE,
            );
        }
        table.goal(format!("{name}, idle: no wake-up between reports"), format!("{wakes}"), wakes == 0);
    }
    cells.resize_with(6, || Cell::None);
    table.row("an idle machine, a report a second, of one core", cells);
    Ok(())
}

/// What the command for deleted files takes of a core where its budget is the default, once its interval has settled.
fn budget(place: &Place, table: &mut Table, descriptors: u64) -> Result<()> {
    let mut command = place.program("observer");
    let mut observer = Speaker::start(command.args(COMMANDS[DISK].1).args(["--json", "--top", "-n"]))?;
    // The first that is seen and the one after it are at the pace that was asked for.
    for _ in 0..3 {
        observer.line()?;
    }
    let (began, before) = (Instant::now(), process::processor_time(observer.pid())?);
    for _ in 0..place.rounds(3, 10) {
        observer.line()?;
    }
    let share =
        (process::processor_time(observer.pid())? - before).as_secs_f64() / began.elapsed().as_secs_f64();
    table.goal(
        format!(
            "disk, default budget, {} descriptors: at most {} of one core",
            thousands(descriptors),
            Unit::Part.text(BUDGET)
        ),
        Unit::Part.text(share),
        share <= BUDGET,
    );
    Ok(())
}

fn of_views(place: &Place, views: &[usize], reports: usize) -> Result<Vec<Option<Taken>>> {
    let taken = |view| views.contains(&view).then(|| take(place, view, reports)).transpose();
    (0..COMMANDS.len()).map(taken).collect()
}

/// Over so many reports.
fn take(place: &Place, view: usize, count: usize) -> Result<Taken> {
    let mut observer = place.observer(COMMANDS[view].1, Duration::from_millis(250))?;
    let pid = observer.pid();
    let mut before = process::processor_time(pid)?;
    let mut reports = Vec::new();
    for _ in 0..count {
        observer.line()?;
        let now = process::processor_time(pid)?;
        reports.push((now - before).as_secs_f64() * 1e3);
        before = now;
    }
    memory(&observer, reports)
}

fn memory(observer: &Speaker, reports: Vec<f64>) -> Result<Taken> {
    let pid = observer.pid();
    let size = |field: &str| child::status(pid, field).map(|bytes| bytes as f64);
    Ok(Taken {
        reports,
        resident: size("VmRSS")?,
        peak: size("VmHWM")?,
        maps: child::map_memory(pid)? as f64,
        mapped: child::mapped(pid, "anon_inode:bpf-map")? as f64,
    })
}

impl Taken {
    fn typical(&self) -> Option<f64> {
        Figure::of(&self.reports).map(|figure| figure.median)
    }
}

fn row(table: &mut Table, name: String, taken: &[Option<Taken>]) {
    let time = |taken: &Option<Taken>| {
        Cell::of(taken.as_ref().and_then(|taken| Figure::of(&taken.reports)), Unit::Milliseconds)
    };
    let space = |taken: &Option<Taken>| {
        taken.as_ref().map_or(Cell::None, |taken| {
            let [resident, maps, peak] =
                [taken.resident, taken.maps, taken.peak].map(|size| Unit::Bytes.text(size));
            Cell::words(format!("{resident} + {maps}, {peak}"))
        })
    };
    table.row(name, taken.iter().map(time).chain(taken.iter().map(space)).collect());
}

/// From the second scale to the third, a thing must not cost much more: the first is mostly what a report costs anyway.
fn growth(table: &mut Table, what: &str, costs: &[(u64, Vec<f64>)]) {
    let [.., (few, before), (many, after)] = costs else { return };
    let growth = before.iter().zip(after).map(|(before, after)| {
        let (each_before, each_after) = (before / *few as f64, after / *many as f64);
        each_after / each_before
    });
    let worst = growth.fold(0.0, f64::max);
    table.goal(
        format!(
            "{}: cost of one among {} at most {GROWTH} × that among {}",
            what,
            thousands(*many),
            thousands(*few)
        ),
        Unit::Times.text(worst),
        worst <= GROWTH,
    );
}

/// Each command while the events come that it counts, at growing rates.
fn events(place: &Place, table: &mut Table, largest: &mut [f64; COMMANDS.len()]) -> Result<()> {
    let folder = place.folder_name();
    let mut costs: Vec<[f64; 3]> = Vec::new();
    for rate in [1_000_u64, 10_000, 100_000, 1_000_000] {
        let mut all = Vec::new();
        let mut reached = Vec::new();
        let mut cost = [0.0; 3];
        for (view, (name, _)) in COMMANDS.iter().enumerate() {
            let mut load = place.load(&["flood", name, &rate.to_string(), &folder])?;
            load.say("go")?;
            let taken = take(place, view, place.rounds(5, 20))?;
            let truth = load.ask("stop")?;
            let (events, seconds) = (truth["events"].as_f64(), truth["seconds"].as_f64());
            reached.push(events.zip(seconds).map_or(0.0, |(events, seconds)| events / seconds));
            largest[view] = largest[view].max(taken.memory());
            cost[view] = taken.typical().unwrap_or(f64::NAN);
            all.push(Some(taken));
        }
        let slowest = reached.into_iter().fold(f64::INFINITY, f64::min);
        let name = if slowest < 0.9 * rate as f64 {
            format!(
                "{} events a second wanted, at least {} reached",
                thousands(rate),
                Unit::PerSecond.text(slowest)
            )
        } else {
            format!("{} events a second", thousands(rate))
        };
        row(table, name, &all);
        costs.push(cost);
    }
    if let [first, .., last] = &costs[..] {
        let worst = first.iter().zip(last).map(|(first, last)| last / first).fold(0.0, f64::max);
        let found = Unit::Times.text(worst);
        table.goal(
            "a report of 1,000,000 events costs at most 2 × one of 1,000 by the same process",
            found,
            worst <= 2.0,
        );
    }
    Ok(())
}

/// `1,000,000`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_groups_of_three() {
        assert_eq!([7, 1_000, 12_345_678].map(thousands), ["7", "1,000", "12,345,678"]);
    }
}
