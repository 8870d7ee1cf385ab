//! A process does not read the data that has arrived for it, or reads it too slowly: its peers wait.
//!
//! One row a process, because a process that stopped reads none of its connections.

use std::collections::BTreeMap;

use crate::{connection::Connection, diagnosis::Bottleneck, state::NetState};
use observer_core::{
    context::Context,
    facts::TaskId,
    problem::{ProblemKind, condition::Condition},
    report::Subject,
    severity::Severity,
    units::{bytes, counted},
};

pub(super) static KIND: ProblemKind = ProblemKind { name: "slow-reader", confirm: 5, linger: 10 };

/// A connection counts if at least this many bytes wait in it: a few may wait in an idle connection for hours.
const WAITING: u32 = 64 << 10;
/// An existing condition ends only below this part of the bytes.
const SLACK: u32 = 4;

/// The connections of one process that it does not read, or reads slowly.
#[derive(Default)]
struct Unread<'a> {
    connections: u64,
    bytes: u64,
    /// Whether one of them has enough data waiting.
    is_clear: bool,
    /// Whether one of them leaves no room for more data.
    is_closed: bool,
    /// Whether it reads nothing of one of them.
    is_stopped: bool,
    most: Option<&'a Connection>,
}

pub(super) fn conditions(state: &NetState, context: &Context<'_>) -> Vec<Condition> {
    let judged = state.judgements(context.now);
    let mut readers: BTreeMap<TaskId, Unread<'_>> = BTreeMap::new();
    for connection in state.connections.active().filter(|connection| connection.unread() >= WAITING / SLACK) {
        let limit = judged.connection(connection).limit;
        let Some(owner) = connection.fact.holders.first().copied().or_else(|| connection.owner()) else {
            continue;
        };
        let stopped = limit == Bottleneck::Reader;
        let slow = limit == Bottleneck::Receiver && connection.interval().1 > connection.interval().0;
        if !(stopped || slow) {
            continue;
        }
        let unread = readers.entry(owner).or_default();
        unread.connections += 1;
        unread.bytes += u64::from(connection.unread());
        unread.is_clear |= connection.unread() >= WAITING;
        unread.is_stopped |= stopped;
        let window = connection.fact.times.map_or(u32::MAX, |times| times.receive_window);
        unread.is_closed |= window < connection.unread() / 2;
        if unread.most.is_none_or(|most| connection.unread() > most.unread()) {
            unread.most = Some(connection);
        }
    }
    let mut found: Vec<(TaskId, Unread<'_>)> = readers.into_iter().collect();
    found.sort_by_key(|(id, unread)| (std::cmp::Reverse(unread.bytes), *id));
    found.iter().take(super::FEW).filter_map(|(id, unread)| condition(*id, unread, state, context)).collect()
}

fn condition(id: TaskId, unread: &Unread<'_>, state: &NetState, context: &Context<'_>) -> Option<Condition> {
    let most = unread.most?;
    let peer = most.fact.ends.remote.map_or_else(String::new, |remote| format!(" from {remote}"));
    let others = match unread.connections {
        1 => String::new(),
        more => format!(" and on {}", counted(more - 1, "other connection", "other connections")),
    };
    let (verb, severity) = match (unread.is_stopped, unread.is_closed) {
        (true, true) => ("does not read", Severity::Soon),
        (true, false) => ("does not read", Severity::Watch),
        (false, _) => ("reads slowly", Severity::Watch),
    };
    let text = format!(
        "{} {verb} what has arrived{peer}{others}: {} wait.",
        context.processes.introduced(id),
        bytes(unread.bytes)
    );
    let room = if unread.is_closed { "; there is no room for more, so its peer waits" } else { "" };
    let evidence = format!("{}{room}", state.judgements(context.now).connection(most).evidence);
    let condition =
        Condition::new(&KIND, severity, Subject::Process(id), text, context.now.boot).clear(unread.is_clear);
    let next = format!("observer net --connections -p {}", id.pid());
    Some(condition.because(evidence).by([id]).next(next))
}
