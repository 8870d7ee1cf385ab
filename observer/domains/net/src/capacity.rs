//! Shared capacity near its limit: accept queues, ports of outgoing connections, descriptors, and the connections that
//! the firewall tracks.
//!
//! What cannot be seen: the port range of network namespaces other than observer's, and ports that connections in
//! `TIME_WAIT` still use.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    listener::Listener,
    routes::{Fullest, Route},
    state::NetState,
};
use observer_core::{
    context::Context,
    facts::{
        TaskId,
        net::{Descriptors, Occupancy, SocketFact},
    },
    report::{Column, CommonNote, Note, Total, Unit, Value},
    units::{counted, share},
};

/// The part of a limit from which a note is made.
const NEAR: f64 = 0.8;
/// Connections of a process from which its descriptors are counted.
const MANY: u64 = 100;
/// The most processes for which descriptors are counted.
const ASKED: usize = 16;

/// One note for each resource near its limit. Accept queues and processes get a few notes, and one more that counts the
/// others.
pub(super) fn notes(state: &NetState, fullest: Option<Fullest>, context: &Context<'_>) -> Vec<Note> {
    let mut notes = queues(state, context);
    notes.extend(descriptors(state, context));
    let ports = ports(state, fullest).filter(|(ports, _)| is_near(*ports)).map(|(_, text)| text);
    let mut texts: Vec<String> = ports.into_iter().collect();
    let tracked = state.room.and_then(|room| room.tracked).filter(|tracked| is_near(*tracked));
    texts.extend(tracked.map(tracked_text));
    notes.extend(texts.into_iter().map(|text| Note::new(CommonNote::NearLimit, text)));
    notes
}

/// The totals that show how full the machine's own tables are.
pub(super) fn totals(state: &NetState, fullest: Option<Fullest>) -> [Total; 4] {
    let tracked = state.room.and_then(|room| room.tracked);
    let limit = range(state).map(|(first, last)| size(first, last));
    [
        ("ports", fullest.map(|fullest| fullest.connections)),
        ("ports_limit", limit),
        ("tracked", tracked.map(|tracked| tracked.used)),
        ("tracked_limit", tracked.map(|tracked| tracked.limit)),
    ]
    .map(|(name, number)| Total::new(Column::gauge(name, Unit::Count), Value::unsigned(number)))
}

/// The processes for which a report counts descriptors: those with many connections.
pub(super) fn asked(open: impl Iterator<Item = (TaskId, u64)>) -> BTreeSet<TaskId> {
    let mut many: Vec<(TaskId, u64)> = open.filter(|(_, connections)| *connections >= MANY).collect();
    many.sort_by_key(|(id, connections)| (Reverse(*connections), *id));
    many.into_iter().take(ASKED).map(|(id, _)| id).collect()
}

/// The accept queue of a listener.
pub(super) struct Queue<'a> {
    pub fact: &'a SocketFact,
    /// Connections that it dropped since the last report.
    pub dropped: u64,
}

fn queues(state: &NetState, context: &Context<'_>) -> Vec<Note> {
    let strained =
        state.listeners.iter().filter_map(|listener| Queue::of(listener).filter(Queue::is_strained));
    let mut found: Vec<Queue<'_>> = strained.collect();
    found.sort_by_key(|queue| {
        (Reverse(queue.dropped), Reverse(queue.fact.queued), queue.fact.ends.local, queue.fact.cookie)
    });
    Note::few(
        CommonNote::NearLimit,
        &found,
        |queue| queue.text(context),
        |rest| {
            let dropped = rest.iter().map(|queue| queue.dropped).fold(0, u64::saturating_add);
            format!(
                "{} nearly full too, or had no room for a connection; {} none there since the last report.",
                counted(rest.len() as u64, "more accept queue is", "more accept queues are"),
                counted(dropped, "connection found", "connections found"),
            )
        },
    )
}

impl<'a> Queue<'a> {
    pub(super) fn of(listener: &'a Listener) -> Option<Self> {
        Some(Self { fact: listener.fact.as_ref()?, dropped: listener.dropped() })
    }

    /// Whether it is nearly full, or dropped connections since the last report.
    fn is_strained(&self) -> bool {
        let near = |limit| is_near(Occupancy { used: self.fact.queued.into(), limit });
        self.dropped > 0 || self.fact.queue_limit.map(u64::from).is_some_and(near)
    }

    /// A sentence about it.
    pub(super) fn text(&self, context: &Context<'_>) -> String {
        let Self { fact, dropped } = self;
        let who = fact
            .holders
            .iter()
            .min()
            .map_or_else(|| "an unknown process".to_owned(), |id| context.processes.label(*id));
        let mut text = format!("{} connections wait at {} for {who}", fact.queued, fact.ends.local);
        if let Some(limit) = fact.queue_limit {
            text.push_str(&format!(", of at most {limit}"));
        }
        if *dropped > 0 {
            let went = counted(*dropped, "connection found", "connections found");
            text.push_str(&format!("; {went} no room since the last report"));
        }
        text.push('.');
        text
    }
}

/// The ports that connections of the fullest route take, and a sentence about them.
pub(super) fn ports(state: &NetState, fullest: Option<Fullest>) -> Option<(Occupancy, String)> {
    let (first, last) = range(state)?;
    let Fullest { connections: used, route } = fullest?;
    let Route { local, remote, .. } = route?;
    let limit = size(first, last);
    let text = format!(
        "Connections from {local} to {remote} take {used} of the {limit} ports from {first} to {last} ({}); when \
         none is left, connecting fails.",
        share(used as f64 / limit as f64)
    );
    Some((Occupancy { used, limit }, text))
}

/// A sentence about the connections that the firewall tracks.
pub(super) fn tracked_text(tracked: Occupancy) -> String {
    let Occupancy { used, limit } = tracked;
    format!("The firewall tracks {used} of at most {limit} connections; beyond that new ones are dropped.")
}

/// The descriptors of each process that was counted.
pub(super) fn counted_descriptors(state: &NetState) -> Vec<(TaskId, Occupancy)> {
    let counted = state.descriptors.iter().filter_map(|(id, Descriptors { used, limit })| {
        Some((*id, Occupancy { used: (*used)?, limit: *limit }))
    });
    let mut found: Vec<(TaskId, Occupancy)> = counted.collect();
    found.sort_by_key(|(id, filling)| (Reverse(filling.used), *id));
    found
}

/// A sentence about the descriptors of a process.
pub(super) fn descriptors_text(id: TaskId, open: Occupancy, context: &Context<'_>) -> String {
    let Occupancy { used, limit } = open;
    let who = context.processes.label(id);
    format!(
        "{who} has {used} of at most {limit} descriptors open; when none is left, it can neither accept nor connect."
    )
}

/// The route whose connections take most of the ports that the kernel assigns, and the number of these ports.
pub(super) fn fullest_route(state: &NetState) -> Option<Fullest> {
    state.tally.fullest_route(state.room?.netns?)
}

fn range(state: &NetState) -> Option<(u16, u16)> {
    state.room?.ports.filter(|(first, last)| first <= last)
}

fn size(first: u16, last: u16) -> u64 {
    u64::from(last - first) + 1
}

fn descriptors(state: &NetState, context: &Context<'_>) -> Vec<Note> {
    let mut found = counted_descriptors(state);
    found.retain(|(_, open)| is_near(*open));
    let text = |(id, open): &(TaskId, Occupancy)| descriptors_text(*id, *open, context);
    Note::few(CommonNote::NearLimit, &found, text, |rest| {
        let more = counted(rest.len() as u64, "more process is", "more processes are");
        format!("{more} near its limit of descriptors.")
    })
}

fn is_near(filling: Occupancy) -> bool {
    filling.limit > 0 && filling.used as f64 >= NEAR * filling.limit as f64
}
