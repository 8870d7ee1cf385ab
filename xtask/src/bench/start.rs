//! Time from the command to the first answer, size of the binary, and time of a clean build.

use std::{fs, process::Command, time::Instant};

use anyhow::Result;

use super::{
    child::{self, LineChild},
    environment::{BenchEnvironment, COMMANDS, FOLDER},
    measure::Figure,
    own::thousands,
    table::{Cell, Table, Unit},
};
use crate::process::{self, cargo};

/// The shortest interval: the first answer for a script contains rates, which need one.
const INTERVAL: &str = "0.01";

/// The goal: milliseconds until the first rows about deleted files, among `PROCESSES` processes.
const FIRST_ROWS: f64 = 150.0;
const PROCESSES: u64 = 5_000;

/// Starts each command with and without its cache of this kernel's fields.
pub fn run(environment: &BenchEnvironment) -> Result<Table> {
    let mut table = Table::new(
        "start",
        "Start",
        "`--once --json` with an interval of 10 ms, which is included: the whole run, from the start of the process to its \
         end. Cold: every kernel field is resolved from BTF. Warm: the fields are cached from an earlier start on this \
         kernel.",
        &["", "cold", "warm", "processor, cold", "processor, warm"],
    );
    for (name, view) in COMMANDS {
        let mut figures: [Vec<f64>; 4] = Default::default();
        for _ in 0..environment.rounds(7, 15) {
            for (number, cache) in [(0, &["--no-cache"][..]), (1, &[])] {
                let mut command = environment.program("observer");
                command.args(view).args(["--json", "-n", "--once", "--interval", INTERVAL]).args(cache);
                let used = child::measure(&mut command)?;
                figures[number].push(used.wall.as_secs_f64() * 1e3);
                figures[number + 2].push(used.processor.as_secs_f64() * 1e3);
            }
        }
        let cell = |values: &Vec<f64>| Cell::of(Figure::of(values), Unit::Milliseconds);
        table.row(format!("observer {name}"), figures.iter().map(cell).collect());
    }
    first_rows(environment, &mut table)?;
    let size = fs::metadata(environment.root.join("target/release/observer"))?.len();
    let empty = || vec![Cell::None, Cell::None, Cell::None];
    let sized = std::iter::once(Cell::exact(size as f64, Unit::Bytes)).chain(empty()).collect();
    table.row("size of the binary", sized);
    if environment.is_quick() {
        table.missing.push("a clean build: takes minutes".to_owned());
    } else {
        let folder = environment.root.join(FOLDER).join("clean-build");
        // An earlier build there would be reused.
        let _ = fs::remove_dir_all(&folder);
        process::output(Command::new("sync").arg("-f").arg(&environment.root))?;
        let began = Instant::now();
        let build = ["build", "--release", "--package", "observer", "--target-dir"];
        process::run(cargo(&environment.root).args(build).arg(&folder))?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        fs::remove_dir_all(&folder)?;
        let built = std::iter::once(Cell::exact(took, Unit::Milliseconds)).chain(empty()).collect();
        table.row("a clean build, dependencies fetched", built);
    }
    Ok(table)
}

/// Time from the command to its first line of output, among many processes.
fn first_rows(environment: &BenchEnvironment, table: &mut Table) -> Result<()> {
    let load = environment.load(&["processes", &PROCESSES.to_string()])?;
    let mut walls = Vec::new();
    for _ in 0..environment.rounds(7, 15) {
        let mut command = environment.program("observer");
        command.args(["disk", "--deleted-open", "--json", "-n", "--interval", INTERVAL]);
        let began = Instant::now();
        let mut observer = LineChild::start(&mut command)?;
        observer.line()?;
        walls.push(began.elapsed().as_secs_f64() * 1e3);
    }
    drop(load);
    let name = format!("observer disk, first rows among {} processes", thousands(PROCESSES));
    if let Some(figure) = Figure::of(&walls) {
        table.goal(
            format!("{name}: within {}", Unit::Milliseconds.text(FIRST_ROWS)),
            Unit::Milliseconds.figure(&figure),
            figure.median <= FIRST_ROWS,
        );
    }
    let cells = vec![Cell::None, Cell::of(Figure::of(&walls), Unit::Milliseconds), Cell::None, Cell::None];
    table.row(name, cells);
    Ok(())
}
