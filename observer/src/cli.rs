//! What the command line means: from what was typed ([`args`]) to a [`Command`], plain data that `run` carries out.
//!
//! Everything that can be known to be wrong without looking at the machine is refused here, with exit code 2. Whether a
//! column exists is known only to the view's report; `report::shape` says so then.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use observer_core::{
    text::harmless,
    view::{GroupBy, Request, Sort, View},
};

mod args;

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Command {
    /// Show one view, report after report.
    Watch(Watch),
    /// Write everything observed into a file, and show nothing.
    Record(Record),
    /// Say what this kernel and these privileges allow.
    Doctor(LiveOptions),
    /// Print what this kernel's types say of all that observer relies on, as JSON.
    Survey(LiveOptions),
}

/// A view and where it comes from and goes to.
#[derive(Clone, Debug)]
pub struct Watch {
    pub request: Request,
    pub source: Source,
    pub timing: Timing,
    pub format: Format,
}

/// Where observations come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The running kernel; with `record`, they are written there too.
    Kernel { live: LiveOptions, record: Option<PathBuf> },
    /// A recording.
    Recording(PathBuf),
}

/// A recording without a view.
#[derive(Clone, Debug)]
pub struct Record {
    pub file: PathBuf,
    /// One view of each domain to record, without doubles, in the order of the contract: `Mem`, `Disk`, `Net`.
    pub domains: Vec<View>,
    /// Whether command lines go into the recording.
    pub cmdline: bool,
    /// Whether remote addresses are resolved, so that a replay has their names.
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
    /// Tell what the kernel side does; from 2 also what its programs log, of objects that were built to.
    pub verbose: u8,
    /// Whether iterators are attached; tests switch them off to see what events alone deliver.
    pub iterators: bool,
    /// Whether event hooks are attached; tests switch them off to see what iterators alone deliver.
    pub events: bool,
    /// Kernel objects from this directory in place of the embedded ones.
    pub objects: Option<PathBuf>,
    /// Whether what was found about this kernel build may be read from and written to the cache.
    pub cache: bool,
    /// Hooks that are attached in no other way than this one, counted from 1; tests force each way once.
    pub alternatives: Vec<(String, usize)>,
}

/// When reports are due, and when it is enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Time between reports. A recording keeps the interval that it was made with.
    pub interval: Duration,
    /// The truth at the start, one interval, one report with rates, and the end.
    pub once: bool,
    /// The end after so many reports, at least 1.
    pub count: Option<u64>,
    /// The end after this time.
    pub duration: Option<Duration>,
}

/// How reports are written to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// Tables as text, one below the other.
    Plain,
    /// Tables redrawn in place.
    Screen,
}

/// What is known about standard output before anything is written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Standard output is a terminal that can move its cursor.
    pub terminal: bool,
}

/// Reads a command line, the program's name included.
///
/// # Errors
/// With what to print and the exit code: 2 where the line is wrong, 0 where help or the version was asked for.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    surroundings: Terminal,
) -> Result<Command, clap::Error> {
    args::CommandLine::try_parse_from(arguments)?.command.meaning(surroundings)
}

/// Prints what [`parse`] gave in place of a command: help as it is, an error without what was typed raw.
pub fn print(message: &clap::Error) {
    // Whoever closed the stream does not want the message.
    let _ = if message.use_stderr() {
        write!(io::stderr(), "{}", harmless(&message.render().to_string()))
    } else {
        message.print()
    };
}

impl args::Command {
    fn meaning(self, surroundings: Terminal) -> Result<Command, clap::Error> {
        match self {
            Self::Mem(mem) => live(observer_mem::views::MEM, None, mem, surroundings),
            Self::Disk(disk) => live(disk.question.view(), None, disk.watch, surroundings),
            Self::Net(net) => {
                let view = by_connection(net.question.view(), &net.watch.shape);
                live(view, Some(GroupBy::Remote), net.watch, surroundings)
            }
            Self::Record(record) => record.meaning().map(Command::Record),
            Self::Replay(replay) => {
                let (view, extra_key, shape) = match replay.view {
                    args::Replayed::Mem(shape) => (observer_mem::views::MEM, None, shape),
                    args::Replayed::Disk(disk) => (disk.question.view(), None, disk.shape),
                    args::Replayed::Net(net) => {
                        (by_connection(net.question.view(), &net.shape), Some(GroupBy::Remote), net.shape)
                    }
                };
                Ok(Command::Watch(Watch {
                    timing: shape.timing.meaning()?,
                    format: shape.format.meaning(surroundings),
                    request: shape.meaning(view, extra_key)?,
                    source: Source::Recording(replay.file),
                }))
            }
            Self::Doctor(doctor) if doctor.survey => Ok(Command::Survey(doctor.live.meaning())),
            Self::Doctor(doctor) => Ok(Command::Doctor(doctor.live.meaning())),
        }
    }
}

/// Rows of connections are a view of their own.
fn by_connection(view: View, shape: &args::Shape) -> View {
    if view == observer_net::views::NET && shape.by == Some(args::Key::Connection) {
        observer_net::views::CONNECTIONS
    } else {
        view
    }
}

fn live(
    view: View,
    extra_key: Option<GroupBy>,
    watch: args::Watch,
    surroundings: Terminal,
) -> Result<Command, clap::Error> {
    Ok(Command::Watch(Watch {
        timing: watch.shape.timing.meaning()?,
        format: watch.shape.format.meaning(surroundings),
        request: watch.shape.meaning(view, extra_key)?,
        source: Source::Kernel { live: watch.live.meaning(), record: watch.record },
    }))
}

impl args::DiskQuestion {
    const fn view(&self) -> View {
        if self.deleted_open { observer_disk::views::DELETED_OPEN } else { observer_disk::views::DISK }
    }
}

impl args::NetQuestion {
    const fn view(&self) -> View {
        match (self.connections, self.listen) {
            (true, _) => observer_net::views::CONNECTIONS,
            (_, true) => observer_net::views::LISTEN,
            _ => observer_net::views::NET,
        }
    }
}

impl args::Record {
    fn meaning(self) -> Result<Record, clap::Error> {
        let all = self.domains.is_empty();
        let domains = [
            (args::Domain::Mem, observer_mem::views::MEM),
            (args::Domain::Disk, observer_disk::views::DISK),
            (args::Domain::Net, observer_net::views::NET),
        ];
        Ok(Record {
            domains: domains
                .into_iter()
                .filter_map(|(name, view)| (all || self.domains.contains(&name)).then_some(view))
                .collect(),
            file: self.file,
            cmdline: self.cmdline,
            resolve: !self.numeric,
            timing: self.timing.meaning()?,
            live: self.live.meaning(),
        })
    }
}

impl args::Shape {
    fn meaning(self, view: View, extra_key: Option<GroupBy>) -> Result<Request, clap::Error> {
        let by = match self.by {
            None | Some(args::Key::Process) => GroupBy::Process,
            Some(args::Key::Unit) => GroupBy::Unit,
            Some(args::Key::Container) => GroupBy::Container,
            Some(args::Key::Comm) => GroupBy::Comm,
            // The view's own rows.
            Some(args::Key::Connection) if view == observer_net::views::CONNECTIONS => GroupBy::Process,
            Some(args::Key::Connection) => {
                return Err(wrong(format!(
                    "`--by connection` is for `observer net`; choose process, unit, container or comm for `{}`",
                    view.name
                )));
            }
            Some(args::Key::Remote) => extra_key.ok_or_else(|| {
                wrong(format!(
                    "`--by remote` needs the other end of a connection, which `{}` does not have: \
                     use it with `observer net`, or choose process, unit, container or comm here",
                    view.name
                ))
            })?,
        };
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
        // A growth needs two reports within its window.
        let window = match self.window {
            Some(window) if window < self.timing.interval => {
                return Err(wrong(format!(
                    "a window of {window} s is shorter than the interval of {} s and would hold no growth: \
                     make `--window` longer or `--interval` shorter",
                    self.timing.interval
                )));
            }
            Some(window) => window,
            None => f64::max(60.0, 2.0 * self.timing.interval),
        };
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
    const fn meaning(&self, surroundings: Terminal) -> Format {
        if self.json {
            Format::Json
        } else if self.plain || !surroundings.terminal {
            Format::Plain
        } else {
            Format::Screen
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
    args::CommandLine::command().error(ErrorKind::ValueValidation, text)
}

#[cfg(test)]
mod tests;
