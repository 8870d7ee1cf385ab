//! The rows of the view `disk` about filesystems: how full, how fast, until when, and what files explain of it.

use crate::{mounted, space::Filesystem, state::DiskState};
use observer_core::{
    domain::Context,
    facts::disk::Mount,
    report::{Column, Emphasis, Notation, Row, Subject, Unit, Value},
    text::printable,
    trend::slope::{Trend, trend},
    units,
};

/// A filesystem that is full within this many seconds is an alarm.
const SOON: f64 = 3600.0;

/// A filesystem that takes longer to fill than this many seconds, ten years, does not fill.
const NEVER: f64 = 10.0 * 365.25 * 86400.0;

/// The metric of OpenTelemetry's conventions for space, and its attribute.
const USAGE: &str = "system.filesystem.usage";
const STATE: &str = "system.filesystem.state";

const OVERLAY: &[u8] = b"overlay";

/// One filesystem's row, and what headline and notes need.
pub struct FilesystemRow {
    pub row: Row,
    /// How full it is, relative to what a user without privileges can use.
    pub full: f64,
    /// A sentence about it.
    pub sentence: String,
    /// Whether its growth accounting lacks events.
    pub unaccounted: bool,
    /// Whether more of its files grew than were queried in time.
    pub late: bool,
    /// Whether it does not yet count the delayed allocation of its files as used.
    pub promised: bool,
    /// Whether its files are those of another filesystem, which accounts for them.
    pub stacked: bool,
    /// Whether there is no trend yet.
    pub early: bool,
}

/// One mount of each filesystem whose space is known.
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
        bytes("deleted_open").shown("DELETED", 5).adding(),
        bytes("growth").shown("GREW", 3).noted(Notation::Signed).adding(),
        bytes("growth_files").adding(),
        bytes("growth_deleted").adding(),
        bytes("unexplained").shown("UNEXPLAINED", 6).noted(Notation::Signed).adding(),
        rate("rate").shown("GROWS", 1).noted(Notation::Signed).adding(),
        rate("rate_low"),
        rate("rate_high"),
        Column::text("full").human("FULL IN", 0),
        seconds("full_in"),
        seconds("full_in_low"),
        seconds("full_in_high"),
    ]
}

/// When a filesystem is full: seconds, and the earliest and latest that the trend allows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Full {
    expected: Option<f64>,
    earliest: Option<f64>,
    latest: Option<f64>,
}

impl Full {
    /// There is a time only for a trend that certainly rises: its interval does not contain zero.
    fn of(available: u64, trend: Option<Trend>) -> Self {
        let Some(trend) = trend.filter(|trend| trend.low > 0.0) else { return Self::default() };
        let within = |rate: f64| Some(available as f64 / rate).filter(|seconds| *seconds < NEVER);
        Self { expected: within(trend.rate), earliest: within(trend.high), latest: within(trend.low) }
    }

    fn words(self, trend: Option<Trend>) -> String {
        match (self.expected, self.earliest, self.latest) {
            (Some(_), Some(earliest), Some(latest))
                if units::duration(earliest) != units::duration(latest) =>
            {
                format!("{} to {}", units::duration(earliest), units::duration(latest))
            }
            (Some(seconds), ..) => units::duration(seconds),
            _ if trend.is_some() => "not filling".to_owned(),
            _ => units::NOTHING.to_owned(),
        }
    }
}

/// The row about the filesystem of `mount`.
pub fn row(mount: &Mount, state: &DiskState, context: &Context<'_>) -> FilesystemRow {
    let known = state.spaces.get(mount.dev);
    let space = known.map(|known| known.space).unwrap_or_default();
    let now = context.now.boot;
    let trend = known.and_then(|known| trend(&known.used, now));
    // Before there is a trend: the rate of the last interval, which is too little to say when it is full.
    let last = known.and_then(|known| known.used.rate(context.previous.boot, now));
    let full_in = Full::of(space.available, trend);
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
        Value::unsigned(held),
        Value::signed(account.all),
        Value::signed(account.files.map(|(named, _)| named)),
        Value::signed(account.files.map(|(_, unlinked)| unlinked)),
        Value::signed(account.unexplained()),
        Value::real(trend.map(|trend| trend.rate).or(last)),
        Value::real(trend.map(|trend| trend.low)),
        Value::real(trend.map(|trend| trend.high)),
        Value::Text(full_in.words(trend)),
        Value::real(full_in.expected),
        Value::real(full_in.earliest),
        Value::real(full_in.latest),
    ];
    // As `df` counts it: relative to what a user without privileges can use.
    let usable = space.used.saturating_add(space.available);
    let full = if usable == 0 { 0.0 } else { space.used as f64 / usable as f64 };
    let emphasis = match full_in.expected {
        Some(seconds) if seconds < SOON => Emphasis::Alarm,
        _ if full > 0.95 => Emphasis::Alarm,
        _ if full > 0.85 => Emphasis::Notice,
        _ => Emphasis::Plain,
    };
    let when = full_in.expected.map(|_| format!(", full in {}", full_in.words(trend)));
    let sentence = format!(
        "{} is {} full, {} left{}.",
        printable(&mount.point),
        units::share(full),
        units::bytes(space.available),
        when.unwrap_or_default()
    );
    FilesystemRow {
        row: Row { subject: Subject::Filesystem { dev: mount.dev }, cells, emphasis, ..Row::default() },
        full,
        sentence,
        unaccounted: !account.has_events && mount.fs != OVERLAY,
        late: account.has_events && account.is_late,
        promised: account.is_promised(),
        stacked: mount.fs == OVERLAY,
        early: trend.is_none(),
    }
}

/// By how much a filesystem grew over the window, and which part files explain.
struct Growths {
    /// Whether writes to it have events.
    has_events: bool,
    /// Whether some of its files were not queried in time.
    is_late: bool,
    /// Whether delayed allocation counts as used only when it is written.
    counts_later: bool,
    all: Option<i64>,
    /// Named files, and unlinked ones.
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

    /// The rest: metadata, and writes without events.
    fn unexplained(&self) -> Option<i64> {
        self.left().filter(|_| !self.is_promised())
    }

    /// Whether the rest is negative because of delayed allocation.
    fn is_promised(&self) -> bool {
        self.counts_later && self.left().is_some_and(|left| left < 0)
    }

    fn left(&self) -> Option<i64> {
        let (named, unlinked) = self.files.filter(|_| !self.is_late)?;
        Some(self.all?.saturating_sub(named).saturating_sub(unlinked))
    }
}
