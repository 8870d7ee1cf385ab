//! Loads for the benchmark. Each counts its own truth.
//!
//! `load KIND [ARGUMENT…]` has the protocol of a workload: it reports that it is ready, reads lines, and ends with its
//! input.

use std::process::ExitCode;

mod calls;
mod crowd;
mod flood;
mod flow;
mod pin;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        // The program that `exec` starts: does nothing.
        ["nothing"] => Ok(()),
        ["calls", folder] => calls::run(folder.as_ref()),
        ["processes", count] => crowd::processes(count),
        ["descriptors", processes, each, deleted, folder] => {
            crowd::descriptors(processes, each, deleted, folder.as_ref())
        }
        ["connections", count] => crowd::connections(count),
        ["flood", kind, rate, folder] => flood::run(kind, rate, folder.as_ref()),
        ["serve", address] => flow::serve(address),
        ["send", kind, address] => flow::send(kind, address),
        _ => Err(anyhow::anyhow!("load calls|processes|descriptors|connections|flood|serve|send …")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load {}: {error:#}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}
