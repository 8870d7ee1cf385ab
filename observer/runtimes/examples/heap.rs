//! Prints what the runtimes of some processes know about their heaps: `cargo run --example heap PID…`.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a program has arguments, a clock and an output"
)]

use std::{env, time::Instant};

use observer_runtimes::Finder;

fn main() {
    let mut finder = Finder::new("/".into());
    for pid in env::args().skip(1).filter_map(|pid| pid.parse().ok()) {
        let began = Instant::now();
        let found = finder.find(pid);
        let finding = began.elapsed();
        match found {
            Ok(None) => println!("{pid}: no managed runtime ({finding:?})"),
            Err(reason) => println!("{pid}: {reason}"),
            Ok(Some(runtime)) => {
                let began = Instant::now();
                let heap = runtime.heap();
                let reading = began.elapsed();
                println!(
                    "{pid}: {:?} {:?}, found in {finding:?}, read in {reading:?}",
                    runtime.kind(),
                    runtime.version()
                );
                match heap {
                    Ok(heap) => println!("{heap:#?}"),
                    Err(reason) => println!("  {reason}"),
                }
            }
        }
    }
}
