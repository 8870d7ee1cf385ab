//! Tasks wait for memory: the kernel takes pages back and reads them again instead of working.

use super::users::{command, users};
use crate::state::MemState;
use observer_core::{
    context::Context,
    problem::{ProblemKind, condition::Condition},
    report::{Subject, Value},
    severity::Severity,
    text::printable,
    units,
};

pub(super) static KIND: ProblemKind = ProblemKind { name: "memory-stall", confirm: 5, linger: 15 };

/// Thresholds of each severity: the share of the last seconds in which some task waited, and in which all did. Both
/// must be reached.
const NOW: (f64, f64) = (0.4, 0.1);
const SOON: (f64, f64) = (0.2, 0.03);
const WATCH: (f64, f64) = (0.1, 0.01);
/// An existing condition ends only below this part of its threshold.
const SLACK: f64 = 0.6;
/// The time over which the shares are measured, nanoseconds.
const LOOK_BACK: u64 = 10_000_000_000;

pub(super) fn conditions(state: &MemState, context: &Context<'_>) -> Vec<Condition> {
    let now = context.now.boot;
    let from = now.saturating_sub(LOOK_BACK);
    let mut waiting: Vec<(Option<&[u8]>, f64, f64)> = state
        .pressure
        .waiting(from, now)
        // The root group is the machine.
        .filter(|(group, some, _)| *some >= SLACK * WATCH.0 && *group != Some(b"/"))
        .collect();
    waiting.sort_by(|(one, some, _), (other, more, _)| more.total_cmp(some).then(one.cmp(other)));
    let found =
        waiting.into_iter().filter_map(|(group, some, full)| condition(group, some, full, state, context));
    found.take(super::FEW).collect()
}

fn condition(
    group: Option<&[u8]>,
    some: f64,
    full: f64,
    state: &MemState,
    context: &Context<'_>,
) -> Option<Condition> {
    let severity = |slack: f64| {
        let above =
            |(least_some, least_full): (f64, f64)| some >= slack * least_some && full >= slack * least_full;
        [(NOW, Severity::Now), (SOON, Severity::Soon), (WATCH, Severity::Watch)]
            .into_iter()
            .find_map(|(least, severity)| above(least).then_some(severity))
    };
    let begins = severity(1.0);
    let severity = begins.or_else(|| severity(SLACK))?;
    let users = users(state, |process| {
        group.is_none_or(|path| process.group.as_ref().is_some_and(|group| group.name == path))
    });
    let place = group.map_or_else(String::new, |path| format!(" of the control group {}", printable(path)));
    let who = users.first().map_or_else(String::new, |user| format!(": {}", user.words(context)));
    let text = format!("Tasks{place} wait for memory {} of the time{who}.", units::share(some));
    let evidence = format!(
        "all of them at once waited {} of the last {:.0} s",
        units::share(full),
        LOOK_BACK as f64 / 1e9
    );
    let (subject, about) = match group {
        Some(path) => {
            (Subject::ControlGroup { path: path.to_vec() }, vec![("path", Value::Text(printable(path)))])
        }
        None => (Subject::Machine, Vec::new()),
    };
    let next = users.first().map_or_else(|| "observer mem".to_owned(), |user| command(user.id));
    let condition =
        Condition::new(&KIND, severity, subject, text, context.now.boot).clear(begins.is_some()).about(about);
    let who = users.iter().take(super::FEW).map(|user| user.id);
    Some(condition.because(evidence).by(who).next(next))
}
