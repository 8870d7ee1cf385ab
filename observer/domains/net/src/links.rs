//! The table of interfaces, and the notes about full or lossy ones.

use std::cmp::Reverse;

use super::{
    link::{Link, Links},
    notes::NetNote,
    rates::Rates,
};
use observer_core::{
    report::{Column, CommonNote, Emphasis, Notation, Note, Row, Subject, Table, Unit, Value},
    text::printable,
    units::{bits, bytes, counted, share},
};

/// From this part of its speed, the use of an interface is an alarm.
const SATURATED: f64 = 0.8;
/// From this part of its speed, an interface is near its limit.
const FULL: f64 = 0.9;

/// The interfaces, the busiest first.
pub(super) fn table(links: &Links, rates: Rates) -> Table {
    let mut found: Vec<&Link> = links.iter().collect();
    found.sort_by_key(|link| Reverse(link.interval().map_or(0, |(tx, rx)| tx.max(rx))));
    let rate = |name| Column::gauge(name, Unit::BytesPerSecond);
    let columns = vec![
        Column::label("interface").shown("INTERFACE", 0),
        Column::gauge("speed", Unit::BitsPerSecond),
        Column::text("capacity").human("SPEED", 4),
        rate("tx_rate").shown("SENDS", 1).noted(Notation::Bits),
        rate("rx_rate").shown("RECEIVES", 1).noted(Notation::Bits),
        Column::gauge("use", Unit::Ratio).shown("USE", 2),
        Column::gauge("queued", Unit::Bytes).shown("QUEUED", 5),
        Column::gauge("queued_packets", Unit::Count),
        Column::counter("drops", Unit::Count),
        Column::counter("queue_drops", Unit::Count),
        // Drops of the interface and drops of its queue are two counters, but one question to the reader.
        Column::counter("dropped", Unit::Count).human("DROPS", 3),
        Column::counter("errors", Unit::Count).shown("ERRORS", 6),
    ];
    let rows = found.into_iter().map(|link| row(link, rates)).collect();
    Table::new("links", columns, rows)
}

fn row(link: &Link, rates: Rates) -> Row {
    let usage = usage(link, rates);
    let rate =
        |of: fn((u64, u64)) -> u64| link.interval().map_or(Value::Missing, |bytes| rates.rate(of(bytes)));
    let (queue, drops, queue_drops) = (link.queue(), link.drops(), link.queue_drops());
    let cells = vec![
        Value::Text(printable(&link.fact.name)),
        Value::unsigned(link.fact.speed),
        Value::text(link.fact.speed.map(|speed| bits(speed as f64))),
        rate(|(tx, _)| tx),
        rate(|(_, rx)| rx),
        Value::real(usage),
        Value::unsigned(queue.map(|queue| queue.bytes.into())),
        Value::unsigned(queue.map(|queue| queue.packets.into())),
        Value::Unsigned(drops),
        Value::unsigned(queue_drops),
        Value::Unsigned(drops.saturating_add(queue_drops.unwrap_or(0))),
        Value::unsigned(link.errors()),
    ];
    let emphasis = match (usage, link.interval()) {
        (Some(usage), _) if usage >= SATURATED => Emphasis::Alarm,
        _ if link.lost() > 0 => Emphasis::Notice,
        (_, Some((0, 0)) | None) => Emphasis::Faint,
        _ => Emphasis::Plain,
    };
    let subject = Subject::Link { name: link.fact.name.clone() };
    Row { subject, cells, emphasis, ..Row::default() }
}

/// The part of its speed that an interface uses in its busier direction; `None` if either is unknown.
pub(super) fn usage(link: &Link, rates: Rates) -> Option<f64> {
    let (tx, rx) = link.interval()?;
    Some(rates.per_second(tx.max(rx))? * 8.0 / link.fact.speed? as f64)
}

/// One note for each of the worst few interfaces that are full or lose packets, and one note that counts the others.
/// Another note if the queues are not known.
pub(super) fn notes(links: &Links, rates: Rates) -> Vec<Note> {
    let full = |link: &Link| usage(link, rates).filter(|usage| *usage >= FULL);
    let mut found: Vec<&Link> = links.iter().filter(|link| link.lost() > 0 || full(link).is_some()).collect();
    found.sort_by(|one, other| {
        let usage = |link| full(link).unwrap_or(0.0);
        other.lost().cmp(&one.lost()).then_with(|| usage(other).total_cmp(&usage(one)))
    });
    let others = |rest: &[&Link]| {
        let more = counted(rest.len() as u64, "more interface is", "more interfaces are");
        let lost = rest.iter().map(|link| link.lost()).fold(0, u64::saturating_add);
        let lost = counted(lost, "packet", "packets");
        format!("{more} full or lost packets since the last report, {lost} together.")
    };
    let mut notes = Note::few(CommonNote::NearLimit, &found, |link| text(link, full(link)), others);
    if links.iter().any(|link| link.queue().is_none()) {
        let text =
            "`queued` and `queue_drops` of interfaces are null: the kernel did not report their queues.";
        notes.push(Note::new(NetNote::LinkQueuesUnknown, text));
    }
    notes
}

fn text(link: &Link, usage: Option<f64>) -> String {
    let name = printable(&link.fact.name);
    let speed = link.fact.speed.unwrap_or(0);
    let uses = usage.map(|usage| format!("uses {} of its {}", share(usage), bits(speed as f64)));
    let lost = (link.lost() > 0).then(|| {
        let packets = counted(link.lost(), "packet was", "packets were");
        format!("{packets} dropped or damaged since the last report")
    });
    let waits = link.queue().filter(|queue| queue.packets > 0).map(|queue| {
        let packets = counted(queue.packets.into(), "packet waits", "packets wait");
        format!("{packets} in its queue, {}", bytes(u64::from(queue.bytes)))
    });
    let what: Vec<String> = [uses, lost, waits].into_iter().flatten().collect();
    format!("{name}: {}.", what.join("; "))
}
