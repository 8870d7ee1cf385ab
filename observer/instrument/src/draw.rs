//! Frames: what is on the screen, from the model.
//!
//! Everything is drawn into a buffer of any size. Text from reports has passed `text::printable`, so there is no control
//! character in it; wide characters take what they take, and are never halved.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

use crate::{
    app::{App, Mode},
    hits::Hits,
};

mod bottom;
mod graph;
mod grid;
mod head;
mod overview;
mod palette;
mod popup;
mod symbols;
mod table;
mod target;
mod text;

pub use palette::Palette;

/// How the terminal wants to be drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    pub palette: Palette,
    /// Only characters of ASCII.
    pub ascii: bool,
    /// Graphs in braille, else in blocks.
    pub braille: bool,
}

/// What the parts of a frame share.
struct Canvas<'a> {
    buffer: &'a mut Buffer,
    style: Style,
    hits: Hits,
}

/// Draws a frame; returns where the cursor of the terminal is, if it is visible.
pub fn draw(app: &mut App, buffer: &mut Buffer, style: Style) -> Option<Position> {
    let area = buffer.area;
    buffer.reset();
    let mut canvas = Canvas { buffer, style, hits: Hits::default() };
    if area.width == 0 || area.height == 0 {
        return None;
    }
    let body = head::draw(app, &mut canvas, area);
    let (body, cursor) = bottom::draw(app, &mut canvas, body);
    let (mut height, mut end) = (usize::from(body.height), 0);
    if app.opened().is_some() {
        end = target::draw(app, &mut canvas, body);
    } else if app.section().is_some_and(|section| section.table == "problems") || app.section().is_none() {
        height = overview::draw(app, &mut canvas, body);
    } else {
        height = table::draw(app, &mut canvas, body);
    }
    match app.mode() {
        Mode::Browse | Mode::Prompt(_) => {}
        Mode::Menu(menu) => popup::menu(menu, &mut canvas, area),
        Mode::Help(scroll) => end = popup::help(app, *scroll, &mut canvas, area),
        Mode::Notes(scroll) => end = popup::notes(app, *scroll, &mut canvas, area),
    }
    let Canvas { buffer, hits, .. } = canvas;
    if style.ascii {
        symbols::to_ascii(buffer);
    }
    app.drawn(hits, height, end);
    cursor
}

impl Canvas<'_> {
    /// Writes text into one line, at most `width` columns from `x`. Returns the column behind it.
    fn put(&mut self, x: u16, y: u16, text: &str, width: u16, style: ratatui::style::Style) -> u16 {
        let area = self.buffer.area;
        if y >= area.bottom() || x >= area.right() {
            return x;
        }
        self.buffer.set_stringn(x, y, text, usize::from(width), style).0
    }

    /// Gives a line of an area a style.
    fn tint(&mut self, area: Rect, y: u16, style: ratatui::style::Style) {
        self.buffer.set_style(Rect { y, height: 1, ..area }, style);
    }
}
