//! One report as the model keeps it: rows are shared, so that lists of them are cheap.

use std::rc::Rc;

use observer_core::{
    facts::session::Timestamp,
    report::{Column, Hidden, LossTotals, Note, Report, Row, Table, Total},
};

/// A report of one view.
#[derive(Clone, Debug)]
pub struct Sheet {
    pub view: &'static str,
    pub host: String,
    pub now: Timestamp,
    /// Seconds since observation began.
    pub observed: f64,
    pub elapsed: f64,
    pub loss: LossTotals,
    pub headline: Vec<String>,
    pub totals: Vec<Total>,
    pub tables: Vec<Grid>,
    pub notes: Vec<Note>,
}

/// A table with shared rows.
#[derive(Clone, Debug)]
pub struct Grid {
    pub key: &'static str,
    pub columns: Vec<Column>,
    pub rows: Vec<Rc<Row>>,
    pub hidden: Hidden,
    pub of_processes: bool,
}

impl From<Report> for Sheet {
    fn from(report: Report) -> Self {
        let Report { view, host, now, elapsed, observed, loss, headline, totals, tables, notes } = report;
        let tables = tables.into_iter().map(Grid::from).collect();
        Self { view, host, now, observed, elapsed, loss, headline, totals, tables, notes }
    }
}

impl From<Table> for Grid {
    fn from(table: Table) -> Self {
        let Table { key, columns, rows, hidden, of_processes, .. } = table;
        Self { key, columns, rows: rows.into_iter().map(Rc::new).collect(), hidden, of_processes }
    }
}

impl Grid {
    /// The place of the column called `name`.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

impl Sheet {
    /// The table with this key.
    #[must_use]
    pub fn table(&self, key: &str) -> Option<&Grid> {
        self.tables.iter().find(|table| table.key == key)
    }

    /// The report with only one table, which has these columns and rows: what is shown, for an export.
    #[must_use]
    pub fn with_rows(&self, key: &'static str, columns: &[Column], rows: &[Rc<Row>]) -> Report {
        let rows = rows.iter().map(|row| Row::clone(row)).collect();
        Report {
            view: self.view,
            host: self.host.clone(),
            now: self.now,
            elapsed: self.elapsed,
            observed: self.observed,
            loss: self.loss,
            headline: Vec::new(),
            totals: self.totals.clone(),
            tables: vec![Table::new(key, columns.to_vec(), rows)],
            notes: self.notes.clone(),
        }
    }
}

/// The title of a column, or its name in JSON if tables do not have it.
#[must_use]
pub fn label(column: &Column) -> String {
    match column.heading {
        Some(heading) if !heading.title.is_empty() => heading.title.to_owned(),
        _ => column.name.to_uppercase().replace('_', " "),
    }
}
