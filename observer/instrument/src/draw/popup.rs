//! What covers a page for a moment: menus, the help, notes.

use ratatui::{
    layout::Rect,
    widgets::{Clear, Widget as _},
};

use super::{Canvas, text::Text};
use crate::{
    action::ACTIONS,
    app::App,
    hits::Spot,
    menu::{Choice, Menu},
};
use observer_core::units;
use observer_faces::width::width;

/// A frame of this many columns and lines in the middle of `area`, as far as it has room. Returns its inside.
fn window(canvas: &mut Canvas<'_>, area: Rect, title: &str, columns: usize, lines: usize) -> Rect {
    let size = |wanted: usize, room: u16| u16::try_from(wanted).unwrap_or(u16::MAX).min(room);
    let (width_, height) = (size(columns.max(width(title)) + 4, area.width), size(lines + 2, area.height));
    let frame = Rect {
        x: area.x + (area.width - width_) / 2,
        y: area.y + (area.height - height) / 2,
        width: width_,
        height,
    };
    Clear.render(frame, canvas.buffer);
    if frame.height < 3 || frame.width < 5 {
        return frame;
    }
    let palette = canvas.style.palette;
    let inner = usize::from(frame.width) - 2;
    let dashes = "─".repeat(inner.saturating_sub(width(title) + 3));
    canvas.put(frame.x, frame.y, &format!("┌─ {title} {dashes}"), frame.width - 1, palette.faint());
    canvas.put(frame.right() - 1, frame.y, "┐", 1, palette.faint());
    for y in frame.y + 1..frame.bottom() - 1 {
        canvas.put(frame.x, y, "│", 1, palette.faint());
        canvas.put(frame.right() - 1, y, "│", 1, palette.faint());
    }
    canvas.put(
        frame.x,
        frame.bottom() - 1,
        &format!("└{}┘", "─".repeat(inner)),
        frame.width,
        palette.faint(),
    );
    Rect { x: frame.x + 2, y: frame.y + 1, width: frame.width - 4, height: frame.height - 2 }
}

/// A list to choose from.
pub(super) fn menu(menu: &Menu, canvas: &mut Canvas<'_>, area: Rect) {
    let widest = menu.items.iter().map(|item| width(&item.label) + 4).max().unwrap_or(0);
    let inside = window(canvas, area, menu.title, widest, menu.items.len());
    let palette = canvas.style.palette;
    let height = usize::from(inside.height).max(1);
    let offset = (menu.cursor + 1).saturating_sub(height);
    for (y, (place, item)) in (inside.top()..inside.bottom()).zip(menu.items.iter().enumerate().skip(offset))
    {
        let mark = match (menu.choice, item.marked) {
            (Choice::Columns, true) => "[x] ",
            (Choice::Columns, false) => "[ ] ",
            (_, true) => "  * ",
            (_, false) => "    ",
        };
        canvas.put(inside.x, y, &format!("{mark}{}", item.label), inside.width, palette.plain());
        if place == menu.cursor {
            canvas.tint(inside, y, palette.chosen());
        }
        canvas.hits.add(y, inside.x, inside.right(), Spot::Item(place));
    }
}

/// Every key with what it does. Returns how far it can be scrolled.
pub(super) fn help(app: &App, scroll: usize, canvas: &mut Canvas<'_>, area: Rect) -> usize {
    let palette = canvas.style.palette;
    let mut text = Text::new(area.width.saturating_sub(6).min(76));
    for entry in ACTIONS {
        let keys: Vec<String> =
            app.settings().bindings.keys(entry.action).iter().map(ToString::to_string).collect();
        text.line(vec![
            (format!("{:<18}", keys.join(" ")), palette.key()),
            (entry.help.to_owned(), palette.plain()),
        ]);
    }
    text.blank();
    text.sentence(
        "Filters compare columns by their names in JSON or their titles, with units: rss>1G, tx_rate>=40mbit, \
         share>80%, rtt>20ms, unit~nginx, comm!=sh; and, or, not, ( ).",
        0,
        palette.plain(),
    );
    text.sentence("The instrument only observes: it changes nothing on this machine.", 0, palette.plain());
    let inside = window(canvas, area, "keys", usize::from(text.width), text.len());
    text.draw(canvas, inside, scroll)
}

/// Every note, and what was lost. Returns how far it can be scrolled.
pub(super) fn notes(app: &App, scroll: usize, canvas: &mut Canvas<'_>, area: Rect) -> usize {
    let palette = canvas.style.palette;
    let mut text = Text::new(area.width.saturating_sub(6).min(100));
    let mut seen = Vec::new();
    for note in app.all_sheets().iter().flat_map(|sheet| &sheet.notes) {
        if !seen.contains(&note.text.as_str()) {
            seen.push(&note.text);
            text.sentence(&note.text, 0, palette.plain());
            text.blank();
        }
    }
    let loss = app.loss();
    let lost = [
        (loss.ring, "record", "records"),
        (loss.map_full, "map entry", "map entries"),
        (loss.skipped, "event", "events"),
        (loss.names, "name of a process that had ended", "names of processes that had ended"),
    ];
    let parts: Vec<String> = lost
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| units::counted(*count, one, many))
        .collect();
    let lost = if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") };
    text.sentence(&format!("Lost: {lost}."), 0, palette.plain());
    if loss.unattributed > 0 {
        text.sentence(
            &format!("Not attributed to a process: {}.", units::bytes(loss.unattributed)),
            0,
            palette.plain(),
        );
    }
    let inside = window(canvas, area, "notes", usize::from(text.width), text.len());
    text.draw(canvas, inside, scroll)
}
