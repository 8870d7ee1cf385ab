//! Time for the instrument: reports of any moment, from a recording in a file or in memory.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Seek},
    path::{Path, PathBuf},
    rc::Rc,
    sync::PoisonError,
};

use super::pipeline::{Pipeline, Recent};
use observer_core::{
    engine::Engine,
    facts::StreamItem,
    report::{CommonNote, Note, Report},
    view::View,
};
use observer_faces::{Output, clock};
use observer_instrument::{
    command,
    run::{History, Past},
};
use observer_sources::{
    record::Recorder,
    replay::ReplayError,
    seek::{Position, Recording},
};

/// Seconds that `w` writes.
const TAIL: u64 = 600;

/// Where the facts are.
pub enum Facts {
    File(PathBuf),
    Memory(Recent),
}

/// Everything observed so far.
pub struct Timeline {
    facts: Facts,
    views: Vec<View>,
    engines: Box<dyn Fn() -> Vec<Engine>>,
    file: Option<Recording<BufReader<File>>>,
}

impl Timeline {
    /// The reports of `views` from these facts. `engines` makes empty ones.
    pub fn new(facts: Facts, views: Vec<View>, engines: impl Fn() -> Vec<Engine> + 'static) -> Self {
        Self { facts, views, engines: Box::new(engines), file: None }
    }

    /// Calls `answer` with the recording.
    fn with<T>(&mut self, answer: impl Answer<T>) -> Result<T, ReplayError> {
        match &self.facts {
            Facts::Memory(recorder) => {
                let bytes = recorder.lock().unwrap_or_else(PoisonError::into_inner).recorded();
                answer.answer(&mut Recording::open(Cursor::new(bytes))?)
            }
            Facts::File(path) => {
                let mut recording = match self.file.take() {
                    Some(recording) => recording,
                    None => Recording::open(BufReader::new(File::open(path).map_err(ReplayError::Read)?))?,
                };
                let answered = answer.answer(&mut recording);
                self.file = Some(recording);
                answered
            }
        }
    }
}

/// Something to ask a recording, whatever it is read from.
trait Answer<T> {
    fn answer<R: BufRead + Seek>(self, recording: &mut Recording<R>) -> Result<T, ReplayError>;
}

/// The reports of a time.
struct At<'a> {
    seek: command::Seek,
    shown: u64,
    pipeline: Pipeline,
    reports: &'a RefCell<Vec<Report>>,
}

impl Answer<Option<u64>> for At<'_> {
    /// The newest time; `None` if there is no such time.
    fn answer<R: BufRead + Seek>(mut self, recording: &mut Recording<R>) -> Result<Option<u64>, ReplayError> {
        let Some(position) = position(recording, self.seek, self.shown)? else { return Ok(None) };
        let mut failed = None;
        let pipeline = &mut self.pipeline;
        let began = recording.replay(position, |item| match item {
            StreamItem::Fact(fact) => pipeline.extend([fact]),
            StreamItem::Tick(now) if now == position.time => failed = pipeline.tick(now).err(),
            StreamItem::Tick(now) => pipeline.pass(now),
        })?;
        if let Some(error) = failed {
            return Err(ReplayError::Read(io::Error::other(error.to_string())));
        }
        if let Some(began) = began {
            let text = format!(
                "Trends and verdicts count from {}: what was observed before is left out when the time jumps.",
                clock::human(began.wall)
            );
            let note = Note::new(CommonNote::Jumped, text);
            self.reports.borrow_mut().iter_mut().for_each(|report| report.notes.push(note.clone()));
        }
        let newest = recording.newest()?.map_or(position.time, |newest| newest.time);
        Ok(Some(newest.wall))
    }
}

/// The tick that is asked for.
fn position<R: BufRead + Seek>(
    recording: &mut Recording<R>,
    seek: command::Seek,
    shown: u64,
) -> Result<Option<Position>, ReplayError> {
    match seek {
        command::Seek::Oldest => recording.oldest(),
        command::Seek::Newest => recording.newest(),
        command::Seek::At(wall) => {
            let found = recording.at(wall)?;
            if found.is_some() { Ok(found) } else { recording.oldest() }
        }
        command::Seek::Earlier(steps) => {
            let (mut found, mut wall) = (None, shown);
            for _ in 0..steps {
                let Some(earlier) = recording.at(wall.saturating_sub(1))? else { break };
                (found, wall) = (Some(earlier), earlier.time.wall);
            }
            Ok(found)
        }
        command::Seek::Later(steps) => {
            let (mut found, mut wall) = (None, shown);
            for _ in 0..steps {
                let Some(later) = recording.after(wall)? else { break };
                (found, wall) = (Some(later), later.time.wall);
            }
            Ok(found)
        }
    }
}

/// Writes the last minutes.
struct Tail(Recorder);

impl Answer<Recorder> for Tail {
    fn answer<R: BufRead + Seek>(mut self, recording: &mut Recording<R>) -> Result<Recorder, ReplayError> {
        recording.tail(TAIL, |item| match item {
            StreamItem::Fact(fact) => self.0.push(&fact),
            StreamItem::Tick(now) => self.0.tick(now),
        })?;
        Ok(self.0)
    }
}

/// Keeps the reports of one tick.
struct Collected {
    views: Vec<View>,
    reports: Rc<RefCell<Vec<Report>>>,
}

impl Output for Collected {
    fn write(&mut self, report: &Report) -> io::Result<()> {
        self.write_several(vec![report.clone()])
    }

    fn several(&self) -> Vec<(View, Option<usize>)> {
        self.views.iter().map(|view| (*view, None)).collect()
    }

    fn write_several(&mut self, reports: Vec<Report>) -> io::Result<()> {
        *self.reports.borrow_mut() = reports;
        Ok(())
    }
}

impl History for Timeline {
    fn seek(&mut self, seek: command::Seek, shown: u64) -> Result<Option<Past>, String> {
        let reports = Rc::default();
        let output = Collected { views: self.views.clone(), reports: Rc::clone(&reports) };
        let pipeline = Pipeline::new((self.engines)(), Some(Box::new(output))).with_overview();
        let at = At { seek, shown, pipeline, reports: &reports };
        let newest = self.with(at).map_err(|error| error.to_string())?;
        Ok(newest.map(|newest| Past { reports: reports.take(), newest }))
    }

    fn record(&mut self, path: &Path) -> Result<u64, String> {
        let recorder = Recorder::create(path).map_err(|error| error.to_string())?;
        let recorder = self.with(Tail(recorder)).map_err(|error| error.to_string())?;
        recorder.finish().map_err(|error| error.to_string())
    }
}
