//! The result of a benchmark: a table, goals with their figures, and a description of the measurement.

use std::fmt::Write as _;

use serde::Serialize;

use super::measure::Figure;

/// The result of one benchmark.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// The argument in `cargo xtask bench NAME`.
    pub name: &'static str,
    pub title: &'static str,
    /// How it was measured, and what the numbers mean.
    pub description: String,
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
    pub goals: Vec<Goal>,
    /// What could not be measured here, with the reason.
    pub missing: Vec<String>,
}

/// A row of a table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub cells: Vec<Cell>,
}

/// The value in a column.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Cell {
    Figure {
        #[serde(flatten)]
        figure: Figure,
        unit: Unit,
    },
    Text(String),
    /// Not measured.
    None,
}

/// The unit of a figure, which decides how it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Nanoseconds,
    Milliseconds,
    Bytes,
    /// A share of one core, of the throughput or of the truth: 1 is the whole.
    Share,
    /// A ratio to the baseline.
    Times,
    Count,
    PerSecond,
}

/// A goal, the measured value, and whether the goal is met.
#[derive(Clone, Debug, Serialize)]
pub struct Goal {
    pub wanted: String,
    pub measured: String,
    pub met: bool,
}

impl Table {
    /// A table without rows.
    pub fn new(name: &'static str, title: &'static str, description: &str, columns: &[&str]) -> Self {
        Self {
            name,
            title,
            description: description.to_owned(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
            goals: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, name: impl Into<String>, cells: Vec<Cell>) {
        self.rows.push(Row { name: name.into(), cells });
    }

    /// Adds a goal.
    pub fn goal(&mut self, wanted: impl Into<String>, measured: impl Into<String>, met: bool) {
        self.goals.push(Goal { wanted: wanted.into(), measured: measured.into(), met });
    }

    /// As a section of a Markdown page.
    pub fn markdown(&self) -> String {
        let mut text =
            format!("## {}\n\n`cargo xtask bench {}`. {}\n\n", self.title, self.name, self.description);
        let line = |text: &mut String, words: &[String]| {
            let _ = writeln!(text, "| {} |", words.join(" | "));
        };
        line(&mut text, &self.columns);
        line(&mut text, &vec!["---".to_owned(); self.columns.len()]);
        for row in &self.rows {
            let cells = row.cells.iter().map(Cell::text);
            let words: Vec<String> = std::iter::once(row.name.clone()).chain(cells).collect();
            line(&mut text, &words);
        }
        if !self.missing.is_empty() {
            text.push_str("\nNot measured here:\n\n");
            for reason in &self.missing {
                let _ = writeln!(text, "- {reason}");
            }
        }
        if !self.goals.is_empty() {
            text.push_str("\n| goal | measured | |\n| --- | --- | --- |\n");
            for goal in &self.goals {
                let verdict = if goal.met { "met" } else { "**missed**" };
                let _ = writeln!(text, "| {} | {} | {verdict} |", goal.wanted, goal.measured);
            }
        }
        text.push('\n');
        text
    }
}

impl Cell {
    /// A measured figure, or none.
    pub fn of(figure: Option<Figure>, unit: Unit) -> Self {
        figure.map_or(Self::None, |figure| Self::Figure { figure, unit })
    }

    /// A single number, measured once or exact.
    pub const fn exact(value: f64, unit: Unit) -> Self {
        Self::Figure { figure: Figure { median: value, low: value, high: value }, unit }
    }

    /// A text.
    pub fn words(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn text(&self) -> String {
        match self {
            Self::Figure { figure, unit } => unit.figure(figure),
            Self::Text(text) => text.clone(),
            Self::None => "–".to_owned(),
        }
    }
}

impl Unit {
    /// A figure with its spread, if that is not negligible.
    pub fn figure(self, figure: &Figure) -> String {
        let spread = figure.spread();
        let median = self.text(figure.median);
        if spread <= 0.005 * figure.median.abs() {
            median
        } else {
            format!("{median} ±{}", self.text(spread))
        }
    }

    /// A number with its unit.
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Nanoseconds if value.abs() >= 1e4 => format!("{:.1} µs", value / 1e3),
            Self::Nanoseconds => format!("{value:.0} ns"),
            Self::Milliseconds if value.abs() >= 1e4 => format!("{:.1} s", value / 1e3),
            Self::Milliseconds if value.abs() >= 100.0 => format!("{value:.0} ms"),
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Bytes => format!("{:.1} MB", value / 1e6),
            Self::Share => format!("{:.2} %", value * 100.0),
            Self::Times => format!("{value:.2}×"),
            Self::Count if value.fract() != 0.0 => format!("{value:.1}"),
            Self::Count => format!("{value:.0}"),
            Self::PerSecond if value >= 1e6 => format!("{:.2} M/s", value / 1e6),
            Self::PerSecond if value >= 1e3 => format!("{:.1} k/s", value / 1e3),
            Self::PerSecond => format!("{value:.0} /s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_a_missed_goal_and_a_missing_figure() {
        let mut table = Table::new("x", "X", "How.", &["call", "nothing", "observer"]);
        let figure = Figure { median: 120.0, low: 118.0, high: 122.0 };
        table.row("write", vec![Cell::of(Some(figure), Unit::Nanoseconds), Cell::None]);
        table.goal("at most 1.5×", "2.00×", false);
        let page = table.markdown();
        assert!(page.contains("| write | 120 ns ±2 ns | – |"), "{page}");
        assert!(page.contains("| at most 1.5× | 2.00× | **missed** |"), "{page}");
    }
}
