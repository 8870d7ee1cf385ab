//! The answer in words.

use super::{
    report::{Overall, Rates, usage},
    state::NetState,
    traffic::Traffic,
};
use crate::{
    domains::Context,
    identity::columns::label,
    observation::TaskId,
    text::printable,
    units::{bit_rate, bits, counted, share},
    view::View,
};

/// The part of its speed from which an interface is what people should look at.
pub(super) const SATURATED: f64 = 0.8;
/// The part of its speed from which an interface is worth naming.
const BUSY: f64 = 0.3;

/// How full the fullest link is, who takes most, in one sentence; two while rates are not known yet.
pub(super) fn lines(state: &NetState, context: &Context<'_>, all: &Overall, rates: Rates) -> Vec<String> {
    if context.request.view == View::Listen {
        return vec![listening(state)];
    }
    let (Some(tx), Some(rx)) = (rates.per_second(all.interval.tx), rates.per_second(all.interval.rx)) else {
        let open = state.connections.len() as u64;
        return vec![format!(
            "{} open; what they carry is known after the first interval.",
            counted(open, "connection is", "connections are")
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
    let who = who(*id, traffic, context, all);
    let fullest = state.links.values().filter_map(|link| Some((usage(link, rates)?, link)));
    let fullest = fullest.max_by(|left, right| left.0.total_cmp(&right.0)).filter(|(used, _)| *used >= BUSY);
    if let Some((used, link)) = fullest
        && let (Some((sent, received)), Some(speed)) = (link.interval(), link.fact.speed)
        && let Some(rate) = rates.per_second(sent.max(received))
    {
        let verb = if sent >= received { "sends" } else { "receives" };
        let name = printable(&link.fact.name);
        let (rate, speed, used) = (bit_rate(rate), bits(speed as f64), share(used));
        return vec![format!("{name} {verb} {rate} of {speed} ({used}): {who}.")];
    }
    vec![format!("Processes send {} and receive {}: {who}.", bit_rate(tx), bit_rate(rx))]
}

/// How many sockets listen, and where connections wait.
fn listening(state: &NetState) -> String {
    let listeners = state.listeners.values().filter_map(|listener| listener.fact.as_ref());
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
            format!("{sockets}; the queue of {} is full: connections are refused.", full.join(", "))
        }
        (true, 0) => format!("{sockets}; no connection waits to be accepted."),
        (true, _) => format!("{sockets}; {}.", counted(waiting, "connection waits", "connections wait")),
    }
}

fn who(id: TaskId, traffic: &Traffic, context: &Context<'_>, all: &Overall) -> String {
    let who =
        format!("{} takes {} of it", label(id, context.processes), share(all.share(traffic.interval())));
    match traffic.to() {
        Some(to) => format!("{who}, most of it with {to}"),
        None => who,
    }
}
