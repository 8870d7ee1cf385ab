//! A control group is near its memory limit: the kernel then kills one of its processes, or slows them down.
//!
//! The kernel counts page cache as used, but can take it back. The severity therefore depends also on the memory that
//! the group's processes hold. Not visible: kernel memory of the group that cannot be taken back.

use std::collections::BTreeMap;

use super::users::{User, command, users};
use crate::{process::ProcessMemory, state::MemState};
use observer_core::{
    context::Context,
    facts::mem::Limit,
    problem::{
        Harm, ProblemKind,
        condition::{Capacity, Condition},
    },
    report::{Subject, Value},
    severity::Severity,
    text::printable,
    units,
};

pub(super) static KIND: ProblemKind = ProblemKind { name: "group-full", confirm: 3, linger: 15 };

/// Thresholds of each severity: the used part of the limit, and the part that processes hold. Both must be reached.
const NOW: (f64, f64) = (0.98, 0.9);
const SOON: (f64, f64) = (0.92, 0.8);
const WATCH: (f64, f64) = (0.85, 0.7);
/// Thresholds for the time until the limit is reached.
const NOW_SECONDS: f64 = 300.0;
const SOON_SECONDS: f64 = 3600.0;
/// A trend predicts at most this many times the time over which it was measured.
const TRUSTED: f64 = 20.0;
/// Growth has a severity only if at least this part of the limit is used.
const GROWING: f64 = 0.6;
/// An existing condition ends only at a used part that is lower by `SLACK`, and at times that are longer by the factor
/// `SLOWER`.
const SLACK: f64 = 0.02;
const SLOWER: f64 = 1.5;

/// A group with a limit.
struct LimitedGroup {
    limit: Limit,
    users: Vec<User>,
    /// Bytes that its processes hold and the kernel cannot take back without swap.
    held: f64,
    /// How long its fastest process has been observed, seconds.
    known: f64,
}

pub(super) fn conditions(state: &MemState, context: &Context<'_>) -> Vec<Condition> {
    let groups = limits(state).into_values().filter(|limit| used(limit) >= GROWING - SLACK);
    let mut found: Vec<(f64, Condition)> = groups
        .filter_map(|limit| {
            let group = LimitedGroup::new(limit, state, context.now.boot);
            Some((used(&group.limit), group.condition(context)?))
        })
        .collect();
    found.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    found.into_iter().take(super::FEW).map(|(_, condition)| condition).collect()
}

pub(super) fn capacities(state: &MemState) -> Vec<Capacity> {
    let capacity = |limit: Limit| Capacity {
        text: format!(
            "the control group {} uses {} of its {}",
            printable(&limit.group),
            units::share(used(&limit)),
            units::bytes(limit.limit)
        ),
        used: used(&limit),
        full_in: None,
    };
    limits(state).into_values().map(capacity).collect()
}

/// The limits that are known, by their group and file.
fn limits(state: &MemState) -> BTreeMap<(Vec<u8>, String), Limit> {
    state.limits().map(|limit| ((limit.group.clone(), limit.file.clone()), limit)).collect()
}

fn used(limit: &Limit) -> f64 {
    limit.usage as f64 / limit.limit.max(1) as f64
}

impl LimitedGroup {
    fn new(limit: Limit, state: &MemState, now: u64) -> Self {
        let is_in = |process: &ProcessMemory| {
            process.group.as_ref().is_some_and(|group| is_below(&group.name, &limit.group))
        };
        let members = || state.processes.values().filter(|process| !process.ended && is_in(process));
        let held = members()
            .filter_map(|process| process.memory())
            .map(|memory| (memory.anon.saturating_add(memory.shmem)).max(0) as f64);
        let held = held.sum();
        let users = users(state, is_in);
        let first = users.first().and_then(|user| state.processes.get(&user.id));
        let known = first.map_or(0.0, |process| process.series.window.known(now));
        Self { users, held, known, limit }
    }

    /// Seconds until the limit is reached; `None` unless the whole interval of the rate is above zero.
    fn harm(&self) -> Option<Harm> {
        let left = self.limit.limit.saturating_sub(self.limit.usage) as f64;
        let trends = || self.users.iter().filter_map(|user| user.trend);
        let rate: f64 = trends().map(|trend| trend.rate).sum();
        let (low, high): (f64, f64) =
            (trends().map(|trend| trend.low).sum(), trends().map(|trend| trend.high).sum());
        (rate > 0.0).then(|| Harm { expected: left / rate, low: left / high, high: left / low })
    }

    fn condition(&self, context: &Context<'_>) -> Option<Condition> {
        let Limit { group, file, limit, usage } = &self.limit;
        let (used, held) = (used(&self.limit), self.held / (*limit).max(1) as f64);
        let harm = self.harm();
        let severity = |slack: f64, slower: f64| {
            let above = |(least_used, least_held): (f64, f64)| {
                used >= least_used - slack && held >= least_held - slack
            };
            let within = |seconds: f64| {
                let trusted = seconds.min(TRUSTED * self.known);
                used >= GROWING - slack && harm.is_some_and(|harm| harm.expected <= slower * trusted)
            };
            if above(NOW) || within(NOW_SECONDS) {
                Some(Severity::Now)
            } else if above(SOON) || within(SOON_SECONDS) {
                Some(Severity::Soon)
            } else {
                above(WATCH).then_some(Severity::Watch)
            }
        };
        let begins = severity(0.0, 1.0);
        let severity = begins.or_else(|| severity(SLACK, SLOWER))?;
        let who = self.users.first().map_or_else(String::new, |user| format!(": {}", user.words(context)));
        let time = harm.map_or_else(String::new, |harm| {
            format!(", which it reaches in about {}", units::duration(harm.expected))
        });
        let name = printable(group);
        let text = format!(
            "The control group {name} uses {} of its {}{time}{who}.",
            units::share(used),
            units::bytes(*limit)
        );
        let what =
            if file.ends_with("high") { "slows its processes down" } else { "kills one of its processes" };
        let evidence = format!(
            "{} are charged to it and its processes hold {}; at the limit ({file}) the kernel {what}",
            units::bytes(*usage),
            units::bytes(self.held)
        );
        let about = vec![
            ("path", Value::Text(name)),
            ("limit", Value::Unsigned(*limit)),
            ("file", Value::Text(file.clone())),
        ];
        let subject = Subject::ControlGroup { path: group.clone() };
        let next = self.users.first().map_or_else(|| "observer mem".to_owned(), |user| command(user.id));
        let condition = Condition::new(&KIND, severity, subject, text, context.now.boot)
            .clear(begins.is_some())
            .about(about);
        let who = self.users.iter().take(super::FEW).map(|user| user.id);
        Some(condition.because(evidence).harming_in(harm).by(who).next(next))
    }
}

/// Whether the group `path` is `group` or below it. In version 1, paths of processes begin with the name of the
/// hierarchy.
fn is_below(path: &[u8], group: &[u8]) -> bool {
    let [path, group] = [path, group].map(|path| path.strip_prefix(b"memory:").unwrap_or(path));
    let group = group.strip_suffix(b"/").unwrap_or(group);
    path.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
