//! The top of the screen: pages, the time, and the answer in words.

use ratatui::layout::Rect;

use super::Canvas;
use crate::{app::App, hits::Spot};
use observer_core::units;
use observer_faces::{
    clock,
    width::{width, wrapped},
};

/// Draws the head; returns what is left of `area`.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>, area: Rect) -> Rect {
    tabs(app, canvas, area);
    let mut y = area.y + 1;
    // A low screen is for rows.
    let most = match area.height {
        0..=5 => 0,
        6..=14 => 1,
        15..=30 => 3,
        _ => 6,
    };
    if app.opened().is_none()
        && let Some(sheet) = app.main_sheet().filter(|_| app.section().is_some())
    {
        let style = canvas.style.palette.headline();
        let lines =
            sheet.headline.iter().flat_map(|sentence| wrapped(sentence, usize::from(area.width), 0, 2));
        for line in lines.take(most) {
            canvas.put(area.x, y, &line, area.width, style);
            y += 1;
        }
    }
    let used = (y - area.y).min(area.height);
    Rect { y: area.y + used, height: area.height - used, ..area }
}

fn tabs(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let palette = canvas.style.palette;
    let mut x = area.x;
    for (place, page) in app.pages().iter().enumerate() {
        let style = if place == app.page() { palette.chosen() } else { palette.plain() };
        let label = format!(" {} {} ", place + 1, page.title);
        let end = canvas.put(x, area.y, &label, area.right().saturating_sub(x), style);
        canvas.hits.add(area.y, x, end, Spot::Page(place));
        x = end;
    }
    let Some(sheet) = app.main_sheet() else {
        canvas.put(
            x,
            area.y,
            "  waiting for the first report",
            area.right().saturating_sub(x),
            palette.faint(),
        );
        return;
    };
    let time = clock::human(sheet.now.wall);
    let short = time.get(11..19).unwrap_or(&time);
    let (state, style) = match app.newest() {
        Some(newest) => {
            let ago = newest.saturating_sub(sheet.now.wall) as f64 / 1e9;
            let ago = if ago < 0.5 {
                "end of the recording".to_owned()
            } else {
                format!("{} before the end", units::duration(ago))
            };
            let ago = if app.is_recording() { ago } else { ago.replace("before the end", "ago") };
            (ago, palette.state())
        }
        None if app.is_paused() => ("paused".to_owned(), palette.state()),
        None => (String::new(), palette.plain()),
    };
    let room = usize::from(area.right().saturating_sub(x));
    let choices = [format!("{} {time} ", sheet.host), format!("{time} "), format!("{short} "), String::new()];
    let state = if state.is_empty() { state } else { format!(" {state} ") };
    let taken = width(&state) + 2;
    let text = choices.iter().find(|text| width(text) + taken <= room).cloned().unwrap_or_default();
    let mut x = area
        .right()
        .saturating_sub(u16::try_from(width(&text) + width(&state) + 1).unwrap_or(u16::MAX))
        .max(x);
    x = canvas.put(x, area.y, &text, area.right().saturating_sub(x), palette.faint());
    canvas.put(x, area.y, &state, area.right().saturating_sub(x), style);
}
