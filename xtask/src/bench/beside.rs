//! observer beside other programs that look at the same machine: who takes how long, how much of a processor, and finds what.

use std::{process::Command, time::Duration};

use anyhow::Result;

use super::{
    child,
    measure::Figure,
    own::thousands,
    peers,
    place::{COMMANDS, Place},
    table::{Cell, Table, Unit},
};
use crate::process;

/// The goals: what a scan of `/proc` and `lsof` take, at least, of what a report of observer takes; of others, more.
const SCAN: f64 = 8.0;
const LSOF: f64 = 40.0;
const MORE: f64 = 1.0;

/// Deleted files among the descriptors.
const DELETED: usize = 20;

/// One look of a program at the machine.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    /// Milliseconds; none where the program runs on and only its refresh is measured.
    wall: Option<f64>,
    /// Milliseconds of processor time.
    processor: f64,
    found: Option<usize>,
}

impl Look {
    /// A program that found nothing has not done what it is measured for.
    fn saw_something(self) -> Result<Self> {
        anyhow::ensure!(self.found != Some(0), "it found nothing");
        Ok(self)
    }
}

/// A program that looks.
struct Contender<'a> {
    name: String,
    /// How many times what a report of observer takes it is to take, at least.
    goal: f64,
    look: Box<dyn FnMut() -> Result<Look> + 'a>,
}

/// Finding deleted files: beside `lsof`, `lsfd` and the least that a scan of `/proc` can do.
///
/// # Errors
/// When a load or observer does not run.
pub fn disk(place: &Place) -> Result<Table> {
    let (processes, each) = place.choose((1_000_u64, 50_u64), (1_000, 1_000));
    let mut table = Table::new(
        "disk",
        "Beside: deleted files",
        &format!(
            "{} processes with {} descriptors each, {DELETED} deleted files among them. One look: the whole run of a tool; of \
             observer also one report of an observer that runs. Found is how many of the {DELETED} were shown.",
            thousands(processes),
            thousands(each)
        ),
        &["program", "wall", "processor", "found", "processor, times observer's report"],
    );
    let folder = place.folder_name();
    let (count, holds, deleted) = (processes.to_string(), each.to_string(), DELETED.to_string());
    let load = place.load(&["descriptors", &count, &holds, &deleted, &folder])?;
    let marker = format!("{folder}/deleted-");
    let mut running = place.observer(COMMANDS[1].1, Duration::from_millis(500))?;
    let mut contenders = vec![Contender {
        name: "observer, a report".to_owned(),
        goal: MORE,
        look: Box::new(move || {
            // What it reported while the others looked is not what is measured, nor a report that is on its way.
            running.unheard();
            running.line()?;
            let before = process::processor_time(running.pid())?;
            running.line()?;
            let spent = process::processor_time(running.pid())? - before;
            Ok(Look { processor: spent.as_secs_f64() * 1e3, ..Look::default() })
        }),
    }];
    let whole = |name: &str, goal: f64, command: Box<dyn Fn() -> Command>, marker: String| Contender {
        name: name.to_owned(),
        goal,
        look: Box::new(move || {
            let (used, said) = child::measure_output(&mut command())?;
            Ok(Look {
                wall: Some(used.wall.as_secs_f64() * 1e3),
                processor: used.processor.as_secs_f64() * 1e3,
                found: Some(said.matches(&marker).count()),
            })
        }),
    };
    let observer = place.root.join("target/release/observer");
    let once = move || {
        let mut command = Command::new(&observer);
        command.args(["disk", "--deleted-open", "--json", "-n", "--once", "--interval", "0.01"]);
        command
    };
    contenders.push(whole("observer, from start to answer", MORE, Box::new(once), marker.clone()));
    const WANTED: &str = "DELETED and (TYPE == \"REG\")";
    for (name, goal, arguments) in
        [("lsof", LSOF, &["+L1", "-n", "-P"][..]), ("lsfd", MORE, &["-Q", WANTED, "-o", "PID,ASSOC,NAME"])]
    {
        if packages_has(&mut table, name) {
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
    match peers::scanner(&place.root) {
        // It prints no names but a line for each, and a line ends in its size.
        Ok(path) => {
            let command = move || Command::new(&path);
            let name = "a minimal scan of /proc, in C";
            contenders.push(whole(name, SCAN, Box::new(command), " 4096\n".to_owned()));
        }
        Err(error) => table.missing.push(format!("a minimal scan of /proc: {error:#}")),
    }
    compare(&mut table, contenders, place.rounds(5, 9))?;
    drop(load);
    Ok(table)
}

/// Every process's memory: beside `top`, `pidstat` and `ps`.
///
/// # Errors
/// When a load or observer does not run.
pub fn mem(place: &Place) -> Result<Table> {
    let processes = place.choose(1_000, 10_000);
    let mut table = Table::new(
        "mem",
        "Beside: the memory of processes",
        &format!(
            "{} processes. Processor time of one refresh: of a run with several refreshes, less that of a run with one.",
            thousands(processes)
        ),
        &["program", "wall", "processor", "found", "processor, times observer's report"],
    );
    let load = place.load(&["processes", &processes.to_string()])?;
    let observer = place.root.join("target/release/observer").to_string_lossy().into_owned();
    let several = ["mem", "--json", "-n", "--budget", "100", "--interval", "0.5", "--count"];
    let mut contenders = vec![refreshing("observer mem, all rows", move |count| {
        let mut command = Command::new(&observer);
        command.args(several).arg(count.to_string());
        command
    })];
    if packages_has(&mut table, "top") {
        contenders.push(refreshing("top -b", |count| {
            let mut command = Command::new("top");
            command.args(["-b", "-d", "0.5", "-n", &count.to_string()]);
            command
        }));
    }
    if packages_has(&mut table, "pidstat") {
        contenders.push(refreshing("pidstat -r", |count| {
            let mut command = Command::new("pidstat");
            command.args(["-r", "-p", "ALL", "1", &count.to_string()]);
            command
        }));
    }
    contenders.push(Contender {
        name: "ps -eo pid,rss,comm".to_owned(),
        goal: MORE,
        look: Box::new(|| {
            let used = child::measure(Command::new("ps").args(["-eo", "pid,rss,comm"]))?;
            Ok(Look {
                wall: Some(used.wall.as_secs_f64() * 1e3),
                processor: used.processor.as_secs_f64() * 1e3,
                found: None,
            })
        }),
    });
    compare(&mut table, contenders, place.rounds(3, 7))?;
    drop(load);
    Ok(table)
}

/// A program that refreshes so many times as it is told.
fn refreshing<'a>(name: &str, command: impl Fn(u32) -> Command + 'a) -> Contender<'a> {
    const MANY: u32 = 4;
    Contender {
        name: name.to_owned(),
        goal: MORE,
        look: Box::new(move || {
            let one = child::measure(&mut command(1))?.processor.as_secs_f64();
            let many = child::measure(&mut command(MANY))?.processor.as_secs_f64();
            Ok(Look { processor: (many - one) * 1e3 / f64::from(MANY - 1), ..Look::default() })
        }),
    }
}

fn packages_has(table: &mut Table, name: &str) -> bool {
    match peers::program(name) {
        Ok(_) => true,
        Err(error) => {
            table.missing.push(format!("{name}: {error:#}"));
            false
        }
    }
}

/// Lets them look in turns; the first is observer.
fn compare(table: &mut Table, mut contenders: Vec<Contender>, rounds: usize) -> Result<()> {
    let mut looks: Vec<Vec<Look>> = vec![Vec::new(); contenders.len()];
    let mut failed: Vec<Option<String>> = vec![None; contenders.len()];
    for _ in 0..rounds {
        for (number, contender) in contenders.iter_mut().enumerate() {
            match (contender.look)().and_then(Look::saw_something) {
                Ok(look) => looks[number].push(look),
                Err(error) if number > 0 => failed[number] = Some(format!("{}: {error:#}", contender.name)),
                Err(error) => return Err(error),
            }
        }
    }
    table.missing.extend(failed.into_iter().flatten());
    let of = |number: usize, value: fn(&Look) -> Option<f64>| {
        let values: Vec<f64> = looks[number].iter().filter_map(value).collect();
        Figure::of(&values)
    };
    let ours = of(0, |look| Some(look.processor)).map_or(f64::NAN, |figure| figure.median);
    for (number, contender) in contenders.iter().enumerate() {
        let processor = of(number, |look| Some(look.processor));
        let times = processor.map_or(f64::NAN, |figure| figure.median / ours);
        let found = of(number, |look| look.found.map(|found| found as f64));
        let cells = vec![
            Cell::of(of(number, |look| look.wall), Unit::Milliseconds),
            Cell::of(processor, Unit::Milliseconds),
            Cell::of(found, Unit::Count),
            Cell::words(Unit::Times.text(times)),
        ];
        table.row(&contender.name, cells);
        if !contender.name.starts_with("observer") && times.is_finite() {
            let wanted = if contender.goal > MORE {
                format!("{} takes at least {} × what a report takes", contender.name, contender.goal)
            } else {
                format!("a report takes less than {}", contender.name)
            };
            table.goal(
                wanted,
                format!("it takes {} of ours", Unit::Times.text(times)),
                times > contender.goal,
            );
        }
    }
    Ok(())
}
