//! In which order rows stand that are sorted by a column.

use std::cmp::Ordering;

use super::Value;

/// What a cell is sorted by.
pub enum Key<'a> {
    Integer(i128),
    Real(f64),
    Text(&'a str),
}

/// The key of a cell: a list's is its length, an object's the sum of its numbers; `None` where there is nothing to
/// compare.
pub fn key(cell: &Value) -> Option<Key<'_>> {
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

/// What is missing comes last either way.
pub fn compare(left: Option<&Key<'_>>, right: Option<&Key<'_>>, ascending: bool) -> Ordering {
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
