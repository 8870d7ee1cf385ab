//! The machine's memory is full, or will be: the kernel then kills processes, or everything waits for it.

use super::users::{command, users};
use crate::state::MemState;
use observer_core::{
    context::Context,
    problem::{
        Harm, ProblemKind,
        condition::{Capacity, Condition},
    },
    report::Subject,
    severity::Severity,
    trend::verdict::{Verdict, assess},
    units,
};

pub(super) static KIND: ProblemKind = ProblemKind { name: "memory-full", confirm: 3, linger: 15 };

/// Thresholds of each severity: available memory as a part of all memory, and in bytes. Both must be below, because a
/// large machine runs well with a small part.
const NOW: (f64, f64) = (0.02, 2.0 * GIB);
const SOON: (f64, f64) = (0.05, 4.0 * GIB);
const WATCH: (f64, f64) = (0.10, 8.0 * GIB);
const GIB: f64 = 1_073_741_824.0;
/// Thresholds for the time until memory is full.
const NOW_SECONDS: f64 = 300.0;
const SOON_SECONDS: f64 = 3600.0;
/// A trend predicts at most this many times the time over which it was measured.
const TRUSTED: f64 = 20.0;
/// Growth has a severity only if at least this part of memory is used: a build on an empty machine grows, too.
const NOW_USED: f64 = 0.7;
const SOON_USED: f64 = 0.6;
/// An existing condition ends only beyond this many times its threshold.
const SLACK: f64 = 1.25;

pub(super) fn condition(state: &MemState, context: &Context<'_>) -> Option<Condition> {
    let (total, used) = state.machine.size()?;
    let available = state.machine.available()? as f64;
    let now = context.now.boot;
    let assessment = assess(&state.machine.used, now);
    let trend = assessment.trend.filter(|trend| trend.low > 0.0 && assessment.verdict == Verdict::Growing);
    let harm = trend.map(|trend| Harm {
        expected: available / trend.rate,
        low: available / trend.high,
        high: available / trend.low,
    });
    let known = state.machine.used.known(now);
    let severity = |slack: f64| {
        let below = |(part, bytes): (f64, f64)| available <= slack * (part * total as f64).min(bytes);
        let within = |seconds: f64| {
            harm.is_some_and(|harm| {
                harm.expected <= slack * seconds && harm.expected <= slack * TRUSTED * known
            })
        };
        if below(NOW) || (used * slack >= NOW_USED && within(NOW_SECONDS)) {
            Some(Severity::Now)
        } else if below(SOON) || (used * slack >= SOON_USED && within(SOON_SECONDS)) {
            Some(Severity::Soon)
        } else {
            below(WATCH).then_some(Severity::Watch)
        }
    };
    let begins = severity(1.0);
    let severity = begins.or_else(|| severity(SLACK))?;
    let users = users(state, |_| true);
    let who = users.first().map(|user| user.words(context));
    let time =
        harm.map_or_else(String::new, |harm| format!(", full in about {}", units::duration(harm.expected)));
    let who = who.map_or_else(String::new, |who| format!(": {who}"));
    let text =
        format!("Memory is {} used, {} available{time}{who}.", units::share(used), units::bytes(available));
    let swap = state.machine.swap().filter(|(total, _)| *total > 0);
    let swap = swap.map_or_else(
        || "there is no swap".to_owned(),
        |(total, free)| format!("{} of {} swap are free", units::bytes(free), units::bytes(total)),
    );
    let evidence = format!("{}; {swap}", assessment.reason);
    let condition =
        Condition::new(&KIND, severity, Subject::Machine, text, context.now.boot).clear(begins.is_some());
    let next = users.first().map_or_else(|| "observer mem".to_owned(), |user| command(user.id));
    let who = users.iter().take(super::FEW).map(|user| user.id);
    Some(condition.because(evidence).harming_in(harm).by(who).next(next))
}

pub(super) fn capacity(state: &MemState) -> Option<Capacity> {
    let (total, used) = state.machine.size()?;
    let available = units::bytes(state.machine.available()?);
    let text =
        format!("memory is {} used, {available} of {} available", units::share(used), units::bytes(total));
    Some(Capacity { text, used, full_in: None })
}
