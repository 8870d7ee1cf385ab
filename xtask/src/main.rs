//! The project's own commands: `cargo xtask`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod check;

/// The commands that build, check and test observer.
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the layering and the rules of the house
    Check,
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
        Command::Check => check::run(root),
    }
}

/// The workspace's root: xtask is built from a folder in it.
fn workspace() -> Result<&'static std::path::Path> {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or_else(|| {
        anyhow::anyhow!("xtask is not in a workspace: {} has no parent", env!("CARGO_MANIFEST_DIR"))
    })
}
