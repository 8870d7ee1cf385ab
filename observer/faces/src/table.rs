//! A report as lines of text: first the headline, then the rows, last the losses.

use comfy_table::{CellAlignment, ColumnConstraint, Width, presets};

use super::{
    cell::{self, Alignment},
    clock,
    layout::{self, GAP, WidthNeed},
    paint::{Paint, Style},
    width,
};
use observer_core::{
    report::{
        Column, Emphasis, Hidden, LossTotals, Notation, Note, Report, Row, Table, Unit, Value,
        column::Heading,
    },
    units,
};

/// Blanks before every row.
const MARGIN: usize = 1;

/// How much space notes get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notes {
    Whole,
    /// One line each, cut at the width.
    Short,
    /// One line for all.
    Counted,
}

/// The report in lines of at most `width` columns; without a width, lines are as long as needed.
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
        let widest = if is_of_sentences(table) { page.sentences(table) } else { page.table(table) };
        let more = more(table);
        if shown.len() == 1 && report.notes.is_empty() {
            page.ends(more, &footer.take().unwrap_or_default(), widest, loss_style(report));
        } else if let Some(more) = more {
            page.sentence(Style::Footer, &more, MARGIN, MARGIN + 1);
        }
    }
    page.notes(&report.notes, notes);
    if let Some(footer) = footer {
        page.sentence(loss_style(report), &footer, MARGIN, MARGIN + 1);
    }
    page.lines
}

/// The lines so far, and their limits.
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

    fn put(&mut self, style: Style, line: &str) {
        let line = line.trim_end();
        let line = self.width.map_or_else(|| line.to_owned(), |width| width::truncated(line, width));
        self.lines.push(self.paint.line(style, line));
    }

    /// Text that is broken, not cut, if it is too long.
    fn sentence(&mut self, style: Style, text: &str, first: usize, rest: usize) {
        match self.width {
            None => self.put(style, &format!("{}{text}", " ".repeat(first))),
            Some(width) => {
                for line in width::wrapped(text, width, first, rest) {
                    self.put(style, &line);
                }
            }
        }
    }

    fn notes(&mut self, notes: &[Note], room: Notes) {
        let style = Style::Row(Emphasis::Notice);
        if !notes.is_empty() && room != Notes::Counted {
            self.blank();
        }
        match room {
            Notes::Whole => {
                for note in notes {
                    self.sentence(style, &format!("note: {}", note.text), MARGIN, MARGIN + 6);
                }
            }
            Notes::Short => {
                for note in notes {
                    self.put(style, &format!(" note: {}", note.text));
                }
            }
            Notes::Counted if notes.is_empty() => {}
            Notes::Counted => {
                let count = units::counted(notes.len() as u64, "note", "notes");
                self.put(style, &format!(" {count}: a larger terminal or --plain shows them"));
            }
        }
    }

    /// The hidden rows at the left, the losses at the right, in one line if they fit.
    fn ends(&mut self, more: Option<String>, footer: &str, widest: usize, style: Style) {
        if let Some(more) = more {
            let left = MARGIN + width::width(&more);
            let room = widest.max(60).min(self.width.unwrap_or(usize::MAX));
            if let Some(blanks) = room.checked_sub(left + width::width(footer)).filter(|blanks| *blanks > GAP)
            {
                let line = format!("{}{more}{}{footer}", " ".repeat(MARGIN), " ".repeat(blanks));
                return self.put(style, &line);
            }
            self.sentence(Style::Footer, &more, MARGIN, MARGIN + 1);
        }
        self.sentence(style, footer, MARGIN, MARGIN + 1);
    }

    /// Puts heading and rows; returns the width of the widest line.
    fn table(&mut self, table: &Table) -> usize {
        let columns = columns(table);
        let titles: Vec<String> = columns.iter().map(|column| title(&column.heading)).collect();
        let cells: Vec<Vec<String>> = table.rows.iter().map(|row| cells(row, &columns)).collect();
        let natural = |at: usize| {
            cells.iter().map(|cells| width::width(&cells[at])).fold(width::width(&titles[at]), usize::max)
        };
        let needs = columns.iter().enumerate().map(|(at, column)| WidthNeed {
            natural: natural(at),
            importance: column.heading.importance,
            text: column.alignment == Alignment::Text,
        });
        let needs: Vec<WidthNeed> = needs.collect();
        let shown = layout::fit(&needs, self.width.map(|width| width.saturating_sub(MARGIN)));
        let lines = printed(&titles, &cells, &columns, &shown);
        let widest = lines.iter().map(|line| width::width(line)).max().unwrap_or(0);
        // Details are aligned with the first text, which they are about.
        let text = shown.iter().position(|(at, _)| columns[*at].alignment != Alignment::Number).unwrap_or(0);
        let indent: usize = MARGIN + shown[..text].iter().map(|(_, wide)| wide + GAP).sum::<usize>();
        let indent = if self.width.is_some_and(|width| width < 2 * indent + 40) { 3 } else { indent };
        let mut lines = lines.iter();
        self.put(Style::Heading, lines.next().map_or("", String::as_str));
        for (row, line) in table.rows.iter().zip(lines) {
            let style = Style::Row(row.emphasis);
            self.put(style, line);
            // Only the row is coloured; a paragraph in its colour would be hard to read.
            let beside = if row.emphasis == Emphasis::Faint { style } else { Style::Row(Emphasis::Plain) };
            for detail in &row.details {
                self.detail(beside, detail, indent);
            }
        }
        widest
    }

    /// Puts rows whose last column is a sentence: what is before it is a label, and the sentence is wrapped beside it.
    /// Returns the width of the widest line.
    fn sentences(&mut self, table: &Table) -> usize {
        let columns = columns(table);
        let cells: Vec<Vec<String>> = table.rows.iter().map(|row| cells(row, &columns)).collect();
        let labels: Vec<String> = cells.iter().map(|cells| cells[..cells.len() - 1].join(" ")).collect();
        let widest = labels.iter().map(|label| width::width(label)).max().unwrap_or(0);
        let indent = MARGIN + widest + GAP;
        let begin = self.lines.len();
        for (row, (label, cells)) in table.rows.iter().zip(labels.iter().zip(&cells)) {
            let style = Style::Row(row.emphasis);
            let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(indent)).max(8);
            let text = cells.last().map_or("", String::as_str);
            let mut before = format!("{}{label}", " ".repeat(MARGIN));
            for line in width::wrapped(text, room, 0, 0) {
                let blanks = indent.saturating_sub(width::width(&before));
                self.put(style, &format!("{before}{}{line}", " ".repeat(blanks)));
                before.clear();
            }
            row.details.iter().for_each(|detail| self.detail(Style::Row(Emphasis::Plain), detail, indent));
        }
        self.lines[begin..].iter().map(|line| width::width(line)).max().unwrap_or(0)
    }

    fn detail(&mut self, style: Style, text: &str, indent: usize) {
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(indent));
        for line in width::wrapped(text, room.max(8), 0, 2) {
            self.put(style, &format!("{}{line}", " ".repeat(indent)));
        }
    }
}

/// Whether the last shown column of the table is a sentence.
fn is_of_sentences(table: &Table) -> bool {
    let last = table.columns.iter().filter_map(|column| column.heading).next_back();
    last.is_some_and(|heading| heading.notation == Notation::Sentence)
}

/// A column that is shown.
struct ShownColumn<'a> {
    /// Its index in the row.
    at: usize,
    column: &'a Column,
    heading: Heading,
    alignment: Alignment,
}

fn columns(table: &Table) -> Vec<ShownColumn<'_>> {
    let mut shown = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        if let Some(heading) = column.heading {
            let alignment = cell::alignment(column, at, &table.rows);
            shown.push(ShownColumn { at, column, heading, alignment });
        }
    }
    shown
}

fn title(heading: &Heading) -> String {
    let per = if heading.notation == Notation::PerMinute { " /min" } else { "" };
    format!("{}{per}", heading.title)
}

/// Heading and rows as lines, of the columns `shown`: (index in `columns`, width).
fn printed(
    titles: &[String],
    cells: &[Vec<String>],
    columns: &[ShownColumn<'_>],
    shown: &[(usize, usize)],
) -> Vec<String> {
    let mut printed = comfy_table::Table::new();
    printed.load_style(presets::NOTHING);
    let line = |cells: &[String]| -> Vec<String> {
        shown.iter().map(|(at, wide)| width::shortened(&cells[*at], *wide)).collect()
    };
    printed.set_header(line(titles));
    printed.add_rows(cells.iter().map(|cells| line(cells)));
    for (place, (column, (at, wide))) in printed.column_iter_mut().zip(shown).enumerate() {
        let before = if place == 0 { MARGIN } else { GAP };
        column.set_padding((before as u16, 0));
        let whole = u16::try_from(before + wide).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(whole)));
        column.set_cell_alignment(match columns[*at].alignment {
            Alignment::Number => CellAlignment::Right,
            Alignment::Text | Alignment::Series => CellAlignment::Left,
        });
    }
    printed.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn cells(row: &Row, columns: &[ShownColumn<'_>]) -> Vec<String> {
    let name = columns.iter().position(|column| column.alignment == Alignment::Text).filter(|_| row.ended);
    let text = |(place, column): (usize, &ShownColumn<'_>)| {
        let cell = row.cell(column.at);
        // A column without a title holds remarks, and a missing remark is shown as blank.
        if column.heading.title.is_empty() && *cell == Value::Missing {
            return String::new();
        }
        let ended = if name == Some(place) { " (ended)" } else { "" };
        cell::text(cell, column.column) + ended
    };
    columns.iter().enumerate().map(text).collect()
}

/// The hidden rows: `214 more, together 3.1 GiB.`
fn more(table: &Table) -> Option<String> {
    let Hidden { rows, sums } = &table.hidden;
    if *rows == 0 {
        return None;
    }
    let together = sums.iter().find_map(|(name, sum)| {
        let column = table.columns.iter().find(|column| column.name == *name)?;
        if column.heading.is_none() || matches!(column.unit, Unit::Count | Unit::None) {
            return None;
        }
        Some(format!(", together {}", cell::text(&Value::Real(*sum), column)))
    });
    Some(format!("{} more{}.", units::count(*rows as u64), together.unwrap_or_default()))
}

fn loss_style(report: &Report) -> Style {
    if report.loss.any() { Style::Warning } else { Style::Footer }
}

/// The losses, the limitations, and, if there is space, the time of the report.
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
        (unattributed > 0).then(|| format!("the cause of {}", units::bytes(unattributed))),
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
