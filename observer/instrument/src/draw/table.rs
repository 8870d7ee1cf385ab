//! The shown table of a page: its choices, its rows, and what is known of the selected one.

use ratatui::layout::Rect;

use super::{
    Canvas,
    grid::{self, Lines},
    text::Text,
};
use crate::{app::App, hits::Spot, listing::Listing};
use observer_core::{
    report::{Column, Role, Row, Value},
    units,
    view::GroupBy,
};
use observer_faces::width::width;

/// Draws the table; returns the number of lines that rows have.
pub(super) fn draw(app: &mut App, canvas: &mut Canvas<'_>, area: Rect) -> usize {
    let mut area = area;
    if has_bar(app) && area.height > 3 {
        bar(app, canvas, area);
        area = Rect { y: area.y + 1, height: area.height - 1, ..area };
    }
    let palette = canvas.style.palette;
    let details = details(app, area);
    let below = u16::try_from(details.len()).unwrap_or(0);
    let hidden = more(app);
    let rest = u16::from(hidden.is_some());
    let room = area.height.saturating_sub(below + rest + 1);
    let width = usize::from(area.width);
    let Some(listing) = app.listing_mut() else { return 1 };
    let height = usize::from(room);
    let offset = listing.scroll(height);
    let cursor = listing.cursor();
    let shown = listing.shown_columns();
    let rows: Vec<_> = listing.rows().iter().skip(offset).take(height).cloned().collect();
    let columns = listing.columns().to_vec();
    let sorted =
        listing.sort.as_ref().map(|sort| (sort.column.clone(), if sort.ascending { '↑' } else { '↓' }));
    let mark = sorted.as_ref().map(|(name, mark)| (name.as_str(), *mark));
    let lines = grid::lines(&columns, &shown, &rows, width, mark, &mut listing.widths);
    heading(canvas, area, &lines);
    for (place, (line, row)) in lines.rows.iter().zip(&rows).enumerate() {
        let y = area.y + 1 + u16::try_from(place).unwrap_or(u16::MAX);
        let emphasis = if row.ended { observer_core::report::Emphasis::Faint } else { row.emphasis };
        canvas.put(area.x, y, line, area.width, palette.row(emphasis));
        if offset + place == cursor {
            canvas.tint(area, y, palette.chosen());
        }
        canvas.hits.add(y, area.x, area.right(), Spot::Row(offset + place));
    }
    if rows.is_empty() {
        canvas.put(area.x, area.y + 1, &nothing(app), area.width, palette.faint());
    }
    if let Some(hidden) = hidden {
        let y = (area.y + 1 + u16::try_from(rows.len()).unwrap_or(0)).min(area.bottom().saturating_sub(1));
        canvas.put(area.x, y, &hidden, area.width, palette.faint());
    }
    let pane = Rect { y: area.bottom() - below, height: below, ..area };
    details.draw(canvas, pane, 0);
    height
}

fn heading(canvas: &mut Canvas<'_>, area: Rect, lines: &Lines) {
    let faint = canvas.style.palette.faint();
    canvas.put(area.x, area.y, &lines.heading, area.width, faint);
    for (from, to, name) in &lines.places {
        let place = |x: usize| area.x.saturating_add(u16::try_from(x).unwrap_or(u16::MAX));
        canvas.hits.add(area.y, place(*from), place(*to), Spot::Heading(name));
    }
}

fn has_bar(app: &App) -> bool {
    let chosen = |listing: &Listing| {
        !listing.filter.is_empty() || listing.sort.is_some() || listing.group != GroupBy::Process
    };
    app.sections().len() > 1 || app.listing().is_some_and(chosen) || app.shows_ended() || app.ended() > 0
}

/// The tables of the page, and the choices for the shown one.
fn bar(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let palette = canvas.style.palette;
    let own = app.section();
    let mut x = area.x;
    for section in app.sections() {
        let grid = app.sheet(section.view).and_then(|sheet| sheet.table(section.table));
        let rows = grid.map_or(0, |grid| grid.rows.len() + grid.hidden.rows);
        let name = if section.table == "rows" { section.view } else { section.table };
        let label = format!(" {name} {} ", units::count(rows as u64));
        let style = if Some(section) == own { palette.chosen() } else { palette.plain() };
        let end = canvas.put(x, area.y, &label, area.right().saturating_sub(x), style);
        canvas.hits.add(area.y, x, end, Spot::Section(section));
        x = end;
    }
    let choices = choices(app);
    let room = area.right().saturating_sub(x).saturating_sub(2);
    let taken = u16::try_from(width(&choices)).unwrap_or(u16::MAX).min(room);
    canvas.put(area.right() - taken, area.y, &choices, taken, palette.key());
}

fn choices(app: &App) -> String {
    let Some(listing) = app.listing() else { return String::new() };
    let mut parts = Vec::new();
    if !listing.filter.is_empty() {
        let counts = format!(
            "{} of {}",
            units::count(listing.rows().len() as u64),
            units::count(listing.before() as u64)
        );
        parts.push(if listing.group == GroupBy::Process {
            format!("/{} ({counts})", listing.filter)
        } else {
            format!("/{}", listing.filter)
        });
    }
    let group = match listing.group {
        GroupBy::Process => None,
        GroupBy::Unit => Some("by unit"),
        GroupBy::Container => Some("by container"),
        GroupBy::Comm => Some("by command"),
        GroupBy::User => Some("by user"),
        GroupBy::Remote => Some("by peer"),
    };
    parts.extend(group.map(str::to_owned));
    if app.ended() > 0 {
        let shown = if app.shows_ended() { " shown" } else { "" };
        parts.push(format!("{} ended{shown}", app.ended()));
    }
    parts.join("  ")
}

fn nothing(app: &App) -> String {
    match app.listing() {
        Some(listing) if !listing.filter.is_empty() => {
            "No row matches the filter; Escape removes it.".to_owned()
        }
        _ => "Nothing to show.".to_owned(),
    }
}

/// Rows that the report has left out because the screen did not need them yet.
fn more(app: &App) -> Option<String> {
    let section = app.section()?;
    let hidden = app.sheet(section.view)?.table(section.table)?.hidden.rows;
    (hidden > 0).then(|| format!("{} more with the next report", units::count(hidden as u64)))
}

/// What is known of the selected row and did not fit into its line.
fn details(app: &App, area: Rect) -> Text {
    let mut text = Text::new(area.width);
    let most = match area.height {
        0..=13 => return text,
        14..=27 => 3,
        _ => 6,
    };
    let Some(listing) = app.listing() else { return text };
    let Some(row) = listing.selected() else { return text };
    let faint = ratatui::style::Style::new();
    for sentence in sentences(listing.columns(), row) {
        text.sentence(&sentence, 1, faint);
    }
    let mut cut = Text::new(area.width);
    cut.append(text, most);
    cut
}

/// The long texts of a row, and its details.
pub(super) fn sentences(columns: &[Column], row: &Row) -> Vec<String> {
    let long = |(at, column): (usize, &Column)| {
        let Value::Text(text) = row.cell(at) else { return None };
        let is_long = column.role == Role::Text && text.contains(' ') && column.json;
        is_long.then(|| text.clone())
    };
    let mut sentences: Vec<String> = columns.iter().enumerate().filter_map(long).collect();
    for detail in &row.details {
        if !sentences.contains(detail) {
            sentences.push(detail.clone());
        }
    }
    sentences
}
