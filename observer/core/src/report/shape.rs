//! Narrows, groups, sorts and cuts a report as the command line asked, in this order.
//!
//! Totals, headline and notes are of the whole machine and stay as they are. What is cut away is counted and added up,
//! so that the rows shown and [`Hidden`] together are always the whole.

use std::{error, fmt};

use super::{Column, Hidden, Report, Row, Table, Value};
use crate::{
    facts::TaskId,
    view::{GroupBy, Request, Sort},
};

mod group;
mod order;
pub mod subject;
#[cfg(test)]
mod tests;

/// What is known of processes by name: implemented where identities are kept, which is above this module.
pub trait ProcessLookup {
    /// The kernel's name of the program, printable.
    fn comm(&self, id: TaskId) -> Option<String>;
    /// The systemd unit, printable.
    fn unit(&self, id: TaskId) -> Option<String>;
    /// The container's id, printable.
    fn container(&self, id: TaskId) -> Option<String>;
}

/// A column to sort by that the view does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownColumn {
    pub asked: String,
    pub view: &'static str,
    /// Columns that exist, as JSON spells them.
    pub exist: Vec<&'static str>,
}

impl fmt::Display for UnknownColumn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "view {} has no column `{}`; it has {}",
            self.view,
            self.asked,
            self.exist.join(", ")
        )
    }
}

impl error::Error for UnknownColumn {}

/// Gives `report` the shape that was asked for.
///
/// # Errors
/// When there is no such column to sort by.
pub fn shape(report: &mut Report, request: &Request, names: &dyn ProcessLookup) -> Result<(), UnknownColumn> {
    filter(report, request, names);
    if request.by != GroupBy::Process {
        for table in report.tables.iter_mut().filter(|table| about_processes(table)) {
            group::group(table, request.by, names);
        }
    }
    // Where the main table lacks the column, the others that have it are sorted.
    let sorted = match &request.sort {
        None => 0,
        Some(sort) => {
            let place = report.tables.iter().position(|table| table.position(&sort.column).is_some());
            let Some(place) = place else { return Err(unknown(report, sort)) };
            sort_table(&mut report.tables[place], sort);
            place
        }
    };
    if let Some(rows) = request.top {
        for (place, table) in report.tables.iter_mut().enumerate() {
            if place == 0 || place == sorted || about_processes(table) {
                cut(table, rows);
            }
        }
    }
    Ok(())
}

/// Leaves the first `rows` rows of a table; the others are counted and added up in [`Table::hidden`], together with
/// what was hidden before.
pub fn cut(table: &mut Table, rows: usize) {
    if table.rows.len() <= rows {
        return;
    }
    let away = table.rows.split_off(rows);
    let before = std::mem::take(&mut table.hidden);
    let sums = table.columns.iter().enumerate().filter(|(_, column)| is_summed(column)).filter_map(
        |(at, column)| {
            // What was hidden without a sum has none together with others either.
            let earlier = match before.rows {
                0 => 0.0,
                _ => before.sums.iter().find(|(name, _)| *name == column.name)?.1,
            };
            let counting = away.iter().filter(|row| holds(row.ended, row.cell(at)));
            let sum: Option<f64> = counting.map(|row| row.cell(at).number()).sum();
            Some((column.name, sum? + earlier))
        },
    );
    table.hidden = Hidden { sums: sums.collect(), rows: before.rows + away.len() };
}

/// Whether what is hidden is added up in a column: people alone read it.
const fn is_summed(column: &Column) -> bool {
    column.adds && column.human.is_some()
}

/// Whether a row, ended or not, with this cell has its part in the sum of the column. What an ended process does not
/// tell, it does not hold any more; what a living one does not tell is unknown, and so is the sum.
fn holds(ended: bool, cell: &Value) -> bool {
    !ended || *cell != Value::Missing
}

/// Whether each row tells of processes: only then is there something to filter or to group.
fn about_processes(table: &Table) -> bool {
    table.position("pid").is_some()
        || table.position("holders").is_some()
        || table.rows.iter().any(|row| !row.processes.is_empty())
}

fn filter(report: &mut Report, request: &Request, names: &dyn ProcessLookup) {
    let Some(wanted) = wanted(request, names) else { return };
    for table in report.tables.iter_mut().filter(|table| about_processes(table)) {
        table.rows.retain(|row| row.processes.iter().any(&wanted));
    }
}

/// Whether a process is one of those that were asked for; `None` where all are.
fn wanted<'a>(request: &'a Request, names: &'a dyn ProcessLookup) -> Option<impl Fn(&TaskId) -> bool + 'a> {
    let all = request.pids.is_empty() && request.comm.is_none();
    (!all).then_some(move |id: &TaskId| {
        (request.pids.is_empty() || request.pids.contains(&id.pid()))
            && request
                .comm
                .as_ref()
                .is_none_or(|pattern| names.comm(*id).is_some_and(|comm| pattern.is_match(&comm)))
    })
}

fn unknown(report: &Report, sort: &Sort) -> UnknownColumn {
    let mut exist: Vec<&'static str> = Vec::new();
    for column in report.tables.iter().flat_map(|table| &table.columns) {
        if column.json && !exist.contains(&column.name) {
            exist.push(column.name);
        }
    }
    UnknownColumn { asked: sort.column.clone(), view: report.view, exist }
}

/// Sorts stably, so rows that are equal stay in the order they had.
fn sort_table(table: &mut Table, sort: &Sort) {
    let Some(at) = table.position(&sort.column) else { return };
    table.rows.sort_by(|left, right| {
        let (left, right) = (order::key(left.cell(at)), order::key(right.cell(at)));
        order::compare(left.as_ref(), right.as_ref(), sort.ascending)
    });
}
