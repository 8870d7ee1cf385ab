//! The order of rows, and the rows that are cut off.

use std::{borrow::Cow, cmp::Ordering};

use crate::{
    facts::TaskId,
    report::{
        column::Column,
        table::{Hidden, Row, Table},
        value::Value,
    },
    view::Sort,
};

/// What a row can be made of once it is known to be shown. A table of thousands shows ten: only these become rows,
/// and of the others only cells that add up are read.
pub trait Candidate {
    /// As [`Row::processes`].
    fn processes(&self) -> &[TaskId];
    /// As [`Row::ended`].
    fn ended(&self) -> bool;
    /// The value of the row in the column at `at`.
    fn cell(&self, at: usize) -> Cow<'_, Value>;
    /// The whole row.
    fn into_row(self) -> Row;
}

impl Candidate for Row {
    fn processes(&self) -> &[TaskId] {
        &self.processes
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn cell(&self, at: usize) -> Cow<'_, Value> {
        Cow::Borrowed(Self::cell(self, at))
    }

    fn into_row(self) -> Row {
        self
    }
}

/// The first `top` candidates as rows, and what the others add up to. Their order is that of `sort`; of equal ones,
/// and without `sort` or its column, that of `rank`, the smallest first.
pub fn arrange<C: Candidate, K: Ord>(
    columns: &[Column],
    candidates: Vec<C>,
    rank: impl Fn(&C) -> K,
    sort: Option<&Sort>,
    top: Option<usize>,
) -> (Vec<Row>, Hidden) {
    let shown = top.map_or(candidates.len(), |top| top.min(candidates.len()));
    let sorted = sort.and_then(|sort| {
        Some((columns.iter().position(|column| column.name == sort.column)?, sort.ascending))
    });
    let mut ranks: Vec<(K, usize)> =
        candidates.iter().enumerate().map(|(index, candidate)| (rank(candidate), index)).collect();
    if sorted.is_some() || shown == ranks.len() {
        ranks.sort_unstable();
    } else {
        // The set and the order of the first rows matter, the order of the others does not.
        ranks.select_nth_unstable(shown);
        ranks[..shown].sort_unstable();
    }
    let mut order: Vec<usize> = ranks.into_iter().map(|(_, index)| index).collect();
    if let Some((at, ascending)) = sorted {
        let cells: Vec<Cow<'_, Value>> = candidates.iter().map(|candidate| candidate.cell(at)).collect();
        let keys: Vec<Option<Key<'_>>> = cells.iter().map(|cell| key(cell)).collect();
        order.sort_by(|left, right| compare(keys[*left].as_ref(), keys[*right].as_ref(), ascending));
    }
    let hidden = hide(columns, &candidates, &order[shown..]);
    let mut candidates: Vec<Option<C>> = candidates.into_iter().map(Some).collect();
    let rows = order[..shown].iter().filter_map(|index| candidates[*index].take()).map(C::into_row);
    (rows.collect(), hidden)
}

/// Sorts the rows of a table stably, and leaves the first `top`. Others are counted and added up in [`Table::hidden`],
/// together with what was hidden before.
pub fn arrange_table(table: &mut Table, sort: Option<&Sort>, top: Option<usize>) {
    if sort.is_none() && top.is_none_or(|top| table.rows.len() <= top) {
        return;
    }
    let rows = std::mem::take(&mut table.rows);
    let (rows, hidden) = arrange(&table.columns, rows, |_| (), sort, top);
    table.rows = rows;
    table.hidden = together(std::mem::take(&mut table.hidden), hidden);
}

/// Leaves the first `rows` rows of a table.
pub fn cut(table: &mut Table, rows: usize) {
    arrange_table(table, None, Some(rows));
    table.sum_hidden();
}

/// Whether the cell of a row counts in the sum of its column. A missing value of an ended process counts as nothing;
/// a missing value of a running process is unknown, and so is the sum.
pub fn is_part_of_sum(ended: bool, cell: &Value) -> bool {
    !ended || *cell != Value::Missing
}

/// What `hidden`, places in `candidates`, add up to.
fn hide<C: Candidate>(columns: &[Column], candidates: &[C], hidden: &[usize]) -> Hidden {
    if hidden.is_empty() {
        return Hidden::default();
    }
    let summed = columns.iter().enumerate().filter(|(_, column)| column.is_summed());
    let sums = summed.filter_map(|(at, column)| {
        let parts = hidden.iter().filter_map(|index| {
            let (candidate, cell) = (&candidates[*index], candidates[*index].cell(at));
            is_part_of_sum(candidate.ended(), &cell).then(|| cell.number())
        });
        Some((column.name, parts.sum::<Option<f64>>()?))
    });
    Hidden { rows: hidden.len(), sums: sums.collect() }
}

/// The sum of both hidden parts. A column without a sum in one of them has none in the result.
fn together(before: Hidden, more: Hidden) -> Hidden {
    match (before.rows, more.rows) {
        (0, _) => more,
        (_, 0) => before,
        _ => {
            let sum = |(name, sum): &(&'static str, f64)| {
                let (_, more) = more.sums.iter().find(|(other, _)| other == name)?;
                Some((*name, more + sum))
            };
            Hidden { rows: before.rows + more.rows, sums: before.sums.iter().filter_map(sum).collect() }
        }
    }
}

/// The order of two cells of a column; missing values come last in both directions.
#[must_use]
pub fn compare_cells(left: &Value, right: &Value, ascending: bool) -> Ordering {
    compare(key(left).as_ref(), key(right).as_ref(), ascending)
}

/// What a cell is sorted by.
enum Key<'a> {
    Integer(i128),
    Real(f64),
    Text(&'a str),
}

/// The key of a cell: a list's is its length, an object's the sum of its numbers; `None` where there is nothing to
/// compare.
fn key(cell: &Value) -> Option<Key<'_>> {
    match cell {
        Value::Text(text) => Some(Key::Text(text)),
        Value::Unsigned(number) => Some(Key::Integer(i128::from(*number))),
        Value::Signed(number) => Some(Key::Integer(i128::from(*number))),
        Value::List(items) => Some(Key::Integer(items.len() as i128)),
        Value::Object(fields) => {
            fields.iter().filter_map(|(_, field)| field.number()).reduce(|a, b| a + b).map(Key::Real)
        }
        Value::Series(values) => values.last().copied().map(Key::Real),
        Value::Missing | Value::Real(_) | Value::Flag(_) | Value::Interval { .. } => {
            cell.number().map(Key::Real)
        }
    }
}

/// Missing values come last in both directions.
fn compare(left: Option<&Key<'_>>, right: Option<&Key<'_>>, ascending: bool) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) if ascending => values(left, right),
        (Some(left), Some(right)) => values(right, left),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

fn values(left: &Key<'_>, right: &Key<'_>) -> Ordering {
    match (left, right) {
        (Key::Text(left), Key::Text(right)) => left.cmp(right),
        (Key::Integer(left), Key::Integer(right)) => left.cmp(right),
        (Key::Text(_), _) => Ordering::Less,
        (_, Key::Text(_)) => Ordering::Greater,
        (left, right) => real(left).total_cmp(&real(right)),
    }
}

fn real(key: &Key<'_>) -> f64 {
    match key {
        Key::Integer(number) => *number as f64,
        Key::Real(number) => *number,
        Key::Text(_) => f64::NAN,
    }
}
