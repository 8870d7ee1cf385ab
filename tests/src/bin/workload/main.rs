//! Workloads that count their own truth, for tests that compare it with reports of observer.
//!
//! `workload DOMAIN KIND [ARGUMENT…]`; the protocol is in `observer_tests::workload`.

use std::process::ExitCode;

use observer_tests::workload::{hear, tell};
use serde_json::json;

mod disk;
mod kernel;
mod mem;
mod net;

fn main() -> ExitCode {
    // The program's name is not an argument.
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.split_first() {
        Some((&("mem" | "disk" | "net"), ["idle"])) => idle(),
        Some((&"mem", ["kernel"])) => kernel::run(),
        Some((&"mem", rest)) => mem::run(rest),
        Some((&"disk", rest)) => disk::run(rest),
        Some((&"net", rest)) => net::run(rest),
        _ => Err(anyhow::anyhow!("workload mem|disk|net KIND [ARGUMENT…]")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("workload {}: {error:#}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

/// Does nothing.
fn idle() -> anyhow::Result<()> {
    tell(json!({"ready": true}));
    while hear().is_some() {
        tell(json!({}));
    }
    Ok(())
}
