//! From the command to the first answer; how large the binary is, and how long it takes to build.

use std::{fs, process::Command, time::Instant};

use anyhow::Result;

use super::{
    child::{self, Speaker},
    measure::Figure,
    own::thousands,
    place::{COMMANDS, FOLDER, Place},
    table::{Cell, Table, Unit},
};
use crate::process::{self, cargo};

/// The shortest interval: a script's first answer has rates, which need one.
const INTERVAL: &str = "0.01";

/// The goal: the first rows about deleted files, among so many processes, milliseconds.
const FIRST_ROWS: f64 = 150.0;
const PROCESSES: u64 = 5_000;

/// Starts each command with and without what it found about this kernel before.
pub fn run(place: &Place) -> Result<Table> {
    let mut table = Table::new(
        "start",
        "From the command to the answer",
        "`--once --json` with an interval of 10 ms, which is part of it: the whole run, from the start of the process to its \
         end. Cold: every kernel field is looked up anew in the kernel's types; warm: they were kept at the last start on this \
         kernel.",
        &["", "cold", "warm", "processor, cold", "processor, warm"],
    );
    for (name, view) in COMMANDS {
        let mut figures: [Vec<f64>; 4] = Default::default();
        for _ in 0..place.rounds(7, 15) {
            for (number, cache) in [(0, &["--no-cache"][..]), (1, &[])] {
                let mut command = place.program("observer");
                command.args(view).args(["--json", "-n", "--once", "--interval", INTERVAL]).args(cache);
                let used = child::measure(&mut command)?;
                figures[number].push(used.wall.as_secs_f64() * 1e3);
                figures[number + 2].push(used.processor.as_secs_f64() * 1e3);
            }
        }
        let cell = |values: &Vec<f64>| Cell::of(Figure::of(values), Unit::Milliseconds);
        table.row(format!("observer {name}"), figures.iter().map(cell).collect());
    }
    first_rows(place, &mut table)?;
    let size = fs::metadata(place.root.join("target/release/observer"))?.len();
    let empty = || vec![Cell::None, Cell::None, Cell::None];
    let sized = std::iter::once(Cell::exact(size as f64, Unit::Bytes)).chain(empty()).collect();
    table.row("size of the binary", sized);
    if place.is_quick() {
        table.missing.push("a clean build: takes minutes".to_owned());
    } else {
        let folder = place.root.join(FOLDER).join("clean-build");
        // What was built there before would be used again.
        let _ = fs::remove_dir_all(&folder);
        process::output(Command::new("sync").arg("-f").arg(&place.root))?;
        let began = Instant::now();
        let build = ["build", "--release", "--package", "observer", "--target-dir"];
        process::run(cargo(&place.root).args(build).arg(&folder))?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        fs::remove_dir_all(&folder)?;
        let built = std::iter::once(Cell::exact(took, Unit::Milliseconds)).chain(empty()).collect();
        table.row("a clean build, dependencies fetched", built);
    }
    Ok(table)
}

/// From the command to the first line that it writes, among many processes.
fn first_rows(place: &Place, table: &mut Table) -> Result<()> {
    let load = place.load(&["processes", &PROCESSES.to_string()])?;
    let mut walls = Vec::new();
    for _ in 0..place.rounds(7, 15) {
        let mut command = place.program("observer");
        command.args(["disk", "--deleted-open", "--json", "-n", "--interval", INTERVAL]);
        let began = Instant::now();
        let mut observer = Speaker::start(&mut command)?;
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
