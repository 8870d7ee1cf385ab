//! Typed columns: the meaning of their values, independent of how a face shows them.

use crate::view::GroupBy;

/// One column of a table, or one total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in JSON, in `--sort`, and in lists of missing columns.
    pub name: &'static str,
    pub role: Role,
    pub unit: Unit,
    /// Its name in OpenTelemetry's semantic conventions; `None` if no convention fits.
    pub otel: Option<OtelMetric>,
    pub merge: Merge,
    /// The grouping under which the text in this column is the key of its row; `None` if the processes of a row give
    /// its key.
    pub key: Option<GroupBy>,
    /// Its position in tables; `None` for columns that only JSON has.
    pub heading: Option<Heading>,
    /// Whether JSON has it. A sparkline is human-only, for example.
    pub json: bool,
}

/// What the values of a column are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Names what the row is about, or a part of it: a label of a metric.
    Label,
    /// A sentence, a list, or another value that is only read.
    Text,
    /// A number that rises and falls.
    Gauge,
    /// A number that only rises while its subject exists.
    Counter,
    /// The course of a number: a series.
    Trend,
}

/// The unit of the numbers in a column, as JSON has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Text, or a number without a unit, such as a process id.
    None,
    /// A number of things.
    Count,
    Bytes,
    BytesPerSecond,
    BitsPerSecond,
    Seconds,
    /// A ratio from 0 to 1.
    Ratio,
}

/// A metric of OpenTelemetry's semantic conventions (1.44).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtelMetric {
    /// Such as `process.network.io`.
    pub name: &'static str,
    /// The attribute that distinguishes the column from others of the same metric: (name, value).
    pub attribute: Option<(&'static str, &'static str)>,
}

/// The value of a merged row in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// None: round-trip times of two processes have no sum, and equal ones would be coincidence.
    Nothing,
    /// The sum of all values.
    Sum,
    /// The value on which all rows agree.
    Same,
}

/// A column in tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// Empty for remarks.
    pub title: &'static str,
    /// 0 is the most important and stays in the narrowest terminal. The highest numbers leave first.
    pub importance: u8,
    pub notation: Notation,
}

/// The notation of the unit that readers of this column expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    Usual,
    /// With a sign: a change.
    Signed,
    /// In bits: the rate of a network.
    Bits,
    /// By the minute, with its interval: slow growth.
    PerMinute,
    /// A text that is wrapped and not cut. Only the last column of a table has it.
    Sentence,
}

impl Column {
    const fn new(name: &'static str, role: Role, unit: Unit) -> Self {
        Self { name, role, unit, otel: None, merge: Merge::Nothing, key: None, heading: None, json: true }
    }

    /// A column of names or numbers that identify, in JSON only.
    pub const fn label(name: &'static str) -> Self {
        Self::new(name, Role::Label, Unit::None)
    }

    /// A column that is only to be read, in JSON only.
    pub const fn text(name: &'static str) -> Self {
        Self::new(name, Role::Text, Unit::None)
    }

    /// A column of numbers that rise and fall, in JSON only.
    pub const fn gauge(name: &'static str, unit: Unit) -> Self {
        Self::new(name, Role::Gauge, unit)
    }

    /// A column of numbers that only rise, in JSON only.
    pub const fn counter(name: &'static str, unit: Unit) -> Self {
        Self::new(name, Role::Counter, unit)
    }

    /// A column of series, in tables only.
    pub const fn trend(name: &'static str, unit: Unit, title: &'static str, importance: u8) -> Self {
        Self::new(name, Role::Trend, unit).human(title, importance)
    }

    /// The same column, in JSON and in tables.
    #[must_use]
    pub const fn shown(mut self, title: &'static str, importance: u8) -> Self {
        self.heading = Some(Heading { title, importance, notation: Notation::Usual });
        self
    }

    /// The same column, in tables only.
    #[must_use]
    pub const fn human(self, title: &'static str, importance: u8) -> Self {
        let mut column = self.shown(title, importance);
        column.json = false;
        column
    }

    /// The same column, in another notation in tables.
    #[must_use]
    pub const fn noted(mut self, notation: Notation) -> Self {
        if let Some(heading) = &mut self.heading {
            heading.notation = notation;
        }
        self
    }

    /// The same column, merged like this.
    #[must_use]
    pub const fn merged(mut self, merge: Merge) -> Self {
        self.merge = merge;
        self
    }

    /// The same column, its values adding up over rows.
    #[must_use]
    pub const fn adding(self) -> Self {
        self.merged(Merge::Sum)
    }

    /// The same column, kept in a merged row where all rows agree.
    #[must_use]
    pub const fn same(self) -> Self {
        self.merged(Merge::Same)
    }

    /// The same column, its text being the key of rows under a grouping.
    #[must_use]
    pub const fn key_of(mut self, by: GroupBy) -> Self {
        self.key = Some(by);
        self
    }

    /// The same column, with its name in OpenTelemetry's conventions.
    #[must_use]
    pub const fn otel(mut self, name: &'static str, attribute: Option<(&'static str, &'static str)>) -> Self {
        self.otel = Some(OtelMetric { name, attribute });
        self
    }

    /// Whether the values of several rows can be added: bytes of two processes can, round-trip times cannot.
    pub const fn adds(&self) -> bool {
        matches!(self.merge, Merge::Sum)
    }

    /// Whether what is hidden is added up: only humans read it.
    pub const fn is_summed(&self) -> bool {
        self.adds() && self.heading.is_some()
    }
}
