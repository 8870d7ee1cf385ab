//! The rows of the view `disk` about filesystems: how full, how fast, until when, and what files explain of it.

use crate::{mounted, space::Filesystem, state::DiskState};
use observer_core::{
    domain::Context,
    facts::disk::Mount,
    report::{Column, Emphasis, Kind, Row, Value},
    text::printable,
    trend::slope::{Trend, trend},
    units,
};

/// A filesystem that is full within so many seconds is an alarm.
const SOON: f64 = 3600.0;

/// What takes longer than so many seconds to fill does not fill as far as people care: ten years.
const NEVER: f64 = 10.0 * 365.25 * 86400.0;

const OVERLAY: &[u8] = b"overlay";

/// One filesystem's row and what else is said of it.
pub struct FilesystemRow {
    pub row: Row,
    /// How full it is, of what a user without privileges could have.
    pub full: f64,
    /// A sentence about it.
    pub sentence: String,
    /// Whether its account lacks what events would have told.
    pub unaccounted: bool,
    /// Whether more of its files grew than were asked for in time.
    pub late: bool,
    /// Whether its files were promised blocks that it does not count as used yet.
    pub promised: bool,
    /// Whether its files are those of another filesystem, in whose account they are.
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
        Column::new("growth", Kind::Change, "GREW", 3).adding(),
        Column::json("growth_files", Kind::Change).adding(),
        Column::json("growth_deleted", Kind::Change).adding(),
        Column::new("unexplained", Kind::Change, "UNEXPLAINED", 6).adding(),
        Column::new("rate", Kind::ChangeRate, "GROWS", 1).adding(),
        Column::json("rate_low", Kind::ChangeRate),
        Column::json("rate_high", Kind::ChangeRate),
        Column::human("full", Kind::Text, "FULL IN", 0),
        Column::json("full_in", Kind::Duration),
        Column::json("full_in_low", Kind::Duration),
        Column::json("full_in_high", Kind::Duration),
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
    /// Only what surely fills has a time: a trend whose interval holds zero may as well be none.
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
pub fn told(mount: &Mount, state: &DiskState, context: &Context<'_>) -> FilesystemRow {
    let known = state.spaces.get(mount.dev);
    let space = known.map(|known| known.space).unwrap_or_default();
    let now = context.now.boot;
    let trend = known.and_then(|known| trend(&known.used, now));
    // Until there is a trend, what the last interval brought: enough to see, too little to say when it is full.
    let last = known.and_then(|known| known.used.rate(context.previous.boot, now));
    let full_in = Full::of(space.available, trend);
    let held = state.held().filter(|(inode, _)| inode.dev == mount.dev);
    let held = state
        .holders_by_pass
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
        signed(account.all),
        signed(account.files.map(|(named, _)| named)),
        signed(account.files.map(|(_, nameless)| nameless)),
        signed(account.unexplained()),
        Value::real(trend.map(|trend| trend.rate).or(last)),
        Value::real(trend.map(|trend| trend.low)),
        Value::real(trend.map(|trend| trend.high)),
        Value::Text(full_in.words(trend)),
        Value::real(full_in.expected),
        Value::real(full_in.earliest),
        Value::real(full_in.latest),
    ];
    // As `df` counts it: of what a user without privileges could have.
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
        row: Row { cells, emphasis, ..Row::default() },
        full,
        sentence,
        unaccounted: !account.is_told && mount.fs != OVERLAY,
        late: account.is_told && account.is_late,
        promised: account.is_promised(),
        stacked: mount.fs == OVERLAY,
        early: trend.is_none(),
    }
}

fn signed(number: Option<i64>) -> Value {
    number.map_or(Value::Missing, Value::Signed)
}

/// By how much a filesystem grew over the window, and which part files explain.
struct Growths {
    /// Whether events tell of writes to it.
    is_told: bool,
    /// Whether what some of its files take was not asked for in time.
    is_late: bool,
    /// Whether what files were promised counts as used only when it is written down.
    counts_later: bool,
    all: Option<i64>,
    /// Files with a name, and without.
    files: Option<(i64, i64)>,
}

impl Growths {
    fn of(mount: &Mount, known: Option<&Filesystem>, state: &DiskState, now: u64) -> Self {
        let is_told = match mount.fs.as_slice() {
            b"ext2" | b"ext3" | b"ext4" => state.growth_by_event,
            b"tmpfs" | b"devtmpfs" | b"hugetlbfs" => state.work_in_ram,
            // What is written to an overlay is written to the filesystem below it.
            OVERLAY => false,
            _ => state.work_by_event,
        };
        let all = known.and_then(|known| known.used.growth(now)).map(|growth| growth as i64);
        let is_late = state.is_late(mount.dev, now);
        let counts_later = mount.fs == b"btrfs";
        Self {
            is_told,
            is_late,
            counts_later,
            all,
            files: state.growth.accounting.growth(mount.dev, now).filter(|_| is_told),
        }
    }

    /// What is left: metadata, and what nobody was seen to write.
    fn unexplained(&self) -> Option<i64> {
        self.left().filter(|_| !self.is_promised())
    }

    /// Whether what is left is less than nothing because files take what was only promised to them.
    fn is_promised(&self) -> bool {
        self.counts_later && self.left().is_some_and(|left| left < 0)
    }

    fn left(&self) -> Option<i64> {
        let (named, nameless) = self.files.filter(|_| !self.is_late)?;
        Some(self.all?.saturating_sub(named).saturating_sub(nameless))
    }
}
