//! A process leaks memory, according to its verdict. The time that is left until a limit gives the severity.

use super::{SHIFT, users::command};
use crate::state::MemState;
use observer_core::{
    context::Context,
    facts::TaskId,
    problem::{Harm, ProblemKind, condition::Condition},
    report::Subject,
    severity::Severity,
    trend::verdict::{Assessment, Verdict},
    units,
};

/// The verdict has its own confirmation time.
pub(super) static KIND: ProblemKind = ProblemKind { name: "leak", confirm: 0, linger: 60 };

/// `Now` if a limit is reached within this many seconds.
const MINUTES: f64 = 600.0;

/// The most conditions, leaks first. Which of the growing processes continue an existing problem is not known here.
const MOST: usize = 32;

pub(super) fn conditions(state: &MemState, context: &Context<'_>) -> Vec<Condition> {
    let growing = state.processes.iter().filter(|(_, process)| !process.ended).filter_map(|(id, process)| {
        let last = state.last_assessment(process)?;
        // A leak continues while its verdict is `growing` for a time.
        matches!(last.verdict, Verdict::Leak | Verdict::Growing).then_some((*id, process, last))
    });
    let mut found: Vec<(f64, Condition)> = growing
        .filter_map(|(id, process, last)| {
            let limit = state.limit(process);
            let left = limit.as_ref().map(|limit| limit.left).or_else(|| state.machine.available())?;
            let of_machine = limit.is_none_or(|limit| Some(limit.limit) == state.machine.available());
            let condition = condition(id, last, left as f64, of_machine, context)?;
            Some((condition.problem.harm_in.map_or(f64::INFINITY, |harm| harm.expected), condition))
        })
        .collect();
    found.sort_by(|(one, left), (other, right)| right.begins.cmp(&left.begins).then(one.total_cmp(other)));
    found.truncate(MOST);
    found.into_iter().map(|(_, condition)| condition).collect()
}

fn condition(
    id: TaskId,
    last: &Assessment,
    left: f64,
    of_machine: bool,
    context: &Context<'_>,
) -> Option<Condition> {
    let trend = last.trend.filter(|trend| trend.rate > 0.0)?;
    let high = if trend.low > 0.0 { left / trend.low } else { f64::INFINITY };
    let harm = Harm { expected: left / trend.rate, low: left / trend.high, high };
    let severity = match harm.expected {
        seconds if seconds <= MINUTES => Severity::Now,
        seconds if seconds <= SHIFT => Severity::Soon,
        _ => Severity::Watch,
    };
    let full = if of_machine { "memory is full" } else { "the limit of its control group is reached" };
    let text = format!(
        "{} leaks {} a minute: {full} in about {}.",
        context.processes.introduced(id),
        units::minute_rate(trend.rate, None).trim_start_matches('+'),
        units::duration(harm.expected)
    );
    let condition = Condition::new(&KIND, severity, Subject::Process(id), text, context.now.boot);
    let condition = condition.clear(last.verdict == Verdict::Leak).because(last.reason.clone());
    Some(condition.harming_in(Some(harm)).by([id]).next(command(id)))
}
