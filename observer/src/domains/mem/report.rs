//! From the state of the mem domain to rows and columns.

use std::cmp::Reverse;

use super::{
    headline::headline,
    state::{MemState, ProcessMemory, Room},
};
use crate::{
    domains::Context,
    identity::columns,
    observation::{TaskId, mem::Totals},
    report::{Column, Emphasis, Hidden, Kind, Note, Report, Row, Table, Value},
    trend::{
        verdict::{Assessment, Verdict, assess},
        window::Window,
    },
    units,
};

/// Growth that fills what is left within this many seconds is an alarm.
const SOON: f64 = 3600.0;
/// Points of a sparkline.
const SPARKLINE: usize = 8;

/// The report of the view that was asked for.
pub fn report(state: &MemState, context: &Context<'_>) -> Report {
    let mut processes: Vec<Assessed<'_>> =
        state.processes.iter().map(|(id, process)| Assessed::new(*id, process, state, context)).collect();
    processes.sort_by_cached_key(Assessed::order);
    let rows = processes.iter().map(|process| process.row(context)).collect();
    let table = Table { key: "rows", columns: process_columns(context), rows, hidden: Hidden::default() };
    let mut report = context.report(vec![table, kernel(state, context)]);
    report.totals = state.machine.totals();
    report.headline = headline(state, &processes, context);
    report.notes = notes(&processes);
    report
}

/// A process and what its series says.
pub(super) struct Assessed<'a> {
    pub id: TaskId,
    pub process: &'a ProcessMemory,
    pub room: Option<Room>,
    pub says: Assessment,
    /// `None` where events are not followed; who has not been heard of has mapped nothing.
    totals: Option<Totals>,
    now: u64,
}

impl<'a> Assessed<'a> {
    fn new(id: TaskId, process: &'a ProcessMemory, state: &MemState, context: &Context<'_>) -> Self {
        let now = context.now.boot;
        let missing = |column| {
            context.session.missing.iter().any(|hook| hook.columns.iter().any(|name| name == column))
        };
        let totals = process.totals().or_else(|| (!missing("mapped")).then(Totals::default));
        Self { id, process, room: state.room(process), says: assess(&process.series, now), totals, now }
    }

    /// Whether it grows, and so belongs to the answer.
    pub(super) fn grows(&self) -> bool {
        !self.process.ended && matches!(self.says.verdict, Verdict::Growing | Verdict::Leak | Verdict::Warmup)
    }

    /// Bytes by which it grew though nobody can say yet what that means; 0 where there are none.
    pub(super) fn early(&self) -> f64 {
        let open = !self.process.ended && self.says.verdict == Verdict::Unknown;
        self.says.growth.filter(|growth| open && *growth > 0.0).unwrap_or(0.0)
    }

    fn rate(&self) -> f64 {
        self.says.trend.map_or(0.0, |trend| trend.rate)
    }

    /// Bytes resident.
    fn rss(&self) -> Option<i64> {
        let memory = self.process.memory().filter(|_| !self.process.ended)?;
        Some(memory.file.saturating_add(memory.anon).saturating_add(memory.shmem))
    }

    /// What grows first, the fastest before; then what grew and is not judged yet; then by what is resident; what ended
    /// last, the most mapped before. The smallest comes first.
    fn order(&self) -> impl Ord + use<> {
        let grows = self.grows();
        (
            Reverse(grows),
            // Whole bytes a second: what differs by less is as fast.
            Reverse(if grows { self.rate() as i64 } else { 0 }),
            Reverse(self.early() as i64),
            self.process.ended,
            Reverse(self.rss()),
            Reverse(self.totals.map_or(0, |totals| totals.mapped)),
            self.id,
        )
    }

    /// Seconds until what is left is full: by the trend, and by the ends of its interval.
    fn full_in(&self) -> [Option<f64>; 3] {
        let (Some(trend), Some(room), true) = (self.says.trend, self.room, self.grows()) else {
            return [None; 3];
        };
        let at = |rate: f64| (rate > 0.0).then(|| room.left as f64 / rate);
        [at(trend.rate), at(trend.high), at(trend.low)]
    }

    fn emphasis(&self) -> Emphasis {
        let soon = self.full_in()[0].is_some_and(|seconds| seconds < SOON);
        match self.says.verdict {
            _ if self.process.ended => Emphasis::Faint,
            Verdict::Leak => Emphasis::Alarm,
            Verdict::Growing | Verdict::Warmup if soon => Emphasis::Alarm,
            Verdict::Growing | Verdict::Warmup => Emphasis::Notice,
            Verdict::Shrinking | Verdict::Stable | Verdict::Unknown => Emphasis::Plain,
        }
    }

    fn row(&self, context: &Context<'_>) -> Row {
        let ended = self.process.ended;
        let memory = self.process.memory().filter(|_| !ended);
        let of = |bytes: Option<i64>| Value::unsigned(bytes.and_then(|bytes| u64::try_from(bytes).ok()));
        let totals = self.totals;
        let mut cells = columns::cells(self.id, context.processes, context.request);
        cells.extend([
            of(self.rss()),
            of(memory.map(|memory| memory.anon)),
            of(memory.map(|memory| memory.file)),
            of(memory.map(|memory| memory.shmem)),
            of(memory.map(|memory| memory.swap)),
            of(memory.map(|memory| memory.virt)),
            Value::unsigned(self.process.page_tables().filter(|_| !ended)),
            Value::unsigned(totals.map(|totals| totals.mapped)),
            Value::unsigned(totals.map(|totals| totals.unmapped)),
            Value::unsigned(totals.map(|totals| totals.mapped_file)),
            Value::unsigned(totals.map(|totals| totals.reserved)),
            totals.map_or(Value::Missing, |totals| Value::Signed(totals.protected)),
            Value::unsigned(totals.and_then(|totals| totals.peak)),
        ]);
        if ended {
            let mut trend = trend_cells(None, &self.process.series, self.now);
            trend.extend([Value::Text("unknown".to_owned()), Value::Text(self.end())]);
            cells.extend(trend);
        } else {
            cells.extend(trend_cells(Some(&self.says), &self.process.series, self.now));
            cells.push(Value::Text(self.says.verdict.name().to_owned()));
            cells.push(Value::Text(self.says.reason.clone()));
        }
        cells.push(Value::unsigned(self.room.filter(|_| !ended).map(|room| room.limit)));
        cells.extend(self.full_in().map(Value::real));
        Row { processes: vec![self.id], cells, emphasis: self.emphasis(), details: Vec::new(), ended }
    }

    /// What is left to say of a process that has ended.
    fn end(&self) -> String {
        match self.totals.and_then(|totals| Some((totals.mapped, totals.peak?))) {
            Some((mapped, peak)) => {
                format!(
                    "it ended; at most {} was resident, {} mapped",
                    units::bytes(peak),
                    units::bytes(mapped)
                )
            }
            None => "it ended".to_owned(),
        }
    }
}

fn process_columns(context: &Context<'_>) -> Vec<Column> {
    let mut columns = columns::columns(context.request);
    columns.extend([
        Column::new("rss", Kind::Bytes, "RSS", 0).adding(),
        Column::json("anon", Kind::Bytes).adding(),
        Column::json("file", Kind::Bytes).adding(),
        Column::json("shmem", Kind::Bytes).adding(),
        Column::json("swap", Kind::Bytes).adding(),
        Column::json("virt", Kind::Bytes).adding(),
        Column::json("page_tables", Kind::Bytes).adding(),
        Column::json("mapped", Kind::Bytes).adding(),
        Column::json("unmapped", Kind::Bytes).adding(),
        Column::json("mapped_file", Kind::Bytes).adding(),
        Column::json("reserved", Kind::Bytes).adding(),
        Column::json("protected", Kind::Change).adding(),
        Column::json("peak", Kind::Bytes),
    ]);
    columns.extend(trend_columns(context));
    columns.extend([
        Column::new("verdict", Kind::Text, "VERDICT", 2),
        Column::new("reason", Kind::Text, "WHY", 5),
        Column::json("limit", Kind::Bytes),
        Column::json("full_in", Kind::Duration),
        Column::json("full_in_low", Kind::Duration),
        Column::json("full_in_high", Kind::Duration),
    ]);
    columns
}

/// Growth, rate and sparkline; their cells are [`trend_cells`].
fn trend_columns(context: &Context<'_>) -> [Column; 6] {
    [
        Column::new("growth", Kind::Change, window_title(context.request.window), 3).adding(),
        Column::json("rate", Kind::ByteRateMinute).adding(),
        Column::json("rate_low", Kind::ByteRateMinute),
        Column::json("rate_high", Kind::ByteRateMinute),
        Column::people("rate_interval", Kind::ByteRateMinute, "RATE /min", 4),
        Column::people("trend", Kind::Series, "TREND", 6),
    ]
}

fn trend_cells(says: Option<&Assessment>, series: &Window, now: u64) -> Vec<Value> {
    let Some(says) = says else { return vec![Value::Missing; 6] };
    let trend = says.trend;
    // Before there is a trend, what it grew over the time that is known; nobody can say yet how sure that is.
    let known = series.known(now);
    let so_far = says.growth.filter(|_| known > 0.0).map(|growth| growth / known);
    vec![
        says.growth.map_or(Value::Missing, |bytes| Value::Signed(bytes.round() as i64)),
        Value::real(trend.map(|trend| trend.rate).or(so_far)),
        Value::real(trend.map(|trend| trend.low)),
        Value::real(trend.map(|trend| trend.high)),
        trend.map_or(Value::Missing, |trend| Value::Interval {
            value: trend.rate,
            low: trend.low,
            high: trend.high,
        }),
        Value::Series(series.sparkline(now, SPARKLINE)),
    ]
}

/// The window as a column's title.
const fn window_title(seconds: f64) -> &'static str {
    match seconds as u64 {
        10 => "10 S",
        30 => "30 S",
        60 => "1 MIN",
        120 => "2 MIN",
        300 => "5 MIN",
        600 => "10 MIN",
        900 => "15 MIN",
        1800 => "30 MIN",
        3600 => "1 H",
        _ => "GROWTH",
    }
}

/// Kinds of kernel memory that grow.
fn kernel(state: &MemState, context: &Context<'_>) -> Table {
    let mut columns = vec![
        Column::new("kind", Kind::Text, "KERNEL MEMORY", 0),
        Column::new("bytes", Kind::Bytes, "SIZE", 0).adding(),
    ];
    columns.extend(trend_columns(context));
    columns.extend([
        Column::new("verdict", Kind::Text, "VERDICT", 2),
        Column::new("reason", Kind::Text, "WHY", 5),
    ]);
    let grows = state.machine.kernel.iter().filter_map(|(kind, series)| {
        let says = assess(series, context.now.boot);
        let mut cells = vec![
            Value::Text((*kind).to_owned()),
            Value::unsigned(series.latest().map(|bytes| bytes.max(0.0) as u64)),
        ];
        cells.extend(trend_cells(Some(&says), series, context.now.boot));
        cells.extend([Value::Text(says.verdict.name().to_owned()), Value::Text(says.reason.clone())]);
        (says.verdict == Verdict::Growing).then(|| Row {
            cells,
            emphasis: Emphasis::Notice,
            ..Row::default()
        })
    });
    Table { key: "kernel", columns, rows: grows.collect(), hidden: Hidden::default() }
}

fn notes(processes: &[Assessed<'_>]) -> Vec<Note> {
    let mut notes = Vec::new();
    let living = || processes.iter().filter(|process| !process.process.ended);
    if living().any(|process| process.process.memory().is_some() && process.says.trend.is_none()) {
        let text = "Rates of some processes are their growth over the time observed so far; a trend, and the interval that its \
             rate is in, needs ten seconds, or half the window.";
        notes.push(Note { code: "mem-trend", text: text.to_owned() });
    }
    if living().any(|process| process.process.memory().is_some() && process.room.is_none()) {
        let text = "Limits of some processes are not known: the control group of a process could not be read, or \
                    its row is not shown.";
        notes.push(Note { code: "mem-limit", text: text.to_owned() });
    }
    if processes.iter().any(|process| process.process.ended) {
        let text = "Rows of processes that ended hold what they mapped and the most that was resident; what they \
                    held is free again.";
        notes.push(Note { code: "mem-ended", text: text.to_owned() });
    }
    notes
}
