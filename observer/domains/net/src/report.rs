//! From the state of the net domain to rows and columns.

use crate::note;
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use super::{
    bytes::Bytes,
    capacity, headline, links, peer_names,
    peer_totals::PeerTotals,
    rates::Rates,
    state::{End, NetState},
    traffic::{Overall, Traffic},
};
use observer_core::{
    domain::Context,
    identity::columns,
    report::{Column, Emphasis, Kind, Note, Report, Row, Table, Value},
    units::counted,
    view::View,
};

/// A share of the traffic from which a process stands out.
const NOTABLE: f64 = 0.5;

/// The report of the view that was asked for.
pub fn report(state: &NetState, context: &Context<'_>) -> Report {
    let rates = Rates::of(context);
    let mut report = match context.request.view {
        View::Connections => context.report(vec![super::sockets::connections(state, context, rates)]),
        View::Listen => context.report(vec![super::sockets::listeners(state, context)]),
        _ => context.report(vec![processes(state, context, rates), links::table(&state.links, rates)]),
    };
    let all = Overall::of(state.left, state.processes.values());
    report.totals = vec![
        ("tx", Value::Unsigned(all.total.tx)),
        ("rx", Value::Unsigned(all.total.rx)),
        ("tx_rate", rates.rate(all.interval.tx)),
        ("rx_rate", rates.rate(all.interval.rx)),
    ];
    let fullest = capacity::fullest_route(state);
    report.totals.extend(capacity::totals(state, fullest));
    report.notes.extend(capacity::notes(state, fullest, context));
    if context.request.view == View::Net {
        report.notes.extend(links::notes(&state.links, rates));
    }
    report.loss.unattributed = state.unattributed;
    if state.unwatched > 0 {
        let went = counted(state.unwatched, "datagram went", "datagrams went");
        let text = format!(
            "{went} by before observer looked whose they were: it looks while a socket for datagrams is open, and for \
             ten minutes after."
        );
        report.notes.push(Note { code: note::DATAGRAMS_UNSEEN, text });
    }
    if context.request.view != View::Listen {
        report.notes.extend(headline::notes(state, context));
    }
    report.headline = headline::lines(state, context, &all, rates);
    report
}

/// Processes with traffic or connections, the busiest first; where rows are made of remotes, each process with each of
/// them.
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
    let told = |id| state.ended.get(&id) == Some(&End::Once);
    let idle = open.keys().filter(|part| !known.contains(part) && !told(part.0));
    found.extend(idle.map(|part| (*part, &nothing)));
    let ended = |id| state.ended.contains_key(&id);
    found.retain(|((id, _), traffic)| !ended(*id) || traffic.has_news());
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
        let mut cells = columns::cells(id, context.processes, context.request);
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
        ]);
        let emphasis = match share {
            share if share >= NOTABLE => Emphasis::Notice,
            share if share > 0.0 => Emphasis::Plain,
            _ => Emphasis::Faint,
        };
        Row { processes: vec![id], cells, emphasis, details: Vec::new(), ended: ended(id) }
    });
    let columns = process_columns(context, state.remotes.is_some());
    Table { key: "rows", rows: rows.collect(), columns, hidden: Default::default() }
}

fn process_columns(context: &Context<'_>, remotes: bool) -> Vec<Column> {
    let mut all = columns::columns(context.request);
    if remotes {
        all.push(Column::new("remote", Kind::Text, "REMOTE", 0));
    }
    all.extend([
        Column::json("tx", Kind::Bytes).adding(),
        Column::json("rx", Kind::Bytes).adding(),
        Column::new("tx_rate", Kind::BitRate, "SENDS", 1).adding(),
        Column::new("rx_rate", Kind::BitRate, "RECEIVES", 1).adding(),
        Column::new("share", Kind::Share, "SHARE", 3).adding(),
        Column::human("since_start", Kind::Bytes, "SINCE START", 4).adding(),
        Column::json("tcp", Kind::Bytes).adding(),
        Column::json("udp", Kind::Bytes).adding(),
        Column::new("connections", Kind::Count, "CONNECTIONS", 7).adding(),
        Column::json("retransmitted", Kind::Bytes).adding(),
        Column::new("rtt", Kind::Duration, "RTT", 5),
        Column::json("to", Kind::Text),
        Column::human("to_name", Kind::Text, "TO", 2),
        Column::json("limited_by", Kind::Text),
        Column::human("limit", Kind::Text, "LIMITED BY", 2),
        Column::json("evidence", Kind::Text),
        Column::json("descriptors", Kind::Count),
        Column::json("descriptor_limit", Kind::Count),
    ]);
    all
}

fn object(bytes: Bytes) -> Value {
    Value::Object(vec![("tx", Value::Unsigned(bytes.tx)), ("rx", Value::Unsigned(bytes.rx))])
}

/// Open TCP connections of each process that owns or holds them, by remote where rows are made of those.
fn open_connections(state: &NetState) -> HashMap<PeerTotals, u64> {
    match state.tally.parts() {
        Some(parts) => parts.collect(),
        None => state.tally.processes().map(|(id, open)| ((id, None), open)).collect(),
    }
}
