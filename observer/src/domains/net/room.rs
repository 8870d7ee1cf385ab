//! What is shared and near its limit: accept queues, ports that outgoing connections take, descriptors, and the
//! connections that the firewall tracks.
//!
//! What cannot be seen: the range of ports of other network namespaces than observer's, and ports that connections in
//! `TIME_WAIT` still take.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{state::NetState, tally::Route};
use crate::{
    domains::Context,
    identity::columns::label,
    observation::{
        TaskId,
        net::{Descriptors, Filling},
    },
    report::{Note, Value},
    units::{counted, share},
};

/// The part of a limit from which people should look at it.
const NEAR: f64 = 0.8;
/// Connections from which a process's descriptors are looked at.
const MANY: u64 = 100;
/// Of how many processes at most.
const ASKED: usize = 16;

/// What is near its limit, a note each.
pub(super) fn notes(state: &NetState, fullest: Option<(Route, u64)>, context: &Context<'_>) -> Vec<Note> {
    let mut texts = queues(state, context);
    texts.extend(ports(state, fullest));
    texts.extend(descriptors(state, context));
    if let Some(tracked) = state.room.and_then(|room| room.tracked)
        && is_near(tracked)
    {
        let Filling { used, limit } = tracked;
        texts.push(format!(
            "The firewall tracks {used} of at most {limit} connections; beyond that new ones are dropped."
        ));
    }
    texts.into_iter().map(|text| Note { code: Note::NEAR_LIMIT, text }).collect()
}

/// The totals that tell how full the machine's own tables are.
pub(super) fn totals(state: &NetState, fullest: Option<(Route, u64)>) -> Vec<(&'static str, Value)> {
    let tracked = state.room.and_then(|room| room.tracked);
    vec![
        ("ports", Value::unsigned(fullest.map(|(_, ports)| ports))),
        ("ports_limit", Value::unsigned(range(state).map(|(first, last)| size(first, last)))),
        ("tracked", Value::unsigned(tracked.map(|tracked| tracked.used))),
        ("tracked_limit", Value::unsigned(tracked.map(|tracked| tracked.limit))),
    ]
}

/// The processes whose descriptors should be counted: those with many connections.
pub(super) fn asked(open: impl Iterator<Item = (TaskId, u64)>) -> BTreeSet<TaskId> {
    let mut many: Vec<(TaskId, u64)> = open.filter(|(_, connections)| *connections >= MANY).collect();
    many.sort_by_key(|(id, connections)| (Reverse(*connections), *id));
    many.into_iter().take(ASKED).map(|(id, _)| id).collect()
}

fn queues(state: &NetState, context: &Context<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for listener in state.listeners.values() {
        let Some(fact) = &listener.fact else { continue };
        let dropped = listener.dropped();
        let used = u64::from(fact.queued);
        let limit = fact.queue_limit.map(u64::from);
        if dropped == 0 && !limit.is_some_and(|limit| is_near(Filling { used, limit })) {
            continue;
        }
        let who = fact
            .holders
            .iter()
            .min()
            .map_or_else(|| "nobody who is known".to_owned(), |id| label(*id, context.processes));
        let local = fact.ends.local;
        let mut text = format!("{used} connections wait at {local} for {who}");
        if let Some(limit) = limit {
            text.push_str(&format!(", of at most {limit}"));
        }
        if dropped > 0 {
            let went = counted(dropped, "connection found", "connections found");
            text.push_str(&format!("; {went} no room since the last report"));
        }
        text.push('.');
        found.push((Reverse(dropped), local, text));
    }
    found.sort();
    found.into_iter().map(|(_, _, text)| text).collect()
}

fn ports(state: &NetState, fullest: Option<(Route, u64)>) -> Option<String> {
    let (first, last) = range(state)?;
    let (Route { local, remote, .. }, used) = fullest?;
    let limit = size(first, last);
    let filling = Filling { used, limit };
    is_near(filling).then(|| {
        format!(
            "Connections from {local} to {remote} take {used} of the {limit} ports from {first} to {last} ({}); when \
             none is left, connecting fails.",
            share(used as f64 / limit as f64)
        )
    })
}

/// The route that takes most of the ports that the kernel gives out, with how many.
pub(super) fn fullest_route(state: &NetState) -> Option<(Route, u64)> {
    let here = state.room?.netns?;
    let routes = state.tally.routes().filter(|(route, _)| route.netns == here);
    routes.max_by_key(|(route, ports)| (*ports, Reverse(*route)))
}

fn range(state: &NetState) -> Option<(u16, u16)> {
    state.room?.ports.filter(|(first, last)| first <= last)
}

fn size(first: u16, last: u16) -> u64 {
    u64::from(last - first) + 1
}

fn descriptors(state: &NetState, context: &Context<'_>) -> Vec<String> {
    let mut found: Vec<(&TaskId, &Descriptors)> = state.descriptors.iter().collect();
    found.sort_by_key(|(id, open)| (Reverse(open.used), **id));
    let near = found.into_iter().filter_map(|(id, open)| {
        let filling = Filling { used: open.used?, limit: open.limit };
        is_near(filling).then(|| {
            format!(
                "{} has {} of at most {} descriptors open; when none is left, it can neither accept nor connect.",
                label(*id, context.processes),
                filling.used,
                filling.limit
            )
        })
    });
    near.collect()
}

fn is_near(filling: Filling) -> bool {
    filling.limit > 0 && filling.used as f64 >= NEAR * filling.limit as f64
}
