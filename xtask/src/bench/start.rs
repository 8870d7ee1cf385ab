//! From the command to the first answer; how large the binary is, and how long it takes to build.

use std::{fs, process::Command, time::Instant};

use anyhow::Result;

use super::{
    child,
    measure::Figure,
    place::{COMMANDS, FOLDER, Place},
    table::{Cell, Table, Unit},
};
use crate::process::{self, cargo};

/// The shortest interval: a script's first answer has rates, which need one.
const INTERVAL: &str = "0.01";

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
    let size = fs::metadata(place.root.join("target/release/observer"))?.len();
    let empty = || vec![Cell::None, Cell::None, Cell::None];
    let sized = std::iter::once(Cell::exact(size as f64, Unit::Bytes)).chain(empty()).collect();
    table.row("size of the binary", sized);
    if place.is_thorough() {
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
    } else {
        table.missing.push("a clean build: only with --thorough".to_owned());
    }
    Ok(table)
}
