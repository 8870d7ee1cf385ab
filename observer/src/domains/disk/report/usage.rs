//! The view `disk`: filesystems, and who writes.

use super::mounted;
use crate::{
    domains::{Context, disk::state::DiskState},
    identity::columns,
    observation::disk::Mount,
    report::{Column, Emphasis, Hidden, Kind, Note, Report, Row, Table, Value},
    text::printable,
    trend::slope::trend,
    units,
};

/// A filesystem that is full within so many seconds is an alarm.
const SOON: f64 = 3600.0;

/// The report of the view.
pub fn report(state: &DiskState, context: &Context<'_>) -> Report {
    let mut filesystems: Vec<(Row, f64, String)> =
        mounts(state).map(|mount| filesystem(mount, state, context)).collect();
    filesystems.sort_by(|(_, left, _), (_, right, _)| right.total_cmp(left));
    let headline = filesystems.iter().take(2).map(|(_, _, sentence)| sentence.clone()).collect();
    let mut writers: Vec<_> = state.writers.iter().collect();
    writers.sort_by_key(|(id, written, recent)| (std::cmp::Reverse((*recent, *written)), *id));
    let elapsed = context.now.since(context.previous);
    let writers = writers.into_iter().map(|(id, written, recent)| {
        let mut cells = columns::cells(id, context.processes, context.request);
        let rate = (elapsed > 0.0).then(|| recent as f64 / elapsed);
        cells.extend([Value::Unsigned(written), Value::real(rate), Value::Missing]);
        let emphasis = if recent > 0 { Emphasis::Notice } else { Emphasis::Plain };
        Row { processes: vec![id], cells, emphasis, ..Row::default() }
    });
    let mut writer_columns = columns::columns(context.request);
    writer_columns.extend([
        Column::new("written", Kind::Bytes, "WRITTEN", 0).adding(),
        Column::new("rate", Kind::ByteRate, "WRITES", 0).adding(),
        Column::json("files", Kind::Text),
    ]);
    let tables = vec![
        Table {
            key: "filesystems",
            columns: filesystem_columns(),
            rows: filesystems.into_iter().map(|(row, ..)| row).collect(),
            hidden: Hidden::default(),
        },
        Table { key: "writers", columns: writer_columns, rows: writers.collect(), hidden: Hidden::default() },
    ];
    let mut report = context.report(tables);
    report.headline = headline;
    let files = "Which files a process writes to is not observed yet: `files` is null.";
    report.notes.push(Note { code: "files-unknown", text: files.to_owned() });
    let unexplained = "`unexplained` needs every write: it is not observed yet.";
    report.notes.push(Note { code: "unexplained-unknown", text: unexplained.to_owned() });
    report
}

/// One mount of each filesystem whose space is known.
fn mounts(state: &DiskState) -> impl Iterator<Item = &Mount> {
    let mut seen = std::collections::BTreeSet::new();
    let has_space = |dev| state.spaces.get(dev).is_some_and(|known| known.space.size > 0);
    let first = state.mounts.iter().filter(move |mount| !mount.read_only && has_space(mount.dev));
    first.filter_map(move |mount| {
        seen.insert(mount.dev).then(|| mounted::of(&state.mounts, mount.dev, None))?
    })
}

fn filesystem_columns() -> Vec<Column> {
    vec![
        Column::new("mount", Kind::Text, "MOUNT", 0),
        Column::json("dev", Kind::Text),
        Column::new("fs", Kind::Text, "TYPE", 7),
        Column::new("size", Kind::Bytes, "SIZE", 4).adding(),
        Column::new("used", Kind::Bytes, "USED", 2).adding(),
        Column::new("available", Kind::Bytes, "AVAILABLE", 0).adding(),
        Column::json("inodes", Kind::Count).adding(),
        Column::json("inodes_used", Kind::Count).adding(),
        Column::new("deleted_open", Kind::Bytes, "DELETED", 5).adding(),
        Column::json("unexplained", Kind::Bytes).adding(),
        Column::new("rate", Kind::ChangeRate, "GROWS", 1).adding(),
        Column::new("full_in", Kind::Duration, "FULL IN", 0),
        Column::json("full_in_low", Kind::Duration),
        Column::json("full_in_high", Kind::Duration),
    ]
}

/// Its row, how full it is, and a sentence about it.
fn filesystem(mount: &Mount, state: &DiskState, context: &Context<'_>) -> (Row, f64, String) {
    let known = state.spaces.get(mount.dev);
    let space = known.map(|known| known.space).unwrap_or_default();
    let trend = known.and_then(|known| trend(&known.used, context.now.boot));
    // Until there is a trend, what the last interval brought: enough to see, too little to say when it is full.
    let last = known.and_then(|known| known.used.rate(context.previous.boot, context.now.boot));
    let full_in = |rate: f64| (rate > 0.0).then(|| space.available as f64 / rate);
    let held = state.held().filter(|(inode, _)| inode.dev == mount.dev);
    let held = state
        .holders_by_pass
        .then(|| held.filter_map(|(_, file)| file.allocated()).fold(0, u64::saturating_add));
    let expected = trend.and_then(|trend| full_in(trend.rate));
    let cells = vec![
        Value::Text(printable(&mount.point)),
        Value::Text(mounted::device(mount.dev)),
        Value::Text(printable(&mount.fs)),
        Value::Unsigned(space.size),
        Value::Unsigned(space.used),
        Value::Unsigned(space.available),
        Value::unsigned(Some(space.inodes).filter(|inodes| *inodes > 0)),
        Value::unsigned(Some(space.inodes_used).filter(|_| space.inodes > 0)),
        Value::unsigned(held),
        Value::Missing,
        Value::real(trend.map(|trend| trend.rate).or(last)),
        Value::real(expected),
        Value::real(trend.and_then(|trend| full_in(trend.high))),
        Value::real(trend.and_then(|trend| full_in(trend.low))),
    ];
    // As `df` counts it: of what a user without privileges could have.
    let usable = space.used.saturating_add(space.available);
    let used = if usable == 0 { 0.0 } else { space.used as f64 / usable as f64 };
    let full = expected.map(|seconds| format!(", full in about {}", units::duration(seconds)));
    let sentence = format!(
        "{} is {} full, {} left{}.",
        printable(&mount.point),
        units::share(used),
        units::bytes(space.available),
        full.unwrap_or_default()
    );
    let emphasis = match expected {
        Some(seconds) if seconds < SOON => Emphasis::Alarm,
        _ if used > 0.95 => Emphasis::Alarm,
        _ if used > 0.85 => Emphasis::Notice,
        _ => Emphasis::Plain,
    };
    (Row { cells, emphasis, ..Row::default() }, used, sentence)
}
