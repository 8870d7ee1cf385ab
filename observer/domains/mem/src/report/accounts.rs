//! The tables of the machine's accounts and of memory objects.

use super::{trend_columns, trend_value};
use crate::{
    objects::{ObjectState, kind_name},
    state::MemState,
};
use observer_core::{
    context::Context,
    facts::mem::ObjectProcess,
    report::{Column, Emphasis, Row, Subject, Table, Unit, Value},
    text::printable,
    trend::verdict::{Verdict, assess, assess_life},
    units,
};

/// An account gets a row from this share of the machine's memory on.
const SHARE: f64 = 0.01;
/// An account also gets a row if it changed by this many bytes in the window.
const CHANGE: f64 = 1_048_576.0;
/// The number of objects with a row; the others are counted.
const OBJECTS: usize = 30;

/// The machine's relevant accounts, each with its trend.
pub(super) fn accounts(state: &MemState, context: &Context<'_>) -> Table {
    let now = context.now.boot;
    let mut columns = vec![
        Column::label("account").shown("WHERE MEMORY IS", 0),
        Column::gauge("bytes", Unit::Bytes).shown("SIZE", 0),
        Column::gauge("share", Unit::Ratio),
    ];
    columns.extend(trend_columns(context));
    let total = state.machine.size().map_or(0, |(total, _)| total).max(1) as f64;
    let rows = state.machine.accounts().filter_map(|(name, bytes, window)| {
        let bytes = bytes?;
        let assessment = assess(window, now);
        let share = bytes as f64 / total;
        let changed = assessment.growth.is_some_and(|growth| growth.abs() >= CHANGE);
        (share >= SHARE || changed).then(|| {
            let mut cells =
                vec![Value::Text(name.to_owned()), Value::unsigned(Some(bytes)), Value::real(Some(share))];
            cells.extend((0..6).map(|at| trend_value(at, Some(&assessment), window, now)));
            Row { subject: Subject::KernelAccount { kind: name, name: None }, cells, ..Row::default() }
        })
    });
    let rows = rows.collect();
    Table::new("accounts", columns, rows)
}

/// Memory objects: the largest growth first, then the largest size.
pub(super) fn objects(state: &MemState, context: &Context<'_>) -> Table {
    let now = context.now.boot;
    let mut columns = vec![
        Column::label("kind").shown("NO PROCESS", 0),
        Column::text("name").shown("NAME", 1),
        Column::gauge("bytes", Unit::Bytes).shown("SIZE", 0),
        Column::text("mount"),
        Column::label("holder_pid"),
        Column::text("holder"),
        Column::label("writer_pid"),
        Column::text("writer"),
        Column::label("uid"),
        Column::text("cgroup"),
    ];
    columns.extend(trend_columns(context));
    columns.extend([Column::text("verdict").shown("VERDICT", 2), Column::text("reason").shown("WHY", 5)]);
    columns.push(Column::text("held_by").human("HELD BY", 1));
    let mut ranked: Vec<(f64, &ObjectState)> =
        state.objects.all().map(|known| (grown(known, now), known)).collect();
    ranked.sort_by(|(one, left), (other, right)| {
        other.total_cmp(one).then(right.object.bytes.cmp(&left.object.bytes))
    });
    let left = state.machine.available().map(|available| available as f64);
    let hidden = ranked.len().saturating_sub(OBJECTS);
    let rows = ranked.into_iter().take(OBJECTS).map(|(_, known)| row(known, left, now)).collect();
    let mut table = Table::new("objects", columns, rows);
    table.hidden.rows = hidden;
    table
}

/// Bytes of growth, 0 below the amount that matters to a machine.
fn grown(known: &ObjectState, now: u64) -> f64 {
    known.series.window.growth(now).filter(|growth| *growth >= CHANGE).unwrap_or(0.0)
}

fn row(known: &ObjectState, left: Option<f64>, now: u64) -> Row {
    let object = &known.object;
    let assessment = assess_life(&known.series, now, left);
    let text = |text: Option<&[u8]>| Value::text(text.map(printable));
    let pid =
        |process: &Option<ObjectProcess>| Value::unsigned(process.as_ref().map(|process| process.pid.into()));
    let comm = |process: &Option<ObjectProcess>| {
        let comm = process.as_ref().map(|process| process.comm.as_slice());
        text(comm.filter(|comm| !comm.is_empty()))
    };
    let mut cells = vec![
        Value::Text(kind_name(object.id.kind).to_owned()),
        text(Some(&object.name)),
        Value::unsigned(Some(object.bytes)),
        text(object.mount.as_deref()),
        pid(&object.holder),
        comm(&object.holder),
        pid(&object.writer),
        comm(&object.writer),
        Value::unsigned(object.uid.map(u64::from)),
        text(object.cgroup.as_deref()),
    ];
    cells.extend((0..6).map(|at| trend_value(at, Some(&assessment), &known.series.window, now)));
    cells.extend([
        Value::Text(assessment.verdict.name().to_owned()),
        Value::Text(assessment.reason.clone()),
        Value::Text(owner(known).unwrap_or_default()),
    ]);
    let emphasis = match assessment.verdict {
        Verdict::Leak => Emphasis::Alarm,
        verdict if verdict.grows() => Emphasis::Notice,
        _ => Emphasis::Plain,
    };
    let name = format!("{}:{}", object.id.device, object.id.number).into_bytes();
    let subject = Subject::KernelAccount { kind: kind_name(object.id.kind), name: Some(name) };
    Row { subject, cells, emphasis, ..Row::default() }
}

/// The processes of an object, as the end of a sentence.
pub(crate) fn owner(known: &ObjectState) -> Option<String> {
    use observer_core::facts::mem::ObjectKind::{Pipe, UdpSocket, UnixSocket};
    let object = &known.object;
    let label = |process: &ObjectProcess| match process.comm.as_slice() {
        [] => format!("{} (ended)", process.pid),
        comm => format!("{} {}", process.pid, printable(comm)),
    };
    let unread = matches!(object.id.kind, Pipe | UdpSocket | UnixSocket);
    let holder = object.holder.as_ref().map(|holder| {
        if unread { format!("not read by {}", label(holder)) } else { format!("held by {}", label(holder)) }
    });
    let writer = object.writer.as_ref().map(|writer| {
        if unread { format!("written by {}", label(writer)) } else { format!("created by {}", label(writer)) }
    });
    let parts: Vec<String> = holder.into_iter().chain(writer).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The fastest-growing object: bytes per second, sentence.
pub(super) fn fastest(state: &MemState, context: &Context<'_>) -> Option<(f64, String)> {
    let now = context.now.boot;
    let known = state.objects.all().max_by(|one, other| grown(one, now).total_cmp(&grown(other, now)))?;
    let growth = grown(known, now);
    let seconds = known.series.window.known(now);
    if growth <= 0.0 || seconds <= 0.0 {
        return None;
    }
    let rate = growth / seconds;
    let kind = kind_name(known.object.id.kind).replace('_', " ");
    let name = printable(&known.object.name);
    let owner = owner(known).map_or_else(String::new, |owner| format!(", {owner}"));
    let rate_text = units::minute_rate(rate, None);
    Some((rate, format!("Growing outside processes: {kind} {name}, {rate_text} a minute{owner}.")))
}

/// The largest accounts, as text.
pub(super) fn places(state: &MemState) -> Option<String> {
    let words = |name| match name {
        "anon" => "processes",
        "shared" => "shared memory and tmpfs",
        "cache" => "file cache",
        "slab_reclaimable" => "reclaimable kernel memory",
        "slab_unreclaimable" => "kernel objects",
        "page_tables" => "page tables",
        "per_cpu" => "per-CPU memory",
        "vmalloc" => "vmalloc",
        "huge_used" => "huge pages in use",
        "huge_free" => "free huge pages",
        "balloon" => "balloon",
        "unread" => "unread data",
        "pinned" => "pinned pages",
        "unaccounted" => "unaccounted",
        "zram" => "zram",
        "zswap" => "zswap",
        _ => "free",
    };
    let free = ["free", "per_cpu_lists"].iter().filter_map(|name| state.machine.account(name)).sum::<u64>();
    let mut used: Vec<(&str, u64)> = state
        .machine
        .accounts()
        .filter(|(name, _, _)| !matches!(*name, "free" | "per_cpu_lists"))
        .filter_map(|(name, bytes, _)| Some((words(name), bytes?)))
        .collect();
    used.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    state.machine.account("free")?;
    let parts = used.iter().take(4).map(|(name, bytes)| format!("{name} {}", units::bytes(*bytes as f64)));
    let parts: Vec<String> = parts.chain([format!("free {}", units::bytes(free as f64))]).collect();
    Some(format!("Where it is: {}.", parts.join(", ")))
}
