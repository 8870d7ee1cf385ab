//! A network interface carries nearly as much as it can, and the process with most of it.
//!
//! What cannot be seen: the speed of an interface that does not report one, a limit that is set elsewhere on the path
//! (see `queue_filled`), and which interface carries which connection. The process that is named is the one with most
//! traffic to other hosts.

use std::cmp::Reverse;

use crate::{link::Link, links::usage, rates::Rates, state::NetState};
use observer_core::{
    context::Context,
    problem::{
        ProblemKind,
        condition::{Capacity, Condition},
    },
    report::{Subject, Value},
    severity::Severity,
    text::printable,
    units::{bit_rate, bits, counted, share},
};

/// Links are made for bursts of a few seconds.
pub(super) static KIND: ProblemKind = ProblemKind { name: "link-full", confirm: 10, linger: 10 };

/// Thresholds of each severity: the used part of the speed of an interface.
const SOON: f64 = 0.9;
const WATCH: f64 = 0.7;
/// An existing condition ends only at a used part that is lower by this.
const SLACK: f64 = 0.1;
/// A process with at least this part of the traffic is named as its cause.
const HOG: f64 = 0.3;

pub(super) fn conditions(state: &NetState, rates: Rates, context: &Context<'_>) -> Vec<Condition> {
    let mut links: Vec<(&Link, f64)> =
        state.links.iter().filter_map(|link| Some((link, usage(link, rates)?))).collect();
    links.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let found = links.into_iter().filter_map(|(link, used)| condition(link, used, state, rates, context));
    found.take(super::FEW).collect()
}

pub(super) fn capacities(state: &NetState, rates: Rates) -> impl Iterator<Item = Capacity> {
    state.links.iter().filter_map(move |link| {
        let (used, speed) = (usage(link, rates)?, link.fact.speed?);
        let text =
            format!("{} is {} used of {}", printable(&link.fact.name), share(used), bits(speed as f64));
        Some(Capacity { text, used, full_in: None })
    })
}

fn condition(
    link: &Link,
    used: f64,
    state: &NetState,
    rates: Rates,
    context: &Context<'_>,
) -> Option<Condition> {
    let severity = |slack: f64| match used + slack {
        used if used >= SOON => Some(Severity::Soon),
        used => (used >= WATCH).then_some(Severity::Watch),
    };
    let begins = severity(0.0);
    let severity = begins.or_else(|| severity(SLACK))?;
    let (sent, received) = link.interval()?;
    let carried = sent.saturating_add(received);
    let hog = state.processes.iter().max_by_key(|(id, traffic)| (traffic.to_others(), Reverse(**id)));
    let hog = hog.map(|(id, traffic)| (*id, traffic, traffic.to_others() as f64 / carried.max(1) as f64));
    let hog = hog.filter(|(_, _, part)| *part >= HOG);
    let name = printable(&link.fact.name);
    let verb = if sent >= received { "sends" } else { "receives" };
    let who = hog.map_or_else(String::new, |(id, traffic, part)| {
        let to = traffic
            .to()
            .map_or_else(String::new, |to| format!(", most of it with {}", state.shown(to, context)));
        format!(": {} takes {} of it{to}", context.processes.introduced(id), share(part.min(1.0)))
    });
    let rate = bit_rate(rates.per_second(sent.max(received))?);
    let speed = bits(link.fact.speed? as f64);
    let text = format!("{name} {verb} {rate}, {} of its {speed}{who}.", share(used));
    let waits = link.queue().filter(|queue| queue.packets > 0);
    let waits = waits.map_or_else(
        || "no packet waits in its queue".to_owned(),
        |queue| format!("{} in its queue", counted(queue.packets.into(), "packet waits", "packets wait")),
    );
    let lost = counted(link.lost(), "packet was", "packets were");
    let evidence = format!("{waits}; {lost} dropped or damaged since the last report");
    let subject = Subject::Link { name: link.fact.name.clone() };
    let about = vec![("interface", Value::Text(name)), ("speed", Value::unsigned(link.fact.speed))];
    let next = hog.map_or_else(
        || "observer net --top".to_owned(),
        |(id, _, _)| format!("observer net --connections -p {}", id.pid()),
    );
    let condition =
        Condition::new(&KIND, severity, subject, text, context.now.boot).clear(begins.is_some()).about(about);
    Some(condition.because(evidence).by(hog.map(|(id, _, _)| id)).next(next))
}
