//! What can be typed: commands and flags as the contract names them, each with its help.

use std::{ops::RangeInclusive, path::PathBuf};

use clap::{
    Arg, ArgAction, Args, CommandFactory as _, Parser, Subcommand, ValueEnum, builder::PossibleValuesParser,
};
use observer_core::{overview::OVERVIEW, view::View};
use regex::Regex;

use crate::domains;

/// Which processes take the memory, fill the disk and use the network: exact, from the kernel.
#[derive(Debug, Parser)]
#[command(name = "observer", version, after_help = domains::EXAMPLES)]
#[command(disable_help_subcommand = true, max_term_width = 110)]
struct Program;

// The commands that are of no domain. A doc comment would become the text at the top of `--help`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What runs out on this machine and because of which processes, the most urgent first (the default)
    Overview(Overview),
    /// Record everything that is observed into a file
    Record(Record),
    /// Show the same views from a recording, without root
    Replay(Replay),
    /// Show what this kernel and these privileges allow: each hook, its alternative in use, and why
    Doctor(Doctor),
    /// Show the settings in force: keys and looks of the instrument
    Config(Config),
}

/// The whole command line: a command for each domain, live and replayed, and the other commands.
pub fn command_line() -> clap::Command {
    let live = domains::commands().map(|(name, views)| question::<Watch>(name, &views));
    let replayed = domains::commands().map(|(name, views)| question::<Shape>(name, &views));
    let overview = OverviewShape::augment_args(clap::Command::new("overview").about(OVERVIEW.help));
    Command::augment_subcommands(Program::command().subcommands(live))
        .mut_subcommand("replay", |replay| replay.subcommand(overview).subcommands(replayed))
}

/// The command of a domain: a flag for each view, and the flags that all domains have.
fn question<A: Args>(name: &'static str, views: &[View]) -> clap::Command {
    let flags = || views.iter().filter_map(|view| Some((view.flag?, view.help)));
    let arguments = flags().map(|(flag, help)| {
        let others = flags().map(|(other, _)| other).filter(|other| *other != flag);
        let argument = Arg::new(flag).long(flag).help(help).action(ArgAction::SetTrue);
        argument.conflicts_with_all(others).help_heading("What to show")
    });
    let command = clap::Command::new(name).args(arguments);
    A::augment_args(command).about(views.first().map_or("", |main| main.help)).long_about(None)
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Config {
    /// Print the settings as a configuration file, each with its meaning
    #[arg(long, required = true)]
    pub show: bool,
}

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub live: LiveArgs,
    /// Print what this kernel's types have of everything that observer relies on, for the tests of plans
    #[arg(long, hide = true)]
    pub survey: bool,
}

/// A view of the running kernel.
#[derive(Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    pub shape: Shape,
    /// Also record this run into a file
    #[arg(long, value_name = "FILE", help_heading = "Observing")]
    pub record: Option<PathBuf>,
    #[command(flatten)]
    pub live: LiveArgs,
}

/// The problems of the running machine.
#[derive(Debug, Args)]
pub struct Overview {
    #[command(flatten)]
    pub shape: OverviewShape,
    /// Also record this run into a file
    #[arg(long, value_name = "FILE", help_heading = "Observing")]
    pub record: Option<PathBuf>,
    #[command(flatten)]
    pub live: LiveArgs,
}

/// What shapes an overview, live or replayed.
#[derive(Debug, Args)]
pub struct OverviewShape {
    /// Measure growth and trends over this time, in seconds [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    #[arg(help_heading = "What to show")]
    pub window: Option<f64>,
    /// Show addresses as numbers, without names
    #[arg(short = 'n', help_heading = "What to show")]
    pub numeric: bool,
    #[command(flatten)]
    pub timing: Timing,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct Record {
    /// The file to write. It may replace a recording, but no other file
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub file: PathBuf,
    /// The domains to record [default: all]
    #[arg(value_name = "DOMAIN", value_parser = PossibleValuesParser::new(domains::names()))]
    pub domains: Vec<String>,
    /// Record command lines, which can contain secrets
    #[arg(long, help_heading = "Observing")]
    pub cmdline: bool,
    /// Show addresses as numbers, without names
    #[arg(short = 'n', help_heading = "Observing")]
    pub numeric: bool,
    #[command(flatten)]
    pub timing: Timing,
    #[command(flatten)]
    pub live: LiveArgs,
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Replay {
    /// A recording, made by `observer record` or with `--record`
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// What shapes a report and its output, live or replayed.
#[derive(Debug, Args)]
pub struct Shape {
    /// Show only the N biggest rows [default without N: 10]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "10", value_parser = rows)]
    #[arg(allow_negative_numbers = true, help_heading = "What to show")]
    pub top: Option<usize>,
    /// Sort by a column, named as in --json; ascending with a `-` in front
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true, help_heading = "What to show")]
    pub sort: Option<String>,
    /// Show only this process; repeatable
    #[arg(short = 'p', value_name = "PID", value_delimiter = ',', value_parser = process_id)]
    #[arg(allow_negative_numbers = true, help_heading = "What to show")]
    pub pids: Vec<u32>,
    /// Show only processes with a matching `comm` (as in ps, at most 15 bytes)
    #[arg(short = 'c', value_name = "REGEX", value_parser = expression, help_heading = "What to show")]
    pub comm: Option<Regex>,
    /// Show only processes of systemd units with a matching name
    #[arg(long, value_name = "REGEX", value_parser = expression, help_heading = "What to show")]
    pub unit: Option<Regex>,
    /// Show only processes in containers with a matching id or name
    #[arg(long, value_name = "REGEX", value_parser = expression, help_heading = "What to show")]
    pub container: Option<Regex>,
    /// Merge rows by this key, with exact sums; the last two only for connections
    #[arg(long, value_name = "KEY", help_heading = "What to show")]
    pub by: Option<Key>,
    /// Measure growth and trends over this time, in seconds [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    #[arg(help_heading = "What to show")]
    pub window: Option<f64>,
    /// Show command lines, which can contain secrets
    #[arg(long, help_heading = "What to show")]
    pub cmdline: bool,
    /// Show addresses as numbers, without names
    #[arg(short = 'n', help_heading = "What to show")]
    pub numeric: bool,
    #[command(flatten)]
    pub timing: Timing,
    /// Write the call paths of the last report (`mem --where`), for flame graph scripts
    #[arg(id = "paths", long = "format", value_name = "FORMAT", conflicts_with_all = ["json", "plain"])]
    #[arg(help_heading = "Output")]
    pub paths: Option<PathFormat>,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Key {
    Process,
    Unit,
    Container,
    Comm,
    Remote,
    Connection,
}

#[derive(Debug, Args)]
pub struct Timing {
    /// Time between reports, also below 1; a replay keeps the recorded interval
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds, help_heading = "When")]
    #[arg(allow_negative_numbers = true)]
    pub interval: f64,
    /// Stop after one report, with the rates of one interval
    #[arg(long, conflicts_with_all = ["count", "duration"], help_heading = "When")]
    pub once: bool,
    /// Stop after N reports
    #[arg(long, value_name = "N", value_parser = reports, allow_negative_numbers = true, help_heading = "When")]
    pub count: Option<u64>,
    /// Stop after this time
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    #[arg(help_heading = "When")]
    pub duration: Option<f64>,
}

/// What is written of call paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PathFormat {
    /// One line a path: frames from the outermost, separated by `;`, and bytes a second
    Folded,
}

#[derive(Debug, Args)]
pub struct Format {
    /// Write each report as one line of JSON
    #[arg(long, conflicts_with = "plain", help_heading = "Output")]
    pub json: bool,
    /// Write tables as text, one after the other; the default without a terminal. On a terminal, the default is the
    /// instrument, or redrawn tables for a run with an end
    #[arg(long, help_heading = "Output")]
    pub plain: bool,
}

#[derive(Debug, Args)]
pub struct LiveArgs {
    /// Limit the processor time of observer, in percent of one core; above it, reports come less often
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = percent, help_heading = "Observing")]
    #[arg(allow_negative_numbers = true)]
    pub budget: f64,
    /// Read the kernel's types (BTF) from a file, for a container that hides them
    #[arg(long, value_name = "FILE", help_heading = "Observing")]
    pub btf: Option<PathBuf>,
    /// Report on standard error what the kernel side does
    #[arg(short = 'v', long, action = clap::ArgAction::Count, help_heading = "Observing")]
    pub verbose: u8,
    #[arg(long, hide = true, value_name = "KIND")]
    pub without: Vec<WithoutArg>,
    #[arg(long, hide = true, value_name = "DIR")]
    pub objects: Option<PathBuf>,
    #[arg(long, hide = true)]
    pub no_cache: bool,
    #[arg(long = "way", hide = true, value_name = "HOOK=N", value_parser = alternative)]
    pub alternatives: Vec<(String, usize)>,
}

/// Half of the hooks, switched off by tests to see what the other half delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WithoutArg {
    Iterators,
    Events,
}

/// From a hundredth of a second, below which observer would mostly observe itself, to a year.
const SECONDS: RangeInclusive<f64> = 0.01..=31_536_000.0;

/// One alternative of a hook, counted from 1 in the order of doctor. Tests force each alternative, so that each one
/// runs somewhere.
fn alternative(args: &str) -> Result<(String, usize), String> {
    let parts = args.split_once('=').and_then(|(hook, number)| Some((hook, number.parse().ok()?)));
    parts.filter(|(_, number)| *number > 0).map(|(hook, number)| (hook.to_owned(), number)).ok_or_else(|| {
        "give a hook and the number of its alternative from 1, such as mem.mappings=2".to_owned()
    })
}

fn seconds(args: &str) -> Result<f64, String> {
    match args.parse::<f64>() {
        Ok(number) if SECONDS.contains(&number) => Ok(number),
        Ok(_) => Err("give seconds from 0.01 to 31536000 (a year), fractions allowed".to_owned()),
        Err(_) => Err("this is no number: give seconds, such as 1 or 0.5".to_owned()),
    }
}

fn percent(args: &str) -> Result<f64, String> {
    match args.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 100.0 => Ok(number),
        Ok(_) => Err("give a percentage of one core, more than 0 and at most 100".to_owned()),
        Err(_) => Err("this is no number: give a percentage of one core, such as 1".to_owned()),
    }
}

fn rows(args: &str) -> Result<usize, String> {
    args.parse().ok().filter(|rows| *rows > 0).ok_or_else(|| "give a number of rows from 1".to_owned())
}

fn reports(args: &str) -> Result<u64, String> {
    args.parse()
        .ok()
        .filter(|reports| *reports > 0)
        .ok_or_else(|| "give a number of reports from 1".to_owned())
}

fn process_id(args: &str) -> Result<u32, String> {
    // The kernel's own limit is 2^22.
    args.parse()
        .ok()
        .filter(|pid| (1..=1 << 22).contains(pid))
        .ok_or_else(|| "give the number of a process, or use -c to choose by name".to_owned())
}

fn expression(args: &str) -> Result<Regex, String> {
    Regex::new(args).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("this is no regular expression ({reason}): escape special characters with a backslash")
    })
}
