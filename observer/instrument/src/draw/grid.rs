//! Rows as columns of text, fitted into a width.

use std::{collections::HashMap, rc::Rc};

use observer_core::report::{Column, Row, Value};
use observer_faces::{
    cell::{self, Alignment},
    layout::{self, GAP, WidthNeed},
    width::{shortened, width},
};

use crate::sheet::label;

/// A heading and rows as text.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) heading: String,
    pub(super) rows: Vec<String>,
    /// Where each column is: from, to (excluded), its name.
    pub(super) places: Vec<(usize, usize, &'static str)>,
}

/// The order that a heading shows: the column's name, and its mark.
pub(super) type Mark<'a> = Option<(&'a str, char)>;

/// `rows` in the columns at `shown`, as many as fit into `room`. `widths` has the widths that columns have had.
pub(super) fn lines(
    columns: &[Column],
    shown: &[usize],
    rows: &[Rc<Row>],
    room: usize,
    mark: Mark<'_>,
    widths: &mut HashMap<&'static str, usize>,
) -> Lines {
    let alignments: Vec<Alignment> =
        shown.iter().map(|at| cell::alignment(&columns[*at], *at, rows.iter().map(|row| &**row))).collect();
    let titles: Vec<String> = shown.iter().map(|at| title(&columns[*at], mark)).collect();
    let cells: Vec<Vec<String>> = rows.iter().map(|row| texts(row, columns, shown, &alignments)).collect();
    let mut needs = Vec::with_capacity(shown.len());
    for (place, at) in shown.iter().enumerate() {
        let column = &columns[*at];
        let own = cells.iter().map(|cells| width(&cells[place])).fold(width(&titles[place]), usize::max);
        let had = widths.entry(column.name).or_default();
        *had = own.max(*had);
        let importance = column.heading.map_or(1, |heading| heading.importance);
        needs.push(WidthNeed { natural: *had, importance, text: alignments[place] == Alignment::Text });
    }
    let fitted = layout::fit(&needs, Some(room));
    let mut places = Vec::with_capacity(fitted.len());
    let mut x = 0;
    for (place, wide) in &fitted {
        places.push((x, x + wide, columns[shown[*place]].name));
        x += wide + GAP;
    }
    let line = |cells: &[String]| {
        let mut line = String::new();
        for (number, (place, wide)) in fitted.iter().enumerate() {
            if number > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            let text = shortened(&cells[*place], *wide);
            let blanks = " ".repeat(wide.saturating_sub(width(&text)));
            match alignments[*place] {
                Alignment::Number => line.extend([blanks.as_str(), &text]),
                Alignment::Text | Alignment::Series => line.extend([text.as_str(), &blanks]),
            }
        }
        line
    };
    Lines { heading: line(&titles), rows: cells.iter().map(|cells| line(cells)).collect(), places }
}

fn title(column: &Column, mark: Mark<'_>) -> String {
    let per =
        column.heading.is_some_and(|heading| heading.notation == observer_core::report::Notation::PerMinute);
    let title = match column.heading {
        Some(heading) if heading.title.is_empty() => String::new(),
        _ => label(column),
    };
    let mark = mark.filter(|(name, _)| *name == column.name).map(|(_, mark)| mark);
    format!("{title}{}{}", if per { " /min" } else { "" }, mark.map_or_else(String::new, String::from))
}

fn texts(row: &Row, columns: &[Column], shown: &[usize], alignments: &[Alignment]) -> Vec<String> {
    let name = alignments.iter().position(|alignment| *alignment == Alignment::Text).filter(|_| row.ended);
    let text = |(place, at): (usize, &usize)| {
        let (column, cell) = (&columns[*at], row.cell(*at));
        // A column without a title holds remarks, and a missing remark is shown as blank.
        let is_remark = column.heading.is_some_and(|heading| heading.title.is_empty());
        if is_remark && *cell == Value::Missing {
            return String::new();
        }
        let text = match cell {
            Value::List(items) => items.len().to_string(),
            cell => cell::text(cell, column),
        };
        if name == Some(place) { text + " (ended)" } else { text }
    };
    shown.iter().enumerate().map(text).collect()
}
