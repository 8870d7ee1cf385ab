//! `cargo xtask bench`: what observer costs, measured beside what people would use instead, on one machine in one run.
//!
//! Loads and peers are the benchmark's own to start; what is compared is measured in turns; goals are ratios, but for the
//! few times and sizes that were promised.
//! What cannot be measured on a machine is named with its reason. Seconds are for people: against regressions stand
//! instructions (`--guard`), which do not depend on how busy a machine is.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::json;

use self::{
    place::{FOLDER, Length, Place},
    table::Table,
};
use crate::process;

mod added;
mod beside;
mod books;
mod child;
mod flood;
mod guard;
mod guest;
mod measure;
mod namespaces;
mod net;
mod own;
mod page;
mod peers;
mod place;
mod start;
mod table;
mod throughput;

/// What is wanted of the benchmark; all of it where nothing is said.
#[derive(Args)]
pub struct Options {
    /// One benchmark alone: its table and its JSON, and no page
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// More rounds, larger scales
    #[arg(long)]
    thorough: bool,
    /// One round of each, to try the benchmark itself: its figures are worth nothing, and no page is written
    #[arg(long, conflicts_with = "thorough")]
    quick: bool,
    /// Measure what was built before, without building anew
    #[arg(long)]
    no_build: bool,
    /// Count instructions and compare them with the committed ones, and measure no time: what the gate does
    #[arg(long, conflicts_with_all = ["name", "thorough", "quick", "no_build"])]
    guard: bool,
    /// Commit the counted instructions in place of comparing them
    #[arg(long, requires = "guard")]
    write: bool,
}

type Benchmark = (&'static str, fn(&Place) -> Result<Table>);

/// Every benchmark, in the order of the page.
const ALL: &[Benchmark] = &[
    ("added", added::run),
    ("throughput", throughput::run),
    ("own", own::run),
    ("disk", beside::disk),
    ("mem", beside::mem),
    ("net", net::run),
    ("guest", guest::run),
    ("start", start::run),
    ("flood", flood::run),
];

/// Measures, prints, and writes what was found.
///
/// # Errors
/// Without root, when something cannot be built, or a benchmark breaks off; the others are run all the same.
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
        bail!("there is no such benchmark: give one of {}", names.join(", "));
    }
    peers::install();
    let length = match (options.quick, options.thorough) {
        (true, _) => Length::Quick,
        (_, true) => Length::Thorough,
        _ => Length::Usual,
    };
    let place = Place::new(root, length, options.no_build)?;
    let mut tables = Vec::new();
    let mut broken = Vec::new();
    for (name, benchmark) in wanted {
        let began = Instant::now();
        println!("bench: {name} …");
        match benchmark(&place) {
            Ok(table) => {
                println!("{}bench: {name} took {} s\n", table.markdown(), began.elapsed().as_secs());
                write(root, &table)?;
                tables.push(table);
            }
            Err(error) => {
                println!("bench: {name} BROKE OFF: {error:#}\n");
                broken.push(format!("{name}: {error:#}"));
            }
        }
    }
    if options.name.is_none() && broken.is_empty() && length != Length::Quick {
        page::write(root, &tables, options.thorough, began.elapsed())?;
    }
    println!("bench: {} s", began.elapsed().as_secs());
    ensure!(broken.is_empty(), "broken off: {}", broken.join("; "));
    Ok(())
}

/// The table as JSON, for scripts.
fn write(root: &Path, table: &Table) -> Result<()> {
    let path = root.join(FOLDER).join(format!("{}.json", table.name));
    let value = json!({"machine": place::machine(), "kernel": place::kernel(), "table": table});
    fs::write(&path, format!("{value:#}\n")).with_context(|| format!("cannot write {}", path.display()))
}
