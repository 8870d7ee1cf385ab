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
    /// Measure what observer costs beside what people use instead; writes docs/performance.md. Needs root
    Bench(bench::Options),
    /// Check the rules of the house that neither Cargo nor clippy can hold
    Check,
    /// Build the kernel objects from source, with a toolchain that is set up where it is missing
    Ebpf {
        /// Prove that the committed objects are what the source gives, and change nothing
        #[arg(long)]
        check: bool,
        /// Build objects whose rare paths log, into a folder for `observer -vv --objects FOLDER`
        #[arg(long, value_name = "FOLDER", num_args = 0..=1, default_missing_value = "target/ebpf-log", conflicts_with = "check")]
        log: Option<PathBuf>,
    },
    /// Install what the tests need, then run every test; the live ones need root
    Test {
        /// Leave the live tests out instead of failing without root
        #[arg(long)]
        no_root: bool,
    },
    /// Record the corpus of labelled processes anew, and measure how often verdicts are right
    Corpus(corpus::Options),
    /// Play random scenarios over emulated links and count how often what limits a connection is told rightly; needs root
    Scenarios {
        /// How many
        #[arg(long, default_value_t = 104)]
        runs: u32,
        /// The seed of the first; each next one has the next
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many side by side
        #[arg(long, default_value_t = 4)]
        beside: u32,
    },
    /// Run doctor and the live tests on stock kernels of each series, under emulation
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
        Command::Scenarios { runs, seed, beside } => tests::scenarios(root, *runs, *seed, *beside),
        Command::Vm(options) => vm::run(root, options),
    }
}

/// The workspace's root: xtask is built from a folder in it.
fn workspace() -> Result<&'static std::path::Path> {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or_else(|| {
        anyhow::anyhow!("xtask is not in a workspace: {} has no parent", env!("CARGO_MANIFEST_DIR"))
    })
}
