//! The overview: problems, the most urgent first, each in words with its evidence and the next command.

use ratatui::{layout::Rect, style::Style};

use super::{Canvas, text::Text};
use crate::{app::App, hits::Spot, listing::Listing};
use observer_core::report::{Row, Value};
use observer_faces::width::{width, wrapped};

/// Columns of the word for the urgency, and the blanks behind it.
const LABEL: usize = 7;

/// Draws the problems, and what the other pages say; returns the number of problems that fit.
pub(super) fn draw(app: &mut App, canvas: &mut Canvas<'_>, area: Rect) -> usize {
    let palette = canvas.style.palette;
    let others = others(app, area.width);
    let mut y = area.y.saturating_add(1);
    let mut fitting = 0;
    // A problem takes at least a line for its words and one for its evidence.
    let entries = usize::from(area.height / 3).max(1);
    if let Some(listing) = app.listing_mut().filter(|listing| !listing.rows().is_empty()) {
        let offset = listing.scroll(entries);
        let cursor = listing.cursor();
        for place in offset..listing.rows().len() {
            let lines = entry(
                listing,
                &listing.rows()[place],
                area.width,
                palette.row(listing.rows()[place].emphasis),
                palette.faint(),
            );
            if usize::from(y) + lines.len() > usize::from(area.bottom()) && place > cursor {
                break;
            }
            let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.bottom().saturating_sub(y));
            let own = Rect { y, height, ..area };
            lines.draw(canvas, own, 0);
            for line in y..y + height {
                if place == cursor {
                    canvas.tint(Rect { width: 1, ..area }, line, palette.chosen());
                }
                canvas.hits.add(line, area.x, area.right(), Spot::Row(place));
            }
            y += height;
            fitting += 1;
        }
        y = y.saturating_add(1);
    }
    if y < area.bottom() {
        others.draw(canvas, Rect { y, height: area.bottom() - y, ..area }, 0);
    }
    fitting.max(1)
}

/// The lines of one problem.
fn entry(listing: &Listing, row: &Row, columns: u16, style: Style, faint: Style) -> Text {
    let text = |name: &str| {
        let at = listing.columns().iter().position(|column| column.name == name)?;
        if let Value::Text(text) = row.cell(at) { Some(text.clone()) } else { None }
    };
    let urgency = text("severity").unwrap_or_default();
    let urgency = if urgency == "watch" || urgency == "info" { urgency } else { urgency.to_uppercase() };
    let mut lines = Text::new(columns);
    let indent = if columns < 50 { 2 } else { 1 + LABEL };
    let room = usize::from(columns).saturating_sub(indent).max(8);
    let mut label = format!(" {urgency}");
    if columns < 50 {
        lines.put(std::mem::take(&mut label), style);
    }
    for line in wrapped(&text("text").unwrap_or_default(), room, 0, 0) {
        let blanks = " ".repeat(indent.saturating_sub(width(&label)));
        lines.line(vec![(format!("{label}{blanks}"), style), (line, style)]);
        label.clear();
    }
    if let Some(evidence) = text("evidence").filter(|evidence| !evidence.is_empty()) {
        for line in wrapped(&evidence, room, 0, 0) {
            lines.line(vec![(" ".repeat(indent), faint), (line, faint)]);
        }
    }
    if let Some(next) = text("next") {
        for line in wrapped(&next, room.saturating_sub(2), 0, 0) {
            lines.line(vec![(format!("{}→ ", " ".repeat(indent)), faint), (line, Style::new())]);
        }
    }
    lines
}

/// What the other pages answer, in one sentence each.
fn others(app: &App, columns: u16) -> Text {
    let mut text = Text::new(columns);
    for page in app.pages().iter().enumerate().filter(|(place, _)| *place != app.page()).map(|(_, page)| page)
    {
        let sheet = page.views.first().and_then(|view| app.sheet(view));
        for sentence in sheet.iter().flat_map(|sheet| sheet.headline.iter().take(2)) {
            text.sentence(sentence, 1, Style::new());
        }
    }
    text
}
