//! The rows about writing processes in the view `disk`, with the files that they make grow.

use std::{borrow::Cow, cmp::Reverse, collections::BTreeMap};

use super::filesystem;
use crate::{growth::file::GrowingFile, mounted, state::DiskState, writer::WriteTotals};
use observer_core::{
    context::Context,
    facts::{TaskId, disk::InodeId},
    report::{
        Column, Emphasis, Row, Subject, Table, Unit, Value, process,
        shape::{self, Candidate},
    },
    text::printable,
    units,
    view::{GroupBy, Request, Sort},
};

/// The limit of files listed for a process, the largest first.
const FILES: usize = 10;

/// The columns, in the order of the cells.
fn columns(context: &Context<'_>) -> Vec<Column> {
    let mut columns = process::columns(context.request);
    columns.extend([
        Column::counter("written", Unit::Bytes)
            .shown("WRITTEN", 0)
            .adding()
            .otel("process.disk.io", Some(("disk.io.direction", "write"))),
        Column::gauge("rate", Unit::BytesPerSecond).shown("WRITES", 0).adding(),
        Column::text("files").adding(),
        Column::label("file").human("FILE GROWTH", 2),
    ]);
    columns
}

/// A process that wrote while observed. It may get a row.
struct Writer<'a> {
    id: TaskId,
    wrote: WriteTotals,
    making: RowContext<'a>,
}

/// The inputs for the row of a process.
#[derive(Clone, Copy)]
struct RowContext<'a> {
    state: &'a DiskState,
    context: &'a Context<'a>,
    /// Whether rows have no cells.
    empty: bool,
}

/// The rows of processes that wrote while observed; in a draft without cells, unless rows must be merged. Also returns
/// whether a listed file has no path.
pub fn table(state: &DiskState, context: &Context<'_>, is_draft: bool) -> (Table, bool) {
    let making = RowContext { state, context, empty: is_draft && context.request.by == GroupBy::Process };
    let writers = writers(state).into_iter().map(|(id, wrote)| Writer { id, wrote, making });
    let writers: Vec<Writer<'_>> = writers.collect();
    let pathless = !is_draft && writers.iter().any(Writer::is_pathless);
    let rank = |Writer { id, wrote, .. }: &Writer<'_>| (Reverse((wrote.recent, wrote.bytes)), *id);
    // A column that filesystems also have sorts their table.
    let is_theirs = |sort: &Sort| filesystem::columns().iter().any(|column| column.name == sort.column);
    let sort = context.request.sort.clone().filter(|sort| !is_theirs(sort));
    let request = Request { sort, ..context.request.clone() };
    (shape::table("writers", columns(context), writers, rank, &request, context.processes), pathless)
}

/// The bytes that each process wrote.
fn writers(state: &DiskState) -> BTreeMap<TaskId, WriteTotals> {
    let mut writers: BTreeMap<TaskId, WriteTotals> = state.writers.iter().collect();
    // Small writes, and writes that never reach storage (to a file in RAM), are known from the files only.
    for (id, work) in state.growth.shares() {
        let wrote = writers.entry(id).or_default();
        wrote.bytes = wrote.bytes.max(work.written);
        wrote.recent = wrote.recent.max(work.recent);
    }
    for (id, wrote) in &mut writers {
        match state.growth.end_of(*id) {
            // A report has shown its exit.
            Some(true) if !wrote.ended => *wrote = WriteTotals::default(),
            Some(_) => wrote.ended = true,
            None => {}
        }
    }
    writers.retain(|_, wrote| wrote.bytes > 0);
    writers
}

impl Candidate for Writer<'_> {
    fn processes(&self) -> &[TaskId] {
        std::slice::from_ref(&self.id)
    }

    fn ended(&self) -> bool {
        self.wrote.ended
    }

    fn cell(&self, at: usize) -> Cow<'_, Value> {
        let identity = process::columns(self.making.context.request).len();
        Cow::Owned(match at.checked_sub(identity) {
            Some(0) => Value::Unsigned(self.wrote.bytes),
            Some(1) => self.rate(self.wrote.recent),
            _ => self.cells().into_iter().nth(at).unwrap_or_default(),
        })
    }

    fn into_row(self) -> Row {
        let emphasis = match self.wrote {
            WriteTotals { ended: true, .. } => Emphasis::Faint,
            WriteTotals { recent: 1.., .. } => Emphasis::Notice,
            _ => Emphasis::Plain,
        };
        let cells = if self.making.empty { Vec::new() } else { self.cells() };
        Row {
            subject: Subject::Process(self.id),
            processes: vec![self.id],
            cells,
            emphasis,
            details: Vec::new(),
            ended: self.wrote.ended,
        }
    }
}

impl Writer<'_> {
    /// `bytes` since the previous report, per second.
    fn rate(&self, bytes: u64) -> Value {
        let elapsed = self.making.context.now.since(self.making.context.previous);
        Value::real((elapsed > 0.0).then(|| bytes as f64 / elapsed))
    }

    /// The files that the process made grow and their bytes of growth, the largest first.
    fn files(&self) -> Vec<(InodeId, &GrowingFile, u64)> {
        let mut files: Vec<_> = self.making.state.growth.files_of(self.id).collect();
        files.sort_by_key(|(inode, file, written)| (Reverse((file.recent(self.id), *written)), *inode));
        files
    }

    fn is_pathless(&self) -> bool {
        let has_no_path = |file: &GrowingFile| file.path.is_none();
        self.making.state.growth.files_of(self.id).any(|(_, file, _)| has_no_path(file))
            && self.files().iter().take(FILES).any(|(_, file, _)| has_no_path(file))
    }

    fn cells(&self) -> Vec<Value> {
        let RowContext { state, context, .. } = self.making;
        let files = self.files();
        let list = files.iter().take(FILES).map(|(inode, file, written)| {
            Value::Object(vec![
                ("path", Value::text(file.path.as_deref().map(printable))),
                ("dev", Value::Text(mounted::device(inode.dev))),
                ("inode", Value::Unsigned(inode.ino)),
                ("written", Value::Unsigned(*written)),
                ("rate", self.rate(file.recent(self.id).unwrap_or(0))),
                ("deleted", Value::Flag(file.unlinked)),
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
        let has_events = state.growth_by_event || state.work_by_event;
        let mut cells = process::cells(self.id, context.processes, context.request);
        cells.extend([
            Value::Unsigned(self.wrote.bytes),
            self.rate(self.wrote.recent),
            if has_events { Value::List(list) } else { Value::Missing },
            Value::Text(biggest.unwrap_or_else(|| units::NOTHING.to_owned())),
        ]);
        cells
    }
}
