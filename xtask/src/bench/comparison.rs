//! Comparison of observer with other tools on the same machine: wall time, processor time, and what each finds.

use std::{process::Command, time::Duration};

use anyhow::Result;

use super::{
    child,
    environment::{BenchEnvironment, COMMANDS},
    measure::Figure,
    own::thousands,
    peers,
    table::{Cell, Table, Unit},
};
use crate::process;

/// The goals: the least processor time of a scan of `/proc`, of `lsof` and of other tools, in reports of observer.
const SCAN: f64 = 8.0;
const LSOF: f64 = 40.0;
const OTHERS: f64 = 1.0;

/// Deleted files among the descriptors.
const DELETED: usize = 20;

/// One measurement of a tool.
#[derive(Clone, Copy, Debug, Default)]
struct Snapshot {
    /// Milliseconds; `None` if the tool keeps running and only its refresh is measured.
    wall: Option<f64>,
    /// Milliseconds of processor time.
    processor: f64,
    found: Option<usize>,
}

impl Snapshot {
    /// A tool that found nothing did not do the work that is measured.
    fn found_something(self) -> Result<Self> {
        anyhow::ensure!(self.found != Some(0), "it found nothing");
        Ok(self)
    }
}

/// A tool to compare.
struct Contender<'a> {
    name: String,
    /// The least processor time that is expected of it, in reports of observer.
    goal: f64,
    measure: Box<dyn FnMut() -> Result<Snapshot> + 'a>,
}

/// Finding deleted files: compared with `lsof`, `lsfd` and a minimal scan of `/proc`.
///
/// # Errors
/// When a load or observer does not run.
pub fn disk(environment: &BenchEnvironment) -> Result<Table> {
    let (processes, each) = environment.choose((1_000_u64, 50_u64), (1_000, 1_000));
    let mut table = Table::new(
        "disk",
        "Comparison: deleted files",
        &format!(
            "{} processes with {} descriptors each, {DELETED} deleted files among them. A tool is measured for its whole run. \
             observer is measured for its whole run, and for one report of a running observer. Found: how many of the \
             {DELETED} were shown.",
            thousands(processes),
            thousands(each)
        ),
        &["program", "wall", "processor", "found", "processor, relative to a report of observer"],
    );
    let folder = environment.folder_name();
    let (count, holds, deleted) = (processes.to_string(), each.to_string(), DELETED.to_string());
    let load = environment.load(&["descriptors", &count, &holds, &deleted, &folder])?;
    let marker = format!("{folder}/deleted-");
    let mut running = environment.observer(COMMANDS[1].1, Duration::from_millis(500))?;
    let mut contenders = vec![Contender {
        name: "observer, one report".to_owned(),
        goal: OTHERS,
        measure: Box::new(move || {
            // Drop the reports that it wrote while other tools were measured, and the one in progress.
            running.pending();
            running.line()?;
            let before = process::processor_time(running.pid())?;
            running.line()?;
            let spent = process::processor_time(running.pid())? - before;
            Ok(Snapshot { processor: spent.as_secs_f64() * 1e3, ..Snapshot::default() })
        }),
    }];
    let whole = |name: &str, goal: f64, command: Box<dyn Fn() -> Command>, marker: String| Contender {
        name: name.to_owned(),
        goal,
        measure: Box::new(move || {
            let (used, output) = child::measure_output(&mut command())?;
            Ok(Snapshot {
                wall: Some(used.wall.as_secs_f64() * 1e3),
                processor: used.processor.as_secs_f64() * 1e3,
                found: Some(output.matches(&marker).count()),
            })
        }),
    };
    let observer = environment.root.join("target/release/observer");
    let once = move || {
        let mut command = Command::new(&observer);
        command.args(["disk", "--deleted-open", "--json", "-n", "--once", "--interval", "0.01"]);
        command
    };
    contenders.push(whole("observer, from start to answer", OTHERS, Box::new(once), marker.clone()));
    const WANTED: &str = "DELETED and (TYPE == \"REG\")";
    for (name, goal, arguments) in
        [("lsof", LSOF, &["+L1", "-n", "-P"][..]), ("lsfd", OTHERS, &["-Q", WANTED, "-o", "PID,ASSOC,NAME"])]
    {
        if is_installed(&mut table, name) {
            let command = move || {
                let mut command = Command::new(name);
                command.args(arguments);
                command
            };
            contenders.push(whole(
                &[&[name], arguments].concat().join(" "),
                goal,
                Box::new(command),
                marker.clone(),
            ));
        }
    }
    match peers::scanner(&environment.root) {
        // It prints no names, but a line for each file, which ends in the size.
        Ok(path) => {
            let command = move || Command::new(&path);
            let name = "a minimal scan of /proc, in C";
            contenders.push(whole(name, SCAN, Box::new(command), " 4096\n".to_owned()));
        }
        Err(error) => table.missing.push(format!("a minimal scan of /proc: {error:#}")),
    }
    compare(&mut table, contenders, environment.rounds(5, 9))?;
    drop(load);
    Ok(table)
}

/// Memory of every process: compared with `top`, `pidstat` and `ps`.
///
/// # Errors
/// When a load or observer does not run.
pub fn mem(environment: &BenchEnvironment) -> Result<Table> {
    let processes = environment.choose(1_000, 10_000);
    let mut table = Table::new(
        "mem",
        "Comparison: memory of processes",
        &format!(
            "{} processes. The processor time of one refresh: the time of a run with several refreshes minus that of a run with \
             one.",
            thousands(processes)
        ),
        &["program", "wall", "processor", "found", "processor, relative to a report of observer"],
    );
    let load = environment.load(&["processes", &processes.to_string()])?;
    let observer = environment.root.join("target/release/observer").to_string_lossy().into_owned();
    let several = ["mem", "--json", "-n", "--budget", "100", "--interval", "0.5", "--count"];
    let mut contenders = vec![refreshing("observer mem, all rows", move |count| {
        let mut command = Command::new(&observer);
        command.args(several).arg(count.to_string());
        command
    })];
    if is_installed(&mut table, "top") {
        contenders.push(refreshing("top -b", |count| {
            let mut command = Command::new("top");
            command.args(["-b", "-d", "0.5", "-n", &count.to_string()]);
            command
        }));
    }
    if is_installed(&mut table, "pidstat") {
        contenders.push(refreshing("pidstat -r", |count| {
            let mut command = Command::new("pidstat");
            command.args(["-r", "-p", "ALL", "1", &count.to_string()]);
            command
        }));
    }
    contenders.push(Contender {
        name: "ps -eo pid,rss,comm".to_owned(),
        goal: OTHERS,
        measure: Box::new(|| {
            let used = child::measure(Command::new("ps").args(["-eo", "pid,rss,comm"]))?;
            Ok(Snapshot {
                wall: Some(used.wall.as_secs_f64() * 1e3),
                processor: used.processor.as_secs_f64() * 1e3,
                found: None,
            })
        }),
    });
    compare(&mut table, contenders, environment.rounds(3, 7))?;
    drop(load);
    Ok(table)
}

/// A tool that refreshes as often as its arguments say.
fn refreshing<'a>(name: &str, command: impl Fn(u32) -> Command + 'a) -> Contender<'a> {
    const MANY: u32 = 4;
    Contender {
        name: name.to_owned(),
        goal: OTHERS,
        measure: Box::new(move || {
            let one = child::measure(&mut command(1))?.processor.as_secs_f64();
            let many = child::measure(&mut command(MANY))?.processor.as_secs_f64();
            Ok(Snapshot { processor: (many - one) * 1e3 / f64::from(MANY - 1), ..Snapshot::default() })
        }),
    }
}

fn is_installed(table: &mut Table, name: &str) -> bool {
    match peers::program(name) {
        Ok(_) => true,
        Err(error) => {
            table.missing.push(format!("{name}: {error:#}"));
            false
        }
    }
}

/// Measures all tools in turns; the first is observer.
fn compare(table: &mut Table, mut contenders: Vec<Contender>, rounds: usize) -> Result<()> {
    let mut snapshots: Vec<Vec<Snapshot>> = vec![Vec::new(); contenders.len()];
    let mut failed: Vec<Option<String>> = vec![None; contenders.len()];
    for _ in 0..rounds {
        for (number, contender) in contenders.iter_mut().enumerate() {
            match (contender.measure)().and_then(Snapshot::found_something) {
                Ok(snapshot) => snapshots[number].push(snapshot),
                Err(error) if number > 0 => failed[number] = Some(format!("{}: {error:#}", contender.name)),
                Err(error) => return Err(error),
            }
        }
    }
    table.missing.extend(failed.into_iter().flatten());
    let of = |number: usize, value: fn(&Snapshot) -> Option<f64>| {
        let values: Vec<f64> = snapshots[number].iter().filter_map(value).collect();
        Figure::of(&values)
    };
    let ours = of(0, |snapshot| Some(snapshot.processor)).map_or(f64::NAN, |figure| figure.median);
    for (number, contender) in contenders.iter().enumerate() {
        let processor = of(number, |snapshot| Some(snapshot.processor));
        let times = processor.map_or(f64::NAN, |figure| figure.median / ours);
        let found = of(number, |snapshot| snapshot.found.map(|found| found as f64));
        let cells = vec![
            Cell::of(of(number, |snapshot| snapshot.wall), Unit::Milliseconds),
            Cell::of(processor, Unit::Milliseconds),
            Cell::of(found, Unit::Count),
            Cell::words(Unit::Times.text(times)),
        ];
        table.row(&contender.name, cells);
        if !contender.name.starts_with("observer") && times.is_finite() {
            let wanted = if contender.goal > OTHERS {
                format!("{} takes at least {} × a report of observer", contender.name, contender.goal)
            } else {
                format!("a report of observer takes less than {}", contender.name)
            };
            table.goal(wanted, Unit::Times.text(times), times > contender.goal);
        }
    }
    Ok(())
}
