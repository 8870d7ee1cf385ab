//! The headline: the answer in words.

use super::{
    diagnosis::{Bottleneck, Remedy},
    links::usage,
    notes::NetNote,
    queue::FilledQueue,
    rates::Rates,
    state::NetState,
    traffic::{Overall, Traffic},
};
use crate::views;
use observer_core::{
    context::Context,
    facts::TaskId,
    report::Note,
    text::printable,
    units::{bit_rate, bits, counted, duration, share},
};

/// The headline names an interface from this part of its speed on.
const BUSY: f64 = 0.3;

/// The use of the fullest link and the process with most traffic, in one sentence; two sentences while rates are not
/// known yet.
pub(super) fn lines(state: &NetState, context: &Context<'_>, all: &Overall, rates: Rates) -> Vec<String> {
    if context.request.view == views::LISTEN {
        return vec![listening(state)];
    }
    let (Some(tx), Some(rx)) = (rates.per_second(all.interval.tx), rates.per_second(all.interval.rx)) else {
        return vec![format!(
            "{} open; their traffic is known after the first interval.",
            counted(state.tally.open(), "connection is", "connections are")
        )];
    };
    let busiest = state.processes.iter().max_by_key(|(id, traffic)| {
        let now = traffic.interval();
        (now.both(), **id)
    });
    let busiest = busiest.filter(|(_, traffic)| traffic.interval().both() > 0);
    let Some((id, traffic)) = busiest else {
        return vec!["No process sends or receives.".to_owned()];
    };
    let who = who(*id, traffic, state, context, all);
    let fullest = state.links.iter().filter_map(|link| Some((usage(link, rates)?, link)));
    let fullest = fullest.max_by(|left, right| left.0.total_cmp(&right.0)).filter(|(used, _)| *used >= BUSY);
    if let Some((used, link)) = fullest
        && let (Some((sent, received)), Some(speed)) = (link.interval(), link.fact.speed)
        && let Some(rate) = rates.per_second(sent.max(received))
    {
        let verb = if sent >= received { "sends" } else { "receives" };
        let name = printable(&link.fact.name);
        let (rate, speed, used) = (bit_rate(rate), bits(speed as f64), share(used));
        let answer = format!("{name} {verb} {rate} of {speed} ({used}): {who}.");
        return with_lesson(answer, *id, state, context);
    }
    let answer = format!("Processes send {} and receive {}: {who}.", bit_rate(tx), bit_rate(rx));
    with_lesson(answer, *id, state, context)
}

/// The answer, with what would make that process faster: more bandwidth does not help a process that waits for round
/// trips, and a nearer server does not help one that fills its link.
fn with_lesson(answer: String, id: TaskId, state: &NetState, context: &Context<'_>) -> Vec<String> {
    let judged = state.judgements(context.now);
    let filled = judged.filled().iter().find(|filled| filled.by == id).map(|filled| {
        let adds = duration(filled.adds);
        format!("It fills the queue of its link, which adds {adds} to every round trip there.")
    });
    let judgement = judged.process(id, state.tally.counts(id));
    let brief = &judgement.brief;
    let lesson = match (judgement.limit, judgement.gains) {
        (Bottleneck::Unknown, _) => None,
        (_, Remedy::Bandwidth) => {
            Some("More bandwidth would make it faster; a shorter round trip would not.".to_owned())
        }
        (_, Remedy::Nearness) => Some(format!(
            "Limited by {brief}: a shorter round trip would make it faster; more bandwidth would not."
        )),
        (_, Remedy::Buffer) => Some(format!(
            "Limited by {brief}: a larger one or a shorter round trip would make it faster; more bandwidth would not."
        )),
        (_, Remedy::Neither) => Some(format!(
            "Limited by {brief}: neither more bandwidth nor a shorter round trip would make it faster."
        )),
    };
    std::iter::once(answer).chain(filled).chain(lesson).collect()
}

/// Processes that fill a queue, and connections that wait in it: one note for each of the longest few, and one that
/// counts the others.
pub(super) fn notes(state: &NetState, context: &Context<'_>) -> Vec<Note> {
    let text = |filled: &FilledQueue| filling(filled, context);
    Note::few(NetNote::QueueFilled, state.judgements(context.now).filled(), text, |rest| {
        let more = counted(rest.len() as u64, "more link has", "more links have");
        format!("{more} a queue that one process fills.")
    })
}

/// A sentence about a queue that one process fills.
pub(super) fn filling(filled: &FilledQueue, context: &Context<'_>) -> String {
    let waiting =
        counted(filled.waiting.len() as u64, "connection of another waits", "connections of others wait");
    format!(
        "{} fills the queue of its link to {} ({} of what that link limits): it adds {} to every round trip there; \
         {waiting} in it.",
        context.processes.label(filled.by),
        filled.to,
        share(filled.share),
        duration(filled.adds),
    )
}

/// The number of listening sockets, and where connections wait to be accepted.
fn listening(state: &NetState) -> String {
    let listeners = state.listeners.facts();
    let (mut all, mut waiting, mut full) = (0, 0, Vec::new());
    for listener in listeners {
        all += 1;
        waiting += u64::from(listener.queued);
        if listener.queued > 0 && listener.queue_limit.is_some_and(|limit| listener.queued >= limit) {
            full.push(listener.ends.local.to_string());
        }
    }
    full.sort();
    let sockets = counted(all, "socket listens", "sockets listen");
    match (full.is_empty(), waiting) {
        (false, _) => {
            let then = if state.refuses { "are refused" } else { "get no answer and time out" };
            format!("{sockets}; the queue of {} is full: more connections {then}.", full.join(", "))
        }
        (true, 0) => format!("{sockets}; no connection waits to be accepted."),
        (true, _) => format!("{sockets}; {}.", counted(waiting, "connection waits", "connections wait")),
    }
}

fn who(id: TaskId, traffic: &Traffic, state: &NetState, context: &Context<'_>, all: &Overall) -> String {
    let who = format!("{} takes {} of it", context.processes.label(id), share(all.share(traffic.interval())));
    match traffic.to() {
        Some(to) => format!("{who}, most of it with {}", state.shown(to, context)),
        None => who,
    }
}
