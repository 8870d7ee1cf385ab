//! The project's own commands: `cargo xtask`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bench;
mod check;
mod corpus;
mod ebpf;
mod live;
mod packages;
mod process;
mod tests;
mod vm;

/// The commands that build, check and test observer.
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure the cost of observer and compare it with other tools; writes docs/performance.md. Needs root
    Bench(bench::Options),
    /// Check the project's rules that neither Cargo nor clippy can check
    Check,
    /// Build the kernel objects from source; sets up the toolchain if it is missing
    Ebpf {
        /// Prove that a build from source gives the committed objects, and change nothing
        #[arg(long)]
        check: bool,
        /// Build objects that log on rare paths, into a folder for `observer -vv --objects FOLDER`
        #[arg(long, value_name = "FOLDER", num_args = 0..=1, default_missing_value = "target/ebpf-log", conflicts_with = "check")]
        log: Option<PathBuf>,
    },
    /// Install the packages for the tests, then run every test; the live tests need root
    Test {
        /// Leave out the live tests instead of failing without root
        #[arg(long)]
        no_root: bool,
    },
    /// Record the corpus of labelled processes again, and measure how many verdicts are correct
    Corpus(corpus::Options),
    /// Run random scenarios over emulated links and count how often the bottleneck is found; needs root
    Scenarios {
        /// The number of scenarios
        #[arg(long, default_value_t = 104)]
        runs: u32,
        /// The seed of the first scenario; each scenario adds one
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many run at the same time
        #[arg(long = "beside", default_value_t = 4)]
        parallel: u32,
    },
    /// Run doctor and the live tests on stock kernels of each series, in emulated machines
    Vm(vm::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    let root = workspace()?;
    match command {
        Command::Bench(options) => bench::run(root, options),
        Command::Check => check::run(root),
        Command::Ebpf { log: Some(folder), .. } => ebpf::build_logging(root, &root.join(folder)),
        Command::Ebpf { check: true, .. } => ebpf::check(root),
        Command::Ebpf { .. } => ebpf::build(root),
        Command::Test { no_root } => tests::run(root, *no_root),
        Command::Corpus(options) => corpus::run(root, options),
        Command::Scenarios { runs, seed, parallel } => tests::scenarios(root, *runs, *seed, *parallel),
        Command::Vm(options) => vm::run(root, options),
    }
}

/// The workspace's root: the parent folder of this crate.
fn workspace() -> Result<&'static std::path::Path> {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or_else(|| {
        anyhow::anyhow!("xtask is not in a workspace: {} has no parent", env!("CARGO_MANIFEST_DIR"))
    })
}
