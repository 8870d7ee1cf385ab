//! Memory outside of processes grows: files in RAM, shared memory, data that nothing reads from a pipe or a socket.

use std::cmp::Ordering;

use super::{SHIFT, WEEK, users::command};
use crate::{
    objects::{ObjectState, kind_name},
    report::accounts::owner,
    state::MemState,
};
use observer_core::{
    context::Context,
    problem::{Harm, ProblemKind, condition::Condition},
    report::{Subject, Value},
    severity::Severity,
    text::printable,
    trend::verdict::{Verdict, assess_life},
    units,
};

pub(super) static KIND: ProblemKind = ProblemKind { name: "object-grows", confirm: 3, linger: 30 };

/// Growth of this many bytes in the window is a problem without the verdict of a leak.
const LARGE: f64 = 64.0 * 1024.0 * 1024.0;
/// An existing condition ends only below this part of it.
const SLACK: f64 = 0.5;

pub(super) fn conditions(state: &MemState, context: &Context<'_>) -> Vec<Condition> {
    let mut found: Vec<(f64, Condition)> =
        state.objects.all().filter_map(|known| condition(known, state, context)).collect();
    found.sort_by(|(one, _), (other, _)| other.partial_cmp(one).unwrap_or(Ordering::Equal));
    found.into_iter().take(super::FEW).map(|(_, condition)| condition).collect()
}

/// The growth in bytes, and the condition.
fn condition(known: &ObjectState, state: &MemState, context: &Context<'_>) -> Option<(f64, Condition)> {
    let now = context.now.boot;
    // The maps of observer's own programs fill while it gets to know the machine.
    if known.object.holder.as_ref().is_some_and(|holder| holder.pid == context.session.observer) {
        return None;
    }
    let growth = known.series.window.growth(now)?;
    if growth < SLACK * LARGE && known.series.history.flat_for(now) > 60.0 {
        return None;
    }
    let left = state.machine.available()? as f64;
    let assessment = assess_life(&known.series, now, Some(left));
    let trend = assessment.trend.filter(|trend| trend.low > 0.0);
    let harm = trend.map(|trend| Harm {
        expected: left / trend.rate,
        low: left / trend.high,
        high: left / trend.low,
    });
    let leaks = assessment.verdict == Verdict::Leak && harm.is_some_and(|harm| harm.expected <= WEEK);
    if !assessment.verdict.grows() || !(leaks || growth >= SLACK * LARGE) {
        return None;
    }
    let soon = leaks && harm.is_some_and(|harm| harm.expected <= SHIFT);
    let object = &known.object;
    let kind = kind_name(object.id.kind);
    let owner = owner(known).map_or_else(String::new, |owner| format!(", {owner}"));
    let text = format!(
        "{} {} holds {} outside of processes and grows{owner}.",
        kind.replace('_', " "),
        printable(&object.name),
        units::bytes(object.bytes)
    );
    let name = format!("{}:{}", object.id.device, object.id.number).into_bytes();
    let subject = Subject::KernelAccount { kind, name: Some(name) };
    let about = vec![
        ("kind", Value::Text(kind.to_owned())),
        ("name", Value::Text(printable(&object.name))),
        ("holder_pid", Value::unsigned(object.holder.as_ref().map(|holder| holder.pid.into()))),
        ("writer_pid", Value::unsigned(object.writer.as_ref().map(|writer| writer.pid.into()))),
    ];
    let pid = object.holder.as_ref().or(object.writer.as_ref()).map(|process| process.pid);
    let who = pid.and_then(|pid| context.processes.latest(pid));
    let severity = if soon { Severity::Soon } else { Severity::Watch };
    let condition = Condition::new(&KIND, severity, subject, text, context.now.boot).about(about);
    let condition = condition.clear(leaks || growth >= LARGE).because(assessment.reason).harming_in(harm);
    let next = who.map_or_else(|| "observer mem".to_owned(), command);
    Some((growth, condition.by(who).next(next)))
}
