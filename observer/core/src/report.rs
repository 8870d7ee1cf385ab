//! What every output is derived from: columns with a unit and a kind, rows, notes, and what was lost or is unknown.
//!
//! A report says nothing about terminals or JSON syntax; `shape` narrows, groups, sorts and cuts it as was asked for.

use crate::{
    facts::{TaskId, session::Timestamp},
    note::NoteCode,
};

pub mod shape;

/// One answer to one view at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The view's name in JSON: `mem`, `deleted-open`, `disk`, `net`, `connections`, `listen`.
    pub view: &'static str,
    pub host: String,
    pub now: Timestamp,
    /// Seconds since the previous report (since observation began, in the first).
    pub elapsed: f64,
    /// Seconds since observation began.
    pub observed: f64,
    pub loss: LossTotals,
    /// The answer in words, for people: one sentence a line.
    pub headline: Vec<String>,
    pub totals: Vec<(&'static str, Value)>,
    /// The first is the main one.
    pub tables: Vec<Table>,
    pub notes: Vec<Note>,
}

/// What was lost since observation began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossTotals {
    pub ring: u64,
    pub map_full: u64,
    /// Processes that were gone before their names were read.
    pub names: u64,
    /// Bytes.
    pub unattributed: u64,
    /// Events of which a program was not told, because it was running on that CPU.
    pub skipped: u64,
}

impl LossTotals {
    /// Whether anything was lost that makes an answer incomplete; a process that vanished does not.
    #[must_use]
    pub const fn any(self) -> bool {
        self.ring > 0 || self.map_full > 0 || self.unattributed > 0 || self.skipped > 0
    }
}

/// Something the reader should know: a stable code for scripts, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    pub code: NoteCode,
    pub text: String,
}

impl Note {
    /// So many notes of one code tell of one thing each, where there may be very many such things.
    pub const FEW: usize = 5;

    /// A note for each of the first few of what is `ranked`, and the rest, of which another note is to tell.
    pub fn few<T>(code: NoteCode, ranked: &[T], text: impl Fn(&T) -> String) -> (Vec<Self>, &[T]) {
        let (first, rest) = ranked.split_at(ranked.len().min(Self::FEW));
        (first.iter().map(|one| Self { code, text: text(one) }).collect(), rest)
    }
}

/// Rows of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its key in JSON: `rows`, `kernel`, `links`, `filesystems`, `writers`.
    pub key: &'static str,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    /// Rows that exist and are not shown.
    pub hidden: Hidden,
}

/// What `--top` or the screen cut away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hidden {
    pub rows: usize,
    /// Sums of the hidden rows' adding columns that people see, in the order of the columns.
    pub sums: Vec<(&'static str, f64)>,
}

/// One column. What it holds in each row is in [`Row::cells`], at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// As `--json` and `--sort` spell it.
    pub name: &'static str,
    pub kind: Kind,
    /// Where people see it; `None` for columns that only JSON has.
    pub human: Option<Heading>,
    /// Whether JSON has it (a sparkline is for people only).
    pub json: bool,
    /// Whether the values of several rows can be added (bytes of two processes can, round-trip times cannot).
    pub adds: bool,
}

/// How a column is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    pub title: &'static str,
    /// 0 stays in the narrowest terminal; the highest numbers leave first.
    pub leaves: u8,
}

/// What the number in a cell is, which decides how people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, left-aligned.
    Text,
    /// A process or other number without unit, right-aligned, never abbreviated.
    Number,
    /// A count, grouped.
    Count,
    /// Bytes: KiB, MiB…
    Bytes,
    /// Bytes with a sign: growth.
    Change,
    /// Bytes per second, shown as such: KiB/s.
    ByteRate,
    /// Bytes per second with a sign, shown as such: growth.
    ChangeRate,
    /// Bytes per second, shown a minute, with the interval where there is one.
    ByteRateMinute,
    /// Bytes per second, shown in bits: Mbit/s.
    BitRate,
    /// Bits per second, shown as such: the speed of a link.
    BitSpeed,
    /// A duration in seconds.
    Duration,
    /// A fraction of one, shown in per cent.
    Share,
    /// A series, drawn as a sparkline.
    Series,
}

/// One thing that the table tells of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The processes it is about (one in most views, each holder in deleted-open): what `-p`, `-c` and `--by` go by.
    pub processes: Vec<TaskId>,
    pub cells: Vec<Value>,
    pub emphasis: Emphasis,
    /// Lines below the row, for people: evidence, or what to do.
    pub details: Vec<String>,
    /// The process ended since the last report: this row is its last.
    pub ended: bool,
}

/// How much a row matters, most first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Emphasis {
    /// What everybody should look at first.
    Alarm,
    /// Worth a look.
    Notice,
    #[default]
    Plain,
    /// There for completeness.
    Faint,
}

/// What a cell holds.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Value {
    /// Not known, or there is none: `null` in JSON; a note says why where the reader could expect one.
    #[default]
    Missing,
    /// Already passed through [`crate::text::printable`] where it came from outside.
    Text(String),
    Unsigned(u64),
    Signed(i64),
    /// Finite.
    Real(f64),
    Flag(bool),
    /// A value with its interval, for people only (JSON has a column for each).
    Interval {
        value: f64,
        low: f64,
        high: f64,
    },
    /// For [`Kind::Series`].
    Series(Vec<f64>),
    /// An object in JSON; people see a column made from it instead.
    Object(Vec<(&'static str, Value)>),
    /// A list in JSON.
    List(Vec<Value>),
}

impl Value {
    /// Text, or missing.
    #[must_use]
    pub fn text(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Missing, |text| Self::Text(text.into()))
    }

    /// A count of bytes or things, or missing.
    #[must_use]
    pub fn unsigned(number: Option<u64>) -> Self {
        number.map_or(Self::Missing, Self::Unsigned)
    }

    /// A real number; missing where there is none or it is not finite.
    #[must_use]
    pub fn real(number: Option<f64>) -> Self {
        number.filter(|number| number.is_finite()).map_or(Self::Missing, Self::Real)
    }

    /// The number in it, for sorting and adding.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Unsigned(number) => Some(*number as f64),
            Self::Signed(number) => Some(*number as f64),
            Self::Real(number) | Self::Interval { value: number, .. } => Some(*number),
            Self::Flag(flag) => Some(f64::from(u8::from(*flag))),
            Self::Missing | Self::Text(_) | Self::Series(_) | Self::Object(_) | Self::List(_) => None,
        }
    }
}

impl Column {
    /// A column that only JSON has.
    #[must_use]
    pub const fn json(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, human: None, json: true, adds: false }
    }

    /// A column that JSON and people have.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind, title: &'static str, leaves: u8) -> Self {
        Self { name, kind, human: Some(Heading { title, leaves }), json: true, adds: false }
    }

    /// A column that only people see.
    #[must_use]
    pub const fn human(name: &'static str, kind: Kind, title: &'static str, leaves: u8) -> Self {
        Self { name, kind, human: Some(Heading { title, leaves }), json: false, adds: false }
    }

    /// The same column, its values adding up over rows.
    #[must_use]
    pub const fn adding(mut self) -> Self {
        self.adds = true;
        self
    }
}

impl Row {
    /// What stands in the column at `at`.
    #[must_use]
    pub fn cell(&self, at: usize) -> &Value {
        self.cells.get(at).unwrap_or(&Value::Missing)
    }
}

impl Table {
    /// Where the column called `name` stands.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}
