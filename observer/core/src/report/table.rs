//! Tables and their rows.

use super::{column::Column, subject::Subject, value::Value};
use crate::facts::TaskId;

/// Rows of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its key in JSON: `rows`, `kernel`, `links`, `filesystems`, `writers`.
    pub key: &'static str,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    /// Rows that exist and are not shown.
    pub hidden: Hidden,
    /// Whether its rows concern processes: only such rows can be filtered or grouped.
    pub of_processes: bool,
    /// A sum over all rows that is known without adding them up.
    pub whole: Option<Whole>,
}

/// The sum of a column over all rows, of which each row may not know its part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Whole {
    pub column: &'static str,
    pub sum: f64,
    /// A column that counts shared parts once a row: the sum of hidden rows is in `column` instead.
    pub instead_of: &'static str,
}

/// What `--top` or the screen cut away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hidden {
    pub rows: usize,
    /// Sums of the hidden rows in the columns that add up and that tables show, the most important first.
    pub sums: Vec<(&'static str, f64)>,
}

/// What is known of one subject.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub subject: Subject,
    /// The processes that it concerns (one in most views, each holder in deleted-open): what `-p`, `-c`, `--unit`,
    /// `--container` and `--by` use.
    pub processes: Vec<TaskId>,
    /// The value of each column, in the order of the columns.
    pub cells: Vec<Value>,
    pub emphasis: Emphasis,
    /// Lines below the row, for humans: evidence, or what to do.
    pub details: Vec<String>,
    /// The process ended since the last report: this row is its last.
    pub ended: bool,
}

/// How much a row matters, most first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Emphasis {
    /// To be read first.
    Alarm,
    /// Worth a look.
    Notice,
    #[default]
    Plain,
    /// There for completeness.
    Faint,
}

impl Table {
    /// A table of rows that concern processes, none of them hidden.
    pub fn of_processes(key: &'static str, columns: Vec<Column>, rows: Vec<Row>) -> Self {
        Self { of_processes: true, ..Self::new(key, columns, rows) }
    }

    /// A table of rows that concern no process, none of them hidden.
    pub fn new(key: &'static str, columns: Vec<Column>, rows: Vec<Row>) -> Self {
        Self { key, columns, rows, hidden: Hidden::default(), of_processes: false, whole: None }
    }

    /// Completes the sums of the hidden rows by [`Table::whole`].
    pub fn sum_hidden(&mut self) {
        let Some(whole) = self.whole.filter(|_| self.hidden.rows > 0) else { return };
        let Some(at) = self.position(whole.column) else { return };
        let known = self.rows.iter().filter(|row| !row.ended).map(|row| row.cell(at).number());
        let shown: Option<f64> = known.sum();
        let sums = &mut self.hidden.sums;
        sums.retain(|(name, _)| ![whole.column, whole.instead_of].contains(name));
        if let Some(shown) = shown {
            sums.insert(0, (whole.column, (whole.sum - shown).max(0.0)));
        }
    }

    /// The index of the column called `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

impl Row {
    /// The value in the column at `at`.
    pub fn cell(&self, at: usize) -> &Value {
        self.cells.get(at).unwrap_or(&Value::Missing)
    }
}
