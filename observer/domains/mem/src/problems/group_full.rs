//! A control group is near its memory limit: the kernel then kills one of its processes, or slows them down.
//!
//! The kernel counts page cache as used, but can take it back. The severity therefore depends also on the memory that
//! the group's processes hold, and on its shared memory and files in RAM. Not visible: kernel memory of the group that
//! cannot be taken back.

use std::collections::BTreeMap;

use super::users::{User, command, users};
use crate::{limited_groups::LimitedGroup, process::ProcessMemory, report::limited_groups, state::MemState};
use observer_core::{
    context::Context,
    facts::mem::{Limit, Memory},
    problem::{
        Harm, ProblemKind,
        condition::{Capacity, Condition},
    },
    report::{Subject, Value},
    severity::Severity,
    text::printable,
    trend::{slope::Trend, verdict::Assessment},
    units,
};
use observer_host::cgroup::is_within;

pub(super) static KIND: ProblemKind = ProblemKind { name: "group-full", confirm: 3, linger: 15 };

/// Thresholds of each severity: the used part of the limit, and the part that cannot be taken back. Both must be
/// reached.
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

/// A group near its limit, and what fills it.
struct FilledGroup<'a> {
    limit: Limit,
    /// What the kernel charges to the group, once it has been read.
    charged: Option<&'a LimitedGroup>,
    users: Vec<User>,
    /// Bytes that the kernel cannot take back without swap: private memory of its processes, shared memory and files in
    /// RAM.
    held: f64,
    /// How long its growth has been observed, seconds.
    known: f64,
    harm: Option<Harm>,
}

pub(super) fn conditions(state: &MemState, context: &Context<'_>) -> Vec<Condition> {
    let groups = limits(state).into_values().filter(|limit| used(limit) >= GROWING - SLACK);
    let mut found: Vec<(f64, Condition)> = groups
        .filter_map(|limit| {
            let group = FilledGroup::new(limit, state, context.now.boot);
            Some((used(&group.limit), group.condition(state, context)?))
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

impl<'a> FilledGroup<'a> {
    fn new(limit: Limit, state: &'a MemState, now: u64) -> Self {
        let is_in = |process: &ProcessMemory| {
            process.group.as_ref().is_some_and(|group| is_within(&group.name, &limit.group))
        };
        let members = state.processes.values().filter(|process| !process.ended && is_in(process));
        let memory: Vec<_> = members.filter_map(ProcessMemory::memory).collect();
        let bytes = |part: fn(&Memory) -> i64| memory.iter().map(|memory| part(memory).max(0) as f64).sum();
        let charged = state.limited.get(&limit.group);
        let private: f64 = bytes(|memory| memory.anon);
        // Processes can map the same shared memory, so the kernel's own count comes first.
        let shared = charged.and_then(|group| group.memory.shmem).map(|shmem| shmem as f64);
        let held = private + shared.unwrap_or_else(|| bytes(|memory| memory.shmem));
        let users = users(state, is_in);
        let first = users.first().and_then(|user| state.processes.get(&user.id));
        let mut known = first.map_or(0.0, |process| process.series.window.known(now));
        let mut trend = together(&users);
        if let Some(group) = charged
            && let Some(own) = certain(&group.assessment(now))
            && trend.is_none_or(|trend| own.rate > trend.rate)
        {
            (trend, known) = (Some(own), group.series.window.known(now));
        }
        let left = limit.limit.saturating_sub(limit.usage) as f64;
        let harm = trend.map(|trend| Harm {
            expected: left / trend.rate,
            low: left / trend.high,
            high: left / trend.low,
        });
        Self { users, held, known, harm, charged, limit }
    }

    fn condition(&self, state: &MemState, context: &Context<'_>) -> Option<Condition> {
        let Limit { group, file, limit, usage } = &self.limit;
        let (used, held) = (used(&self.limit), self.held / (*limit).max(1) as f64);
        let harm = self.harm;
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
        let shared = self.charged.and_then(|charged| limited_groups::shared(group, charged, state));
        let cause = shared.or_else(|| Some(self.users.first()?.words(context)));
        let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
        let time = harm.map_or_else(String::new, |harm| {
            format!(", which it reaches in about {}", units::duration(harm.expected))
        });
        let name = printable(group);
        let text = format!(
            "The control group {name} uses {} of its {}{time}{cause}.",
            units::share(used),
            units::bytes(*limit)
        );
        let what =
            if file.ends_with("high") { "slows its processes down" } else { "kills one of its processes" };
        let evidence = format!(
            "{} are charged to it; {} of that cannot be taken back; at the limit ({file}) the kernel {what}",
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

/// The growth of all users together, if there is any.
fn together(users: &[User]) -> Option<Trend> {
    let trends = users.iter().filter_map(|user| user.trend);
    trends.reduce(|one, other| Trend {
        rate: one.rate + other.rate,
        low: one.low + other.low,
        high: one.high + other.high,
    })
}

/// The trend, if the whole interval is above zero.
fn certain(assessment: &Assessment) -> Option<Trend> {
    assessment.trend.filter(|trend| assessment.verdict.grows() && trend.low > 0.0)
}
