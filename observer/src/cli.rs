//! The meaning of the command line: converts arguments ([`args`]) to a [`Command`], plain data that `run` carries out.
//!
//! Errors that are visible without looking at the machine are reported here, with exit code 2. Whether a column exists
//! is known only to the view's report, so `report::shape` reports that error.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use clap::{ArgMatches, FromArgMatches as _, ValueEnum as _, error::ErrorKind};

use crate::domains;
use observer_core::{
    domain::Domain,
    overview::OVERVIEW,
    text::harmless,
    view::{GroupBy, Request, Sort, View},
};
use observer_sites::views::MEM_WHERE;

mod args;

/// What observer will do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Show one view, report after report.
    Watch(Box<Watch>),
    /// Write everything observed into a file, and show nothing.
    Record(Record),
    /// Report what this kernel and these privileges allow.
    Doctor(LiveOptions),
    /// Print the settings in force.
    ShowConfig,
    /// Print what the types of this kernel have of everything that observer relies on, as JSON.
    Survey(LiveOptions),
}

/// A view, its source and its output.
#[derive(Clone, Debug)]
pub struct Watch {
    pub request: Request,
    pub source: Source,
    pub timing: Timing,
    pub format: Format,
}

/// The source of facts.
#[derive(Clone, Debug)]
pub enum Source {
    /// The running kernel; with `record`, the facts are also written to that file.
    Kernel { live: LiveOptions, record: Option<PathBuf> },
    /// A recording.
    Recording(PathBuf),
}

/// A recording without a view.
#[derive(Clone, Debug)]
pub struct Record {
    pub file: PathBuf,
    /// For each domain, the view with the most host queries, without duplicates, in the order of the list of domains.
    pub domains: Vec<View>,
    /// Whether command lines go into the recording.
    pub cmdline: bool,
    /// Whether peer addresses are resolved, so that a replay has their names.
    pub resolve: bool,
    pub timing: Timing,
    pub live: LiveOptions,
}

/// How to observe the running kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveOptions {
    /// The part of one core that observer may take, more than 0 and at most 1.
    pub budget: f64,
    /// Kernel types from this file in place of the kernel's own.
    pub btf: Option<PathBuf>,
    /// 1 and above: report what the kernel side does. 2 and above: also print the log of its programs, if the objects
    /// were built with logging.
    pub verbose: u8,
    /// Whether iterators are attached; tests switch them off to see what events alone deliver.
    pub iterators: bool,
    /// Whether event hooks are attached; tests switch them off to see what iterators alone deliver.
    pub events: bool,
    /// Kernel objects from this directory in place of the embedded ones.
    pub objects: Option<PathBuf>,
    /// Whether facts about this kernel build may be read from the cache and written to it.
    pub cache: bool,
    /// Hooks that may use only this alternative, counted from 1. Tests force each alternative once.
    pub alternatives: Vec<(String, usize)>,
}

/// When reports are due, and when to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Time between reports. A recording keeps the interval that it was made with.
    pub interval: Duration,
    /// Two reports: one baseline at the start, and one with rates after one interval.
    pub once: bool,
    /// Stop after this number of reports, at least 1.
    pub count: Option<u64>,
    /// Stop after this time.
    pub duration: Option<Duration>,
}

/// The output format on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// The call paths of the last report, for flame graph scripts.
    Folded,
    /// Tables as text, one after the other.
    Plain,
    /// Tables redrawn in place.
    Screen,
    /// The instrument: a terminal that takes keys.
    Instrument,
}

/// What is known about standard output before the first write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Standard output is a terminal that can move its cursor.
    pub terminal: bool,
    /// Standard input is a terminal too: there are keys.
    pub keys: bool,
}

/// Parses a command line, including the name of the program.
///
/// # Errors
/// With the text to print and the exit code: 2 for a wrong command line, 0 for help or the version.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    surroundings: Terminal,
) -> Result<Command, clap::Error> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.len() < 2 {
        // Without a command: the overview, kept up to date only where it can be redrawn.
        arguments.push("overview".into());
        arguments.extend((!surroundings.terminal).then(|| "--once".into()));
    }
    let matches = args::command_line().try_get_matches_from(arguments)?;
    if let Some((name, asked)) = matches.subcommand()
        && let Some(view) = view(name, asked)
    {
        return live(view, asked, surroundings);
    }
    match args::Command::from_arg_matches(&matches)? {
        args::Command::Overview(args::Overview { shape, record, live }) => {
            overview(shape, Source::Kernel { live: live.meaning(), record }, surroundings)
        }
        args::Command::Record(record) => record.meaning().map(Command::Record),
        args::Command::Replay(args::Replay { file }) => {
            let asked = matches.subcommand_matches("replay").and_then(|replay| replay.subcommand());
            if let Some((_, asked)) = asked.filter(|(name, _)| *name == OVERVIEW.name) {
                let shape = args::OverviewShape::from_arg_matches(asked)?;
                return overview(shape, Source::Recording(file), surroundings);
            }
            match asked.and_then(|(name, asked)| Some((view(name, asked)?, asked))) {
                Some((view, asked)) => replayed(view, file, asked, surroundings),
                // The instrument has every view.
                None if surroundings.terminal && surroundings.keys => Ok(instrument(file)),
                None => Err(wrong("a replay needs a view where no terminal takes keys".to_owned())),
            }
        }
        args::Command::Config(args::Config { .. }) => Ok(Command::ShowConfig),
        args::Command::Doctor(doctor) if doctor.survey => Ok(Command::Survey(doctor.live.meaning())),
        args::Command::Doctor(doctor) => Ok(Command::Doctor(doctor.live.meaning())),
    }
}

/// Prints the message that [`parse`] returned: help unchanged, an error without control characters from the command
/// line.
pub fn print(message: &clap::Error) {
    // A closed stream needs no message.
    let _ = if message.use_stderr() {
        write!(io::stderr(), "{}", harmless(&message.render().to_string()))
    } else {
        message.print()
    };
}

fn live(view: View, asked: &ArgMatches, surroundings: Terminal) -> Result<Command, clap::Error> {
    let watch = args::Watch::from_arg_matches(asked)?;
    let source = Source::Kernel { live: watch.live.meaning(), record: watch.record };
    self::watch(view, watch.shape, source, surroundings)
}

fn replayed(
    view: View,
    file: PathBuf,
    asked: &ArgMatches,
    surroundings: Terminal,
) -> Result<Command, clap::Error> {
    let shape = args::Shape::from_arg_matches(asked)?;
    watch(view, shape, Source::Recording(file), surroundings)
}

fn watch(
    view: View,
    shape: args::Shape,
    source: Source,
    surroundings: Terminal,
) -> Result<Command, clap::Error> {
    let paths = shape.paths;
    if paths.is_some() && view != MEM_WHERE {
        return Err(wrong("`--format` is for call paths: use it with `observer mem --where`".to_owned()));
    }
    let timing = shape.timing.meaning()?;
    let format = match (paths, shape.format.meaning(surroundings, timing)) {
        (Some(args::PathFormat::Folded), _) => Format::Folded,
        // The instrument has the views of the domains that observe everything.
        (None, Format::Instrument) if view == MEM_WHERE => Format::Screen,
        (None, format) => format,
    };
    Ok(Command::Watch(Box::new(Watch { timing, format, request: shape.meaning(view)?, source })))
}

fn overview(
    shape: args::OverviewShape,
    source: Source,
    surroundings: Terminal,
) -> Result<Command, clap::Error> {
    let window = window(shape.window, shape.timing.interval)?;
    let timing = shape.timing.meaning()?;
    Ok(Command::Watch(Box::new(Watch {
        timing,
        format: shape.format.meaning(surroundings, timing),
        request: Request { window, resolve: !shape.numeric, ..Request::new(OVERVIEW) },
        source,
    })))
}

/// A recording in the instrument, at the first page.
fn instrument(file: PathBuf) -> Command {
    let timing = Timing { interval: Duration::from_secs(1), once: false, count: None, duration: None };
    let source = Source::Recording(file);
    Command::Watch(Box::new(Watch {
        request: Request::new(OVERVIEW),
        source,
        timing,
        format: Format::Instrument,
    }))
}

/// Seconds of the window of growth, which needs two reports within it.
fn window(asked: Option<f64>, interval: f64) -> Result<f64, clap::Error> {
    match asked {
        Some(window) if window < interval => Err(wrong(format!(
            "a window of {window} s is shorter than the interval of {interval} s and would hold no growth: \
             make `--window` longer or `--interval` shorter"
        ))),
        Some(window) => Ok(window),
        None => Ok(f64::max(60.0, 2.0 * interval)),
    }
}

/// The view of the command `name` that was selected by its flag, else the main view. `None` if the command shows no view.
fn view(name: &str, asked: &ArgMatches) -> Option<View> {
    let (_, views) = domains::commands().find(|(command, _)| *command == name)?;
    let given = |view: &&View| view.flag.is_some_and(|flag| asked.get_flag(flag));
    views.iter().find(given).or_else(|| views.first()).copied()
}

/// The kind of rows, and the view that has such rows: `view`, or the view that `key` requests instead.
fn rows(view: View, key: args::Key) -> Result<(View, GroupBy), clap::Error> {
    let name = key.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    let offers = |view: &View| match key {
        args::Key::Remote => view.remotes,
        _ => view.by == Some(name.as_str()),
    };
    let views = domains::of(view).views();
    let own = views.iter().copied().find(offers).filter(|own| *own == view || views.first() == Some(&view));
    match (key, own) {
        (args::Key::Process, _) => Ok((view, GroupBy::Process)),
        (args::Key::Unit, _) => Ok((view, GroupBy::Unit)),
        (args::Key::Container, _) => Ok((view, GroupBy::Container)),
        (args::Key::Comm, _) => Ok((view, GroupBy::Comm)),
        (args::Key::Remote, _) if view.remotes => Ok((view, GroupBy::Remote)),
        // The other view has such rows by itself.
        (args::Key::Connection, Some(own)) => Ok((own, GroupBy::Process)),
        (args::Key::Remote | args::Key::Connection, _) => {
            let offering = domains::ALL.iter().find(|domain| domain.views().iter().any(offers));
            let offering = offering.map_or("", |domain| domain.declaration().name);
            Err(wrong(format!(
                "`--by {name}` is for `observer {offering}`; choose process, unit, container or comm for `{}`",
                view.name
            )))
        }
    }
}

impl args::Record {
    fn meaning(self) -> Result<Record, clap::Error> {
        let all = self.domains.is_empty();
        let chosen = |name| self.domains.iter().any(|chosen| chosen == name);
        let general = |domain: &dyn Domain| domain.command().is_none();
        let chosen =
            |domain: &&&dyn Domain| if all { general(**domain) } else { chosen(domain.declaration().name) };
        let domains = domains::ALL.iter().filter(chosen);
        Ok(Record {
            domains: domains.map(|domain| domain.recorded()).collect(),
            file: self.file,
            cmdline: self.cmdline,
            resolve: !self.numeric,
            timing: self.timing.meaning()?,
            live: self.live.meaning(),
        })
    }
}

impl args::Shape {
    fn meaning(self, view: View) -> Result<Request, clap::Error> {
        let (view, by) = self.by.map_or(Ok((view, GroupBy::Process)), |key| rows(view, key))?;
        let sort = self.sort.map(|args| match args.strip_prefix('-') {
            Some(column) => Sort { column: column.to_owned(), ascending: true },
            None => Sort { column: args, ascending: false },
        });
        if sort.as_ref().is_some_and(|sort| sort.column.is_empty() || sort.column.starts_with('-')) {
            return Err(wrong(
                "`--sort` needs the name of a column as `--json` spells it, with one `-` in front for ascending"
                    .to_owned(),
            ));
        }
        let window = window(self.window, self.timing.interval)?;
        Ok(Request {
            top: self.top,
            sort,
            pids: self.pids,
            comm: self.comm,
            unit: self.unit,
            container: self.container,
            by,
            window,
            cmdline: self.cmdline,
            resolve: !self.numeric,
            ..Request::new(view)
        })
    }
}

impl args::Timing {
    fn meaning(&self) -> Result<Timing, clap::Error> {
        if self.duration.is_some_and(|duration| duration < self.interval) {
            return Err(wrong(format!(
                "a duration of {} s ends before the first report, which is due after {} s: \
                 make `--duration` longer or `--interval` shorter",
                self.duration.unwrap_or_default(),
                self.interval
            )));
        }
        Ok(Timing {
            interval: Duration::from_secs_f64(self.interval),
            once: self.once,
            count: self.count,
            duration: self.duration.map(Duration::from_secs_f64),
        })
    }
}

impl args::Format {
    const fn meaning(&self, surroundings: Terminal, timing: Timing) -> Format {
        // A run with an end is an answer and not an instrument.
        let has_end = timing.once || timing.count.is_some() || timing.duration.is_some();
        if self.json {
            Format::Json
        } else if self.plain || !surroundings.terminal {
            Format::Plain
        } else if has_end || !surroundings.keys {
            Format::Screen
        } else {
            Format::Instrument
        }
    }
}

impl args::LiveArgs {
    fn meaning(self) -> LiveOptions {
        LiveOptions {
            budget: self.budget / 100.0,
            btf: self.btf,
            verbose: self.verbose,
            iterators: !self.without.contains(&args::WithoutArg::Iterators),
            events: !self.without.contains(&args::WithoutArg::Events),
            objects: self.objects,
            cache: !self.no_cache,
            alternatives: self.alternatives,
        }
    }
}

fn wrong(text: String) -> clap::Error {
    args::command_line().error(ErrorKind::ValueValidation, text)
}

#[cfg(test)]
mod tests;
