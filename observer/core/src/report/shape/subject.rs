//! Tables of thousands of things, of which people see ten: a row is made of what is shown, and of nothing else.
//!
//! What is cut away is looked at cell by cell, where it adds up; the table is the same as if every row had been made
//! and [`super::shape`] had cut it.

use super::{
    Column, Hidden, ProcessLookup, Row, Table, Value, holds, is_summed,
    order::{self, Key},
    wanted,
};
use crate::{
    facts::TaskId,
    view::{GroupBy, Request},
};

/// What a row can be made of, once it is known that it is shown.
pub trait Subject {
    /// What the row is about.
    fn process(&self) -> TaskId;
    /// As [`Row::ended`].
    fn ended(&self) -> bool;
    /// What the row has in the column at `at`.
    fn cell(&self, at: usize) -> Value;
    /// The whole row.
    fn row(&self) -> Row;
}

/// The table called `key` of `subjects`, narrowed, sorted and cut as was asked for; they come in the order of `rank`, the
/// smallest first, unless another was asked for. Rows that are to be merged are all made.
#[must_use]
pub fn table<S: Subject, K: Ord>(
    key: &'static str,
    columns: Vec<Column>,
    mut subjects: Vec<S>,
    rank: impl Fn(&S) -> K,
    request: &Request,
    names: &dyn ProcessLookup,
) -> Table {
    if let Some(wanted) = wanted(request, names) {
        subjects.retain(|subject| wanted(&subject.process()));
    }
    let shown = match request.top {
        Some(rows) if request.by == GroupBy::Process => rows.min(subjects.len()),
        _ => subjects.len(),
    };
    let sort = request.sort.as_ref();
    let sorted_by = sort.and_then(|sort| columns.iter().position(|column| column.name == sort.column));
    if sorted_by.is_none() && shown < subjects.len() {
        // Which are the first matters, and their order; not that of the others.
        let mut ranks: Vec<(K, usize)> =
            subjects.iter().enumerate().map(|(place, subject)| (rank(subject), place)).collect();
        ranks.select_nth_unstable(shown);
        ranks[..shown].sort_unstable();
        let mut order: Vec<usize> = ranks.into_iter().map(|(_, place)| place).collect();
        let hidden = order.split_off(shown);
        let cut = hide(&columns, &subjects, &hidden);
        let rows = order.into_iter().map(|place| subjects[place].row()).collect();
        return Table { key, columns, rows, hidden: cut };
    }
    subjects.sort_by_cached_key(rank);
    let mut order: Vec<usize> = (0..subjects.len()).collect();
    if let (Some(at), Some(sort)) = (sorted_by, sort) {
        let cells: Vec<Value> = subjects.iter().map(|subject| subject.cell(at)).collect();
        let keys: Vec<Option<Key<'_>>> = cells.iter().map(order::key).collect();
        order.sort_by(|left, right| {
            order::compare(keys[*left].as_ref(), keys[*right].as_ref(), sort.ascending)
        });
    }
    let hidden = order.split_off(shown);
    let cut = hide(&columns, &subjects, &hidden);
    let rows = order.into_iter().map(|place| subjects[place].row()).collect();
    Table { key, columns, rows, hidden: cut }
}

/// What `hidden`, places in `subjects`, add up to.
fn hide<S: Subject>(columns: &[Column], subjects: &[S], hidden: &[usize]) -> Hidden {
    if hidden.is_empty() {
        return Hidden::default();
    }
    let sums =
        columns.iter().enumerate().filter(|(_, column)| is_summed(column)).filter_map(|(at, column)| {
            let counting = hidden.iter().filter_map(|place| {
                let (subject, cell) = (&subjects[*place], subjects[*place].cell(at));
                holds(subject.ended(), &cell).then(|| cell.number())
            });
            Some((column.name, counting.sum::<Option<f64>>()?))
        });
    Hidden { rows: hidden.len(), sums: sums.collect() }
}
