//! Filters of rows: words, `/regex/`, and expressions over typed columns such as `rss>1G and unit~nginx`.
//!
//! A comparison with an unknown value is false in every direction: unknown is not zero.

use observer_core::report::{Column, Row, Table};
use regex::Regex;

mod parse;

/// A filter as typed, and its meaning in one table.
#[derive(Clone, Debug)]
pub struct Filter {
    pub text: String,
    expression: Expression,
}

/// What a row must be.
#[derive(Clone, Debug)]
enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    /// Text that any column may contain, in lower case unless it has capitals.
    Word(String),
    /// An expression that the text of any column may match.
    Pattern(Regex),
    /// The column at this place, compared with a number in its unit.
    Number(usize, Comparison, f64),
    /// The text of the column at this place.
    Text(usize, TextTest),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    Unequal,
    AtLeast,
    More,
}

#[derive(Clone, Debug)]
enum TextTest {
    Is(String, bool),
    Matches(Regex, bool),
}

impl Filter {
    /// The meaning of `text` for rows with these columns; `None` for text that selects every row.
    ///
    /// # Errors
    /// With what is wrong, and what would be right.
    pub fn parse(text: &str, columns: &[Column]) -> Result<Option<Self>, String> {
        let expression = parse::parse(text, columns)?;
        Ok(expression.map(|expression| Self { text: text.trim().to_owned(), expression }))
    }

    /// Whether `row` stays.
    #[must_use]
    pub fn selects(&self, row: &Row) -> bool {
        self.expression.selects(row)
    }

    /// Removes the rows that do not stay. Returns how many there were before.
    pub fn apply(&self, table: &mut Table) -> usize {
        let before = table.rows.len();
        table.rows.retain(|row| self.selects(row));
        before
    }
}

impl Expression {
    fn selects(&self, row: &Row) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.selects(row)),
            Self::Any(parts) => parts.iter().any(|part| part.selects(row)),
            Self::Not(part) => !part.selects(row),
            Self::Word(word) => {
                let exact = word.chars().any(char::is_uppercase);
                any_text(
                    row,
                    |text| {
                        if exact { text.contains(word) } else { text.to_lowercase().contains(word) }
                    },
                )
            }
            Self::Pattern(pattern) => any_text(row, |text| pattern.is_match(text)),
            Self::Number(at, comparison, number) => {
                row.cell(*at).number().is_some_and(|value| comparison.holds(value, *number))
            }
            Self::Text(at, test) => text_of(row, *at).is_some_and(|text| test.holds(&text)),
        }
    }
}

impl Comparison {
    fn holds(self, value: f64, number: f64) -> bool {
        match self {
            Self::Less => value < number,
            Self::AtMost => value <= number,
            // A typed number has few digits.
            Self::Equal => (value - number).abs() <= number.abs() * 1e-9,
            Self::Unequal => (value - number).abs() > number.abs() * 1e-9,
            Self::AtLeast => value >= number,
            Self::More => value > number,
        }
    }
}

impl TextTest {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Is(other, wanted) => (text == other) == *wanted,
            Self::Matches(pattern, wanted) => pattern.is_match(text) == *wanted,
        }
    }
}

/// The cell as a filter compares it: numbers that name things, such as a process id, have a text too.
fn text_of(row: &Row, at: usize) -> Option<String> {
    use observer_core::report::Value;
    match row.cell(at) {
        Value::Text(text) => Some(text.clone()),
        Value::Unsigned(number) => Some(number.to_string()),
        Value::Signed(number) => Some(number.to_string()),
        Value::Flag(flag) => Some(if *flag { "yes" } else { "no" }.to_owned()),
        _ => None,
    }
}

/// Whether `test` holds for a text of the row, or for its details.
fn any_text(row: &Row, test: impl Fn(&str) -> bool) -> bool {
    use observer_core::report::Value;
    row.cells.iter().any(|cell| if let Value::Text(text) = cell { test(text) } else { false })
        || row.details.iter().any(|detail| test(detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use observer_core::report::{Unit, Value};

    fn columns() -> Vec<Column> {
        vec![
            Column::label("pid").shown("PID", 0),
            Column::label("comm").shown("COMMAND", 0),
            Column::label("unit").shown("UNIT", 0),
            Column::gauge("rss", Unit::Bytes).shown("RSS", 0),
            Column::gauge("share", Unit::Ratio).shown("SHARE", 0),
        ]
    }

    fn row(pid: u64, comm: &str, unit: Option<&str>, rss: Option<u64>) -> Row {
        let cells = vec![
            Value::Unsigned(pid),
            Value::Text(comm.to_owned()),
            Value::text(unit),
            Value::unsigned(rss),
            Value::Real(0.84),
        ];
        Row { cells, ..Row::default() }
    }

    /// The process ids of the rows that `text` selects.
    fn selected(text: &str) -> Vec<u64> {
        let rows = [
            row(1, "nginx", Some("nginx.service"), Some(3 << 30)),
            row(2, "nginx-worker", Some("nginx.service"), Some(200 << 20)),
            row(3, "Postgres", Some("db.service"), Some(2 << 30)),
            row(4, "漢字", None, None),
        ];
        let filter = Filter::parse(text, &columns()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let selects = |row: &&Row| filter.as_ref().is_none_or(|filter| filter.selects(row));
        let pid = |row: &Row| row.cells[0].number().unwrap() as u64;
        rows.iter().filter(selects).map(pid).collect()
    }

    #[test]
    fn words_and_expressions_select_rows() {
        for (text, pids) in [
            ("", &[1, 2, 3, 4][..]),
            ("nginx", &[1, 2]),
            ("NGINX", &[]),
            ("postgres", &[3]),
            ("漢", &[4]),
            ("nginx worker", &[2]),
            ("/^nginx$/", &[1]),
            ("rss>1G", &[1, 3]),
            ("rss > 1G and unit~nginx", &[1]),
            ("rss>1G unit!~nginx", &[3]),
            ("rss<1G", &[2]),
            ("rss>=2GiB or comm=漢字", &[1, 3, 4]),
            ("not nginx", &[3, 4]),
            ("!(nginx or postgres)", &[4]),
            ("pid=3", &[3]),
            ("pid~^[12]$", &[1, 2]),
            ("COMMAND=Postgres", &[3]),
            ("share>=80%", &[1, 2, 3, 4]),
            ("unit=\"db.service\"", &[3]),
            ("unit!=db.service", &[1, 2]),
        ] {
            assert_eq!(selected(text), pids, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_filter_is_said_with_advice() {
        for (text, advice) in [
            ("rs>1G", "it has pid, comm, unit, rss, share"),
            ("rss>1h", "bytes"),
            ("rss>", "compare `rss` with"),
            ("(nginx", "`)`"),
            ("/[/", "regular expression"),
            ("nginx and", "after `and`"),
            ("comm>5", "`comm` is text"),
            ("a ) b", "`)`"),
        ] {
            let error = Filter::parse(text, &columns()).unwrap_err();
            assert!(error.contains(advice), "{text}: {error}");
        }
    }
}
