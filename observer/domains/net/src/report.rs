//! From the state of the net domain to rows and columns.

use std::cmp::Reverse;

use hashbrown::{HashMap, HashSet};

use crate::views;

use super::{
    bytes::Bytes,
    capacity, failures, headline, links,
    notes::NetNote,
    peer_names,
    peer_totals::PeerTotals,
    rates::Rates,
    state::NetState,
    traffic::{Overall, Traffic},
};
use observer_core::{
    context::Context,
    report::{Column, Emphasis, Notation, Note, Report, Row, Subject, Table, Total, Unit, Value, process},
    units::{bytes, count, counted},
    view::GroupBy,
};

/// From this share of the traffic, a process is highlighted.
const NOTABLE: f64 = 0.5;

/// The metric in OpenTelemetry's conventions for the bytes of a process, and its attributes.
const IO: &str = "process.network.io";
const TRANSMIT: (&str, &str) = ("network.io.direction", "transmit");
const RECEIVE: (&str, &str) = ("network.io.direction", "receive");

/// The report of the requested view.
pub fn report(state: &NetState, context: &Context<'_>) -> Report {
    let rates = Rates::of(context);
    let mut report = match context.request.view {
        views::CONNECTIONS => context.report(vec![super::sockets::connections(state, context, rates)]),
        views::LISTEN => context.report(vec![super::sockets::listeners(state, context)]),
        _ => context.report(vec![processes(state, context, rates), links::table(&state.links, rates)]),
    };
    let all = Overall::of(state.left, state.processes.values());
    report.totals = totals(state, &all, rates);
    let fullest = capacity::fullest_route(state);
    report.notes.extend(capacity::notes(state, fullest, context));
    if context.request.view == views::NET {
        report.notes.extend(links::notes(&state.links, rates));
    }
    report.loss.unattributed = state.unattributed;
    report.notes.extend(unseen(state));
    report.notes.extend(shared(state));
    report.notes.extend(failures::notes(state, context));
    if context.request.view != views::LISTEN {
        report.notes.extend(headline::notes(state, context));
    }
    report.headline = headline::lines(state, context, &all, rates);
    report
}

/// The totals of every view.
pub(crate) fn totals(state: &NetState, all: &Overall, rates: Rates) -> Vec<Total> {
    let mut totals = vec![
        Total::new(Column::counter("tx", Unit::Bytes), Value::Unsigned(all.total.tx)),
        Total::new(Column::counter("rx", Unit::Bytes), Value::Unsigned(all.total.rx)),
        Total::new(Column::gauge("tx_rate", Unit::BytesPerSecond), rates.rate(all.interval.tx)),
        Total::new(Column::gauge("rx_rate", Unit::BytesPerSecond), rates.rate(all.interval.rx)),
    ];
    totals.push(Total::new(Column::counter("shared", Unit::Bytes), Value::Unsigned(state.shared_unseen)));
    totals.extend(capacity::totals(state, capacity::fullest_route(state)));
    totals
}

/// The datagrams that could not be attributed, by network namespace.
fn unseen(state: &NetState) -> Option<Note> {
    let sum = state.unseen.values().fold(0, |sum: u64, datagrams| sum.saturating_add(*datagrams));
    let were = (sum > 0).then(|| counted(sum, "datagram was", "datagrams were"))?;
    let places = state.unseen.iter().filter_map(|(netns, datagrams)| {
        netns.map(|netns| format!("{} in network namespace {netns}", count(*datagrams)))
    });
    let places: Vec<String> = places.collect();
    let places = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
    let text = format!(
        "{were} not attributed{places}: observer watches datagrams while a datagram socket is open and for ten minutes \
         after, and these passed before it began to watch."
    );
    Some(Note::new(NetNote::DatagramsUnseen, text))
}

/// The bytes that several processes may have moved, between two scans.
fn shared(state: &NetState) -> Option<Note> {
    let amount = bytes(state.shared_unseen);
    let text = format!(
        "{amount} went over connections that more than one process had open, for less than an interval: it is not \
         known which of them moved them."
    );
    (state.shared_unseen > 0).then(|| Note::new(NetNote::BytesShared, text))
}

/// Processes with traffic or connections, the busiest first. If rows are grouped by peer, each process has one row for
/// each peer.
fn processes(state: &NetState, context: &Context<'_>, rates: Rates) -> Table {
    let all = Overall::of(state.left, state.processes.values());
    let open = open_connections(state);
    let judged = state.judgements(context.now);
    let nothing = Traffic::default();
    let mut found: Vec<(PeerTotals, &Traffic)> = match &state.remotes {
        Some(remotes) => remotes.iter().map(|(part, traffic)| (*part, traffic)).collect(),
        None => state.processes.iter().map(|(id, traffic)| ((*id, None), traffic)).collect(),
    };
    let known: HashSet<PeerTotals> = found.iter().map(|(part, _)| *part).collect();
    let idle = open.keys().filter(|part| !known.contains(*part));
    found.extend(idle.map(|part| (*part, &nothing)));
    let ended = |id| state.ended.contains_key(&id);
    // The sockets of an ended process can live on and send what it has written.
    found.retain(|(part, traffic)| !ended(part.0) || traffic.has_news() || open.contains_key(part));
    found.sort_by_key(|(part, traffic)| {
        let (now, total) = (traffic.interval(), traffic.total());
        (Reverse(now.both()), Reverse(total.both()), *part)
    });
    let rows = found.into_iter().map(|((id, remote), traffic)| {
        let (now, total) = (traffic.interval(), traffic.total());
        let share = all.share(now);
        let judgement = judged.process(id, state.tally.counts(id));
        let connections =
            open.get(&(id, remote)).copied().unwrap_or_default().saturating_add(traffic.ended_connections);
        let mut cells = process::cells(id, context.processes, context.request);
        if state.remotes.is_some() {
            cells.push(Value::text(remote.map(|remote| remote.to_string())));
        }
        cells.extend([
            Value::Unsigned(total.tx),
            Value::Unsigned(total.rx),
            rates.rate(now.tx),
            rates.rate(now.rx),
            Value::real(rates.per_second(0).map(|_| share)),
            Value::Unsigned(total.both()),
            object(traffic.tcp),
            object(traffic.udp),
            Value::Unsigned(connections),
            Value::Unsigned(traffic.retransmitted),
            Value::real(traffic.round_trip()),
            Value::text(traffic.to().map(peer_names::number)),
            Value::text(traffic.to().map(|to| state.shown(to, context))),
            Value::Text(judgement.limit.name().to_owned()),
            super::sockets::human(judgement.brief),
            Value::Text(judgement.evidence),
            Value::unsigned(state.descriptors.get(&id).and_then(|open| open.used)),
            Value::unsigned(state.descriptors.get(&id).map(|open| open.limit)),
            Value::Unsigned(traffic.failed.refused),
            Value::Unsigned(traffic.failed.timed_out),
            Value::Unsigned(traffic.failed.unreachable),
            Value::Unsigned(traffic.failed.without_port),
        ]);
        let emphasis = match share {
            share if share >= NOTABLE => Emphasis::Notice,
            share if share > 0.0 => Emphasis::Plain,
            _ => Emphasis::Faint,
        };
        let subject = match &state.remotes {
            Some(_) => Subject::ProcessPeer(id, remote),
            None => Subject::Process(id),
        };
        Row { subject, processes: vec![id], cells, emphasis, details: Vec::new(), ended: ended(id) }
    });
    let columns = process_columns(context, state.remotes.is_some());
    Table::of_processes("rows", columns, rows.collect())
}

fn process_columns(context: &Context<'_>, remotes: bool) -> Vec<Column> {
    let counter = |name| Column::counter(name, Unit::Bytes);
    let rate = |name| Column::gauge(name, Unit::BytesPerSecond);
    let mut all = process::columns(context.request);
    if remotes {
        all.push(Column::label("remote").shown("REMOTE", 0).same().key_of(GroupBy::Remote));
    }
    all.extend([
        counter("tx").adding().otel(IO, Some(TRANSMIT)),
        counter("rx").adding().otel(IO, Some(RECEIVE)),
        rate("tx_rate").shown("SENDS", 1).noted(Notation::Bits).adding(),
        rate("rx_rate").shown("RECEIVES", 1).noted(Notation::Bits).adding(),
        Column::gauge("share", Unit::Ratio).shown("SHARE", 3).adding(),
        counter("since_start").human("SINCE START", 4).adding(),
        counter("tcp").adding(),
        counter("udp").adding(),
        Column::gauge("connections", Unit::Count).shown("CONNECTIONS", 7).adding(),
        counter("retransmitted").adding(),
        Column::gauge("rtt", Unit::Seconds).shown("RTT", 5),
        Column::label("to"),
        Column::label("to_name").human("TO", 2),
        Column::text("limited_by"),
        Column::text("limit").human("LIMITED BY", 2),
        Column::text("evidence"),
        Column::gauge("descriptors", Unit::Count).otel("process.unix.file_descriptor.count", None),
        Column::gauge("descriptor_limit", Unit::Count),
        Column::counter("refused", Unit::Count).adding(),
        Column::counter("timed_out", Unit::Count).adding(),
        Column::counter("unreachable", Unit::Count).adding(),
        Column::counter("without_port", Unit::Count).adding(),
    ]);
    all
}

fn object(bytes: Bytes) -> Value {
    Value::Object(vec![("tx", Value::Unsigned(bytes.tx)), ("rx", Value::Unsigned(bytes.rx))])
}

/// Open TCP connections of each process that owns or holds them; by peer if rows are grouped by peer.
fn open_connections(state: &NetState) -> HashMap<PeerTotals, u64> {
    match state.tally.parts() {
        Some(parts) => parts.collect(),
        None => state.tally.processes().map(|(id, open)| ((id, None), open)).collect(),
    }
}
