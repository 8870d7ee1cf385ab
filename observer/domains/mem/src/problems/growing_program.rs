//! A program starts processes that stay, and together they grow: no single one leaks.

use super::SHIFT;
use crate::{
    births::GrowingGroup,
    report::births::{growing, sentence},
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
    view::GroupBy,
};

pub(super) static KIND: ProblemKind = ProblemKind { name: "processes-grow", confirm: 10, linger: 60 };

pub(super) fn conditions(state: &MemState, context: &Context<'_>) -> Vec<Condition> {
    let groups = growing(state, context);
    groups.iter().take(super::FEW).filter_map(|group| condition(group, state, context)).collect()
}

/// Growth of this part of the machine's memory begins a problem without the verdict of a leak.
const LARGE: f64 = 0.02;
/// A condition continues at this part of it.
const SLACK: f64 = 0.5;

fn condition(group: &GrowingGroup<'_>, state: &MemState, context: &Context<'_>) -> Option<Condition> {
    let available = state.machine.available()? as f64;
    let trend = group.assessment.trend.filter(|trend| trend.low > 0.0);
    let harm = trend.map(|trend| Harm {
        expected: available / (trend.rate * group.own),
        low: available / (trend.high * group.own),
        high: available / (trend.low * group.own),
    });
    let leaks = group.assessment.verdict == Verdict::Leak;
    let (total, _) = state.machine.size()?;
    let large = |slack: f64| group.growth >= slack * LARGE * total as f64;
    if !leaks && !large(SLACK) {
        return None;
    }
    let soon = leaks && harm.is_some_and(|harm| harm.expected <= SHIFT);
    let name = printable(&group.program.0);
    let time = harm.map_or_else(String::new, |harm| {
        format!(": memory is full in about {}", units::duration(harm.expected))
    });
    let text = format!("Processes of {name} are started and stay, {}{time}.", sentence(group));
    let subject = Subject::Group { by: GroupBy::Comm, key: Some(name.clone()) };
    let about = vec![("comm", Value::Text(name)), ("processes", Value::Unsigned(group.members as u64))];
    let severity = if soon { Severity::Soon } else { Severity::Watch };
    let condition = Condition::new(&KIND, severity, subject, text, context.now.boot).about(about);
    let condition = condition.clear(leaks || large(1.0));
    Some(condition.because(group.assessment.reason.clone()).harming_in(harm).next("observer mem --by comm"))
}
