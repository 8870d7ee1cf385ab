//! From facts to the user: records and applies facts and, when a report is due, makes and writes it.
//!
//! Live and replay differ only in the source of facts and ticks.

use std::{
    borrow::Cow,
    io::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::domains;

use observer_core::{
    engine::Engine,
    error::{Error, Exit},
    facts::{
        Fact,
        session::{SessionFact, Timestamp},
    },
    overview::{OVERVIEW, Overview},
    queries::HostQueries,
    report::{Report, Subject, shape::UnknownColumn},
    text::harmless,
    view::Request,
};
use observer_faces::Output;
use observer_sources::record::Recorder;

/// A recording in memory that another thread reads.
pub type Recent = Arc<Mutex<Recorder>>;

/// The engines, with an output and a recorder.
pub struct Pipeline {
    engines: Vec<Engine>,
    /// The problems of all engines; `None` if they are not looked for.
    overview: Option<Overview>,
    shown: Shown,
    /// `None` if there is only a recording.
    output: Option<Box<dyn Output>>,
    recorder: Option<Recorder>,
    /// A recording in memory, which others read while it grows.
    recent: Option<Recent>,
    session: Option<SessionFact>,
    /// Reports that were due, including the baseline.
    due: u64,
    last: Option<Report>,
    lost: bool,
    closed: bool,
}

/// What the output shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Overview,
    /// The reports of the engine at this index.
    Engine(usize),
}

impl Pipeline {
    /// One engine for each view; each gets every fact. The output, if any, shows the reports of the first engine until
    /// [`Self::show`].
    #[must_use]
    pub fn new(engines: Vec<Engine>, output: Option<Box<dyn Output>>) -> Self {
        Self {
            engines,
            overview: None,
            shown: Shown::Engine(0),
            output,
            recorder: None,
            recent: None,
            session: None,
            due: 0,
            last: None,
            lost: false,
            closed: false,
        }
    }

    /// The same with the problems that the engines find: the output shows the overview until [`Self::show`]. Their
    /// requests must ask for problems.
    #[must_use]
    pub fn with_overview(mut self) -> Self {
        self.overview = Some(Overview::default());
        self.shown = Shown::Overview;
        self
    }

    /// The report of `now` is due, and all of its facts have been applied: makes it and writes it.
    ///
    /// # Errors
    /// When the output cannot be written, or the view lacks the requested column.
    pub fn tick(&mut self, now: Timestamp) -> Result<(), Error> {
        if let Some(recorder) = &mut self.recorder {
            recorder.tick(now);
        }
        if let Some(mut recent) = self.recent() {
            recent.tick(now);
        }
        self.engines.iter_mut().for_each(|engine| engine.tick(now));
        self.report(now)
    }

    /// The host queries of the reports of `now`.
    ///
    /// # Errors
    /// When the view lacks the requested column.
    pub fn queries(&self, now: Timestamp) -> Result<HostQueries, Error> {
        let mut queries = HostQueries::default();
        // A recording is for later questions: it holds what every row needs.
        let rows = match (&self.output, &self.recorder) {
            (Some(output), None) => output.rows_that_fit(),
            _ => None,
        };
        for (index, engine) in self.engines.iter().enumerate() {
            // An engine that is not shown is kept up to date, but its rows need no host queries.
            let hidden =
                self.recorder.is_none() && self.shown != Shown::Engine(index) && !self.shows_several();
            let rows = if hidden { Some(0) } else { rows };
            queries.extend(engine.queries(now, rows).map_err(unshapable)?);
        }
        Ok(queries)
    }

    fn report(&mut self, now: Timestamp) -> Result<(), Error> {
        // The first report is the baseline, without rates. A terminal shows it at once, a script never gets it.
        let shown = self.due > 0 || self.shows_baseline();
        self.due += 1;
        self.find_problems(now);
        if self.shows_several() {
            self.write_several(now)?;
        } else if let Some(report) = self.shown_report(now)? {
            self.lost |= report.loss.any() || report.notes.iter().any(|note| note.kind.incomplete);
            if shown {
                self.write(&report)?;
            }
            self.last = Some(report);
        }
        for engine in &mut self.engines {
            engine.delivered(now);
        }
        Ok(())
    }

    /// The report that the output shows.
    fn shown_report(&self, now: Timestamp) -> Result<Option<Report>, Error> {
        let rows = self.output.as_ref().and_then(|output| output.rows_that_fit());
        match self.shown {
            Shown::Overview => Ok(self.overview_report(now)),
            Shown::Engine(index) => {
                let report = self.engines.get(index).map(|engine| engine.report(now, rows));
                Ok(report.transpose().map_err(unshapable)?.flatten())
            }
        }
    }

    /// Takes the tick of `now` without a report: another one is wanted.
    pub fn pass(&mut self, now: Timestamp) {
        self.engines.iter_mut().for_each(|engine| engine.tick(now));
        self.find_problems(now);
        self.due += 1;
        self.engines.iter_mut().for_each(|engine| engine.delivered(now));
    }

    /// Takes the conditions of all domains into the overview.
    fn find_problems(&mut self, now: Timestamp) {
        let Some(overview) = &mut self.overview else { return };
        let outlooks = one_of_each_domain(&self.engines).filter_map(|engine| engine.outlook(now));
        let outlooks = outlooks.collect();
        let processes = self.engines.first().map(Engine::processes);
        overview.update(outlooks, now, |subject| match subject {
            Subject::Process(id) => processes.is_none_or(|processes| !processes.has_ended(*id)),
            _ => true,
        });
    }

    fn overview_report(&self, now: Timestamp) -> Option<Report> {
        let engine = self.engines.first()?;
        Some(self.overview.as_ref()?.report(engine.frame(now)?, |id| engine.object(id)))
    }

    /// Whether something harms the machine, or soon will, according to the last report.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.overview.as_ref().is_some_and(Overview::is_urgent)
    }

    /// Whether the output shows several views at once.
    fn shows_several(&self) -> bool {
        self.output.as_ref().is_some_and(|output| !output.several().is_empty())
    }

    /// Writes the reports of all views that the output shows at once.
    fn write_several(&mut self, now: Timestamp) -> Result<(), Error> {
        let views = self.output.as_ref().map(|output| output.several()).unwrap_or_default();
        let mut reports = Vec::new();
        for (view, rows) in views {
            if view == OVERVIEW {
                reports.extend(self.overview_report(now));
                continue;
            }
            let domain = domains::of(view).declaration().name;
            let own =
                self.engines.iter().find(|engine| domains::of(engine.view()).declaration().name == domain);
            let report = own.map(|engine| engine.report_of(view, now, rows)).transpose();
            reports.extend(report.map_err(unshapable)?.flatten());
        }
        let has_loss =
            |report: &Report| report.loss.any() || report.notes.iter().any(|note| note.kind.incomplete);
        self.lost |= reports.iter().any(has_loss);
        // What is asked for later: how long was observed, and why something is missing.
        self.last = reports.first().map(|first| Report {
            host: first.host.clone(),
            headline: Vec::new(),
            totals: Vec::new(),
            tables: Vec::new(),
            notes: first.notes.clone(),
            ..*first
        });
        let Some(output) = &mut self.output else { return Ok(()) };
        let written = output.write_several(reports);
        self.written(written)
    }

    /// Shows `request` from the next report on. If no engine has the necessary state, a new one is made from `values`,
    /// the current value of every slot: its trends and rates begin now.
    ///
    /// # Errors
    /// When the domain of the view is not observed, or the view has no such column.
    pub fn show<'a>(
        &mut self,
        request: Request,
        values: impl Iterator<Item = Cow<'a, Fact>>,
    ) -> Result<(), Error> {
        if request.view == OVERVIEW {
            let why = "problems are not looked for";
            self.overview.as_ref().ok_or_else(|| Error::usage("changing the view", why))?;
            self.shown = Shown::Overview;
            return Ok(());
        }
        let name = |view| domains::of(view).declaration().name;
        let known = self.engines.iter().position(|engine| engine.view() == request.view);
        if !self.engines.iter().any(|engine| name(engine.view()) == name(request.view)) {
            let why = format!("`{}` is not observed", name(request.view));
            return Err(Error::usage("changing the view", why));
        }
        let mut checked = request.clone();
        checked.records = false;
        domains::engine(checked).check().map_err(unshapable)?;
        let request = match known.and_then(|index| self.engines.get_mut(index)) {
            Some(engine) => engine.change(request),
            None => Some(request),
        };
        if let Some(request) = request {
            let mut engine = domains::engine(request);
            let session = self.session.iter().map(|session| Fact::Session(Box::new(session.clone())));
            session.for_each(|session| engine.apply(&session));
            values.for_each(|value| engine.apply(&value));
            match known {
                Some(index) => self.engines[index] = engine,
                None => self.engines.push(engine),
            }
        }
        self.shown = Shown::Engine(known.unwrap_or(self.engines.len() - 1));
        Ok(())
    }

    /// Whether the baseline is shown.
    #[must_use]
    pub fn shows_baseline(&self) -> bool {
        self.output.as_ref().is_some_and(|output| output.shows_baseline())
    }

    /// Draws the last report again, because the size of the terminal has changed.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn redraw(&mut self) -> Result<(), Error> {
        // An output of several views draws by itself.
        match self.last.take().filter(|_| !self.shows_several()) {
            Some(report) => {
                let drawn = self.write(&report);
                self.last = Some(report);
                drawn
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, report: &Report) -> Result<(), Error> {
        let Some(output) = &mut self.output else { return Ok(()) };
        let written = output.write(report);
        self.written(written)
    }

    /// Takes the result of a write. A reader that is gone is an end and no failure.
    fn written(&mut self, written: io::Result<()>) -> Result<(), Error> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            written => written.map_err(|error| Error::failed("writing the report", error)),
        }
    }

    /// Reports that were due so far, without the baseline.
    #[must_use]
    pub const fn reported(&self) -> u64 {
        self.due.saturating_sub(1)
    }

    /// Seconds between the start and the last report.
    #[must_use]
    pub fn observed(&self) -> f64 {
        self.last.as_ref().map_or(0.0, |report| report.observed)
    }

    /// Part of the observation is missing, which sets the exit code.
    pub const fn incomplete(&mut self) {
        self.lost = true;
    }

    /// Whether the output has no reader any longer.
    #[must_use]
    pub const fn closed(&self) -> bool {
        self.closed
    }

    /// Writes all further facts to a recording.
    pub fn record(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// Keeps all further facts in a recording in memory.
    pub fn keep(&mut self, recent: Recent) {
        self.recent = Some(recent);
    }

    /// The recording in memory, for key frames.
    pub fn recent(&self) -> Option<MutexGuard<'_, Recorder>> {
        Some(self.recent.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The recorder, for key frames.
    pub const fn recorder(&mut self) -> Option<&mut Recorder> {
        self.recorder.as_mut()
    }

    /// Closes the recording. Returns how complete the answer was.
    ///
    /// # Errors
    /// When the recording could not be written completely.
    pub fn finish(mut self) -> Result<Exit, Error> {
        match self.output.as_mut().map_or(Ok(()), |output| output.finish()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(Error::output(&error)),
            _ => {}
        }
        if let Some(recorder) = self.recorder {
            recorder.finish().map_err(|error| Error::failed("finishing the recording", error))?;
        }
        let missing = self
            .session
            .is_some_and(|session| session.missing.iter().any(|missing| !missing.columns.is_empty()));
        if !missing && !self.lost {
            return Ok(Exit::Done);
        }
        // Without a view, no report gives the reason, so it is printed here.
        if self.output.is_none() {
            let notes = self.last.iter().flat_map(|report| &report.notes).map(|note| note.text.clone());
            let lost = self.last.as_ref().map(|report| format!("lost so far: {:?}", report.loss));
            notes.chain(lost).for_each(|text| warn(&text));
        }
        Ok(Exit::Incomplete)
    }
}

impl Extend<Fact> for Pipeline {
    /// Records facts and applies them to every engine.
    fn extend<T: IntoIterator<Item = Fact>>(&mut self, facts: T) {
        for fact in facts {
            if let Some(recorder) = &mut self.recorder {
                recorder.push(&fact);
            }
            if let Some(mut recent) = self.recent() {
                recent.push(&fact);
            }
            if let Fact::Session(session) = &fact {
                self.session = Some((**session).clone());
            }
            self.engines.iter_mut().for_each(|engine| engine.apply(&fact));
        }
    }
}

/// The first engine of each domain: another one has the same facts.
fn one_of_each_domain(engines: &[Engine]) -> impl Iterator<Item = &Engine> {
    let name = |engine: &Engine| domains::of(engine.view()).declaration().name;
    let is_first = move |(index, engine): &(usize, &Engine)| {
        engines[..*index].iter().all(|earlier| name(earlier) != name(engine))
    };
    engines.iter().enumerate().filter(is_first).map(|(_, engine)| engine)
}

fn unshapable(error: UnknownColumn) -> Error {
    Error::usage("showing the report", error)
}

/// Writes a warning to standard error. A closed standard error is not an error.
pub fn warn(what: &dyn std::fmt::Display) {
    let _ = writeln!(io::stderr(), "observer: {}", harmless(&what.to_string()));
}
