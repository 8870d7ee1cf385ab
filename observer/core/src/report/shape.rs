//! Filters, groups, sorts and cuts a report as requested, in this order.
//!
//! Totals, headline and notes are about the whole machine and stay as they are. What is cut away is counted and added
//! up, so the rows shown and [`Hidden`](super::table::Hidden) together are always the whole.

use std::{error, fmt};

use super::{Report, column::Column, table::Table};
use crate::{
    identity::process::Processes,
    view::{GroupBy, Request, Sort},
};

mod group;
mod order;
mod selection;
#[cfg(test)]
mod tests;

pub use group::{group, group_by_cells};
pub use order::{Candidate, compare_cells, cut};
pub use selection::Selection;

/// A column to sort by that the view does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownColumn {
    /// The requested name.
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

/// Gives `report` the requested shape.
///
/// # Errors
/// When there is no such column to sort by.
pub fn shape(report: &mut Report, request: &Request, processes: &Processes) -> Result<(), UnknownColumn> {
    for table in report.tables.iter_mut().filter(|table| table.of_processes) {
        if let Some(selection) = Selection::new(request, &table.columns, processes) {
            table.rows.retain(|row| selection.has(&row.processes, |at| row.cell(at).clone()));
        }
        group::group(table, request.by, processes);
    }
    // If the main table lacks the column, the first other table that has it is sorted.
    let has = |sort: &Sort| report.tables.iter().position(|table| table.position(&sort.column).is_some());
    let sorted = match &request.sort {
        None => 0,
        Some(sort) => has(sort).ok_or_else(|| unknown(report, sort))?,
    };
    for (index, table) in report.tables.iter_mut().enumerate() {
        let sort = request.sort.as_ref().filter(|_| index == sorted);
        let is_cut = index == 0 || index == sorted || table.of_processes;
        order::arrange_table(table, sort, request.top.filter(|_| is_cut));
        table.sum_hidden();
    }
    Ok(())
}

/// The table called `key` of `candidates`, filtered, sorted and cut as requested: the same as if all of them had been
/// made rows and [`shape`] had done it. Without a requested order they come in that of `rank`, the smallest first. If
/// rows are to be merged, all of them are made.
#[must_use]
pub fn table<C: Candidate, K: Ord>(
    key: &'static str,
    columns: Vec<Column>,
    mut candidates: Vec<C>,
    rank: impl Fn(&C) -> K,
    request: &Request,
    processes: &Processes,
) -> Table {
    if let Some(selection) = Selection::new(request, &columns, processes) {
        candidates
            .retain(|candidate| selection.has(candidate.processes(), |at| candidate.cell(at).into_owned()));
    }
    let top = request.top.filter(|_| request.by == GroupBy::Process);
    let (rows, hidden) = order::arrange(&columns, candidates, rank, request.sort.as_ref(), top);
    Table { hidden, ..Table::of_processes(key, columns, rows) }
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
