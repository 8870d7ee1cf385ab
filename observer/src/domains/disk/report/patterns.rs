//! What fills disks, where the facts show it: a service that is started over and over and logs each time, temporary
//! files whose makers have ended.
//!
//! Told of files that are watched: of one that nobody has worked on for a minute, nothing is said any more.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    domains::{
        Context,
        disk::{growing::GrowingFile, state::DiskState},
    },
    identity::{columns, process::Names},
    observation::TaskId,
    report::Note,
    text::printable,
    units,
};

/// From so many processes of one name on, each ended after it had written to a file, they are one that starts again.
const STARTS: u64 = 3;
/// Folders of these names are for what nobody needs for long.
const TEMPORARY: [&[u8]; 3] = [b"tmp", b"temp", b"shm"];

/// A note for each pattern and what it is about.
pub fn notes(state: &DiskState, context: &Context<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut left: BTreeMap<&[u8], (u64, u64, BTreeSet<String>)> = BTreeMap::new();
    for file in state.grown.files.values().filter(|file| !file.growing.nameless) {
        let Some(path) = file.path.as_deref() else { continue };
        notes.extend(restarts(file, path, state, context));
        if let Some(folder) = folder(path).filter(|_| is_left(file, state)) {
            let (files, bytes, makers) = left.entry(folder).or_default();
            *files += 1;
            *bytes = bytes.saturating_add(file.allocated().unwrap_or(0));
            makers.extend(file.growing.writers.iter().filter_map(|(id, _)| name(*id, context)));
        }
    }
    notes.extend(left.into_iter().map(|(folder, (files, bytes, makers))| {
        let makers: Vec<String> = makers.into_iter().collect();
        let by = if makers.is_empty() { String::new() } else { format!(" by {}", makers.join(", ")) };
        let text = format!(
            "{}, {} in {}, made{by} while observed: whoever made them has ended.",
            units::counted(files, "file", "files"),
            units::bytes(bytes),
            printable(folder)
        );
        Note { code: "left-behind", text }
    }));
    notes
}

fn restarts(file: &GrowingFile, path: &[u8], state: &DiskState, context: &Context<'_>) -> Vec<Note> {
    let mut ended: BTreeMap<String, u64> = BTreeMap::new();
    for (id, _) in file.growing.writers.iter().filter(|(id, _)| state.grown.end_of(*id).is_some()) {
        if let Some(name) = name(*id, context) {
            *ended.entry(name).or_default() += 1;
        }
    }
    let many = ended.into_iter().filter(|(_, count)| *count >= STARTS);
    let note = |(name, count)| {
        let text = format!(
            "{count} processes of {name} wrote to {} and ended: it is started over and over and writes each time.",
            printable(path)
        );
        Note { code: "restarted-writer", text }
    };
    many.map(note).collect()
}

/// Whether a file was made while observed, holds something, and nobody who worked on it runs any more.
fn is_left(file: &GrowingFile, state: &DiskState) -> bool {
    let ended = |(id, _): &(TaskId, u64)| state.grown.end_of(*id).is_some();
    file.made
        && file.size() > 0
        && file.counted.is_some_and(|bytes| bytes > 0)
        && file.growing.writers.iter().all(ended)
}

/// The folder of a path that lies in one for temporary files.
fn folder(path: &[u8]) -> Option<&[u8]> {
    let end = path.iter().rposition(|byte| *byte == b'/')?;
    let folder = path.get(..end)?;
    folder.split(|byte| *byte == b'/').any(|part| TEMPORARY.contains(&part)).then_some(folder)
}

/// Whom a process belongs to, for a sentence: its unit where that is known, else its command.
fn name(id: TaskId, context: &Context<'_>) -> Option<String> {
    let process = context.processes.get(id)?;
    let command = columns::command(process)?;
    match &process.names {
        Names::Read { unit: Some(unit), .. } => Some(format!("{command} ({})", printable(unit))),
        _ => Some(command),
    }
}
