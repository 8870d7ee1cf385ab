//! Reads a recording: the facts and ticks in their order, exactly as they were when it was written.
//!
//! After damage, the reader skips to the next key frame, which has all values at that time. What happened in between
//! is lost, and reported as lost. A recording is not trusted: lengths are bounded, and unreadable contents are an
//! error.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Seek},
    path::Path,
};

use hashbrown::HashMap;

use super::frame::{Fault, Frames, Head, Kind, VERSION};
use observer_core::facts::{Fact, Slot, StreamItem, session::Timestamp};

/// More slots than any machine has: a recording with more is rejected.
const MAX_SLOTS: usize = 4_000_000;

/// A recording that is being read.
#[derive(Debug)]
pub struct Replay<R = BufReader<File>> {
    frames: Frames<R>,
    writer: String,
    /// The frame that is being delivered, and how many bytes of it have been.
    raw: Vec<u8>,
    used: usize,
    /// Items to deliver before the next frame is read.
    queue: VecDeque<Result<StreamItem, ReplayError>>,
    /// The values that the reader of this stream has, so that a key frame can correct them.
    known: HashMap<Slot, Fact>,
    /// Parts of a key frame read so far; `None` before its first part.
    key: Option<Vec<Fact>>,
    /// Where the damage began that the reader has not recovered from yet.
    damaged: Option<u64>,
    session: Option<Timestamp>,
    last: Option<Timestamp>,
    over: bool,
}

/// What is wrong with a recording.
#[derive(Debug)]
pub enum ReplayError {
    Read(io::Error),
    NotARecording,
    /// The head is cut off or damaged.
    Head,
    /// Its format is newer than this version of observer, or holds facts that this version does not know.
    Newer {
        writer: String,
    },
    /// It ends without an end frame: the observer was killed, or the file was cut. `after` is the time of the last
    /// report in it, in seconds since it began.
    Truncated {
        after: Option<f64>,
    },
    /// Bytes `from` to `to` could not be read; without `to`, up to the end of the file.
    Damaged {
        from: u64,
        to: Option<u64>,
        after: Option<f64>,
    },
    /// It has more slots than any machine.
    Implausible,
}

impl ReplayError {
    /// Whether the items before it are valid, so that this is a note and the exit code 3; otherwise it is a failure.
    pub const fn is_loss(&self) -> bool {
        matches!(self, Self::Truncated { .. } | Self::Damaged { .. })
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = |after: &Option<f64>| {
            after.map_or_else(|| "before its first report".to_owned(), |after| format!("after {after:.1} s"))
        };
        match self {
            Self::Read(error) => write!(formatter, "the recording cannot be read: {error}"),
            Self::NotARecording => write!(formatter, "this is not a recording of observer"),
            Self::Head => {
                write!(formatter, "the head of the recording is damaged: it is cut off or was changed")
            }
            Self::Newer { writer } => write!(
                formatter,
                "the recording was written by observer {writer} and contains facts that this version ({}) does not know; \
                 replay it with that version or a later one",
                env!("CARGO_PKG_VERSION")
            ),
            Self::Truncated { after } => write!(
                formatter,
                "the recording ends {} without its proper end: its observer was killed, or the file was cut",
                when(after)
            ),
            Self::Damaged { from, to: Some(to), after } => write!(
                formatter,
                "the recording is damaged {}: bytes {from} to {to} were skipped, and what happened then is missing",
                when(after)
            ),
            Self::Damaged { from, to: None, after } => write!(
                formatter,
                "the recording is damaged {}: nothing can be read from byte {from} on",
                when(after)
            ),
            Self::Implausible => write!(formatter, "the recording contains more things than any machine has"),
        }
    }
}

impl std::error::Error for ReplayError {}

impl Replay {
    /// Opens a recording.
    ///
    /// # Errors
    /// When it cannot be read, is something else, or is of a later format.
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        Self::read(BufReader::new(File::open(path).map_err(ReplayError::Read)?))
    }
}

impl<R: BufRead + Seek> Replay<R> {
    /// Reads a recording from any reader.
    ///
    /// # Errors
    /// As [`Replay::open`].
    pub fn read(reader: R) -> Result<Self, ReplayError> {
        let (head, frames) = Frames::open(reader).map_err(ReplayError::Read)?;
        let writer = match head {
            Head::Recording(VERSION, writer) => writer,
            Head::Recording(_, writer) => return Err(ReplayError::Newer { writer }),
            Head::Damaged => return Err(ReplayError::Head),
            Head::Foreign => return Err(ReplayError::NotARecording),
        };
        Ok(Self {
            frames,
            writer,
            raw: Vec::new(),
            used: 0,
            queue: VecDeque::new(),
            known: HashMap::new(),
            key: None,
            damaged: None,
            session: None,
            last: None,
            over: false,
        })
    }

    /// Reads one frame and applies it.
    fn frame(&mut self) {
        let at = self.frames.at();
        match self.frames.next(&mut self.raw) {
            Ok(Kind::Changes) if self.damaged.is_none() => self.used = 0,
            Ok(Kind::Changes | Kind::Unknown) => self.skip(),
            Ok(Kind::Key { first, last }) => self.key_frame(at, first, last),
            Ok(Kind::End) => self.end(),
            Err(Fault::Read(error)) => self.stop(ReplayError::Read(error)),
            Err(Fault::Cut) if self.damaged.is_none() => {
                let after = self.after();
                self.stop(ReplayError::Truncated { after });
            }
            Err(Fault::Cut) => self.end(),
            // Nothing is lost without this one: its values are known already.
            Err(Fault::Payload(Kind::Key { .. } | Kind::Unknown)) => self.key = None,
            Err(Fault::Payload(_)) => self.damage(at),
            Err(Fault::Header) => {
                self.damage(at);
                match self.frames.resynchronise() {
                    Ok(true) => {}
                    Ok(false) => self.end(),
                    Err(error) => self.stop(ReplayError::Read(error)),
                }
            }
        }
    }

    /// A part of a key frame, which is at `at`.
    fn key_frame(&mut self, at: u64, first: bool, last: bool) {
        if first {
            self.key = Some(Vec::new());
        }
        let Some(mut values) = self.key.take() else { return self.skip() };
        self.used = 0;
        while self.used < self.raw.len() {
            match self.decode() {
                Ok(_) if values.len() == MAX_SLOTS => return self.stop(ReplayError::Implausible),
                Ok(StreamItem::Fact(fact)) => values.push(fact),
                // A key frame has no ticks.
                Ok(StreamItem::Tick(_)) => {}
                Err(error) => return self.stop(error),
            }
        }
        if last {
            self.correct(at, values);
        } else {
            self.key = Some(values);
        }
    }

    /// A complete key frame has every value at this position. After damage, the values that differ are delivered.
    fn correct(&mut self, at: u64, values: Vec<Fact>) {
        let mut before = std::mem::take(&mut self.known);
        let damaged = self.damaged.take();
        if let Some(from) = damaged {
            let after = self.after();
            self.queue.push_back(Err(ReplayError::Damaged { from, to: Some(at), after }));
        }
        for fact in values {
            if let Some(slot) = fact.slot() {
                if damaged.is_some() && before.get(&slot) != Some(&fact) {
                    if let Some(outdated) = fact.outdates(before.contains_key(&slot)) {
                        before.remove(&outdated);
                    }
                    self.queue.push_back(Ok(fact.clone().into()));
                }
                self.known.insert(slot, fact);
            } else if damaged.is_some() && self.session.is_none() {
                self.note(&fact);
                self.queue.push_back(Ok(fact.into()));
            }
        }
        if damaged.is_some() {
            let vanished = before.into_iter().filter(|(slot, _)| !self.known.contains_key(slot));
            let gone = in_order(vanished).filter_map(|(_, fact)| fact.gone());
            self.queue.extend(gone.map(StreamItem::from).map(Ok));
        }
    }

    /// The next item of the frame that is being delivered.
    fn decode(&mut self) -> Result<StreamItem, ReplayError> {
        match first_item(&self.raw[self.used..]) {
            Ok((item, rest)) => {
                self.used = self.raw.len() - rest.len();
                Ok(item)
            }
            // The checksum was valid: the bytes are as they were written, and this version does not know them.
            Err(_) => Err(ReplayError::Newer { writer: self.writer.clone() }),
        }
    }

    /// Remembers what the reader of this stream knows after this fact.
    fn note(&mut self, fact: &Fact) {
        match fact {
            Fact::Session(session) => self.session = Some(session.began),
            _ => {
                for slot in fact.ended_slots() {
                    self.known.remove(&slot);
                }
                if let Some(slot) = fact.slot() {
                    let before = self.known.insert(slot, fact.clone());
                    if let Some(outdated) = fact.outdates(before.is_some()) {
                        self.known.remove(&outdated);
                    }
                }
            }
        }
    }

    /// The current value of every slot at this position.
    pub fn values(&self) -> impl Iterator<Item = Cow<'_, Fact>> {
        in_order(&self.known).map(|(_, fact)| Cow::Borrowed(fact))
    }

    fn skip(&mut self) {
        self.used = self.raw.len();
    }

    fn damage(&mut self, at: u64) {
        self.damaged.get_or_insert(at);
        self.key = None;
        self.raw.clear();
        self.used = 0;
    }

    fn end(&mut self) {
        self.over = true;
        self.skip();
        if let Some(from) = self.damaged.take() {
            let after = self.after();
            self.queue.push_back(Err(ReplayError::Damaged { from, to: None, after }));
        }
    }

    fn stop(&mut self, error: ReplayError) {
        self.over = true;
        self.skip();
        self.queue.push_back(Err(error));
    }

    fn after(&self) -> Option<f64> {
        Some(self.last?.since(self.session?))
    }
}

/// The first item of a payload, and the bytes behind it.
pub(super) fn first_item(bytes: &[u8]) -> postcard::Result<(StreamItem, &[u8])> {
    match bytes.split_first() {
        Some((&StreamItem::TICK, rest)) => {
            postcard::take_from_bytes(rest).map(|(now, rest)| (StreamItem::Tick(now), rest))
        }
        _ => postcard::take_from_bytes(bytes).map(|(fact, rest)| (StreamItem::Fact(fact), rest)),
    }
}

/// Values in the order of their slots.
fn in_order<S: Ord, F>(values: impl IntoIterator<Item = (S, F)>) -> impl Iterator<Item = (S, F)> {
    let mut values: Vec<(S, F)> = values.into_iter().collect();
    values.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    values.into_iter()
}

impl<R: BufRead + Seek> Iterator for Replay<R> {
    type Item = Result<StreamItem, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(next) = self.queue.pop_front() {
                return Some(next);
            }
            if self.used < self.raw.len() {
                let next = self.decode();
                match &next {
                    Ok(StreamItem::Fact(fact)) => self.note(fact),
                    Ok(StreamItem::Tick(now)) => self.last = Some(*now),
                    Err(_) => self.over = true,
                }
                if self.known.len() > MAX_SLOTS {
                    self.stop(ReplayError::Implausible);
                    continue;
                }
                if self.over {
                    self.skip();
                }
                return Some(next);
            }
            if self.over {
                return None;
            }
            self.frame();
        }
    }
}
