//! The views with one row a socket: connections and flows, listeners.

use std::{cmp::Reverse, sync::Arc};

use super::{
    connection::{Connection, Phase},
    diagnoses::Diagnoses,
    rates::Rates,
    state::{FlowTotals, NetState},
};
use observer_core::{
    context::Context,
    facts::{
        TaskId,
        net::{Protocol, SocketFact},
    },
    report::{Column, Emphasis, Notation, Row, Subject, Table, Unit, Value, process},
    text::printable,
    units::duration,
    view::GroupBy,
};

/// The evidence for a socket that is no TCP connection.
const NO_PACE: &str = "only TCP has the counters that this needs";

/// A row and its sort keys.
struct Found {
    /// Bytes of this interval, and bytes in total.
    now: u64,
    total: u64,
    /// Keeps the order stable for equal bytes.
    cookie: u64,
    row: Row,
}

/// Connections and flows, the busiest first. Bytes are counted from the opening of the connection.
pub fn connections(state: &NetState, context: &Context<'_>, rates: Rates) -> Table {
    let tcp = state.connections.iter().filter(|connection| {
        matches!(connection.phase, Phase::Open | Phase::Closed)
            || (connection.phase == Phase::Vanished && connection.interval() != (0, 0))
    });
    let judged = state.judgements(context.now);
    let mut found: Vec<Found> =
        tcp.map(|connection| tcp_row(&connection, state, judged, context, rates)).collect();
    let flows = state.flows.values().filter(|flow| flow.fact.key.cookie != 0);
    found.extend(flows.filter_map(|flow| flow_row(flow, state, context, rates)));
    found.sort_by_key(|found| {
        (Reverse(found.now), Reverse(found.total), found.row.processes.first().copied(), found.cookie)
    });
    let counter = |name| Column::counter(name, Unit::Bytes);
    let rate = |name| Column::gauge(name, Unit::BytesPerSecond);
    let seconds = |name| Column::gauge(name, Unit::Seconds);
    let mut all = process::columns(context.request);
    all.extend([
        Column::label("protocol").shown("PROTOCOL", 7).same(),
        Column::label("local").shown("LOCAL", 5),
        Column::label("remote").shown("REMOTE", 0).same().key_of(GroupBy::Remote),
        Column::label("state").shown("STATE", 6),
        counter("tx").shown("SENT", 3).adding(),
        counter("rx").shown("RECEIVED", 3).adding(),
        rate("tx_rate").shown("SENDS", 1).noted(Notation::Bits).adding(),
        rate("rx_rate").shown("RECEIVES", 1).noted(Notation::Bits).adding(),
        seconds("rtt").shown("RTT", 2),
        seconds("rtt_min"),
        counter("retransmitted").shown("RETRANSMITTED", 9).adding(),
        rate("delivery_rate"),
        seconds("queue"),
        Column::text("limited_by"),
        Column::text("limit").human("LIMITED BY", 2),
        Column::text("evidence"),
        seconds("age").shown("AGE", 8),
    ]);
    all.extend(NAMESPACE);
    let rows = found.into_iter().map(|found| found.row).collect();
    Table::of_processes("rows", all, rows)
}

fn tcp_row(
    connection: &Connection,
    state: &NetState,
    judged: &Diagnoses,
    context: &Context<'_>,
    rates: Rates,
) -> Found {
    let fact = &connection.fact;
    let judgement = judged.connection(connection);
    let evidence = match judged.waits_in(fact.cookie) {
        Some(filled) => {
            let (waits, filler) = (duration(filled.adds), context.processes.label(filled.by));
            format!("{}; {waits} of it in a queue that {filler} fills", judgement.evidence)
        }
        None => judgement.evidence,
    };
    let (tx, rx) = connection.interval();
    let processes: Vec<TaskId> = fact.processes().collect();
    let mut cells = process_cells(processes.first().copied(), context);
    let age = (fact.opened != 0).then(|| context.now.boot.saturating_sub(fact.opened) as f64 / 1e9);
    let phase = if connection.phase == Phase::Closed { "closed" } else { state_name(fact.state) };
    cells.extend([
        Value::Text("tcp".to_owned()),
        Value::Text(fact.ends.local.to_string()),
        Value::text(fact.ends.remote.map(|remote| remote.to_string())),
        Value::Text(phase.to_owned()),
        Value::Unsigned(fact.counters.tx),
        Value::Unsigned(fact.counters.rx),
        rates.rate(tx),
        rates.rate(rx),
        Value::real(connection.round_trip()),
        Value::real(fact.measures.rtt_min.map(|micros| f64::from(micros) / 1e6)),
        Value::Unsigned(fact.counters.retransmitted),
        Value::real(connection.delivery_rate()),
        Value::real(judgement.queue),
        Value::Text(judgement.limit.name().to_owned()),
        human(judgement.brief),
        Value::Text(evidence),
        Value::real(age),
    ]);
    cells.extend(namespace(Some(fact.ends.netns), state));
    let now = tx.saturating_add(rx);
    let subject = Subject::Connection { cookie: fact.cookie };
    let row = Row { subject, processes, cells, emphasis: emphasis(now), ..Row::default() };
    Found { now, total: fact.counters.tx.saturating_add(fact.counters.rx), cookie: fact.cookie, row }
}

/// The bytes of one process through a socket that does not count them. `None` for a shared TCP connection: its own row
/// has the bytes of all holders.
fn flow_row(flow: &FlowTotals, state: &NetState, context: &Context<'_>, rates: Rates) -> Option<Found> {
    let fact = &flow.fact;
    if fact.protocol == Protocol::Tcp {
        return None;
    }
    let socket = state.sockets.get(&fact.key.cookie);
    let (tx, rx) = (fact.tx.saturating_sub(flow.reported.0), fact.rx.saturating_sub(flow.reported.1));
    let mut cells = process_cells(Some(fact.key.task), context);
    let age = context.now.boot.saturating_sub(fact.key.created) as f64 / 1e9;
    cells.extend([
        Value::Text(protocol_name(fact.protocol).to_owned()),
        Value::text(socket.map(|socket| socket.ends.local.to_string())),
        Value::text(fact.remote.map(|remote| remote.to_string())),
        Value::Missing,
        Value::Unsigned(fact.tx),
        Value::Unsigned(fact.rx),
        rates.rate(tx),
        rates.rate(rx),
        Value::Missing,
        Value::Missing,
        Value::Missing,
        Value::Missing,
        Value::Missing,
        Value::Text("unknown".to_owned()),
        Value::Missing,
        Value::Text(NO_PACE.to_owned()),
        Value::real(Some(age)),
    ]);
    cells.extend(namespace(socket.map(|socket| socket.ends.netns), state));
    let now = tx.saturating_add(rx);
    let (process, cookie) = (fact.key.task, fact.key.cookie);
    let subject = Subject::Flow { process, cookie };
    let row = Row { subject, processes: vec![process], cells, emphasis: emphasis(now), ..Row::default() };
    Some(Found { now, total: fact.tx.saturating_add(fact.rx), cookie, row })
}

/// Listeners and bound datagram sockets; those with waiting data or connections come first.
pub fn listeners(state: &NetState, context: &Context<'_>) -> Table {
    let arriving = state.listeners.iter().filter_map(|listener| {
        Some((listener.fact.as_deref()?, Some(listener.accepted), listener.holders()))
    });
    let bound = state
        .sockets
        .values()
        .map(Arc::as_ref)
        .filter(|socket: &&SocketFact| socket.ends.remote.is_none() && socket.ends.local.port() != 0);
    let bound = bound.map(|socket| {
        let mut holders = socket.holders.to_vec();
        holders.sort_by_key(|id| (id.start, id.tgid));
        (socket, None, holders)
    });
    let mut found: Vec<(&SocketFact, Option<u64>, Vec<TaskId>)> = arriving.chain(bound).collect();
    found.sort_by_key(|(socket, ..)| {
        let waiting = if socket.listening { socket.queued } else { 0 };
        (Reverse(waiting), socket.ends.local, socket.cookie)
    });
    let mut all = process::columns(context.request);
    all.extend([
        Column::label("protocol").shown("PROTOCOL", 5).same(),
        Column::label("local").shown("LOCAL", 0),
        Column::gauge("queued", Unit::Count).shown("QUEUED", 1),
        Column::gauge("queue_limit", Unit::Count).shown("OF", 2),
        Column::counter("overflows", Unit::Count).shown("OVERFLOWS", 1),
        Column::counter("accepted", Unit::Count).shown("ACCEPTED", 3),
        Column::text("holders"),
    ]);
    all.extend(NAMESPACE);
    let rows = found.into_iter().map(|(socket, accepted, holders)| {
        let mut cells = process_cells(holders.first().copied(), context);
        let (queued, limit) = (u64::from(socket.queued), socket.queue_limit.map(u64::from));
        cells.extend([
            Value::Text(protocol_name(socket.protocol).to_owned()),
            Value::Text(socket.ends.local.to_string()),
            Value::unsigned(socket.listening.then_some(queued)),
            Value::unsigned(limit),
            Value::unsigned(state.drops(socket)),
            Value::unsigned(accepted),
            Value::text((!holders.is_empty()).then(|| labels(&holders, context))),
        ]);
        cells.extend(namespace(Some(socket.ends.netns), state));
        let emphasis = match limit {
            Some(limit) if queued > 0 && queued >= limit => Emphasis::Alarm,
            _ if queued > 0 && socket.listening => Emphasis::Notice,
            _ => Emphasis::Plain,
        };
        let subject = Subject::Listener { cookie: socket.cookie };
        Row { subject, processes: holders, cells, emphasis, ..Row::default() }
    });
    Table::of_processes("rows", all, rows.collect())
}

/// Processes in words.
fn labels(ids: &[TaskId], context: &Context<'_>) -> String {
    ids.iter().map(|id| context.processes.label(*id)).collect::<Vec<_>>().join(", ")
}

/// The network namespace of a socket, and its container.
const NAMESPACE: [Column; 2] =
    [Column::label("netns").same(), Column::label("netns_container").same().key_of(GroupBy::Container)];

/// The cells of [`NAMESPACE`].
fn namespace(netns: Option<u32>, state: &NetState) -> [Value; 2] {
    let container = netns.and_then(|netns| state.namespaces.container(netns)).map(printable);
    [Value::unsigned(netns.map(u64::from)), Value::text(container)]
}

/// A cell for humans only; empty if there is no text.
pub(super) fn human(brief: String) -> Value {
    Value::text((!brief.is_empty()).then_some(brief))
}

fn process_cells(id: Option<TaskId>, context: &Context<'_>) -> Vec<Value> {
    id.map_or_else(
        || vec![Value::Missing; process::columns(context.request).len()],
        |id| process::cells(id, context.processes, context.request),
    )
}

const fn emphasis(bytes: u64) -> Emphasis {
    if bytes > 0 { Emphasis::Plain } else { Emphasis::Faint }
}

const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::UdpLite => "udplite",
        Protocol::Mptcp => "mptcp",
    }
}

/// The name of a state, as in the filters of `ss`.
const fn state_name(state: u8) -> &'static str {
    const NAMES: [&str; 13] = [
        "unknown",
        "established",
        "syn-sent",
        "syn-recv",
        "fin-wait-1",
        "fin-wait-2",
        "time-wait",
        "closed",
        "close-wait",
        "last-ack",
        "listening",
        "closing",
        "syn-recv",
    ];
    if (state as usize) < NAMES.len() { NAMES[state as usize] } else { NAMES[0] }
}
