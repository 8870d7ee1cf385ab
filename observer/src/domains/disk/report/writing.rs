//! The rows of the view `disk` about processes that write, with the files that they make grow.

use std::{cmp::Reverse, collections::BTreeMap};

use super::mounted;
use crate::{
    domains::{
        Context,
        disk::{state::DiskState, writer::Wrote},
    },
    identity::columns,
    observation::TaskId,
    report::{Column, Emphasis, Kind, Row, Value},
    text::printable,
    units,
};

/// So many files of a process are told of, the biggest first.
const FILES: usize = 10;

/// The columns, in the order of the cells.
pub fn columns(context: &Context<'_>) -> Vec<Column> {
    let mut columns = columns::columns(context.request);
    columns.extend([
        Column::new("written", Kind::Bytes, "WRITTEN", 0).adding(),
        Column::new("rate", Kind::ByteRate, "WRITES", 0).adding(),
        Column::json("files", Kind::Text).adding(),
        Column::people("file", Kind::Text, "MAKES GROW", 2),
    ]);
    columns
}

/// A row for each process that wrote while observed; whether a file among them has no path.
pub fn rows(state: &DiskState, context: &Context<'_>) -> (Vec<Row>, bool) {
    let mut writers: BTreeMap<TaskId, Wrote> = state.writers.iter().collect();
    // What never reaches storage (a file in RAM), and what little a process writes, is known by the files alone.
    for (id, work) in state.grown.work() {
        let wrote = writers.entry(id).or_default();
        wrote.bytes = wrote.bytes.max(work.written);
        wrote.recent = wrote.recent.max(work.recent);
    }
    for (id, wrote) in &mut writers {
        match state.grown.end_of(*id) {
            // A report has told of it.
            Some(true) if !wrote.ended => *wrote = Wrote::default(),
            Some(_) => wrote.ended = true,
            None => {}
        }
    }
    let mut writers: Vec<_> = writers.into_iter().filter(|(_, wrote)| wrote.bytes > 0).collect();
    writers.sort_by_key(|(id, wrote)| (Reverse((wrote.recent, wrote.bytes)), *id));
    let mut unknown = false;
    let rows = writers.into_iter().map(|(id, wrote)| row(id, wrote, state, context, &mut unknown));
    let rows = rows.collect();
    (rows, unknown)
}

fn row(id: TaskId, wrote: Wrote, state: &DiskState, context: &Context<'_>, unknown: &mut bool) -> Row {
    let elapsed = context.now.since(context.previous);
    let rate = |bytes: u64| Value::real((elapsed > 0.0).then(|| bytes as f64 / elapsed));
    let mut files: Vec<_> = state.grown.files_of(id).collect();
    files.sort_by_key(|(inode, file, written)| (Reverse((file.recent(id), *written)), *inode));
    *unknown |= files.iter().take(FILES).any(|(_, file, _)| file.path.is_none());
    let list = files.iter().take(FILES).map(|(inode, file, written)| {
        Value::Object(vec![
            ("path", Value::text(file.path.as_deref().map(printable))),
            ("dev", Value::Text(mounted::device(inode.dev))),
            ("inode", Value::Unsigned(inode.ino)),
            ("written", Value::Unsigned(*written)),
            ("rate", rate(file.recent(id).unwrap_or(0))),
            ("deleted", Value::Flag(file.growing.nameless)),
        ])
    });
    let list: Vec<Value> = list.collect();
    let biggest = files.first().map(|(inode, file, _)| {
        let path = file.path.as_deref().map(printable);
        let path = path.unwrap_or_else(|| format!("inode {} (path unknown)", inode.ino));
        match files.len() {
            1 => path,
            more => format!("{path} and {}", units::counted(more as u64 - 1, "other", "others")),
        }
    });
    let is_told = state.growth_by_event || state.work_by_event;
    let mut cells = columns::cells(id, context.processes, context.request);
    cells.extend([
        Value::Unsigned(wrote.bytes),
        rate(wrote.recent),
        if is_told { Value::List(list) } else { Value::Missing },
        Value::Text(biggest.unwrap_or_else(|| units::NOTHING.to_owned())),
    ]);
    let emphasis = match wrote {
        Wrote { ended: true, .. } => Emphasis::Faint,
        Wrote { recent: 1.., .. } => Emphasis::Notice,
        _ => Emphasis::Plain,
    };
    Row { processes: vec![id], cells, emphasis, details: Vec::new(), ended: wrote.ended }
}
