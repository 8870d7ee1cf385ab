//! Opens the instrument: every domain in one process, all views at once, keys in a thread of its own.

use std::{env, path::Path};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{commands::Command, live, pipeline::Pipeline, wait};
use crate::{
    cli::{Source, Watch},
    config, domains,
};
use observer_core::{
    domain::Domain,
    engine::Engine,
    error::{Error, Exit},
    overview::OVERVIEW,
    view::{GroupBy, Request, View},
};
use observer_faces::Paint;
use observer_instrument::{
    app::Start,
    draw::{Palette, Style},
    run::{self, Setup},
    section::Page,
    settings::{Colour, Settings, Symbols, TrendSymbols},
};
use observer_sources::live::missing;

/// Observes all domains, or replays a recording, and shows the page of the requested view.
///
/// # Errors
/// When the configuration is wrong, the terminal cannot be taken, or observing fails.
pub fn open(watch: Watch) -> Result<Exit, Error> {
    let settings = config::read()?;
    let Watch { request, source, timing, .. } = watch;
    let Source::Kernel { live, record } = source else {
        return Err(Error::usage("opening the instrument", "it observes the running kernel"));
    };
    if let [first, ..] = missing(Path::new("/"), &request.pids)[..] {
        let why = format!("there is no process {first}");
        return Err(Error::failed("selecting processes", why)
            .advise("It may have ended. -c selects processes by name."));
    }
    if request.view != OVERVIEW {
        domains::engine(request.clone()).check().map_err(|error| Error::usage("sorting", error))?;
    }
    let (sender, sent) = unbounded_channel();
    let engines = engines(&request);
    let (running, feed) = run::start(setup(&request, settings, sender, false)).map_err(taken)?;
    let mut pipeline = Pipeline::new(engines, Some(Box::new(feed))).with_overview();
    let observed =
        wait(live::observe(domains::ALL, &live, timing, record.as_deref(), Some(sent), &mut pipeline));
    // The terminal is given back before an error is printed.
    let ended = running.end();
    observed?;
    ended?;
    pipeline.finish()
}

/// An engine for each domain, with what every view of it needs.
fn engines(request: &Request) -> Vec<Engine> {
    let engine = |domain: &&dyn Domain| {
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
    domains::ALL.iter().map(engine).collect()
}

fn taken(error: std::io::Error) -> Error {
    Error::failed("taking the terminal", error).advise("--plain prints tables without taking it.")
}

fn setup(
    request: &Request,
    settings: Settings,
    sender: UnboundedSender<Command>,
    is_recording: bool,
) -> Setup {
    let page = |domain: &&dyn Domain| Page {
        title: domain.declaration().name,
        views: domain.views().iter().map(|view| view.name).collect(),
    };
    let overview = Page { title: OVERVIEW.name, views: vec![OVERVIEW.name] };
    let pages: Vec<Page> = std::iter::once(overview).chain(domains::ALL.iter().map(page)).collect();
    let own = pages.iter().position(|page| page.views.contains(&request.view.name));
    let views = domains::ALL.iter().flat_map(|domain| domain.views()).copied();
    let views: Vec<View> = std::iter::once(OVERVIEW).chain(views).collect();
    let style = style(&settings);
    let start = Start {
        page: own.unwrap_or(0),
        view: Some(request.view.name),
        sort: request.sort.clone(),
        group: request.by,
        is_recording,
    };
    let quit = Box::new(move || {
        // Without a receiver, the observation has ended already.
        let _ = sender.send(Command::Stop);
    });
    Setup { pages, settings, start, style, history: None, views, quit }
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
