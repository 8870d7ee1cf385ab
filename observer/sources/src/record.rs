//! Writes a recording: every fact in its order, compressed a few seconds at a time.
//!
//! A crash or a full disk loses what was observed since the last frame, at most some seconds. An error is remembered
//! and does not end the live view. The file contains names of processes and files, so only its owner may read it.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use super::frame::{self, Kind};
use observer_core::facts::{Fact, StreamItem, session::Timestamp};
use serde::Serialize;

/// A frame is closed when a report is due and this many bytes before compression are waiting…
const FRAME_BYTES: usize = 256 << 10;
/// …or the oldest of them has been waiting for this many nanoseconds.
const FRAME_AGE: u64 = 5_000_000_000;
/// A frame is closed at once when it is this large.
const FRAME_LIMIT: usize = 1 << 20;
/// Time between key frames, in nanoseconds.
const KEY_AGE: u64 = 60_000_000_000;
/// zstd's level: its default. Higher ones cost more CPU than they save.
const LEVEL: i32 = 3;

/// A recording that is being written.
pub struct Recorder {
    store: Store,
    compressor: zstd::bulk::Compressor<'static>,
    /// Encoded facts that wait for their frame.
    waiting: Vec<u8>,
    /// When the waiting frame was begun, and when the last key frame was written: times at which a report was due.
    begun: Option<Timestamp>,
    key: Option<Timestamp>,
    now: Option<Timestamp>,
    /// Every key frame begins with it, so that a reader can start there.
    session: Option<Fact>,
    /// Length of the file up to the last complete frame.
    written: u64,
    failure: Option<RecordError>,
}

/// Where frames go.
enum Store {
    File(File),
    /// The newest frames, with their kind and the time of the last tick before each.
    Memory {
        frames: VecDeque<(Kind, Timestamp, Box<[u8]>)>,
        bytes: usize,
    },
}

/// The most bytes of frames in memory, and for how long they are kept in nanoseconds.
const MEMORY: usize = 40 << 20;
const MEMORY_AGE: u64 = 3_600_000_000_000;

/// Why a recording could not be begun or continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError(String);

impl fmt::Display for RecordError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for RecordError {}

impl Recorder {
    /// Begins a recording at `path`. An existing file must be empty or an earlier recording, and belong to this user.
    ///
    /// # Errors
    /// When it is something else, or cannot be created.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        Self::into(Store::File(open(path).map_err(RecordError)?))
    }

    /// Begins a recording in memory: of the last hour, or less if that takes more than 40 MiB.
    ///
    /// # Errors
    /// When there is no memory for the compressor.
    pub fn in_memory() -> Result<Self, RecordError> {
        Self::into(Store::Memory { frames: VecDeque::new(), bytes: 0 })
    }

    fn into(store: Store) -> Result<Self, RecordError> {
        let compressor =
            zstd::bulk::Compressor::new(LEVEL).map_err(|error| RecordError(error.to_string()))?;
        let mut recorder = Self {
            store,
            compressor,
            waiting: Vec::new(),
            begun: None,
            key: None,
            now: None,
            session: None,
            written: 0,
            failure: None,
        };
        if let Store::File(_) = recorder.store {
            recorder.append(Kind::Unknown, &frame::head());
        }
        recorder.failure.take().map_or(Ok(recorder), Err)
    }

    /// What is in memory so far, as the bytes of a recording without its end. It begins with the first frame, or with a
    /// key frame where earlier frames have been dropped.
    pub fn recorded(&mut self) -> Vec<u8> {
        self.close(Kind::Changes);
        let mut recording = frame::head();
        if let Store::Memory { frames, bytes } = &self.store {
            recording.reserve(*bytes);
            frames.iter().for_each(|(.., frame)| recording.extend_from_slice(frame));
        }
        recording
    }

    /// Takes the next fact.
    pub fn push(&mut self, fact: &Fact) {
        if self.failure.is_some() {
            return;
        }
        self.encode(Kind::Changes, fact);
        if let Fact::Session(_) = fact {
            self.session = Some(fact.clone());
        }
    }

    /// Whether a key frame is due; to be asked after a tick.
    pub fn wants_key(&self) -> bool {
        self.failure.is_none()
            && matches!((self.key, self.now), (Some(key), Some(now)) if now.boot.saturating_sub(key.boot) >= KEY_AGE)
    }

    /// Writes a key frame: the current value of every slot.
    pub fn key<'a>(&mut self, values: impl Iterator<Item = Cow<'a, Fact>>) {
        if self.failure.is_some() {
            return;
        }
        self.close(Kind::Changes);
        self.key = self.now;
        let mut first = true;
        if let Some(session) = self.session.clone() {
            self.encode(Kind::Key { first, last: false }, &session);
        }
        for fact in values {
            if self.waiting.len() >= FRAME_LIMIT {
                self.close(Kind::Key { first, last: false });
                first = false;
            }
            self.encode(Kind::Key { first, last: false }, &*fact);
        }
        self.close(Kind::Key { first, last: true });
    }

    /// The first error; nothing is written after it.
    pub const fn failure(&self) -> Option<&RecordError> {
        self.failure.as_ref()
    }

    /// Ends the recording; returns its size in bytes.
    ///
    /// # Errors
    /// When something could not be written, now or before.
    pub fn finish(mut self) -> Result<u64, RecordError> {
        self.close(Kind::Changes);
        if self.failure.is_none() {
            self.append(Kind::End, &frame::frame(Kind::End, 0, &[]));
        }
        self.failure.map_or(Ok(self.written), Err)
    }

    /// Takes the tick of `now`.
    pub fn tick(&mut self, now: Timestamp) {
        if self.failure.is_some() {
            return;
        }
        self.encode(Kind::Changes, &(StreamItem::TICK, now));
        // The first frame is closed with the first report, so even a very short recording has one.
        let old = self.begun.is_none_or(|begun| now.boot.saturating_sub(begun.boot) >= FRAME_AGE);
        self.key.get_or_insert(now);
        self.now = Some(now);
        if old || self.waiting.len() >= FRAME_BYTES {
            self.close(Kind::Changes);
        }
    }

    fn encode(&mut self, kind: Kind, fact: &impl Serialize) {
        let before = self.waiting.len();
        let waiting = std::mem::take(&mut self.waiting);
        match postcard::to_extend(fact, waiting) {
            Ok(waiting) => self.waiting = waiting,
            Err(error) => return self.fail(error.to_string()),
        }
        if self.waiting.len() - before > frame::MAX_RAW - FRAME_LIMIT {
            return self.fail(format!("a single fact of {} bytes", self.waiting.len() - before));
        }
        if matches!(kind, Kind::Changes) && self.waiting.len() >= FRAME_LIMIT {
            self.close(kind);
        }
    }

    /// Writes the waiting facts as a frame.
    fn close(&mut self, kind: Kind) {
        self.begun = self.now;
        if self.failure.is_some() || self.waiting.is_empty() {
            return;
        }
        let raw = std::mem::take(&mut self.waiting);
        match self.compressor.compress(&raw) {
            Ok(packed) => self.append(kind, &frame::frame(kind, raw.len(), &packed)),
            Err(error) => self.fail(error.to_string()),
        }
        self.waiting = raw;
        self.waiting.clear();
    }

    fn append(&mut self, kind: Kind, frame: &[u8]) {
        match &mut self.store {
            Store::File(file) => match file.write_all(frame) {
                Ok(()) => self.written += frame.len() as u64,
                Err(error) => self.fail(error.to_string()),
            },
            Store::Memory { frames, bytes } => {
                let now = self.now.unwrap_or_default();
                *bytes += frame.len();
                frames.push_back((kind, now, frame.into()));
                drop_old(frames, bytes, now);
            }
        }
    }

    fn fail(&mut self, what: String) {
        // Half a frame would look like damage to a reader. If truncation fails too, the reader skips it as damage.
        if let Store::File(file) = &self.store {
            let _ = file.set_len(self.written);
        }
        self.waiting = Vec::new();
        self.failure = Some(RecordError(format!("{what}; its first {} bytes can be replayed", self.written)));
    }
}

/// Drops frames that are too old or too many, up to a key frame: a reader can begin there.
fn drop_old(frames: &mut VecDeque<(Kind, Timestamp, Box<[u8]>)>, bytes: &mut usize, now: Timestamp) {
    loop {
        let is_start =
            |(kind, ..): &(Kind, Timestamp, Box<[u8]>)| matches!(kind, Kind::Key { first: true, .. });
        let Some(next) = frames.iter().skip(1).position(is_start).map(|index| index + 1) else { return };
        let is_old = frames.get(next).is_some_and(|(_, at, _)| now.boot.saturating_sub(at.boot) > MEMORY_AGE);
        if !is_old && *bytes <= MEMORY {
            return;
        }
        *bytes -= frames.drain(..next).map(|(.., frame)| frame.len()).sum::<usize>();
    }
}

/// Opens a file that may be overwritten, empties it, and makes it readable for its owner only.
fn open(path: &Path) -> Result<File, String> {
    // Non-blocking: a named pipe without a reader is rejected below instead of waited for.
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
        .map_err(|error| error.to_string())?;
    let about = file.metadata().map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("is not a regular file; name another".to_owned());
    }
    // SAFETY: geteuid has no arguments and cannot fail.
    if about.uid() != unsafe { libc::geteuid() } {
        return Err("belongs to another user, who could read it; name another file".to_owned());
    }
    let mut start = Vec::new();
    let overwritten = (&mut file).take(frame::MAGIC.len() as u64).read_to_end(&mut start);
    overwritten.map_err(|error| error.to_string())?;
    if !start.is_empty() && start != frame::MAGIC {
        return Err("exists and is not a recording; remove it or name another file".to_owned());
    }
    let empty = |file: &mut File| -> io::Result<()> {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.set_len(0)?;
        file.rewind()
    };
    empty(&mut file).map_err(|error| error.to_string())?;
    Ok(file)
}
