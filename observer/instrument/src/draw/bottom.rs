//! The bottom of the screen: the prompt, a message, or what keys do; and what was lost.

use ratatui::layout::{Position, Rect};

use super::Canvas;
use crate::{
    action::Action,
    app::{App, Mode},
    filter::Filter,
    prompt::{Prompt, Purpose},
};
use observer_core::report::LossTotals;
use observer_faces::width::width;

/// Draws the last line; returns what is left of `area`, and the place of the terminal's cursor.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>, area: Rect) -> (Rect, Option<Position>) {
    if area.height == 0 {
        return (area, None);
    }
    let palette = canvas.style.palette;
    let line = Rect { y: area.bottom() - 1, height: 1, ..area };
    let mut cursor = None;
    if let Mode::Prompt(prompt) = app.mode() {
        cursor = Some(prompt_line(app, prompt, canvas, line));
    } else if let Some(message) = app.message() {
        let style = if message.is_error { palette.error() } else { palette.headline() };
        canvas.put(line.x, line.y, &message.text, line.width, style);
    } else {
        hints(app, canvas, line);
    }
    (Rect { height: area.height - 1, ..area }, cursor)
}

fn prompt_line(app: &App, prompt: &Prompt, canvas: &mut Canvas<'_>, line: Rect) -> Position {
    let palette = canvas.style.palette;
    let label = match prompt.purpose {
        Purpose::Filter => "/",
        Purpose::Jump => "jump to (UTC): ",
        Purpose::Export => "write to: ",
        Purpose::Record => "record to: ",
    };
    let x = canvas.put(line.x, line.y, label, line.width, palette.key());
    // The end of a long text is shown: there the cursor usually is.
    let room = usize::from(line.right().saturating_sub(x)).saturating_sub(1);
    let mut before = prompt.before_cursor();
    while width(before) > room {
        let mut rest = before.chars();
        rest.next();
        before = rest.as_str();
    }
    let after = &prompt.text()[prompt.before_cursor().len()..];
    let cursor = canvas.put(x, line.y, before, line.right().saturating_sub(x), palette.plain());
    let end = canvas.put(cursor, line.y, after, line.right().saturating_sub(cursor), palette.plain());
    if prompt.purpose == Purpose::Filter
        && let Some(listing) = app.listing()
        && let Err(error) = Filter::parse(prompt.text(), listing.columns())
    {
        let text = format!("   {error}");
        canvas.put(end, line.y, &text, line.right().saturating_sub(end), palette.error());
    }
    Position { x: cursor.min(line.right().saturating_sub(1)), y: line.y }
}

fn hints(app: &App, canvas: &mut Canvas<'_>, line: Rect) {
    let palette = canvas.style.palette;
    let loss = lost(app.loss());
    let style = if app.loss().any() { palette.warning() } else { palette.faint() };
    let taken = u16::try_from(width(&loss)).unwrap_or(0);
    let mut x = line.x;
    let actions: &[(Action, &str)] = if app.opened().is_some() {
        &[
            (Action::Back, "back"),
            (Action::Help, "help"),
            (Action::Earlier, "earlier"),
            (Action::Quit, "quit"),
        ]
    } else {
        &[
            (Action::Help, "help"),
            (Action::Filter, "filter"),
            (Action::Open, "open"),
            (Action::Sort, "sort"),
            (Action::Group, "group"),
            (Action::Pause, "pause"),
            (Action::Earlier, "earlier"),
            (Action::Quit, "quit"),
        ]
    };
    for (action, label) in actions {
        let Some(key) = app.settings().bindings.keys(*action).first().copied() else { continue };
        let key = key.to_string();
        let needed = u16::try_from(width(&key) + label.len() + 3).unwrap_or(u16::MAX);
        if x.saturating_add(needed).saturating_add(taken) > line.right() {
            break;
        }
        x = canvas.put(x, line.y, &key, needed, palette.key());
        x = canvas.put(x, line.y, &format!(" {label}  "), needed, palette.faint());
    }
    if x.saturating_add(taken) <= line.right() {
        canvas.put(line.right() - taken, line.y, &loss, taken, style);
    }
}

fn lost(loss: LossTotals) -> String {
    if !loss.any() {
        return "lost: nothing".to_owned();
    }
    let LossTotals { ring, map_full, skipped, unattributed, .. } = loss;
    let events = ring.saturating_add(map_full).saturating_add(skipped);
    let bytes =
        (unattributed > 0).then(|| format!("who caused {}", observer_core::units::bytes(unattributed)));
    let events = (events > 0).then(|| observer_core::units::counted(events, "event", "events"));
    let parts: Vec<String> = [events, bytes].into_iter().flatten().collect();
    format!("lost: {}", parts.join(", "))
}
