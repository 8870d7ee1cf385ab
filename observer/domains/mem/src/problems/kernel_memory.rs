//! Memory of the kernel grows: a cache that it gives back when memory is needed, or memory that it does not.

use super::{SHIFT, WEEK};
use crate::{
    report::kernel::{GrowingKernelMemory, growing},
    state::MemState,
};
use observer_core::{
    context::Context,
    problem::{Harm, ProblemKind, condition::Condition},
    report::{Subject, Value},
    severity::Severity,
    text::printable,
    trend::verdict::Verdict,
    units,
};

pub(super) static KIND: ProblemKind = ProblemKind { name: "kernel-memory", confirm: 10, linger: 60 };

/// Growth of this many bytes in the window is a problem without the verdict of a leak; of a cache that the kernel
/// gives back, only if it is at least this part of the machine's memory.
const LARGE: f64 = 128.0 * 1024.0 * 1024.0;
const CACHE: f64 = 0.1;
/// An existing condition ends only below this part of it.
const SLACK: f64 = 0.5;

pub(super) fn conditions(state: &MemState, context: &Context<'_>) -> Vec<Condition> {
    let found: Vec<GrowingKernelMemory<'_>> = growing(state, context.now.boot).collect();
    let has_cache = found.iter().any(|memory| memory.name.is_some());
    // All slabs together grow because one cache does.
    let each = found.iter().filter(|memory| memory.kind != "slab" || memory.name.is_some() || !has_cache);
    each.filter_map(|memory| condition(memory, state, context)).take(super::FEW).collect()
}

fn condition(memory: &GrowingKernelMemory<'_>, state: &MemState, context: &Context<'_>) -> Option<Condition> {
    let (total, _) = state.machine.size()?;
    let available = state.machine.available()? as f64;
    let growth = memory.series.window.growth(context.now.boot)?;
    let bytes = memory.series.window.latest()?;
    let large = |slack: f64| {
        let is_large = growth >= slack * LARGE;
        is_large && (!memory.reclaimable || bytes >= slack * CACHE * total as f64)
    };
    let trend = memory.assessment.trend.filter(|trend| trend.low > 0.0 && !memory.reclaimable);
    let harm = trend.map(|trend| Harm {
        expected: available / trend.rate,
        low: available / trend.high,
        high: available / trend.low,
    });
    let leaks = memory.assessment.verdict == Verdict::Leak && harm.is_some_and(|harm| harm.expected <= WEEK);
    if !leaks && !large(SLACK) {
        return None;
    }
    let soon = leaks && harm.is_some_and(|harm| harm.expected <= SHIFT);
    let name = memory.name.map_or_else(String::new, |name| format!(" {}", printable(name)));
    let what = if memory.reclaimable {
        "; it is a cache, and the kernel frees it when memory is needed".to_owned()
    } else {
        harm.map_or_else(String::new, |harm| {
            format!(": memory is full in about {}", units::duration(harm.expected))
        })
    };
    let text = format!(
        "Kernel memory ({}{name}) holds {} and grew {} in the last {:.0} s{what}.",
        memory.kind.replace('_', " "),
        units::bytes(bytes),
        units::bytes(growth),
        memory.series.window.known(context.now.boot)
    );
    let subject = Subject::KernelAccount { kind: memory.kind, name: memory.name.map(<[u8]>::to_vec) };
    let about = vec![
        ("kind", Value::Text(memory.kind.to_owned())),
        ("name", Value::text(memory.name.map(printable))),
        ("reclaimable", Value::Flag(memory.reclaimable)),
    ];
    let severity = if soon { Severity::Soon } else { Severity::Watch };
    let condition = Condition::new(&KIND, severity, subject, text, context.now.boot).about(about);
    let condition = condition.clear(leaks || large(1.0)).because(memory.assessment.reason.clone());
    Some(condition.harming_in(harm).next("observer mem"))
}
