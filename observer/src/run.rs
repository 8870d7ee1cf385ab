//! Wiring: source → engine → output, as the command line asked. The only place that sees both ends.

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use crate::{
    cli::{self, Command, Format, Record, Source, Watch},
    doctor,
    domains::{self, Declaration},
    engine::Engine,
    error::{Error, Exit},
    render::{self, Output},
    source::{record::Recorder, replay::Replay},
    text::printable,
    view::{Request, View},
};
use pipeline::Pipeline;

mod attach;
mod live;
mod pace;
mod pipeline;

/// Does what was asked; how complete the answer is.
///
/// # Errors
/// When it cannot be done; the error holds the exit code.
pub fn run(command: Command) -> Result<Exit, Error> {
    match command {
        Command::Watch(watch) => self::watch(watch),
        Command::Record(record) => self::record(record),
        Command::Doctor(options) => examine(&options),
    }
}

fn watch(watch: Watch) -> Result<Exit, Error> {
    let output = output(watch.format, &watch.request);
    let domain = domains::of(watch.request.view);
    let engine = Engine::new(watch.request);
    engine.check().map_err(|error| Error::usage("sorting", error))?;
    match watch.source {
        Source::Kernel { live, record } => {
            let recorder = record.map(|path| recorder(&path)).transpose()?;
            let pipeline = Pipeline::new(vec![engine], Some(output), recorder);
            observe(&[domain], &live, watch.timing, pipeline)
        }
        Source::Recording(path) => {
            replay(&path, watch.timing, Pipeline::new(vec![engine], Some(output), None))
        }
    }
}

fn record(record: Record) -> Result<Exit, Error> {
    let domains: Vec<&'static Declaration> = record.domains.iter().map(|view| domains::of(*view)).collect();
    // Without a view there is still an engine a domain: what its rows would lack is what belongs into the recording.
    let engines = record.domains.iter().map(|view| {
        let view = if *view == View::Disk { View::DeletedOpen } else { *view };
        Engine::new(Request { cmdline: record.cmdline, resolve: record.resolve, ..Request::new(view) })
    });
    let pipeline = Pipeline::new(engines.collect(), None, Some(recorder(&record.file)?));
    observe(&domains, &record.live, record.timing, pipeline)
}

fn observe(
    domains: &[&'static Declaration],
    options: &cli::Live,
    timing: cli::Timing,
    mut pipeline: Pipeline,
) -> Result<Exit, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::failed("starting the event loop", error))?;
    runtime.block_on(live::observe(domains, options, timing, &mut pipeline))?;
    pipeline.finish()
}

fn recorder(path: &Path) -> Result<Recorder, Error> {
    Recorder::create(path).map_err(|error| {
        Error::failed(format!("recording to {}", printable(path.as_os_str().as_bytes())), error)
    })
}

fn replay(path: &Path, timing: cli::Timing, mut pipeline: Pipeline) -> Result<Exit, Error> {
    let unreadable =
        |error| Error::failed(format!("replaying {}", printable(path.as_os_str().as_bytes())), error);
    let count = if timing.once { Some(1) } else { timing.count };
    for observation in Replay::open(path).map_err(unreadable)? {
        match observation {
            Ok(observation) => pipeline.feed(observation)?,
            // What was delivered stands; the rest is missing, and the exit code says so.
            Err(error) if error.is_loss() => pipeline.incomplete(&error),
            Err(error) => return Err(unreadable(error)),
        }
        let elapsed = timing.duration.is_some_and(|duration| pipeline.observed() >= duration.as_secs_f64());
        if elapsed || count.is_some_and(|count| pipeline.reported() >= count) || pipeline.closed() {
            break;
        }
    }
    pipeline.finish()
}

fn examine(options: &cli::Live) -> Result<Exit, Error> {
    let domains: Vec<&'static Declaration> = domains::ALL.iter().collect();
    let plan = attach::decide(&domains, options)?;
    let outcomes = attach::attach(&plan, options).map(|loaded| loaded.outcomes);
    render::print(&doctor::explain(&plan, &outcomes)).map_err(|error| Error::output(&error))?;
    Ok(Exit::Done)
}

fn output(format: Format, _request: &Request) -> Box<dyn Output> {
    match format {
        Format::Json => render::json(),
        Format::Plain => render::plain(),
        Format::Screen => render::screen(),
    }
}
