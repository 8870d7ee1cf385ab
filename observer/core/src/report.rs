//! What every output is derived from: typed rows and columns, totals, notes, and what was lost or is unknown.
//!
//! A report knows nothing of terminals or JSON syntax. [`shape`] filters, groups, sorts and cuts it as requested.

use crate::facts::session::Timestamp;

pub mod column;
pub mod note;
pub mod process;
pub mod shape;
pub mod subject;
pub mod table;
pub mod value;

pub use column::{Column, Merge, Notation, Role, Unit};
pub use note::{CommonNote, Note};
pub use subject::Subject;
pub use table::{Emphasis, Hidden, Row, Table, Whole};
pub use value::Value;

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
    /// The answer in words, for humans: one sentence a line.
    pub headline: Vec<String>,
    /// Numbers about the whole machine.
    pub totals: Vec<Total>,
    /// The first is the main one.
    pub tables: Vec<Table>,
    pub notes: Vec<Note>,
}

/// A number about the whole machine, typed as a column is.
#[derive(Clone, Debug, PartialEq)]
pub struct Total {
    pub column: Column,
    pub value: Value,
}

/// What was lost since observation began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossTotals {
    /// Records that did not fit into a ring buffer.
    pub ring: u64,
    /// Things that did not fit into a map.
    pub map_full: u64,
    /// Processes that were gone before their names were read.
    pub names: u64,
    /// Bytes.
    pub unattributed: u64,
    /// Events that a program did not see because it was running on that CPU.
    pub skipped: u64,
}

impl LossTotals {
    /// Whether anything was lost that makes an answer incomplete. A process that vanished does not.
    pub const fn any(self) -> bool {
        self.ring > 0 || self.map_full > 0 || self.unattributed > 0 || self.skipped > 0
    }
}

impl Total {
    /// The value of `column` for the whole machine.
    pub const fn new(column: Column, value: Value) -> Self {
        Self { column, value }
    }
}

impl Report {
    /// The total called `name`.
    pub fn total(&self, name: &str) -> Option<&Value> {
        self.totals.iter().find(|total| total.column.name == name).map(|total| &total.value)
    }
}
