//! Merges rows that share a unit, a container, a program or a peer.
//!
//! A merged row has only what is true of all its rows together: sums if every value is known, and names on which all
//! agree ([`Merge`]). A row alone in its group keeps its values.

use std::collections::{BTreeSet, HashMap};

use super::order::is_part_of_sum;
use crate::{
    facts::TaskId,
    identity::process::Processes,
    report::{
        column::{Column, Heading, Merge, Unit},
        subject::Subject,
        table::{Row, Table},
        value::Value,
    },
    units::NOTHING,
    view::GroupBy,
};

/// Merges the rows of `table` by `by`. Groups are ordered by emphasis, then by size. A table that is merged already
/// stays as it is.
pub fn group(table: &mut Table, by: GroupBy, names: &Processes) {
    let is_merged = table.rows.first().is_some_and(|row| matches!(row.subject, Subject::Group { .. }));
    if !is_merged && (by != GroupBy::Remote || table.position(name(by)).is_some()) {
        let keys = table.rows.iter().map(|row| key(table, row, by, names)).collect();
        merge_by(table, by, keys);
    }
}

/// As [`group`], by what the cells of a row give: for a report that has left the state with the names of processes. A
/// table without the column stays as it is.
pub fn group_by_cells(table: &mut Table, by: GroupBy) {
    let named = table.position(name(by));
    let Some(at) = named.or_else(|| table.columns.iter().position(|column| column.key == Some(by))) else {
        return;
    };
    let key = |row: &Row| match row.cell(at) {
        Value::Text(text) => Some(text.clone()),
        Value::Unsigned(number) => Some(number.to_string()),
        _ => None,
    };
    let keys = table.rows.iter().map(key).collect();
    merge_by(table, by, keys);
}

/// The column with the key of a grouping.
const fn name(by: GroupBy) -> &'static str {
    match by {
        GroupBy::Process => "pid",
        GroupBy::Unit => "unit",
        GroupBy::Container => "container",
        GroupBy::Comm => "comm",
        GroupBy::User => "uid",
        GroupBy::Remote => "remote",
    }
}

/// Merges the rows of `table` with equal `keys`, one of each row.
fn merge_by(table: &mut Table, by: GroupBy, keys: Vec<Option<String>>) {
    let title = match by {
        GroupBy::Process => return,
        GroupBy::Unit => "UNIT",
        GroupBy::Container => "CONTAINER",
        GroupBy::Comm => "COMMAND",
        GroupBy::User => "USER",
        GroupBy::Remote => "REMOTE",
    };
    let name = name(by);
    let was_known: Vec<bool> = known(table);

    let mut groups: Vec<(Option<String>, Vec<Row>)> = Vec::new();
    let mut indexes: HashMap<Option<String>, usize> = HashMap::new();
    for (row, key) in table.rows.drain(..).zip(keys) {
        let index = *indexes.entry(key.clone()).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[index].1.push(row);
    }
    let mut merged: Vec<(Option<String>, usize, Row)> = groups
        .into_iter()
        .map(|(key, rows)| {
            let processes: BTreeSet<TaskId> =
                rows.iter().flat_map(|row| row.processes.iter().copied()).collect();
            (key, processes.len(), merge(&table.columns, rows))
        })
        .collect();
    // Two stable sorts: by size, then by emphasis.
    let size = table.columns.iter().position(Column::is_summed);
    merged.sort_by(|left, right| {
        let of = |row: &Row| size.and_then(|at| row.cells.get(at)?.number()).unwrap_or(f64::NEG_INFINITY);
        of(&right.2).total_cmp(&of(&left.2))
    });
    merged.sort_by_key(|(_, _, row)| row.emphasis);

    table.rows = merged
        .into_iter()
        .map(|(key, processes, mut row)| {
            row.subject = Subject::Group { by, key: key.clone() };
            row.cells.splice(0..0, [Value::text(key), Value::Unsigned(processes as u64)]);
            row
        })
        .collect();
    head(table, name, title, &was_known);
}

/// Puts the columns of the key and of the number of processes first. Tables lose columns that have lost all values.
fn head(table: &mut Table, name: &'static str, title: &'static str, was_known: &[bool]) {
    table.columns.splice(
        0..0,
        [
            Column::label(name).shown(title, 0),
            Column::gauge("processes", Unit::Count).shown("PROCESSES", 4).adding(),
        ],
    );
    let is_known = known(table);
    // The key's old column has become the first one.
    let old = table.columns.iter().skip(2).position(|column| column.name == name).map(|at| at + 2);
    for (at, column) in table.columns.iter_mut().enumerate().skip(2) {
        let lost = !is_known[at] && was_known[at - 2];
        if lost || (name == "comm" && column.name == "command") {
            column.heading = None;
        } else if column.name == "pid" {
            // Known only for a process that is alone in its group.
            column.heading = column.heading.map(|heading| Heading { importance: u8::MAX, ..heading });
        }
    }
    if let Some(at) = old {
        table.columns.remove(at);
        for row in &mut table.rows {
            row.cells.remove(at);
        }
    }
}

/// Which columns have a value in any row.
fn known(table: &Table) -> Vec<bool> {
    (0..table.columns.len())
        .map(|at| table.rows.iter().any(|row| row.cells.get(at).is_some_and(|cell| *cell != Value::Missing)))
        .collect()
}

/// What a row is grouped by. A row of several processes belongs to all their names together, so it is counted once.
/// Where no process has a name, a column can have the key: a process in no container can hold a socket that is in the
/// network namespace of one.
fn key(table: &Table, row: &Row, by: GroupBy, names: &Processes) -> Option<String> {
    let name = |id: &TaskId| match by {
        GroupBy::Unit => names.unit(*id),
        GroupBy::Container => names.container(*id),
        GroupBy::Comm => names.comm(*id),
        GroupBy::User => names.get(*id)?.uid.map(|uid| uid.to_string()),
        GroupBy::Process | GroupBy::Remote => None,
    };
    let all: BTreeSet<Option<String>> = row.processes.iter().map(name).collect();
    if all.iter().all(Option::is_none) {
        let index = table.columns.iter().position(|column| column.key == Some(by))?;
        return if let Value::Text(key) = row.cell(index) { Some(key.clone()) } else { None };
    }
    let all: Vec<&str> = all.iter().map(|name| name.as_deref().unwrap_or(NOTHING)).collect();
    Some(all.join(", "))
}

fn merge(columns: &[Column], mut rows: Vec<Row>) -> Row {
    if rows.len() == 1 {
        return rows.remove(0);
    }
    let processes: BTreeSet<TaskId> = rows.iter().flat_map(|row| row.processes.iter().copied()).collect();
    let cells = columns.iter().enumerate().map(|(at, column)| {
        let mut values =
            rows.iter().filter(|row| is_part_of_sum(row.ended, row.cell(at))).map(|row| row.cell(at));
        let first = values.next().unwrap_or(&Value::Missing);
        match column.merge {
            Merge::Sum => values.fold(first.clone(), |sum, value| sum.plus(value)),
            Merge::Same if rows.iter().all(|row| row.cell(at) == rows[0].cell(at)) => {
                rows[0].cell(at).clone()
            }
            Merge::Same | Merge::Nothing => Value::Missing,
        }
    });
    Row {
        cells: cells.collect(),
        subject: Subject::default(),
        processes: processes.into_iter().collect(),
        emphasis: rows.iter().map(|row| row.emphasis).min().unwrap_or_default(),
        details: Vec::new(),
        ended: rows.iter().all(|row| row.ended),
    }
}
