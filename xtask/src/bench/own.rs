//! Cost of observer itself: processor time per report, memory, wake-ups, by the amount that it has to report.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    child::{self, LineChild},
    environment::{BenchEnvironment, COMMANDS},
    measure::Figure,
    table::{Cell, Table, Unit},
};
use crate::process;

/// The goals: share of one core on an idle machine; resident bytes, maps included; ratio of the cost per item between
/// two scales.
const IDLE: f64 = 0.002;
const MEMORY: f64 = 40e6;
const GROWTH: f64 = 1.25;
/// The goals of deleted files: milliseconds a report among this many descriptors, and the share of one core with the
/// default budget.
const DESCRIPTORS: [(u64, f64); 2] = [(100_000, 30.0), (1_000_000, 250.0)];
const BUDGET: f64 = 0.01;
/// The index of `disk --deleted-open` in `COMMANDS`.
const DISK: usize = 1;
/// At least one of this many reports reads everything instead of only changes. It needs the most memory.
const WITH_FULL_SCAN: usize = 34;

/// The cost of one observer.
struct Cost {
    /// Milliseconds of processor time of each report.
    reports: Vec<f64>,
    /// Resident memory after the last report, its peak since the start, and kernel memory of maps and programs, bytes.
    resident: f64,
    peak: f64,
    maps: f64,
    /// Bytes of maps that are part of the resident memory.
    mapped: f64,
}

impl Cost {
    /// An upper limit: as if the peak and the memory of all maps occurred at the same time.
    fn memory(&self) -> f64 {
        self.peak + self.maps - self.mapped
    }
}

/// Measures each command among more and more processes, descriptors, connections and events.
pub fn run(environment: &BenchEnvironment) -> Result<Table> {
    let mut table = Table::new(
        "own",
        "Cost of observer itself",
        "Processor time per report of each command (`--json --top`, the ten biggest rows), all threads included. Memory: \
         resident memory after the last report + kernel memory of maps and programs, and the peak of resident memory. Ring \
         buffers are mapped, so both numbers contain them. Events are those that the command counts: heap calls, appended \
         bytes of a deleted file, datagrams.",
        &[
            "load",
            "mem, per report",
            "disk, per report",
            "net, per report",
            "mem, memory",
            "disk, memory",
            "net, memory",
        ],
    );
    let mut largest = [0.0; COMMANDS.len()];
    idle(environment, &mut table)?;
    let folder = environment.folder_name();
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
    for (what, item, scales, views) in [
        ("processes", "process", processes, &[0, 1, 2][..]),
        ("descriptors", "descriptor", descriptors, &[1, 2]),
        ("connections", "connection", connections, &[2]),
    ] {
        let mut costs: Vec<(u64, Vec<f64>)> = Vec::new();
        for (count, arguments) in scales {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let load = environment.load(&arguments)?;
            let reports = if what == "connections" { WITH_FULL_SCAN } else { environment.rounds(5, 20) };
            let cost = of_views(environment, views, reports)?;
            if what == "descriptors" && DESCRIPTORS.iter().all(|(most, _)| count >= *most) {
                budget(environment, &mut table, count)?;
            }
            drop(load);
            for (largest, cost) in largest.iter_mut().zip(&cost) {
                *largest = cost.as_ref().map_or(*largest, |cost| cost.memory().max(*largest));
            }
            let goal = DESCRIPTORS.iter().find(|(scale, _)| what == "descriptors" && *scale == count);
            if let (Some((_, goal)), Some(found)) = (goal, cost[DISK].as_ref().and_then(Cost::typical)) {
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
            costs.push((count, cost.iter().flatten().filter_map(Cost::typical).collect()));
            row(&mut table, format!("{} {what}", thousands(count)), &cost);
        }
        growth(&mut table, what, item, &costs);
    }
    events(environment, &mut table, &mut largest)?;
    for ((name, _), largest) in COMMANDS.iter().zip(largest) {
        table.goal(
            format!("{name}: at most {} resident at any time, maps included", Unit::Bytes.text(MEMORY)),
            Unit::Bytes.text(largest),
            largest <= MEMORY,
        );
    }
    Ok(table)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// An idle machine: each command's share of one core, and its wake-ups between two reports.
fn idle(environment: &BenchEnvironment, table: &mut Table) -> Result<()> {
    let mut cells = Vec::new();
    for (name, view) in COMMANDS {
        let mut observer = environment.observer(view, Duration::from_secs(1))?;
        let pid = observer.pid();
        let mut shares = Vec::new();
        let mut wakes = 0;
        for _ in 0..environment.rounds(5, 20) {
            let before = process::processor_time(pid)?;
            observer.line()?;
            let spent = process::processor_time(pid)? - before;
            shares.push(spent.as_secs_f64());
            // The report is written. Until the next one there is nothing to do.
            sleep(Duration::from_millis(200));
            let waits = child::waits(pid)?;
            sleep(Duration::from_millis(500));
            wakes += child::waits(pid)? - waits;
        }
        let figure = Figure::of(&shares);
        cells.push(Cell::of(figure, Unit::Share));
        if let Some(share) = figure {
            table.goal(
                format!("{name}, idle: at most {} of one core", Unit::Share.text(IDLE)),
                Unit::Share.figure(&share),
                share.median <= IDLE,
            );
        }
        table.goal(format!("{name}, idle: no wake-up between reports"), format!("{wakes}"), wakes == 0);
    }
    cells.resize_with(6, || Cell::None);
    table.row("idle machine, one report per second, share of one core", cells);
    Ok(())
}

/// The share of one core of `disk --deleted-open` with the default budget, once its interval has settled.
fn budget(environment: &BenchEnvironment, table: &mut Table, descriptors: u64) -> Result<()> {
    let mut command = environment.program("observer");
    let mut observer = LineChild::start(command.args(COMMANDS[DISK].1).args(["--json", "--top", "-n"]))?;
    // The first report and the next one come at the requested interval.
    for _ in 0..3 {
        observer.line()?;
    }
    let (began, before) = (Instant::now(), process::processor_time(observer.pid())?);
    for _ in 0..environment.rounds(3, 10) {
        observer.line()?;
    }
    let share =
        (process::processor_time(observer.pid())? - before).as_secs_f64() / began.elapsed().as_secs_f64();
    table.goal(
        format!(
            "disk, default budget, {} descriptors: at most {} of one core",
            thousands(descriptors),
            Unit::Share.text(BUDGET)
        ),
        Unit::Share.text(share),
        share <= BUDGET,
    );
    Ok(())
}

fn of_views(environment: &BenchEnvironment, views: &[usize], reports: usize) -> Result<Vec<Option<Cost>>> {
    let cost = |view| views.contains(&view).then(|| measure(environment, view, reports)).transpose();
    (0..COMMANDS.len()).map(cost).collect()
}

/// The cost of one command over `count` reports.
fn measure(environment: &BenchEnvironment, view: usize, count: usize) -> Result<Cost> {
    let mut observer = environment.observer(COMMANDS[view].1, Duration::from_millis(250))?;
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

fn memory(observer: &LineChild, reports: Vec<f64>) -> Result<Cost> {
    let pid = observer.pid();
    let size = |field: &str| child::status(pid, field).map(|bytes| bytes as f64);
    Ok(Cost {
        reports,
        resident: size("VmRSS")?,
        peak: size("VmHWM")?,
        maps: child::map_memory(pid)? as f64,
        mapped: child::mapped(pid, "anon_inode:bpf-map")? as f64,
    })
}

impl Cost {
    fn typical(&self) -> Option<f64> {
        Figure::of(&self.reports).map(|figure| figure.median)
    }
}

fn row(table: &mut Table, name: String, cost: &[Option<Cost>]) {
    let time = |cost: &Option<Cost>| {
        Cell::of(cost.as_ref().and_then(|cost| Figure::of(&cost.reports)), Unit::Milliseconds)
    };
    let space = |cost: &Option<Cost>| {
        cost.as_ref().map_or(Cell::None, |cost| {
            let [resident, maps, peak] =
                [cost.resident, cost.maps, cost.peak].map(|size| Unit::Bytes.text(size));
            Cell::words(format!("{resident} + {maps}, {peak}"))
        })
    };
    table.row(name, cost.iter().map(time).chain(cost.iter().map(space)).collect());
}

/// Compares the cost per item at the second and third scale. The first is mostly the fixed cost of a report.
fn growth(table: &mut Table, what: &str, item: &str, costs: &[(u64, Vec<f64>)]) {
    let [.., (few, before), (many, after)] = costs else { return };
    let growth = before.iter().zip(after).map(|(before, after)| {
        let (each_before, each_after) = (before / *few as f64, after / *many as f64);
        each_after / each_before
    });
    let worst = growth.fold(0.0, f64::max);
    table.goal(
        format!(
            "{what}: cost per {item} among {} at most {GROWTH} × that among {}",
            thousands(*many),
            thousands(*few)
        ),
        Unit::Times.text(worst),
        worst <= GROWTH,
    );
}

/// Each command while the events that it counts occur at growing rates.
fn events(
    environment: &BenchEnvironment,
    table: &mut Table,
    largest: &mut [f64; COMMANDS.len()],
) -> Result<()> {
    let folder = environment.folder_name();
    let mut costs: Vec<[f64; 3]> = Vec::new();
    for rate in [1_000_u64, 10_000, 100_000, 1_000_000] {
        let mut all = Vec::new();
        let mut reached = Vec::new();
        let mut typical = [0.0; 3];
        for (view, (name, _)) in COMMANDS.iter().enumerate() {
            let mut load = environment.load(&["flood", name, &rate.to_string(), &folder])?;
            load.send("go")?;
            let cost = measure(environment, view, environment.rounds(5, 20))?;
            let truth = load.ask("stop")?;
            let (events, seconds) = (truth["events"].as_f64(), truth["seconds"].as_f64());
            reached.push(events.zip(seconds).map_or(0.0, |(events, seconds)| events / seconds));
            largest[view] = largest[view].max(cost.memory());
            typical[view] = cost.typical().unwrap_or(f64::NAN);
            all.push(Some(cost));
        }
        let slowest = reached.into_iter().fold(f64::INFINITY, f64::min);
        let name = if slowest < 0.9 * rate as f64 {
            format!(
                "{} events a second requested, at least {} reached",
                thousands(rate),
                Unit::PerSecond.text(slowest)
            )
        } else {
            format!("{} events a second", thousands(rate))
        };
        row(table, name, &all);
        costs.push(typical);
    }
    if let [first, .., last] = &costs[..] {
        let worst = first.iter().zip(last).map(|(first, last)| last / first).fold(0.0, f64::max);
        let found = Unit::Times.text(worst);
        table.goal(
            "a report after 1,000,000 events costs at most 2 × one after 1,000, for the same process",
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
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
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
