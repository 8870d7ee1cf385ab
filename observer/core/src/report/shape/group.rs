//! Merges rows that share a unit, a container, a program or a remote end.
//!
//! A merged row holds only what is true of all its rows together: sums where values add and every one is known, and
//! names on which all agree. A row alone in its group stays as it is.

use std::collections::{BTreeSet, HashMap};

use super::{Column, ProcessLookup, Row, Table, Value, holds};
use crate::{
    facts::TaskId,
    report::{Heading, Kind},
    units::NOTHING,
    view::GroupBy,
};

/// Names that a merged row keeps where all its rows agree; other values that happen to agree would mislead.
const DESCRIBE: [&str; 11] = [
    "comm",
    "exe",
    "uid",
    "unit",
    "container",
    "remote",
    "protocol",
    "mount",
    "medium",
    "netns",
    "netns_container",
];

/// Merges the rows of `table` by `by`; groups come in the order of what matters, then of size.
pub(super) fn group(table: &mut Table, by: GroupBy, names: &dyn ProcessLookup) {
    let (name, title) = match by {
        GroupBy::Process => return,
        GroupBy::Unit => ("unit", "UNIT"),
        GroupBy::Container => ("container", "CONTAINER"),
        GroupBy::Comm => ("comm", "COMMAND"),
        GroupBy::Remote => ("remote", "REMOTE"),
    };
    if by == GroupBy::Remote && table.position(name).is_none() {
        return;
    }
    let keys: Vec<Option<String>> = table.rows.iter().map(|row| key(table, row, by, names)).collect();
    let was_known: Vec<bool> = known(table);

    let mut groups: Vec<(Option<String>, Vec<Row>)> = Vec::new();
    let mut places: HashMap<Option<String>, usize> = HashMap::new();
    for (row, key) in table.rows.drain(..).zip(keys) {
        let place = *places.entry(key.clone()).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(row);
    }
    let mut merged: Vec<(Option<String>, usize, Row)> = groups
        .into_iter()
        .map(|(key, rows)| {
            let processes: BTreeSet<TaskId> =
                rows.iter().flat_map(|row| row.processes.iter().copied()).collect();
            (key, processes.len(), merge(&table.columns, rows))
        })
        .collect();
    // Two stable sorts: by size, then by what everybody should look at first.
    let size = table.columns.iter().position(|column| column.adds && column.human.is_some());
    merged.sort_by(|left, right| {
        let of = |row: &Row| size.and_then(|at| row.cells.get(at)?.number()).unwrap_or(f64::NEG_INFINITY);
        of(&right.2).total_cmp(&of(&left.2))
    });
    merged.sort_by_key(|(_, _, row)| row.emphasis);

    table.rows = merged
        .into_iter()
        .map(|(key, processes, mut row)| {
            row.cells.splice(0..0, [Value::text(key), Value::Unsigned(processes as u64)]);
            row
        })
        .collect();
    head(table, name, title, &was_known);
}

/// Puts the columns of the key and of the number of processes first; what nobody has any more, people need not see.
fn head(table: &mut Table, name: &'static str, title: &'static str, was_known: &[bool]) {
    table.columns.splice(
        0..0,
        [
            Column::new(name, Kind::Text, title, 0),
            Column::new("processes", Kind::Count, "PROCESSES", 4).adding(),
        ],
    );
    let is_known = known(table);
    // The key's old column has become the first one.
    let old = table.columns.iter().skip(2).position(|column| column.name == name).map(|at| at + 2);
    for (at, column) in table.columns.iter_mut().enumerate().skip(2) {
        let lost = !is_known[at] && was_known[at - 2];
        if lost || (name == "comm" && column.name == "command") {
            column.human = None;
        } else if column.name == "pid" {
            // Known only for a process that is alone in its group.
            column.human = column.human.map(|heading| Heading { leaves: u8::MAX, ..heading });
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

/// What a row is grouped by. A row of several processes belongs to all their names together, and so is counted once.
fn key(table: &Table, row: &Row, by: GroupBy, names: &dyn ProcessLookup) -> Option<String> {
    if by == GroupBy::Remote {
        return match row.cells.get(table.position("remote")?)? {
            Value::Text(remote) => Some(remote.clone()),
            _ => None,
        };
    }
    let all: BTreeSet<Option<String>> = row
        .processes
        .iter()
        .map(|id| match by {
            GroupBy::Unit => names.unit(*id),
            GroupBy::Container => names.container(*id),
            _ => names.comm(*id),
        })
        .collect();
    if all.iter().all(Option::is_none) {
        // Who is in no container can hold a socket that is in one's network namespace.
        let place = table.position("netns_container").filter(|_| by == GroupBy::Container)?;
        return match row.cells.get(place)? {
            Value::Text(container) => Some(container.clone()),
            _ => None,
        };
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
        let cell = |row| Row::cell(row, at);
        if column.adds {
            let mut values = rows.iter().filter(|row| holds(row.ended, row.cell(at))).map(cell);
            let first = values.next().unwrap_or(&Value::Missing).clone();
            values.fold(first, |sum, value| add(&sum, value))
        } else if DESCRIBE.contains(&column.name) {
            let mut values = rows.iter().map(cell);
            let first = values.next().unwrap_or(&Value::Missing);
            if values.all(|value| value == first) { first.clone() } else { Value::Missing }
        } else {
            Value::Missing
        }
    });
    Row {
        cells: cells.collect(),
        processes: processes.into_iter().collect(),
        emphasis: rows.iter().map(|row| row.emphasis).min().unwrap_or_default(),
        details: Vec::new(),
        ended: rows.iter().all(|row| row.ended),
    }
}

/// The sum of two cells, exact for whole numbers; missing as soon as one is, because a part is no sum.
fn add(left: &Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Unsigned(left), Value::Unsigned(right)) => Value::unsigned(left.checked_add(*right)),
        (Value::Signed(left), Value::Signed(right)) => {
            left.checked_add(*right).map_or(Value::Missing, Value::Signed)
        }
        (
            Value::Interval { value, low, high },
            Value::Interval { value: more, low: more_low, high: more_high },
        ) => Value::Interval { value: value + more, low: low + more_low, high: high + more_high },
        (Value::Series(left), Value::Series(right)) => {
            // Both end now; what only the longer one knows has no sum.
            let length = left.len().min(right.len());
            let tails = left[left.len() - length..].iter().zip(&right[right.len() - length..]);
            Value::Series(tails.map(|(left, right)| left + right).collect())
        }
        (Value::Object(left), Value::Object(right)) if left.len() == right.len() => Value::Object(
            left.iter()
                .zip(right)
                .map(|((name, left), (other, right))| {
                    (*name, if name == other { add(left, right) } else { Value::Missing })
                })
                .collect(),
        ),
        (Value::List(left), Value::List(right)) => Value::List(left.iter().chain(right).cloned().collect()),
        _ => Value::real(left.number().zip(right.number()).map(|(left, right)| left + right)),
    }
}
