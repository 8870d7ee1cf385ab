//! Builds the report of the mem domain from its state.

use std::borrow::Cow;

use self::{
    accounts::{accounts, objects},
    headline::headline,
    kernel::kernel,
    ranked_process::{AssessmentStage, RankedProcess, assessed},
};
use crate::{notes::MemNote, state::MemState};
use observer_core::{
    context::Context,
    facts::{
        TaskId,
        mem::{Memory, Rollup, Status, Totals},
    },
    report::{
        Column, Merge, Notation, Note, Report, Row, Subject, Table, Unit, Value, Whole, process,
        shape::{self, Candidate, Selection},
    },
    trend::{verdict::Assessment, window::Window},
    view::GroupBy,
};

pub(crate) mod accounts;
pub(crate) mod births;
mod group_growth;
mod headline;
mod heap;
pub(crate) mod kernel;
pub(crate) mod limited_groups;
mod ranked_process;
mod restart;

/// The first of the columns of [`trend_columns`].
const TREND: &str = "growth";

/// The number of points of a sparkline.
const SPARKLINE: usize = 8;

/// The report of the view `mem`.
pub(super) fn report(state: &MemState, context: &Context<'_>) -> Report {
    let processes = assessed(state, context, AssessmentStage::Final);
    let limited = limited_groups::ranked(state, context);
    let (mut headline, mut notes) = (headline(state, &processes, &limited, context), notes(&processes));
    notes.extend(restart::notes(&state.predecessors, &processes, context));
    notes.extend(state.pressure.notes(context));
    notes.extend(state.machine.note(context.now));
    let mut table = process_table(processes, context, AssessmentStage::Final);
    shape::group(&mut table, context.request.by, context.processes);
    group_growth::assess_groups(&mut table, state, context);
    let resident = state
        .machine
        .resident()
        .filter(|_| Selection::new(context.request, &[], context.processes).is_none());
    table.whole = resident.map(|sum| Whole { column: "pss", sum: sum as f64, instead_of: "rss" });
    let (objects, groups) = (objects(state, context), births::growing(state, context));
    headline.extend(births::headline(&groups));
    let mut report = context.report(vec![
        table,
        objects,
        kernel(state, context),
        accounts(state, context),
        births::table(&groups),
        limited_groups::table(&limited, context),
    ]);
    report.totals = state.machine.totals(context.now);
    report.headline = headline;
    report.notes = notes;
    report
}

/// The draft: rows of processes, without cells unless rows must be merged.
pub(super) fn draft(state: &MemState, context: &Context<'_>) -> Report {
    let processes = assessed(state, context, AssessmentStage::Draft);
    context.report(vec![process_table(processes, context, AssessmentStage::Draft)])
}

fn process_table(processes: Vec<RankedProcess<'_>>, context: &Context<'_>, stage: AssessmentStage) -> Table {
    let identity = process::columns(context.request);
    let cells = process_cells(context);
    // The sums of the hidden rows of a draft are not used.
    let merged = |column: &Column| match stage {
        AssessmentStage::Final => *column,
        AssessmentStage::Draft => column.merged(Merge::Nothing),
    };
    let columns = identity.iter().copied().chain(cells.iter().map(|(column, _)| merged(column))).collect();
    let by_process = context.request.by == GroupBy::Process;
    let making = RowContext {
        identity: identity.len(),
        cells: cells.into_iter().map(|(_, cell)| cell).collect(),
        empty: stage == AssessmentStage::Draft && by_process,
        context,
    };
    let candidates = processes
        .into_iter()
        .map(|process| ProcessCandidate { process, making: &making })
        .collect::<Vec<_>>();
    let rank = |candidate: &ProcessCandidate<'_>| candidate.process.order();
    shape::table("rows", columns, candidates, rank, context.request, context.processes)
}

type Cell = fn(&RankedProcess<'_>) -> Value;

/// The inputs for the row of a process.
struct RowContext<'a> {
    /// The number of columns that identify the process; the other columns follow them.
    identity: usize,
    cells: Vec<Cell>,
    empty: bool,
    context: &'a Context<'a>,
}

/// A process that may get a row.
struct ProcessCandidate<'a> {
    process: RankedProcess<'a>,
    making: &'a RowContext<'a>,
}

impl Candidate for ProcessCandidate<'_> {
    fn processes(&self) -> &[TaskId] {
        std::slice::from_ref(&self.process.id)
    }

    fn ended(&self) -> bool {
        self.process.process.ended
    }

    fn cell(&self, at: usize) -> Cow<'_, Value> {
        let RowContext { identity, cells, context, .. } = self.making;
        Cow::Owned(match at.checked_sub(*identity).and_then(|at| cells.get(at)) {
            Some(cell) => cell(&self.process),
            None => process::cells(self.process.id, context.processes, context.request)
                .get(at)
                .cloned()
                .unwrap_or_default(),
        })
    }

    fn into_row(self) -> Row {
        let (process, context) = (&self.process, self.making.context);
        let mut cells = Vec::new();
        if !self.making.empty {
            cells = process::cells(process.id, context.processes, context.request);
            cells.extend(self.making.cells.iter().map(|cell| cell(process)));
        }
        Row {
            subject: Subject::Process(process.id),
            processes: vec![process.id],
            cells,
            emphasis: process.emphasis(),
            details: Vec::new(),
            ended: self.ended(),
        }
    }
}

/// Each column that does not identify a process, with its cell.
fn process_cells(context: &Context<'_>) -> Vec<(Column, Cell)> {
    let gauge = |name| Column::gauge(name, Unit::Bytes).adding();
    let counter = |name| Column::counter(name, Unit::Bytes).adding();
    let rss = gauge("rss").shown("RSS", 0).otel("process.memory.usage", None);
    let mut cells: Vec<(Column, Cell)> = vec![
        (rss, |process| positive(process.rss())),
        (gauge("anon"), |process| held(process, |memory| memory.anon)),
        (gauge("file"), |process| held(process, |memory| memory.file)),
        (gauge("shmem"), |process| held(process, |memory| memory.shmem)),
        (gauge("swap"), |process| held(process, |memory| memory.swap)),
        (gauge("virt").otel("process.memory.virtual", None), |process| held(process, |memory| memory.virt)),
        (gauge("page_tables"), |process| {
            Value::unsigned(process.process.page_tables.filter(|_| !process.process.ended))
        }),
        (counter("mapped"), |process| total(process, |totals| totals.mapped)),
        (counter("unmapped"), |process| total(process, |totals| totals.unmapped)),
        (counter("mapped_file"), |process| total(process, |totals| totals.mapped_file)),
        (counter("reserved"), |process| total(process, |totals| totals.reserved)),
        (gauge("protected"), |process| Value::signed(process.totals.map(|totals| totals.protected))),
        (Column::gauge("peak", Unit::Bytes), |process| {
            let own = process.totals.and_then(|totals| totals.peak);
            let status = process.process.beyond.as_ref().and_then(|beyond| beyond.status);
            Value::unsigned(own.or(status.map(|status| status.peak)))
        }),
        (gauge("hugetlb"), |process| status(process, |status| status.hugetlb)),
        (gauge("pinned"), |process| status(process, |status| status.pinned)),
        (gauge("pss").shown("PSS", 4), |process| rollup(process, |rollup| rollup.pss)),
        (gauge("frees"), |process| {
            let tables = process.process.page_tables.unwrap_or(0);
            rollup(process, |rollup| rollup.pss_anon + rollup.pss_shmem + rollup.swap_pss + tables)
        }),
        (gauge("reclaimable"), |process| {
            Value::unsigned(process.memory.and_then(|_| process.process.reclaimable()))
        }),
    ];
    let trend: [Cell; 6] = [
        |process| trend_cell::<0>(process),
        |process| trend_cell::<1>(process),
        |process| trend_cell::<2>(process),
        |process| trend_cell::<3>(process),
        |process| trend_cell::<4>(process),
        |process| trend_cell::<5>(process),
    ];
    cells.extend(trend_columns(context).into_iter().zip(trend));
    let more: [(Column, Cell); 6] = [
        (Column::text("verdict").shown("VERDICT", 2), |process| {
            Value::Text(living(process).map_or("unknown", |assessment| assessment.verdict.name()).to_owned())
        }),
        (Column::text("reason").shown("WHY", 5), |process| {
            Value::Text(if process.process.ended { process.end() } else { process.reason() })
        }),
        (Column::gauge("limit", Unit::Bytes), |process| {
            Value::unsigned(living(process).and_then(|_| process.limit()).map(|room| room.limit))
        }),
        (Column::gauge("full_in", Unit::Seconds), |process| Value::real(process.full_in()[0])),
        (Column::gauge("full_in_low", Unit::Seconds), |process| Value::real(process.full_in()[1])),
        (Column::gauge("full_in_high", Unit::Seconds), |process| Value::real(process.full_in()[2])),
    ];
    cells.extend(more);
    cells.extend(heap::cells());
    cells
}

fn positive(bytes: Option<i64>) -> Value {
    Value::unsigned(bytes.and_then(|bytes| u64::try_from(bytes).ok()))
}

fn held(process: &RankedProcess<'_>, bytes: impl Fn(&Memory) -> i64) -> Value {
    positive(process.memory.as_ref().map(bytes))
}

fn total(process: &RankedProcess<'_>, bytes: impl Fn(&Totals) -> u64) -> Value {
    Value::unsigned(process.totals.map(bytes))
}

fn status(process: &RankedProcess<'_>, bytes: impl Fn(&Status) -> u64) -> Value {
    let beyond = process.process.beyond.as_ref().filter(|_| process.memory.is_some());
    Value::unsigned(beyond.and_then(|beyond| beyond.status).as_ref().map(bytes))
}

fn rollup(process: &RankedProcess<'_>, bytes: impl Fn(&Rollup) -> u64) -> Value {
    let beyond = process.process.beyond.as_ref().filter(|_| process.memory.is_some());
    Value::unsigned(beyond.and_then(|beyond| beyond.rollup).as_ref().map(bytes))
}

/// The assessment of a process that has not ended.
fn living<'a>(process: &'a RankedProcess<'_>) -> Option<&'a Assessment> {
    (!process.process.ended).then_some(&*process.assessment)
}

/// The columns of growth, rate and sparkline. [`trend_value`] gives their cells.
fn trend_columns(context: &Context<'_>) -> [Column; 6] {
    [
        Column::gauge(TREND, Unit::Bytes)
            .shown(window_title(context.request.window), 3)
            .noted(Notation::Signed)
            .adding(),
        Column::gauge("rate", Unit::BytesPerSecond).adding(),
        Column::gauge("rate_low", Unit::BytesPerSecond),
        Column::gauge("rate_high", Unit::BytesPerSecond),
        Column::gauge("rate_interval", Unit::BytesPerSecond).human("RATE", 4).noted(Notation::PerMinute),
        Column::trend("trend", Unit::Bytes, "TREND", 6),
    ]
}

fn trend_cell<const AT: usize>(process: &RankedProcess<'_>) -> Value {
    trend_value(AT, living(process), &process.process.series.window, process.now)
}

/// The cell of the column at `at` of [`trend_columns`].
fn trend_value(at: usize, assessment: Option<&Assessment>, series: &Window, now: u64) -> Value {
    let Some(assessment) = assessment else { return Value::Missing };
    let trend = assessment.trend;
    // Without a trend: the growth over the known time, without an interval.
    let known = series.known(now);
    let so_far = assessment.growth.filter(|_| known > 0.0).map(|growth| growth / known);
    match at {
        0 => Value::signed(assessment.growth.map(|bytes| bytes.round() as i64)),
        1 => Value::real(trend.map(|trend| trend.rate).or(so_far)),
        2 => Value::real(trend.map(|trend| trend.low)),
        3 => Value::real(trend.map(|trend| trend.high)),
        4 => trend.map_or(Value::Missing, |trend| Value::Interval {
            value: trend.rate,
            low: trend.low,
            high: trend.high,
        }),
        _ => Value::Series(series.sparkline(now, SPARKLINE)),
    }
}

/// The title of a column for a window of `seconds`.
const fn window_title(seconds: f64) -> &'static str {
    match seconds as u64 {
        10 => "10 S",
        30 => "30 S",
        60 => "1 MIN",
        120 => "2 MIN",
        300 => "5 MIN",
        600 => "10 MIN",
        900 => "15 MIN",
        1800 => "30 MIN",
        3600 => "1 H",
        _ => "GROWTH",
    }
}

fn notes(processes: &[RankedProcess<'_>]) -> Vec<Note> {
    let mut notes = Vec::new();
    let living = || processes.iter().filter(|process| !process.process.ended);
    if living().any(|process| process.memory.is_some() && process.assessment.trend.is_none()) {
        let text = "The rates of some processes are their mean growth so far. A trend with an interval takes ten \
            seconds, or half the window.";
        notes.push(Note::new(MemNote::Trend, text));
    }
    if living().any(|process| process.memory.is_some() && process.limit().is_none()) {
        let text = "Limits of some processes are not known: the control group of a process could not be read, or \
                    its row is not shown.";
        notes.push(Note::new(MemNote::Limit, text));
    }
    if processes.iter().any(|process| process.process.ended) {
        let text = "Rows of ended processes show what they mapped and their highest resident memory. That memory \
            is free again.";
        notes.push(Note::new(MemNote::Ended, text));
    }
    notes
}
