//! The rows about filesystems in the view `disk`: how full, how fast, until when, and the growth that files explain.

use std::cmp::Reverse;

use super::limits::{self, Bound};
use crate::{mounted, space::Filesystem, state::DiskState};
use observer_core::{
    context::Context,
    facts::disk::Mount,
    report::{Column, Emphasis, Notation, Row, Subject, Unit, Value},
    text::printable,
    trend::slope,
    units,
};

/// A filesystem raises an alarm if it is full within this many seconds.
const SOON: f64 = 3600.0;

/// The space metric of OpenTelemetry's conventions, and its attribute.
const USAGE: &str = "system.filesystem.usage";
const STATE: &str = "system.filesystem.state";

const OVERLAY: &[u8] = b"overlay";

/// The limit of files listed for a filesystem.
const FILES: usize = 10;

/// The row of one filesystem, and the values for headline and notes.
pub struct FilesystemRow {
    pub row: Row,
    /// How near its nearest limit is, 0 to 1.
    pub full: f64,
    /// Whether it is nearly full, or a time is known at which it will be full.
    pub fills: bool,
    /// A sentence about it.
    pub sentence: String,
    /// Whether its growth accounting lacks events.
    pub unaccounted: bool,
    /// Whether more of its files grew than were queried in time.
    pub late: bool,
    /// Whether the delayed allocation of its files does not count as used yet.
    pub promised: bool,
    /// Whether its files belong to another filesystem, which counts their growth.
    pub stacked: bool,
    /// Whether there is no trend yet.
    pub early: bool,
}

/// One mount for each filesystem with known space.
pub fn mounts(state: &DiskState) -> impl Iterator<Item = &Mount> {
    let mut seen = std::collections::BTreeSet::new();
    let has_space = |dev| state.spaces.get(dev).is_some_and(|known| known.space.size > 0);
    let first = state.mounts.iter().filter(move |mount| !mount.read_only && has_space(mount.dev));
    first.filter_map(move |mount| {
        seen.insert(mount.dev).then(|| mounted::of(&state.mounts, mount.dev, None))?
    })
}

/// The columns, in the order of the cells.
pub fn columns() -> Vec<Column> {
    let bytes = |name| Column::gauge(name, Unit::Bytes);
    let rate = |name| Column::gauge(name, Unit::BytesPerSecond);
    let seconds = |name| Column::gauge(name, Unit::Seconds);
    vec![
        Column::label("mount").shown("MOUNT", 0).same(),
        Column::label("dev"),
        Column::label("fs").shown("TYPE", 7),
        bytes("size").shown("SIZE", 4).adding().otel("system.filesystem.limit", None),
        bytes("used").shown("USED", 2).adding().otel(USAGE, Some((STATE, "used"))),
        bytes("available").shown("AVAILABLE", 0).adding().otel(USAGE, Some((STATE, "free"))),
        Column::gauge("inodes", Unit::Count).adding(),
        Column::gauge("inodes_used", Unit::Count).adding(),
        Column::gauge("inodes_full", Unit::Ratio).shown("INODES", 4),
        Column::gauge("inodes_rate", Unit::Count).adding(),
        bytes("reserved").adding(),
        bytes("deleted_open").shown("DELETED", 5).adding(),
        bytes("growth").shown("GREW", 3).noted(Notation::Signed).adding(),
        bytes("growth_files").adding(),
        bytes("growth_deleted").adding(),
        bytes("unexplained").shown("UNEXPLAINED", 6).noted(Notation::Signed).adding(),
        rate("rate").shown("GROWS", 1).noted(Notation::Signed).adding(),
        rate("rate_low"),
        rate("rate_high"),
        Column::text("full").human("FULL IN", 0),
        Column::label("limit"),
        Column::label("limit_of"),
        Column::gauge("limit_full", Unit::Ratio),
        seconds("full_in"),
        seconds("full_in_low"),
        seconds("full_in_high"),
        Column::text("files"),
    ]
}

/// The row about the filesystem of `mount`.
pub fn row(mount: &Mount, state: &DiskState, context: &Context<'_>) -> FilesystemRow {
    let known = state.spaces.get(mount.dev);
    let space = known.map(|known| known.space).unwrap_or_default();
    let now = context.now.boot;
    let trend = known.and_then(|known| slope::trend(&known.used, now));
    // Without a trend: the rate of the last interval, which is too little to predict a time.
    let last = known.and_then(|known| known.used.rate(context.previous.boot, now));
    let inodes_rate = known.filter(|_| space.inodes > 0).and_then(|known| {
        let trend = slope::trend(&known.inodes_used, now).map(|trend| trend.rate);
        trend.or(known.inodes_used.rate(context.previous.boot, now))
    });
    let reserved = space.size.saturating_sub(space.used).saturating_sub(space.available);
    let bounds = known.map(|known| limits::bounds(known, now)).unwrap_or_default();
    let first = bounds.first();
    let full_in = first.map(|bound| bound.full_in).unwrap_or_default();
    let held = state.held().filter(|(inode, _)| inode.dev == mount.dev);
    let held = state
        .holders_by_scan
        .then(|| held.filter_map(|(_, file)| file.allocated()).fold(0, u64::saturating_add));
    let account = Growths::of(mount, known, state, now);
    let cells = vec![
        Value::Text(printable(&mount.point)),
        Value::Text(mounted::device(mount.dev)),
        Value::Text(printable(&mount.fs)),
        Value::Unsigned(space.size),
        Value::Unsigned(space.used),
        Value::Unsigned(space.available),
        Value::unsigned(Some(space.inodes).filter(|inodes| *inodes > 0)),
        Value::unsigned(Some(space.inodes_used).filter(|_| space.inodes > 0)),
        Value::real((space.inodes > 0).then(|| space.inodes_used as f64 / space.inodes as f64)),
        Value::real(inodes_rate),
        Value::Unsigned(reserved),
        Value::unsigned(held),
        Value::signed(account.all),
        Value::signed(account.files.map(|(named, _)| named)),
        Value::signed(account.files.map(|(_, unlinked)| unlinked)),
        Value::signed(account.unexplained()),
        Value::real(trend.map(|trend| trend.rate).or(last)),
        Value::real(trend.map(|trend| trend.low)),
        Value::real(trend.map(|trend| trend.high)),
        Value::Text(first.map_or_else(|| units::NOTHING.to_owned(), Bound::words)),
        Value::text(first.map(|bound| bound.kind.name().to_owned())),
        Value::text(first.and_then(|bound| bound.of.clone())),
        Value::real(first.map(Bound::full)),
        Value::real(full_in.expected),
        Value::real(full_in.earliest),
        Value::real(full_in.latest),
        if account.has_events { Value::List(files(mount.dev, state)) } else { Value::Missing },
    ];
    let full = bounds.iter().map(Bound::full).fold(0.0, f64::max);
    let emphasis = match full_in.expected {
        Some(seconds) if seconds < SOON => Emphasis::Alarm,
        _ if full > 0.95 => Emphasis::Alarm,
        _ if full > 0.85 => Emphasis::Notice,
        _ => Emphasis::Plain,
    };
    let sentence = first.map(|bound| bound.sentence(mount, reserved)).unwrap_or_default();
    FilesystemRow {
        row: Row { subject: Subject::Filesystem { dev: mount.dev }, cells, emphasis, ..Row::default() },
        full,
        fills: emphasis != Emphasis::Plain || full_in.expected.is_some(),
        sentence,
        unaccounted: !account.has_events && mount.fs != OVERLAY,
        late: account.has_events && account.is_late,
        promised: account.is_promised(),
        stacked: mount.fs == OVERLAY,
        early: trend.is_none(),
    }
}

/// The watched files that take more space than at their first event, those that grew most first.
fn files(dev: u32, state: &DiskState) -> Vec<Value> {
    let known = state.growth.files.iter().filter(|(inode, _)| inode.dev == dev);
    let grown = known
        .filter_map(|(inode, file)| Some((Reverse(file.grown().filter(|grown| *grown > 0)?), *inode, file)));
    let mut grown: Vec<_> = grown.collect();
    grown.sort_by_key(|(grown, inode, _)| (*grown, *inode));
    let values = grown.into_iter().take(FILES).map(|(Reverse(grown), inode, file)| {
        Value::Object(vec![
            ("path", Value::text(file.path.as_deref().map(printable))),
            ("inode", Value::Unsigned(inode.ino)),
            ("growth", Value::signed(Some(grown))),
            ("unattributed", Value::Unsigned(file.unattributed())),
            ("writers", Value::Unsigned(file.growing.writers.len() as u64)),
            ("deleted", Value::Flag(file.unlinked)),
        ])
    });
    values.collect()
}

/// The growth of a filesystem over the window, and the part that files explain.
struct Growths {
    /// Whether writes to it have events.
    has_events: bool,
    /// Whether some of its files were not queried in time.
    is_late: bool,
    /// Whether delayed allocation counts as used only when it is written.
    counts_later: bool,
    all: Option<i64>,
    /// Bytes of growth of named and of unlinked files.
    files: Option<(i64, i64)>,
}

impl Growths {
    fn of(mount: &Mount, known: Option<&Filesystem>, state: &DiskState, now: u64) -> Self {
        let has_events = match mount.fs.as_slice() {
            b"ext2" | b"ext3" | b"ext4" => state.growth_by_event,
            b"tmpfs" | b"devtmpfs" | b"hugetlbfs" => state.work_in_ram,
            // Writes to an overlay go to the filesystem below it.
            OVERLAY => false,
            _ => state.work_by_event,
        };
        let all = known.and_then(|known| known.used.growth(now)).map(|growth| growth as i64);
        let is_late = state.is_late(mount.dev, now);
        let counts_later = mount.fs == b"btrfs";
        Self {
            has_events,
            is_late,
            counts_later,
            all,
            files: state.growth.accounting.growth(mount.dev, now).filter(|_| has_events),
        }
    }

    /// The unexplained growth: metadata, and writes without events.
    fn unexplained(&self) -> Option<i64> {
        self.left().filter(|_| !self.is_promised())
    }

    /// Whether the unexplained growth is negative because of delayed allocation.
    fn is_promised(&self) -> bool {
        self.counts_later && self.left().is_some_and(|left| left < 0)
    }

    fn left(&self) -> Option<i64> {
        let (named, unlinked) = self.files.filter(|_| !self.is_late)?;
        Some(self.all?.saturating_sub(named).saturating_sub(unlinked))
    }
}
