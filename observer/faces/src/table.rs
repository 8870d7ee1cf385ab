//! A report as lines of text: the answer first, then the rows that matter, last what was not seen.

use super::{
    cell, clock,
    layout::{self, GAP, WidthNeed},
    paint::{Paint, Style},
    width,
};
use observer_core::{
    report::{Column, Emphasis, Heading, Hidden, Kind, LossTotals, Note, Report, Row, Table, Value},
    units,
};

/// Blanks before every row: figures do not stick to the edge.
const MARGIN: usize = 1;

/// How much room notes get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notes {
    Whole,
    /// A line each, cut where it ends.
    Short,
    /// A line for all.
    Counted,
}

/// The report in lines of at most `width` columns; in as long ones as it takes, without a width.
pub(super) fn lines(report: &Report, width: Option<usize>, paint: Paint, notes: Notes) -> Vec<String> {
    let mut page = Page { lines: Vec::new(), width, paint };
    for sentence in &report.headline {
        page.sentence(Style::Headline, sentence, 0, 0);
    }
    let mut footer = Some(footer(report, width));
    let shown: Vec<&Table> = report.tables.iter().filter(|table| !table.rows.is_empty()).collect();
    if shown.is_empty() && report.headline.is_empty() {
        page.put(Style::Headline, "Nothing to show.");
    }
    for table in &shown {
        page.blank();
        let widest = page.table(table);
        let more = more(table);
        if shown.len() == 1 && report.notes.is_empty() {
            page.ends(more, &footer.take().unwrap_or_default(), widest, loss_ink(report));
        } else if let Some(more) = more {
            page.sentence(Style::Footer, &more, MARGIN, MARGIN + 1);
        }
    }
    page.notes(&report.notes, notes);
    if let Some(footer) = footer {
        page.sentence(loss_ink(report), &footer, MARGIN, MARGIN + 1);
    }
    page.lines
}

/// Lines so far, and what bounds them.
struct Page {
    lines: Vec<String>,
    width: Option<usize>,
    paint: Paint,
}

impl Page {
    fn blank(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(String::new());
        }
    }

    fn put(&mut self, ink: Style, line: &str) {
        let line = line.trim_end();
        let line = self.width.map_or_else(|| line.to_owned(), |width| width::truncated(line, width));
        self.lines.push(self.paint.line(ink, line));
    }

    /// Text that is broken, not cut, where it is too long.
    fn sentence(&mut self, ink: Style, text: &str, first: usize, rest: usize) {
        match self.width {
            None => self.put(ink, &format!("{}{text}", " ".repeat(first))),
            Some(width) => {
                for line in width::wrapped(text, width, first, rest) {
                    self.put(ink, &line);
                }
            }
        }
    }

    fn notes(&mut self, notes: &[Note], style: Notes) {
        let ink = Style::Row(Emphasis::Notice);
        if !notes.is_empty() && style != Notes::Counted {
            self.blank();
        }
        match style {
            Notes::Whole => {
                for note in notes {
                    self.sentence(ink, &format!("note: {}", note.text), MARGIN, MARGIN + 6);
                }
            }
            Notes::Short => {
                for note in notes {
                    self.put(ink, &format!(" note: {}", note.text));
                }
            }
            Notes::Counted if notes.is_empty() => {}
            Notes::Counted => {
                let count = units::counted(notes.len() as u64, "note", "notes");
                self.put(ink, &format!(" {count}: a larger terminal or --plain shows them"));
            }
        }
    }

    /// The rows that were cut away at the left, what was lost at the right, in one line if they fit.
    fn ends(&mut self, more: Option<String>, footer: &str, widest: usize, ink: Style) {
        if let Some(more) = more {
            let left = MARGIN + width::width(&more);
            let room = widest.max(60).min(self.width.unwrap_or(usize::MAX));
            if let Some(blanks) = room.checked_sub(left + width::width(footer)).filter(|blanks| *blanks > GAP)
            {
                let line = format!("{}{more}{}{footer}", " ".repeat(MARGIN), " ".repeat(blanks));
                return self.put(ink, &line);
            }
            self.sentence(Style::Footer, &more, MARGIN, MARGIN + 1);
        }
        self.sentence(ink, footer, MARGIN, MARGIN + 1);
    }

    /// Puts heading and rows; gives the width of the widest line.
    fn table(&mut self, table: &Table) -> usize {
        let columns = columns(table);
        let cells: Vec<Vec<String>> = table.rows.iter().map(|row| cells(row, &columns)).collect();
        let needs_on_demand_hooks: Vec<WidthNeed> = columns
            .iter()
            .enumerate()
            .map(|(at, (_, column, heading))| WidthNeed {
                natural: cells
                    .iter()
                    .map(|cells| width::width(&cells[at]))
                    .fold(width::width(heading.title), usize::max),
                leaves: heading.leaves,
                text: column.kind == Kind::Text,
            })
            .collect();
        let shown = layout::fit(&needs_on_demand_hooks, self.width.map(|width| width.saturating_sub(MARGIN)));

        let line = |text: &dyn Fn(usize) -> String| {
            let mut line = " ".repeat(MARGIN);
            for (place, (at, wide)) in shown.iter().enumerate() {
                if place > 0 {
                    line.push_str(&" ".repeat(GAP));
                }
                let text = width::shortened(&text(*at), *wide);
                let blanks = " ".repeat(wide.saturating_sub(width::width(&text)));
                if cell::stands_right(columns[*at].1.kind) {
                    line.push_str(&blanks);
                    line.push_str(&text);
                } else {
                    line.push_str(&text);
                    line.push_str(&blanks);
                }
            }
            line.trim_end().to_owned()
        };
        let heading = line(&|at| columns[at].2.title.to_owned());
        let mut widest = width::width(&heading);
        self.put(Style::Heading, &heading);
        // Details stand under the first text, which is what they are about.
        let text = shown.iter().position(|(at, _)| !cell::stands_right(columns[*at].1.kind)).unwrap_or(0);
        let indent: usize = MARGIN + shown[..text].iter().map(|(_, wide)| wide + GAP).sum::<usize>();
        let indent = if self.width.is_some_and(|width| width < 2 * indent + 40) { 3 } else { indent };
        for (row, cells) in table.rows.iter().zip(&cells) {
            let row_line = line(&|at| cells[at].clone());
            widest = widest.max(width::width(&row_line));
            let ink = Style::Row(row.emphasis);
            self.put(ink, &row_line);
            // The row stands out for both; a paragraph in its colour would be hard to read.
            let beside = if row.emphasis == Emphasis::Faint { ink } else { Style::Row(Emphasis::Plain) };
            for detail in &row.details {
                self.detail(beside, detail, indent);
            }
        }
        widest
    }

    fn detail(&mut self, ink: Style, text: &str, indent: usize) {
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(indent));
        for line in width::wrapped(text, room.max(8), 0, 2) {
            self.put(ink, &format!("{}{line}", " ".repeat(indent)));
        }
    }
}

/// The columns that people see: each with its place in the row.
fn columns(table: &Table) -> Vec<(usize, &Column, Heading)> {
    let columns = table.columns.iter().enumerate();
    columns.filter_map(|(at, column)| Some((at, column, column.human?))).collect()
}

fn cells(row: &Row, columns: &[(usize, &Column, Heading)]) -> Vec<String> {
    let mut name = columns.iter().position(|(_, column, _)| column.kind == Kind::Text).filter(|_| row.ended);
    columns
        .iter()
        .enumerate()
        .map(|(place, (at, column, heading))| {
            let cell = row.cell(*at);
            // A column without a title holds remarks, and no remark is no gap.
            if heading.title.is_empty() && *cell == Value::Missing {
                return String::new();
            }
            let mut text = cell::text(cell, column.kind);
            if name.take_if(|name| *name == place).is_some() {
                text.push_str(" (ended)");
            }
            text
        })
        .collect()
}

/// What was cut away: `214 more, together 3.1 GiB.`
fn more(table: &Table) -> Option<String> {
    let Hidden { rows, sums } = &table.hidden;
    if *rows == 0 {
        return None;
    }
    let together = table.columns.iter().find_map(|column| {
        if column.human.is_none() || matches!(column.kind, Kind::Count | Kind::Number) {
            return None;
        }
        let (_, sum) = sums.iter().find(|(name, _)| *name == column.name)?;
        Some(format!(", together {}", cell::text(&Value::Real(*sum), column.kind)))
    });
    Some(format!("{} more{}.", units::count(*rows as u64), together.unwrap_or_default()))
}

fn loss_ink(report: &Report) -> Style {
    if report.loss.any() { Style::Warning } else { Style::Footer }
}

/// What was lost, what was not seen, and, where there is room, when this was true.
fn footer(report: &Report, width: Option<usize>) -> String {
    let LossTotals { ring, map_full, names, unattributed, skipped } = report.loss;
    let list = |parts: &[Option<String>]| {
        let parts: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
        if parts.is_empty() { None } else { Some(parts.join(", ")) }
    };
    let lost = list(&[
        (ring > 0).then(|| units::counted(ring, "record", "records")),
        (map_full > 0).then(|| units::counted(map_full, "map entry", "map entries")),
        (skipped > 0).then(|| units::counted(skipped, "event", "events")),
    ]);
    let unseen = list(&[
        (names > 0).then(|| units::counted(names, "process's name", "processes' names")),
        (unattributed > 0).then(|| format!("who caused {}", units::bytes(unattributed))),
    ]);
    let nothing = if report.notes.is_empty() { "nothing" } else { "only what is noted" };
    let known = format!(
        "lost: {} · not seen: {}",
        lost.as_deref().unwrap_or("nothing"),
        unseen.as_deref().unwrap_or(nothing)
    );
    let with_time = format!("{known} · {}", clock::human(report.now.wall));
    if width.is_some_and(|width| MARGIN + width::width(&with_time) > width) { known } else { with_time }
}

#[cfg(test)]
mod tests;
