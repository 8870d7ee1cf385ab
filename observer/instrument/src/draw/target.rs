//! The page about one thing: what it is, its course, and every row that concerns it, from all domains.

use std::{collections::HashMap, rc::Rc};

use ratatui::{layout::Rect, style::Style};

use super::{Canvas, Palette, graph, grid, table, text::Text};
use crate::{
    app::App,
    sheet::{Grid, label},
    target::{self, Related},
    trace::measure,
};
use observer_core::report::{Column, Emphasis, Role, Row, Value};
use observer_faces::{cell, width::width};

/// Kinds of memory, from what only the process has to what others share.
const KINDS: [&str; 6] = ["anon", "shmem", "file", "swap", "page_tables", "hugetlb"];
/// Rows of each related table.
const MOST: usize = 30;
/// Seconds that the graph shows at most.
const SPAN: u32 = 3600;

/// Draws the page; returns how far it can be scrolled.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>, area: Rect) -> usize {
    let Some(opened) = app.opened() else { return 0 };
    let palette = canvas.style.palette;
    let sheets = app.all_sheets();
    let related = opened.target.related(&sheets);
    let mut text = Text::new(area.width);
    text.put(opened.target.title(&related), palette.headline());
    if related.is_empty() {
        text.put("It has ended, or no report names it at this time.", palette.warning());
    }
    // Problems are sentences; what follows them are rows.
    let (problems, related): (Vec<_>, Vec<_>) =
        related.into_iter().partition(|related| is_of_problems(related.grid));
    problems.iter().for_each(|related| sentences(&mut text, related, palette));
    if let Some(first) = related.first()
        && let Some(row) = first.rows.first()
    {
        identity(&mut text, first.grid, row, palette);
        for sentence in table::sentences(&first.grid.columns, row) {
            text.sentence(
                &sentence,
                0,
                palette.row(if row.emphasis == Emphasis::Faint { Emphasis::Plain } else { row.emphasis }),
            );
        }
        if first.rows.len() == 1 {
            numbers(&mut text, first.grid, row, palette);
        }
        course(app, &mut text, first, row, canvas, area);
    }
    for (place, related) in related.iter().enumerate() {
        let alone = related.rows.len() == 1 && place == 0;
        if !alone {
            rows(&mut text, related, palette);
        }
    }
    text.draw(canvas, area, opened.scroll)
}

fn is_of_problems(grid: &Grid) -> bool {
    grid.position("severity").is_some() && grid.position("text").is_some()
}

/// Problems of the target, each with its urgency, its evidence and the next command.
fn sentences(text: &mut Text, related: &Related<'_>, palette: Palette) {
    for row in &related.rows {
        let cell = |name| target::text(related.grid, row, name).filter(|text| !text.is_empty());
        let urgency = cell("severity").unwrap_or_default().to_uppercase();
        let what = format!("{urgency}: {}", cell("text").unwrap_or_default());
        text.sentence(&what, 0, palette.row(row.emphasis));
        for more in ["evidence", "next"].into_iter().filter_map(cell) {
            text.sentence(&more, 2, palette.plain());
        }
    }
    text.blank();
}

/// The names of a process or another subject, in one line.
fn identity(text: &mut Text, grid: &Grid, row: &Row, palette: Palette) {
    let names = grid.columns.iter().enumerate().filter(|(_, column)| {
        matches!(column.role, Role::Label) && column.json && !matches!(column.name, "pid" | "start" | "comm")
    });
    let mut line = String::new();
    for (at, column) in names {
        let shown = match row.cell(at) {
            Value::Text(shown) => shown.clone(),
            Value::Unsigned(number) => number.to_string(),
            _ => continue,
        };
        let part = format!("{} {shown}", if column.name == "uid" { "user" } else { column.name });
        if !line.is_empty() && width(&line) + 3 + width(&part) > usize::from(text.width) {
            text.put(std::mem::take(&mut line), palette.faint());
        }
        if !line.is_empty() {
            line.push_str(" · ");
        }
        line.push_str(&part);
    }
    if !line.is_empty() {
        text.put(line, palette.faint());
    }
}

/// The numbers of a row: kinds of memory as bars, then the others in columns.
fn numbers(text: &mut Text, grid: &Grid, row: &Row, palette: Palette) {
    text.blank();
    let number = |name: &str| row.cell(grid.position(name)?).number().filter(|number| *number > 0.0);
    let kinds: Vec<(&str, f64)> = KINDS.iter().filter_map(|name| Some((*name, number(name)?))).collect();
    let largest = kinds.iter().map(|(_, bytes)| *bytes).fold(0.0, f64::max);
    let room = usize::from(text.width).saturating_sub(30).min(40);
    for (name, bytes) in &kinds {
        let bar = ((bytes / largest) * room as f64).round().max(1.0) as usize;
        let shown = observer_core::units::bytes(*bytes);
        text.line(vec![
            (format!("  {:<12}{shown:>10}  ", name.replace('_', " ")), palette.plain()),
            ("█".repeat(bar.min(room)), palette.graph()),
        ]);
    }
    let is_other = |column: &Column| {
        matches!(column.role, Role::Gauge | Role::Counter)
            && !(kinds.iter().any(|(name, _)| *name == column.name))
            && !column.name.ends_with("_low")
            && !column.name.ends_with("_high")
    };
    let parts: Vec<(String, String)> = grid
        .columns
        .iter()
        .enumerate()
        .filter(|(at, column)| is_other(column) && *row.cell(*at) != Value::Missing)
        .map(|(at, column)| (label(column).to_lowercase(), cell::text(row.cell(at), column)))
        .collect();
    let wide = parts.iter().map(|(name, value)| width(name) + width(value) + 1).max().unwrap_or(0) + 3;
    let each_line = (usize::from(text.width).saturating_sub(2) / wide.max(1)).max(1);
    for parts in parts.chunks(each_line) {
        let mut line = vec![("  ".to_owned(), Style::new())];
        for (name, value) in parts {
            let blanks = " ".repeat(wide.saturating_sub(width(name) + width(value) + 1));
            line.push((format!("{name} "), palette.faint()));
            line.push((format!("{value}{blanks}"), Style::new()));
        }
        text.line(line);
    }
}

/// The course of the main number of the first row.
fn course(app: &App, text: &mut Text, first: &Related<'_>, row: &Row, canvas: &Canvas<'_>, area: Rect) {
    let Some((_, column)) = measure(&first.grid.columns) else { return };
    let columns = usize::from(area.width).saturating_sub(14);
    if columns < 8 || area.height < 12 {
        return;
    }
    let style = canvas.style;
    let Some(sheet) = app.sheet(first.section.view) else { return };
    let points = graph::points(columns, style.braille);
    let traces = app.traces();
    let Some(course) = traces.course(first.section.view, &row.subject, sheet.now, SPAN, points, column.unit)
    else {
        return;
    };
    text.blank();
    text.put(format!("  {}", label(column)), style.palette.faint());
    let height = if area.height < 30 { 4 } else { 8 };
    graph::draw(
        text,
        &course,
        columns,
        height,
        style.braille,
        [style.palette.graph(), style.palette.faint()],
    );
}

fn rows(text: &mut Text, related: &Related<'_>, palette: Palette) {
    text.blank();
    let section = related.section;
    let name = if section.table == "rows" {
        section.view.to_owned()
    } else {
        format!("{}: {}", section.view, section.table)
    };
    text.put(name, palette.key());
    let columns = &related.grid.columns;
    let shown: Vec<usize> = (0..columns.len()).filter(|at| columns[*at].heading.is_some()).collect();
    let rows: Vec<Rc<Row>> = related.rows.iter().take(MOST).cloned().collect();
    let room = usize::from(text.width).saturating_sub(2);
    let lines = grid::lines(columns, &shown, &rows, room, None, &mut HashMap::new());
    text.put(format!("  {}", lines.heading), palette.faint());
    for (line, row) in lines.rows.iter().zip(&rows) {
        text.put(format!("  {line}"), palette.row(row.emphasis));
        for sentence in table::sentences(columns, row).iter().filter(|sentence| !line.contains(*sentence)) {
            text.sentence(sentence, 4, palette.faint());
        }
    }
    if related.rows.len() > MOST {
        text.put(format!("  {} more", related.rows.len() - MOST), palette.faint());
    }
}
