//! The accept queue of a service is full: it does not take its connections, and new ones are refused or time out.

use crate::{capacity::Queue, listener::Listener, state::NetState};
use observer_core::{
    context::Context,
    problem::{ProblemKind, condition::Condition},
    report::{Subject, Value},
    severity::Severity,
    units::counted,
};

/// A report shows one moment. A queue that is full in two reports in a row was probably not emptied in between.
pub(super) static KIND: ProblemKind = ProblemKind { name: "accept-queue-full", confirm: 1, linger: 10 };

/// A queue is nearly full if this part of it is used, and at least this many connections wait.
const NEAR: f64 = 0.8;
const MANY: u32 = 8;

pub(super) fn conditions(state: &NetState, context: &Context<'_>) -> Vec<Condition> {
    let mut found: Vec<(u32, Condition)> = state
        .listeners
        .iter()
        .filter_map(|listener| {
            let queue = Queue::of(listener)?;
            Some((queue.fact.queued, condition(listener, &queue, state, context)?))
        })
        .collect();
    found.sort_by(|(one, left), (other, right)| {
        other.cmp(one).then_with(|| left.problem.subject.cmp(&right.problem.subject))
    });
    found.into_iter().take(super::FEW).map(|(_, condition)| condition).collect()
}

fn condition(
    listener: &Listener,
    queue: &Queue<'_>,
    state: &NetState,
    context: &Context<'_>,
) -> Option<Condition> {
    let fact = queue.fact;
    let limit = fact.queue_limit.filter(|limit| *limit > 0);
    let is_full = limit.is_some_and(|limit| fact.queued >= limit);
    let is_near =
        limit.is_some_and(|limit| fact.queued >= MANY && f64::from(fact.queued) >= NEAR * f64::from(limit));
    let is_emptied = limit.is_some_and(|limit| 2 * fact.queued < limit);
    let severity = match (is_full, queue.dropped > 0) {
        (true, _) => Severity::Now,
        // Bursts fill it, and the service takes them all: their peers try again and are let in.
        (false, true) if is_emptied => Severity::Watch,
        (false, true) => Severity::Now,
        (false, false) if is_near => Severity::Soon,
        (false, false) => return None,
    };
    let holders = listener.holders();
    let who =
        holders.first().map_or_else(|| "no known process".to_owned(), |id| context.processes.introduced(*id));
    let local = fact.ends.local.to_string();
    let waiting = counted(fact.queued.into(), "connection waits", "connections wait");
    let full = match limit {
        Some(limit) if is_full => format!("its accept queue is full ({waiting}, of at most {limit})"),
        Some(limit) => format!("{waiting} in its accept queue, of at most {limit}"),
        None => waiting,
    };
    let accepts = if listener.accepted == 0 { "does not accept" } else { "accepts too slowly" };
    let dropped = counted(queue.dropped, "connection found", "connections found");
    let dropped =
        if queue.dropped > 0 { format!("; {dropped} no room since the last report") } else { String::new() };
    let text = format!("{who} {accepts} connections at {local}: {full}{dropped}.");
    let then = if state.refuses { "are refused" } else { "get no answer and time out" };
    let accepted = counted(listener.accepted, "connection was", "connections were");
    let evidence =
        format!("{accepted} accepted since observation began; while the queue is full, new ones {then}");
    let about = vec![("local", Value::Text(local)), ("netns", Value::Unsigned(fact.ends.netns.into()))];
    let subject = Subject::Listener { cookie: fact.cookie };
    let condition =
        Condition::new(&KIND, severity, subject, text, context.now.boot).about(about).because(evidence);
    let next = match holders.first() {
        Some(id) => format!("observer net --listen -p {}", id.pid()),
        None => "observer net --listen".to_owned(),
    };
    Some(condition.by(holders.into_iter().take(super::FEW)).next(next))
}
