//! The table of growing kernel memory: by kind, and slabs by cache.

use super::{trend_columns, trend_value};
use crate::state::MemState;
use observer_core::{
    context::Context,
    report::{Column, Emphasis, Row, Subject, Table, Unit, Value},
    text::printable,
    trend::{
        series::Series,
        verdict::{Assessment, NOISE_BYTES, Verdict, assess_life},
    },
};

/// Kernel memory that grows.
pub(crate) struct GrowingKernelMemory<'a> {
    pub kind: &'static str,
    /// The slab cache, if it is one.
    pub name: Option<&'a [u8]>,
    pub series: &'a Series,
    pub assessment: Assessment,
    /// Whether the kernel frees it when memory is needed.
    pub reclaimable: bool,
}

/// The growing kinds of kernel memory and slab caches. A growth too small to matter to a machine is not assessed.
pub(crate) fn growing(state: &MemState, now: u64) -> impl Iterator<Item = GrowingKernelMemory<'_>> {
    let left = state.machine.available().map(|available| available as f64);
    let grew = state
        .machine
        .kernel()
        .filter(move |(_, _, series)| series.window.growth(now).is_some_and(|growth| growth >= NOISE_BYTES));
    let assessed = grew.map(move |(kind, name, series)| GrowingKernelMemory {
        kind,
        name,
        series,
        assessment: assess_life(series, now, left),
        reclaimable: state.machine.is_reclaimable(kind, name, now),
    });
    assessed.filter(|memory| memory.assessment.verdict.grows())
}

/// The table, the fastest growth first.
pub(super) fn kernel(state: &MemState, context: &Context<'_>) -> Table {
    let now = context.now.boot;
    let mut columns = vec![
        Column::label("kind").shown("KERNEL MEMORY", 0),
        Column::label("name").shown("CACHE", 1),
        Column::gauge("bytes", Unit::Bytes).shown("SIZE", 0),
    ];
    columns.extend(trend_columns(context));
    columns.extend([Column::text("verdict").shown("VERDICT", 2), Column::text("reason").shown("WHY", 5)]);
    let mut rows: Vec<(f64, Row)> = growing(state, now)
        .map(|GrowingKernelMemory { kind, name, series, assessment, reclaimable }| {
            let mut cells = vec![
                Value::Text(kind.to_owned()),
                Value::text(name.map(printable)),
                Value::unsigned(series.window.latest().map(|bytes| bytes.max(0.0) as u64)),
            ];
            cells.extend((0..6).map(|at| trend_value(at, Some(&assessment), &series.window, now)));
            let (verdict, reason) = if reclaimable {
                ("reclaimable", "a cache: the kernel frees it when memory is needed")
            } else {
                (assessment.verdict.name(), assessment.reason.as_str())
            };
            cells.extend([Value::Text(verdict.to_owned()), Value::Text(reason.to_owned())]);
            let emphasis = match assessment.verdict {
                _ if reclaimable => Emphasis::Plain,
                Verdict::Leak => Emphasis::Alarm,
                _ => Emphasis::Notice,
            };
            let rate = assessment.trend.map_or(0.0, |trend| trend.rate);
            let subject = Subject::KernelAccount { kind, name: name.map(<[u8]>::to_vec) };
            (rate, Row { subject, cells, emphasis, ..Row::default() })
        })
        .collect();
    rows.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    Table::new("kernel", columns, rows)
}
