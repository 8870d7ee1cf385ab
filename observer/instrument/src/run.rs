//! Runs the instrument in threads of its own: keys are answered while the kernel is being read.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "threads, the clock, and files that the user asks for"
)]

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use observer_core::{
    error::Error,
    report::Report,
    text::{harmless, printable},
    view::View,
};
use observer_faces::Output;
use signal_hook::{
    consts::{SIGCONT, SIGTSTP},
    iterator::Signals,
};
use std::os::unix::ffi::OsStrExt as _;

use crate::{
    app::{App, Start},
    command::{Command, Seek},
    draw::Style,
    input::{Frame, Input, Moment},
    key::Key,
    section::Page,
    settings::{Mouse, Settings},
    terminal::{Screen, next_input},
};

/// The screen is drawn again after this time without an event: messages go.
const IDLE: Duration = Duration::from_secs(2);
/// Rows of a view that is not on the screen: what a page shows at once, until its whole report comes.
const FIRST: usize = 60;

/// What the program gives to the instrument.
pub struct Setup {
    pub pages: Vec<Page>,
    pub settings: Settings,
    pub start: Start,
    pub style: Style,
    /// Makes the history, in the instrument's own thread.
    pub history: Box<dyn FnOnce() -> Box<dyn History> + Send>,
    /// The views of all pages.
    pub views: Vec<View>,
    /// Ends the observation.
    pub quit: Box<dyn Fn() + Send>,
}

/// Everything that was observed so far.
pub trait History {
    /// The reports of another time; `shown` is the time on the screen, in nanoseconds since the Unix epoch. `None` if
    /// there is no such time.
    ///
    /// # Errors
    /// When it cannot be read.
    fn seek(&mut self, seek: Seek, shown: u64) -> Result<Option<Past>, String>;

    /// Writes the last minutes to a recording. Returns its size in bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    fn record(&mut self, path: &Path) -> Result<u64, String>;
}

/// The reports of a time, and the newest time that there is.
#[derive(Debug)]
pub struct Past {
    pub reports: Vec<Report>,
    /// Nanoseconds since the Unix epoch.
    pub newest: u64,
}

enum Event {
    Input(Input),
    Frame(Frame),
    Signal(i32),
    /// The terminal or the observation has ended.
    End,
}

/// The running instrument, to be ended.
#[derive(Debug)]
pub struct Running {
    events: Sender<Event>,
    thread: JoinHandle<io::Result<()>>,
}

/// The instrument as an output of reports.
#[derive(Debug)]
pub struct Feed {
    events: Sender<Event>,
    views: Vec<View>,
    watched: Watched,
}

/// The names of the views that are needed whole.
type Watched = Arc<Mutex<Vec<&'static str>>>;

/// Takes the terminal and starts.
///
/// # Errors
/// When the terminal cannot be taken, or a thread cannot be started.
pub fn start(setup: Setup) -> io::Result<(Running, Feed)> {
    let (events, received) = channel();
    let screen = Screen::enter(setup.style, setup.settings.mouse == Mouse::On)?;
    let mut signals = Signals::new([SIGTSTP, SIGCONT])?;
    let sender = events.clone();
    Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if sender.send(Event::Signal(signal)).is_err() {
                break;
            }
        }
    })?;
    let sender = events.clone();
    Builder::new().name("keys".to_owned()).spawn(move || {
        loop {
            let event = match next_input() {
                Ok(Some(input)) => Event::Input(input),
                Ok(None) => continue,
                Err(_) => Event::End,
            };
            let ends = matches!(event, Event::End);
            if sender.send(event).is_err() || ends {
                break;
            }
        }
    })?;
    let watched = Watched::default();
    let (views, shared) = (setup.views.clone(), Arc::clone(&watched));
    let thread =
        Builder::new().name("instrument".to_owned()).spawn(move || run(setup, screen, &received, &shared))?;
    Ok((Running { events: events.clone(), thread }, Feed { events, views, watched }))
}

impl Running {
    /// Ends the instrument and gives the terminal back.
    ///
    /// # Errors
    /// When the terminal could not be written, or the instrument failed.
    pub fn end(self) -> Result<(), Error> {
        let _ = self.events.send(Event::End);
        match self.thread.join() {
            Ok(Ok(())) => Ok(()),
            // A terminal that is gone is an end and no failure.
            Ok(Err(_)) => Ok(()),
            Err(_) => Err(Error::failed("showing reports", "the instrument stopped; see above")),
        }
    }
}

impl Output for Feed {
    fn write(&mut self, report: &Report) -> io::Result<()> {
        self.write_several(vec![report.clone()])
    }

    fn shows_baseline(&self) -> bool {
        true
    }

    fn several(&self) -> Vec<(View, Option<usize>)> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = |view: &View| (!watched.contains(&view.name)).then_some(FIRST);
        self.views.iter().map(|view| (*view, rows(view))).collect()
    }

    fn write_several(&mut self, reports: Vec<Report>) -> io::Result<()> {
        let frame = Frame { reports, moment: Moment::Now };
        self.events.send(Event::Frame(frame)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Ends the observation when the instrument ends, however it ends.
struct EndsObservation(Box<dyn Fn() + Send>);

impl Drop for EndsObservation {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn run(setup: Setup, mut screen: Screen, events: &Receiver<Event>, watched: &Watched) -> io::Result<()> {
    let Setup { pages, settings, start, history, quit, .. } = setup;
    let _ends = EndsObservation(quit);
    let mut app = App::new(pages, settings, start);
    let mut history = history();
    let began = Instant::now();
    if app.is_recording() {
        seek(&mut app, &mut *history, Seek::Newest, 0);
    }
    loop {
        screen.draw(&mut app)?;
        let mut next = match events.recv_timeout(IDLE) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        // Everything that has arrived is one frame, and steps through time that have piled up are one step.
        let mut wanted = None;
        while let Some(event) = next {
            let now = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            match event {
                Event::Input(Input::Key(key)) if key == Key::character('z').with_control() => {
                    screen.suspend()?
                }
                Event::Input(input) => app.handle(input, now),
                Event::Frame(frame) => app.take(frame, now),
                Event::Signal(SIGTSTP) => screen.suspend()?,
                Event::Signal(_) => screen.resume()?,
                Event::End => return Ok(()),
            }
            for command in app.commands() {
                match command {
                    Command::Quit => return Ok(()),
                    Command::Watch(views) => *watched.lock().unwrap_or_else(PoisonError::into_inner) = views,
                    Command::Seek(to) => match together(wanted, to) {
                        (None, next) => wanted = Some(next),
                        (Some(first), next) => {
                            seek(&mut app, &mut *history, first, now);
                            wanted = Some(next);
                        }
                    },
                    Command::Export { path, bytes } => export(&mut app, &path, &bytes),
                    Command::Record { path } => record(&mut app, &mut *history, &path),
                    Command::Copy(text) => screen.copy(&text)?,
                }
            }
            next = events.try_recv().ok();
        }
        if let Some(to) = wanted {
            let now = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            seek(&mut app, &mut *history, to, now);
        }
    }
}

/// Two wishes as one, if they are steps in one direction; otherwise the first is to be done first.
const fn together(first: Option<Seek>, next: Seek) -> (Option<Seek>, Seek) {
    match (first, next) {
        (Some(Seek::Earlier(steps)), Seek::Earlier(more)) => (None, Seek::Earlier(steps + more)),
        (Some(Seek::Later(steps)), Seek::Later(more)) => (None, Seek::Later(steps + more)),
        (first, next) => (first, next),
    }
}

fn seek(app: &mut App, history: &mut dyn History, to: Seek, now: u64) {
    if to == Seek::Newest && !app.is_recording() {
        return;
    }
    let shown = app.main_sheet().map_or(0, |sheet| sheet.now.wall);
    match history.seek(to, shown) {
        Ok(Some(Past { reports, newest })) => {
            app.take(Frame { reports, moment: Moment::Past { newest, answers: to } }, now);
        }
        Ok(None) => app.say("there is no report at that time", false),
        Err(error) => app.say(harmless(&error), true),
    }
}

fn export(app: &mut App, path: &Path, bytes: &[u8]) {
    // Nothing is overwritten, and names of processes are for the owner.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| file.write_all(bytes));
    let name = printable(path.as_os_str().as_bytes());
    match written {
        Ok(()) => {
            app.say(format!("written: {name}, {}", observer_core::units::bytes(bytes.len() as u64)), false)
        }
        Err(error) => app.say(format!("{name}: {error}; type another name"), true),
    }
}

fn record(app: &mut App, history: &mut dyn History, path: &Path) {
    let name = printable(path.as_os_str().as_bytes());
    match history.record(path) {
        Ok(bytes) => app.say(format!("written: {name}, {}", observer_core::units::bytes(bytes)), false),
        Err(error) => app.say(harmless(&format!("{name}: {error}")), true),
    }
}
