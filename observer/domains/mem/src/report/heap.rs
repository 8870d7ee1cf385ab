//! The columns about the heap of a managed runtime.

use super::{Cell, ranked_process::RankedProcess};
use observer_core::{
    facts::mem::RuntimeHeap,
    report::{Column, Unit, Value},
    trend::{slope::Trend, verdict::Assessment},
};

/// Each column with its cell.
pub(super) fn cells() -> [(Column, Cell); 11] {
    let rate = |name| Column::gauge(name, Unit::BytesPerSecond);
    [
        (Column::text("runtime"), |process| Value::text(heap(process).map(|heap| heap.runtime.clone()))),
        (Column::gauge("live", Unit::Bytes), |process| Value::unsigned(process.live())),
        (Column::gauge("live_limit", Unit::Bytes), |process| {
            Value::unsigned(heap(process).and_then(|heap| heap.limit))
        }),
        (Column::gauge("live_growth", Unit::Bytes), |process| {
            Value::signed(assessed(process).and_then(|heap| heap.growth).map(|bytes| bytes.round() as i64))
        }),
        (rate("live_rate"), |process| trend(process, |trend| trend.rate)),
        (rate("live_rate_low"), |process| trend(process, |trend| trend.low)),
        (rate("live_rate_high"), |process| trend(process, |trend| trend.high)),
        (Column::text("live_verdict"), |process| {
            Value::text(assessed(process).map(|heap| heap.verdict.name().to_owned()))
        }),
        (Column::text("live_reason"), |process| {
            Value::text(assessed(process).map(|heap| heap.reason.clone()))
        }),
        (Column::counter("collections", Unit::Count), |process| {
            Value::unsigned(heap(process).and_then(|heap| heap.collections))
        }),
        (Column::gauge("live_full_in", Unit::Seconds), |process| Value::real(process.heap_full_in())),
    ]
}

fn heap<'a>(process: &'a RankedProcess<'_>) -> Option<&'a RuntimeHeap> {
    process.process.heap.as_ref().filter(|_| !process.process.ended).map(|heap| &heap.latest)
}

fn assessed<'a>(process: &'a RankedProcess<'_>) -> Option<&'a Assessment> {
    process.heap.as_deref()
}

fn trend(process: &RankedProcess<'_>, of: impl Fn(&Trend) -> f64) -> Value {
    Value::real(assessed(process).and_then(|heap| heap.trend).as_ref().map(of))
}
