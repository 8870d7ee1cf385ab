//! A process fills the queue of a narrow link on its path: connections of other processes wait in it.

use crate::{headline::filling, queue::FilledQueue, state::NetState};
use observer_core::{
    context::Context,
    problem::{ProblemKind, condition::Condition},
    report::Subject,
    severity::Severity,
    units::counted,
};

pub(super) static KIND: ProblemKind = ProblemKind { name: "queue-filled", confirm: 3, linger: 10 };

/// Thresholds of each severity: the seconds that the queue adds to each round trip. `Soon` only if connections of other
/// processes wait in it.
const WATCH: f64 = 0.03;
const SOON: f64 = 0.1;
/// An existing condition ends only below this part of its threshold.
const SLACK: f64 = 0.5;

pub(super) fn conditions(state: &NetState, context: &Context<'_>) -> Vec<Condition> {
    let filled = state.judgements(context.now).filled().iter();
    filled.filter_map(|filled| condition(filled, state, context)).take(super::FEW).collect()
}

fn condition(filled: &FilledQueue, state: &NetState, context: &Context<'_>) -> Option<Condition> {
    let severity = |slack: f64| match filled.adds {
        adds if adds >= slack * SOON && !filled.waiting.is_empty() => Some(Severity::Soon),
        adds => (adds >= slack * WATCH).then_some(Severity::Watch),
    };
    let begins = severity(1.0);
    let severity = begins.or_else(|| severity(SLACK))?;
    let judgement = state.judgements(context.now).process(filled.by, true);
    let waiting = counted(filled.waiting.len() as u64, "other connection sees", "other connections see");
    let evidence = format!("{}; {waiting} its delay", judgement.evidence);
    let condition = Condition::new(
        &KIND,
        severity,
        Subject::Process(filled.by),
        filling(filled, context),
        context.now.boot,
    );
    let condition = condition.clear(begins.is_some()).because(evidence).by([filled.by]);
    Some(condition.next(format!("observer net --connections -p {}", filled.by.pid())))
}
