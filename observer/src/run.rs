//! Connects source, engine and output according to the command line. Only this module uses both ends.

use std::path::Path;

use crate::{
    cli::{self, Command, Format, Record, Source, Watch},
    config, doctor, domains,
};
use observer_core::{
    domain::Domain,
    error::{Error, Exit},
    overview::OVERVIEW,
    view::{Request, View},
};
use observer_faces::Output;
use observer_kernel::{facts::KERNEL_TYPES, surveyed::Surveyed};
use observer_sources::live::missing;
use pipeline::Pipeline;

mod allocation;
mod attach;
pub mod commands;
mod instrument;
pub mod live;
mod pace;
pub mod pipeline;
mod replay;
mod timeline;

/// Carries out the command. Returns how complete the answer is.
///
/// # Errors
/// When the command cannot be carried out. The error has the exit code.
pub fn run(command: Command) -> Result<Exit, Error> {
    allocation::at_start();
    match command {
        Command::Watch(watch) => self::watch(*watch),
        Command::Record(record) => self::record(record),
        Command::Doctor(options) => examine(&options),
        Command::ShowConfig => show_config(),
        Command::Survey(options) => survey(&options),
    }
}

fn watch(mut watch: Watch) -> Result<Exit, Error> {
    // A script gets addresses. Names are for humans, and for a recording that a human may read later.
    if matches!((watch.format, &watch.source), (Format::Json, Source::Kernel { record: None, .. })) {
        watch.request.resolve = false;
    }
    watch.request.records = matches!(watch.source, Source::Kernel { record: Some(_), .. });
    // What is written to standard error would be drawn over.
    let is_verbose = matches!(&watch.source, Source::Kernel { live, .. } if live.verbose > 0);
    if watch.format == Format::Instrument && !is_verbose {
        return instrument::open(watch);
    }
    let output = output(watch.format);
    let pids = watch.request.pids.clone();
    let (domains, mut pipeline) = if watch.request.view == OVERVIEW {
        let engines = domains::general().map(|domain| {
            let view = if watch.request.records { domain.recorded() } else { main_view(domain) };
            domains::engine(Request { view, problems: true, ..watch.request.clone() })
        });
        (domains::general().collect(), Pipeline::new(engines.collect(), Some(output)).with_overview())
    } else {
        let domain = domains::of(watch.request.view);
        let engine = domains::engine(watch.request);
        engine.check().map_err(|error| Error::usage("sorting", error))?;
        (vec![domain], Pipeline::new(vec![engine], Some(output)))
    };
    match watch.source {
        Source::Kernel { live, record } => {
            if let [first, ..] = missing(Path::new("/"), &pids)[..] {
                let why = format!("there is no process {first}");
                return Err(Error::failed("selecting processes", why)
                    .advise("It may have ended. -c selects processes by name."));
            }
            let record = record.as_deref();
            wait(live::observe(&domains, &live, watch.timing, record, None, &mut pipeline))?;
        }
        Source::Recording(path) => wait(replay::replay(&path, watch.timing, None, &mut pipeline))?,
    }
    let is_urgent = watch.timing.once && pipeline.is_urgent();
    let exit = pipeline.finish()?;
    Ok(if is_urgent { Exit::Urgent } else { exit })
}

/// The view that the name of the domain asks for.
fn main_view(domain: &dyn Domain) -> View {
    *domain.views().first().expect("a domain has a main view")
}

fn record(record: Record) -> Result<Exit, Error> {
    let domains: Vec<_> = record.domains.iter().map(|view| domains::of(*view)).collect();
    // Without a view, there is still one engine for each domain: the host queries of its rows belong in the recording.
    let engines = record.domains.iter().map(|view| {
        let (cmdline, resolve) = (record.cmdline, record.resolve);
        domains::engine(Request { cmdline, resolve, records: true, ..Request::new(*view) })
    });
    let mut pipeline = Pipeline::new(engines.collect(), None);
    wait(live::observe(&domains, &record.live, record.timing, Some(&record.file), None, &mut pipeline))?;
    pipeline.finish()
}

/// Runs one of the loops to its end.
///
/// # Errors
/// The error of the loop, or the failure to start the event loop.
pub fn wait(task: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::failed("starting the event loop", error))?;
    runtime.block_on(task)
}

fn examine(options: &cli::LiveOptions) -> Result<Exit, Error> {
    let domains = domains::declarations(domains::ALL);
    let plan = attach::decide(&domains, options)?;
    let outcomes = attach::attach(&plan, options).map(|loaded| loaded.outcomes);
    observer_faces::print(&doctor::explain(&plan, &outcomes)).map_err(|error| Error::output(&error))?;
    Ok(Exit::Done)
}

fn show_config() -> Result<Exit, Error> {
    observer_faces::print(&config::shown()?).map_err(|error| Error::output(&error))?;
    Ok(Exit::Done)
}

fn survey(options: &cli::LiveOptions) -> Result<Exit, Error> {
    let domains = domains::declarations(domains::ALL);
    let plan = attach::decide(&domains, options)?;
    let types = options.btf.clone().unwrap_or_else(|| Path::new("/").join(KERNEL_TYPES));
    let doing = "surveying the kernel's types";
    let surveyed =
        Surveyed::of(&plan.facts, &domains, &types).map_err(|error| Error::unable(doing, error))?;
    let text = serde_json::to_string_pretty(&surveyed).map_err(|error| Error::failed(doing, error))?;
    observer_faces::print(&format!("{text}\n")).map_err(|error| Error::output(&error))?;
    Ok(Exit::Done)
}

fn output(format: Format) -> Box<dyn Output> {
    match format {
        Format::Json => observer_faces::json(),
        Format::Folded => observer_faces::folded(),
        Format::Plain => observer_faces::plain(),
        Format::Screen | Format::Instrument => observer_faces::screen(),
    }
}
