//! Runs random scenarios on the running kernel and prints how often `limited_by` is right: `cargo xtask scenarios`.
//!
//! `scenarios [RUNS [SEED [PARALLEL]]]`; as root.

use std::process::ExitCode;

use observer_tests::{
    emulation::{play::congestion_controls, scenario::WIDE, table},
    require_root,
};

/// The least share of right verdicts.
const ENOUGH: f64 = 0.95;

fn main() -> ExitCode {
    require_root();
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let number = |at: usize, default: u64| numbers.get(at).copied().unwrap_or(default);
    let (runs, seed, beside) = (number(0, 104), number(1, 1), number(2, 4));
    let draws = table::draws(runs as usize, seed);
    let (outcomes, observer) =
        table::play(&draws, WIDE, beside as usize, &[], |outcome| println!("{}", outcome.line()));
    observer.interrupt();
    let _ = observer.finish();
    let (text, part) = table::table(&outcomes);
    println!("\n{text}");
    match congestion_controls() {
        Ok((drawn, default)) => {
            println!("Congestion controls: {}; the default here is {default}.", drawn.join(", "))
        }
        Err(error) => println!("{error:#}"),
    }
    if part >= ENOUGH { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
