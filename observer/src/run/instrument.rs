//! Opens the instrument: every domain in one process, all views at once, keys in a thread of its own.

use std::{
    env,
    fs::File,
    io::BufReader,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{
    commands::{Command, Commands},
    live,
    pipeline::Pipeline,
    timeline::{Facts, Timeline},
    wait,
};
use crate::{
    cli::{LiveOptions, Source, Timing, Watch},
    config, domains,
};
use observer_core::{
    domain::Domain,
    engine::Engine,
    error::{Error, Exit},
    overview::OVERVIEW,
    text::printable,
    view::{GroupBy, Request, View},
};
use observer_faces::Paint;
use observer_instrument::{
    app::Start,
    draw::{Palette, Style},
    run::{self, History, Setup},
    section::Page,
    settings::{Colour, Settings, Symbols, TrendSymbols},
};
use observer_sources::{live::missing, record::Recorder, seek::Recording};

/// Observes all domains, or opens a recording, and shows the page of the requested view.
///
/// # Errors
/// When the configuration is wrong, the terminal cannot be taken, or observing fails.
pub fn open(watch: Watch) -> Result<Exit, Error> {
    let settings = config::read()?;
    let Watch { request, source, timing, .. } = watch;
    if request.view != OVERVIEW {
        domains::engine(request.clone()).check().map_err(|error| Error::usage("sorting", error))?;
    }
    match source {
        Source::Kernel { live, record } => observe(&request, settings, timing, &live, record.as_deref()),
        Source::Recording(path) => replay(&request, settings, path),
    }
}

fn observe(
    request: &Request,
    settings: Settings,
    timing: Timing,
    live: &LiveOptions,
    record: Option<&Path>,
) -> Result<Exit, Error> {
    if let [first, ..] = missing(Path::new("/"), &request.pids)[..] {
        let why = format!("there is no process {first}");
        return Err(Error::failed("selecting processes", why)
            .advise("It may have ended. -c selects processes by name."));
    }
    let (sender, sent) = unbounded_channel();
    let recent = Recorder::in_memory().map_err(|error| Error::failed("keeping the last hour", error))?;
    let recent = Arc::new(Mutex::new(recent));
    let setup = setup(request, settings, sender, Facts::Memory(Arc::clone(&recent)));
    let (running, feed) = run::start(setup).map_err(taken)?;
    let mut pipeline = Pipeline::new(engines(request), Some(Box::new(feed))).with_overview();
    pipeline.keep(recent);
    let domains: Vec<&dyn Domain> = domains::general().collect();
    let observed = wait(live::observe(&domains, live, timing, record, Some(sent), &mut pipeline));
    // The terminal is given back before an error is printed.
    let ended = running.end();
    observed?;
    ended?;
    pipeline.finish()
}

fn replay(request: &Request, settings: Settings, path: PathBuf) -> Result<Exit, Error> {
    let doing = || format!("replaying {}", printable(path.as_os_str().as_bytes()));
    // What is no recording is an error before the terminal is taken.
    let file = File::open(&path).map_err(|error| Error::failed(doing(), error))?;
    let mut recording =
        Recording::open(BufReader::new(file)).map_err(|error| Error::failed(doing(), error))?;
    let newest = recording.newest().map_err(|error| Error::failed(doing(), error))?;
    if newest.is_none() {
        return Err(Error::failed(doing(), "it ends before its first report"));
    }
    let (sender, sent) = unbounded_channel();
    let (running, _feed) = run::start(setup(request, settings, sender, Facts::File(path))).map_err(taken)?;
    let stopped = wait(async {
        let mut commands = Commands::new(Some(sent))?;
        while !matches!(commands.next().await, Command::Stop) {}
        Ok(())
    });
    let ended = running.end();
    stopped?;
    ended.map(|()| Exit::Done)
}

/// An engine for each domain, with what every view of it needs.
fn engines(request: &Request) -> Vec<Engine> {
    let engine = |domain: &dyn Domain| {
        let view = domain.recorded();
        // The order is the model's: it changes with a key.
        domains::engine(Request {
            view,
            records: true,
            problems: true,
            sort: None,
            by: GroupBy::Process,
            ..request.clone()
        })
    };
    domains::general().map(engine).collect()
}

fn taken(error: std::io::Error) -> Error {
    Error::failed("taking the terminal", error).advise("--plain prints tables without taking it.")
}

fn setup(request: &Request, settings: Settings, sender: UnboundedSender<Command>, facts: Facts) -> Setup {
    let page = |domain: &dyn Domain| Page {
        title: domain.declaration().name,
        views: domain.views().iter().map(|view| view.name).collect(),
    };
    let overview = Page { title: OVERVIEW.name, views: vec![OVERVIEW.name] };
    let pages: Vec<Page> = std::iter::once(overview).chain(domains::general().map(page)).collect();
    let own = pages.iter().position(|page| page.views.contains(&request.view.name));
    let views = domains::general().flat_map(|domain| domain.views()).copied();
    let views: Vec<View> = std::iter::once(OVERVIEW).chain(views).collect();
    let style = style(&settings);
    let start = Start {
        page: own.unwrap_or(0),
        view: Some(request.view.name),
        sort: request.sort.clone(),
        group: request.by,
        is_recording: matches!(facts, Facts::File(_)),
    };
    let quit = Box::new(move || {
        // Without a receiver, the observation has ended already.
        let _ = sender.send(Command::Stop);
    });
    let (request, all) = (request.clone(), views.clone());
    let history = Box::new(move || -> Box<dyn History> {
        Box::new(Timeline::new(facts, all, move || engines(&request)))
    });
    Setup { pages, settings, start, style, history, views, quit }
}

/// How the terminal wants to be drawn on, by the settings and the environment.
fn style(settings: &Settings) -> Style {
    let look = settings.look;
    let allowed = Paint::allowed(true, |name| env::var_os(name)) == Paint::Coloured;
    let ascii = match look.symbols {
        Symbols::Auto => !is_utf8(|name| env::var(name).ok()),
        Symbols::Unicode => false,
        Symbols::Ascii => true,
    };
    Style {
        palette: Palette { coloured: look.colour == Colour::Auto && allowed },
        ascii,
        braille: look.trend == TrendSymbols::Braille && !ascii,
    }
}

/// Whether the locale, as POSIX looks it up, is one with UTF-8.
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &&str| variable(name).is_some_and(|value| !value.is_empty());
    let name = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(set);
    let locale = name.and_then(variable).unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_of_the_locale_decides() {
        let of = |set: &[(&str, &str)]| {
            is_utf8(|name| set.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(of(&[("LANG", "de_DE.UTF-8")]));
        assert!(of(&[("LC_ALL", "C.utf8"), ("LANG", "C")]));
        assert!(!of(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(of(&[("LC_ALL", ""), ("LANG", "de_DE.UTF-8")]));
        assert!(!of(&[]));
    }
}
