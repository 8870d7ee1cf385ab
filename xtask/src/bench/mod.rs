//! `cargo xtask bench`: the cost of observer, compared with the tools that would be used instead, on one machine in one
//! run.
//!
//! The benchmark starts loads and tools itself. Compared measurements take turns. Goals are ratios, except for a few
//! absolute times and sizes. The tables name what cannot be measured on a machine, with the reason. Times are for human
//! readers; instruction counts (`--guard`), which do not depend on how busy a machine is, guard against regressions.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::json;

use self::{
    environment::{BenchEnvironment, FOLDER, Length},
    table::Table,
};
use crate::process;

mod added;
mod bpf_stats;
mod child;
mod comparison;
mod environment;
mod flood;
mod guard;
mod guest;
mod measure;
mod namespaces;
mod net;
mod own;
mod page;
mod peers;
mod start;
mod table;
mod throughput;

/// Options of the benchmark; without any, all of it runs.
#[derive(Args)]
pub struct Options {
    /// Run only this benchmark: prints its table, writes its JSON, leaves the page
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// More rounds and larger scales
    #[arg(long)]
    thorough: bool,
    /// One round of each, to test the benchmark itself: its figures are meaningless, and no page is written
    #[arg(long, conflicts_with = "thorough")]
    quick: bool,
    /// Measure the existing build without building again
    #[arg(long)]
    no_build: bool,
    /// Only count instructions and compare them with the committed counts, as the gate does
    #[arg(long, conflicts_with_all = ["name", "thorough", "quick", "no_build"])]
    guard: bool,
    /// Replace the committed counts instead of comparing
    #[arg(long, requires = "guard")]
    write: bool,
}

type Benchmark = (&'static str, fn(&BenchEnvironment) -> Result<Table>);

/// Every benchmark, in the order of the page.
const ALL: &[Benchmark] = &[
    ("added", added::run),
    ("throughput", throughput::run),
    ("own", own::run),
    ("disk", comparison::disk),
    ("mem", comparison::mem),
    ("net", net::run),
    ("guest", guest::run),
    ("start", start::run),
    ("flood", flood::run),
];

/// Measures, prints, and writes the results.
///
/// # Errors
/// Without root, when a build fails, or when a benchmark fails; the others still run.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let began = Instant::now();
    ensure!(process::is_root(), "the benchmark loads programs into the kernel and needs root");
    if options.guard {
        return guard::run(root, options.write);
    }
    let wanted: Vec<&Benchmark> =
        ALL.iter().filter(|(name, _)| options.name.as_ref().is_none_or(|wanted| wanted == name)).collect();
    if wanted.is_empty() {
        let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        bail!("no such benchmark; the benchmarks are {}", names.join(", "));
    }
    peers::install();
    let length = match (options.quick, options.thorough) {
        (true, _) => Length::Quick,
        (_, true) => Length::Thorough,
        _ => Length::Usual,
    };
    let environment = BenchEnvironment::new(root, length, options.no_build)?;
    let mut tables = Vec::new();
    let mut failed = Vec::new();
    for (name, benchmark) in wanted {
        let began = Instant::now();
        println!("bench: {name} …");
        match benchmark(&environment) {
            Ok(table) => {
                println!("{}bench: {name} took {} s\n", table.markdown(), began.elapsed().as_secs());
                write(root, &table)?;
                tables.push(table);
            }
            Err(error) => {
                println!("bench: {name} FAILED: {error:#}\n");
                failed.push(format!("{name}: {error:#}"));
            }
        }
    }
    if options.name.is_none() && failed.is_empty() && length != Length::Quick {
        page::write(root, &tables, options.thorough, began.elapsed())?;
    }
    println!("bench: {} s", began.elapsed().as_secs());
    ensure!(failed.is_empty(), "failed: {}", failed.join("; "));
    Ok(())
}

/// Writes the table as JSON, for scripts.
fn write(root: &Path, table: &Table) -> Result<()> {
    let path = root.join(FOLDER).join(format!("{}.json", table.name));
    let value = json!({"machine": environment::machine(), "kernel": environment::kernel(), "table": table});
    fs::write(&path, format!("{value:#}\n")).with_context(|| format!("cannot write {}", path.display()))
}
