//! Reads a recording from any time on. Frames are found by their headers, times by halving: nothing else of a recording
//! of a day is read.
//!
//! Reading begins at a key frame before the time. What a key frame does not hold is how values came about: growth and
//! verdicts count from there. So as much before the time is read as is quick, and all of a short recording.

use std::io::{self, BufRead, Seek};

use super::{
    frame::{Fault, Frames, Head, Kind, VERSION},
    replay::{ReplayError, first_item},
};
use observer_core::facts::{StreamItem, session::Timestamp};

/// Bytes of facts that are read before a time, which takes a fraction of a second.
const BEFORE: usize = 6 << 20;
/// Key frames before a time from which reading begins at the latest: two are more than a minute apart, the window of
/// growth.
const KEYS: usize = 2;

/// A recording that can be read from any time on.
#[derive(Debug)]
pub struct Recording<R> {
    frames: Frames<R>,
    entries: Vec<Entry>,
    /// Indexes of the entries with changes.
    changes: Vec<usize>,
    writer: String,
}

/// One frame.
#[derive(Clone, Copy, Debug)]
struct Entry {
    kind: Kind,
    at: u64,
    /// Length of its payload after decompression.
    raw: usize,
}

/// A tick of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The index of its frame among those with changes.
    frame: usize,
    /// Its number within the frame.
    tick: usize,
    pub time: Timestamp,
}

impl<R: BufRead + Seek> Recording<R> {
    /// Finds the frames of a recording.
    ///
    /// # Errors
    /// When it cannot be read, is something else, or is of a later format.
    pub fn open(reader: R) -> Result<Self, ReplayError> {
        let (head, mut frames) = Frames::open(reader).map_err(ReplayError::Read)?;
        let writer = match head {
            Head::Recording(VERSION, writer) => writer,
            Head::Recording(_, writer) => return Err(ReplayError::Newer { writer }),
            Head::Damaged => return Err(ReplayError::Head),
            Head::Foreign => return Err(ReplayError::NotARecording),
        };
        let mut entries = Vec::new();
        loop {
            let at = frames.at();
            match frames.skip() {
                Ok((Kind::End, _)) | Err(Fault::Cut) => break,
                Ok((kind, raw)) => entries.push(Entry { kind, at, raw }),
                Err(Fault::Read(error)) => return Err(ReplayError::Read(error)),
                Err(Fault::Header | Fault::Payload(_)) => {
                    if !frames.resynchronise().map_err(ReplayError::Read)? {
                        break;
                    }
                }
            }
        }
        let changes = (0..entries.len()).filter(|index| entries[*index].kind == Kind::Changes).collect();
        Ok(Self { frames, entries, changes, writer })
    }

    /// The items of a frame; none if it is damaged.
    fn items(&mut self, entry: Entry) -> Result<Vec<StreamItem>, ReplayError> {
        self.frames.go_to(entry.at).map_err(ReplayError::Read)?;
        let mut raw = Vec::new();
        match self.frames.next(&mut raw) {
            Ok(_) => {}
            Err(Fault::Read(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(ReplayError::Read(error));
            }
            Err(_) => return Ok(Vec::new()),
        }
        let mut items = Vec::new();
        let mut bytes = raw.as_slice();
        while !bytes.is_empty() {
            let newer = |_| ReplayError::Newer { writer: self.writer.clone() };
            let (item, rest) = first_item(bytes).map_err(newer)?;
            items.push(item);
            bytes = rest;
        }
        Ok(items)
    }

    /// The times of the ticks in the frame with changes at this index.
    fn ticks(&mut self, frame: usize) -> Result<Vec<Timestamp>, ReplayError> {
        let Some(entry) = self.changes.get(frame).map(|index| self.entries[*index]) else {
            return Ok(Vec::new());
        };
        let tick = |item| if let StreamItem::Tick(time) = item { Some(time) } else { None };
        Ok(self.items(entry)?.into_iter().filter_map(tick).collect())
    }

    /// The first tick in this frame or a later one.
    fn first_from(&mut self, frame: usize) -> Result<Option<Position>, ReplayError> {
        for frame in frame..self.changes.len() {
            if let Some(time) = self.ticks(frame)?.first().copied() {
                return Ok(Some(Position { frame, tick: 0, time }));
            }
        }
        Ok(None)
    }

    /// The oldest tick.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn oldest(&mut self) -> Result<Option<Position>, ReplayError> {
        self.first_from(0)
    }

    /// The newest tick.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn newest(&mut self) -> Result<Option<Position>, ReplayError> {
        self.at(u64::MAX)
    }

    /// The last tick that is not later than `wall`, nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn at(&mut self, wall: u64) -> Result<Option<Position>, ReplayError> {
        let (mut low, mut high) = (0, self.changes.len());
        // Frames before `low` begin at or before the time, those from `high` on after it.
        while low < high {
            let middle = low + (high - low) / 2;
            match self.first_from(middle)? {
                Some(first) if first.time.wall <= wall => low = first.frame + 1,
                _ => high = middle,
            }
        }
        let Some(frame) = low.checked_sub(1) else { return Ok(None) };
        let ticks = self.ticks(frame)?;
        let tick = ticks.iter().rposition(|time| time.wall <= wall);
        Ok(tick.map(|tick| Position { frame, tick, time: ticks[tick] }))
    }

    /// The first tick after `wall`.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn after(&mut self, wall: u64) -> Result<Option<Position>, ReplayError> {
        let Some(Position { frame, tick, .. }) = self.at(wall)? else { return self.oldest() };
        match self.ticks(frame)?.get(tick + 1).copied() {
            Some(time) => Ok(Some(Position { frame, tick: tick + 1, time })),
            None => self.first_from(frame + 1),
        }
    }

    /// Delivers what leads to the tick at `position`, that tick last. Returns when reading began, if not at the
    /// beginning of the recording.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn replay(
        &mut self,
        position: Position,
        mut deliver: impl FnMut(StreamItem),
    ) -> Result<Option<Timestamp>, ReplayError> {
        let last = self.changes[position.frame];
        let begin = self.begin(last);
        // Values of a key frame come first; later key frames repeat what is known.
        let mut is_first_key = matches!(self.entries[begin].kind, Kind::Key { .. });
        let mut began = None;
        for index in begin..=last {
            let entry = self.entries[index];
            match entry.kind {
                Kind::Key { last, .. } if is_first_key => {
                    is_first_key = !last;
                    self.items(entry)?.into_iter().for_each(&mut deliver);
                }
                Kind::Changes => {
                    let mut ticks = 0;
                    for item in self.items(entry)? {
                        if let StreamItem::Tick(time) = item {
                            began = began.or(Some(time));
                            ticks += 1;
                        }
                        deliver(item);
                        if index == last && ticks > position.tick {
                            break;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(began.filter(|_| begin > 0))
    }

    /// The entry at which reading begins to reach the entry at `last`.
    fn begin(&self, last: usize) -> usize {
        let (mut bytes, mut keys, mut begin) = (0, 0, last);
        for index in (0..=last).rev() {
            let Entry { kind, raw, .. } = self.entries[index];
            bytes += raw;
            if bytes > BEFORE && keys >= KEYS {
                return begin;
            }
            if matches!(kind, Kind::Key { first: true, .. }) {
                keys += 1;
                begin = index;
            }
        }
        0
    }

    /// The last `seconds` as the facts of a recording of their own: the values at a key frame, then the changes.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn tail(&mut self, seconds: u64, mut deliver: impl FnMut(StreamItem)) -> Result<(), ReplayError> {
        let Some(newest) = self.newest()? else { return Ok(()) };
        let from = newest.time.wall.saturating_sub(seconds.saturating_mul(1_000_000_000));
        let first = self.at(from)?.map_or(0, |position| self.changes[position.frame]);
        let is_start = |index: &usize| matches!(self.entries[*index].kind, Kind::Key { first: true, .. });
        let begin = (0..=first).rev().find(is_start).unwrap_or(0);
        let mut is_first_key = matches!(self.entries[begin].kind, Kind::Key { .. });
        for index in begin..self.entries.len() {
            let entry = self.entries[index];
            match entry.kind {
                Kind::Key { last, .. } if is_first_key => {
                    is_first_key = !last;
                    self.items(entry)?.into_iter().for_each(&mut deliver);
                }
                Kind::Changes => self.items(entry)?.into_iter().for_each(&mut deliver),
                _ => {}
            }
        }
        Ok(())
    }
}
