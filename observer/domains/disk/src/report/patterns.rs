//! Common causes of a full disk, if the facts show them: a service that restarts again and again and logs each time, a
//! log that grows by many small appends, and temporary files of ended processes.
//!
//! Only watched files count: a file is no longer watched a minute after its last event.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::reclaim;
use crate::{growth::file::GrowingFile, notes::DiskNote, state::DiskState};
use observer_core::{context::Context, facts::TaskId, report::Note, text::printable, units};

/// A program counts as restarting if this many processes of its name wrote to one file and ended.
const STARTS: u64 = 3;
/// Folders for temporary files.
const TEMPORARY: [&[u8]; 3] = [b"tmp", b"temp", b"shm"];

/// A file is a log if it grew by this many bytes, in at least these numbers of appends and reports, and if an append is
/// a line: on average at most this many bytes. A file that is written in blocks, overwritten in place, or written at
/// once is no log.
const LOG: u64 = 1 << 20;
const LINES: u64 = 1000;
const REPORTS: u64 = 5;
const LINE: u64 = 1024;

/// Processes of one name that wrote to one file and ended.
pub struct Restarted<'a> {
    pub starts: u64,
    /// Whether it is started at regular intervals, as a supervisor does, and a human or a build does not.
    pub is_regular: bool,
    pub path: &'a [u8],
    pub name: String,
}

/// A file that grew by many small appends.
struct Appended<'a> {
    /// Bytes by which it grew, and the number of appends.
    bytes: u64,
    appends: u64,
    path: &'a [u8],
    by: Vec<String>,
}

/// The files in one folder that ended processes left.
#[derive(Default)]
struct Left {
    files: u64,
    /// Bytes of their blocks.
    bytes: u64,
    makers: BTreeSet<String>,
}

/// Every program that restarts again and again and writes to the same file, the most often started first.
pub fn restarted<'a>(state: &'a DiskState, context: &Context<'_>) -> Vec<Restarted<'a>> {
    let named = state.growth.files.values().filter(|file| !file.unlinked);
    let named = named.filter_map(|file| Some((file, file.path.as_deref()?)));
    let mut found: Vec<Restarted<'a>> =
        named.flat_map(|(file, path)| restarts(file, path, state, context)).collect();
    found.sort_by(|one, other| {
        other.starts.cmp(&one.starts).then_with(|| (one.path, &one.name).cmp(&(other.path, &other.name)))
    });
    found
}

impl Restarted<'_> {
    /// A sentence about it.
    pub fn sentence(&self) -> String {
        format!(
            "{} processes of {} wrote to {} and ended: it is started over and over and writes each time.",
            self.starts,
            self.name,
            printable(self.path)
        )
    }
}

/// Notes about each pattern: the largest few, and the number of the others.
pub fn notes(state: &DiskState, context: &Context<'_>) -> Vec<Note> {
    let mut appended = Vec::new();
    let mut left: BTreeMap<&[u8], Left> = BTreeMap::new();
    for file in state.growth.files.values().filter(|file| !file.unlinked) {
        let Some(path) = file.path.as_deref() else { continue };
        appended.extend(appends(file, path, context));
        if let Some(folder) = folder(path).filter(|_| is_left(file, state)) {
            let left = left.entry(folder).or_default();
            left.files += 1;
            left.bytes = left.bytes.saturating_add(file.allocated().unwrap_or(0));
            left.makers.extend(file.growing.writers.iter().filter_map(|(id, _)| name(*id, context)));
        }
    }
    let mut notes = of_restarted(&restarted(state, context));
    notes.extend(of_appended(appended));
    notes.extend(of_left(left.into_iter().collect()));
    notes
}

fn of_restarted(restarted: &[Restarted<'_>]) -> Vec<Note> {
    Note::few(DiskNote::RestartedWriter, restarted, Restarted::sentence, |rest| {
        let more = units::counted(rest.len() as u64, "more file is", "more files are");
        format!("{more} written to by programs that are started again and again.")
    })
}

fn of_appended(mut appended: Vec<Appended<'_>>) -> Vec<Note> {
    appended.sort_by_key(|file| (Reverse(file.bytes), file.path));
    let text = |Appended { bytes, appends, path, by }: &Appended<'_>| {
        let by = if by.is_empty() { String::new() } else { format!(" by {}", reclaim::listed(by)) };
        format!(
            "{} grew by {}, in {appends} appends of {} on average{by}: a log that grows line by line.",
            printable(path),
            units::bytes(*bytes),
            units::bytes(bytes / (*appends).max(1)),
        )
    };
    Note::few(DiskNote::SmallAppends, &appended, text, |rest| {
        let more = units::counted(rest.len() as u64, "more file grows", "more files grow");
        let bytes = rest.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
        format!("{more} line by line, by {} together.", units::bytes(bytes))
    })
}

fn of_left(mut left: Vec<(&[u8], Left)>) -> Vec<Note> {
    left.sort_by_key(|(folder, left)| (Reverse(left.bytes), *folder));
    let text = |(folder, left): &(&[u8], Left)| {
        let makers: Vec<String> = left.makers.iter().cloned().collect();
        let by = if makers.is_empty() { String::new() } else { format!(" by {}", reclaim::listed(&makers)) };
        format!(
            "{}, {} in {}, created{by} while observed; the processes that created them have ended.",
            units::counted(left.files, "file", "files"),
            units::bytes(left.bytes),
            printable(folder)
        )
    };
    Note::few(DiskNote::LeftBehind, &left, text, |rest| {
        let (files, bytes) = rest.iter().fold((0_u64, 0_u64), |(files, bytes), (_, left)| {
            (files.saturating_add(left.files), bytes.saturating_add(left.bytes))
        });
        format!(
            "{}, {} in {}, created while observed; the processes that created them have ended.",
            units::counted(files, "file", "files"),
            units::bytes(bytes),
            units::counted(rest.len() as u64, "more folder", "more folders")
        )
    })
}

/// Programs that restart again and again and write to this file.
fn restarts<'a>(
    file: &GrowingFile,
    path: &'a [u8],
    state: &DiskState,
    context: &Context<'_>,
) -> impl Iterator<Item = Restarted<'a>> {
    let mut ended: BTreeMap<String, u64> = BTreeMap::new();
    // The names of some may be unknown.
    let mut all_starts = Vec::new();
    for (id, _) in file.growing.writers.iter().filter(|(id, _)| state.growth.end_of(*id).is_some()) {
        all_starts.push(id.start);
        if let Some(name) = name(*id, context) {
            *ended.entry(name).or_default() += 1;
        }
    }
    let is_regular = is_regular(all_starts);
    let many = ended.into_iter().filter(|(_, starts)| *starts >= STARTS);
    many.map(move |(name, starts)| Restarted { starts, is_regular, path, name })
}

/// Whether most times between successive starts are about as long as the median.
fn is_regular(mut starts: Vec<u64>) -> bool {
    starts.sort_unstable();
    let mut gaps: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    let Some(median) = gaps.get(gaps.len() / 2).copied() else { return false };
    let near = gaps.iter().filter(|gap| **gap >= median / 2 && **gap <= median.saturating_mul(2)).count();
    5 * near >= 4 * gaps.len()
}

/// A file that grows by many small appends. Their number is known if each append has an event.
fn appends<'a>(file: &GrowingFile, path: &'a [u8], context: &Context<'_>) -> Option<Appended<'a>> {
    let growing = &file.growing;
    // Appends are counted a little later than the size is read, so the shown size of an append is never too large.
    let (bytes, appends) = (file.size().saturating_sub(growing.first_size), growing.appends);
    let is_log =
        growing.exact && bytes >= LOG && appends >= LINES && bytes / appends <= LINE && file.grew >= REPORTS;
    let by: BTreeSet<String> = growing.writers.iter().filter_map(|(id, _)| name(*id, context)).collect();
    is_log.then(|| Appended { bytes, appends, path, by: by.into_iter().collect() })
}

/// Whether a file was created while observed, is not empty, and all of its writers have ended.
fn is_left(file: &GrowingFile, state: &DiskState) -> bool {
    let ended = |(id, _): &(TaskId, u64)| state.growth.end_of(*id).is_some();
    file.made
        && file.size() > 0
        && file.counted.is_some_and(|bytes| bytes > 0)
        && file.growing.writers.iter().all(ended)
}

/// The folder of `path`, if it is in a folder for temporary files.
fn folder(path: &[u8]) -> Option<&[u8]> {
    let end = path.iter().rposition(|byte| *byte == b'/')?;
    let folder = path.get(..end)?;
    folder.split(|byte| *byte == b'/').any(|part| TEMPORARY.contains(&part)).then_some(folder)
}

/// The name of a process in a sentence: its unit if known, otherwise its command.
fn name(id: TaskId, context: &Context<'_>) -> Option<String> {
    let command = context.processes.get(id)?.command()?;
    Some(match context.processes.unit(id) {
        Some(unit) => format!("{command} ({unit})"),
        None => command,
    })
}
