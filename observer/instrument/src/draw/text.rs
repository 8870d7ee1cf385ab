//! Lines of styled text that are taller than the screen: they are scrolled.

use ratatui::{layout::Rect, style::Style};

use super::Canvas;
use observer_faces::width::wrapped;

/// Lines in the making.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) width: u16,
    lines: Vec<Vec<(String, Style)>>,
}

impl Text {
    /// No line yet, each at most `width` columns wide.
    pub(super) const fn new(width: u16) -> Self {
        Self { width, lines: Vec::new() }
    }

    /// A line of parts, each with its style.
    pub(super) fn line(&mut self, parts: Vec<(String, Style)>) {
        self.lines.push(parts);
    }

    /// A line of one style.
    pub(super) fn put(&mut self, text: impl Into<String>, style: Style) {
        self.lines.push(vec![(text.into(), style)]);
    }

    /// An empty line, unless there is one already.
    pub(super) fn blank(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(Vec::new());
        }
    }

    /// A sentence, broken into lines that are indented by `indent`.
    pub(super) fn sentence(&mut self, text: &str, indent: usize, style: Style) {
        for line in wrapped(text, usize::from(self.width).max(1), indent, indent) {
            self.put(line, style);
        }
    }

    /// Adds the first `most` lines of another text.
    pub(super) fn append(&mut self, other: Self, most: usize) {
        self.lines.extend(other.lines.into_iter().take(most));
    }

    /// The number of lines.
    pub(super) const fn len(&self) -> usize {
        self.lines.len()
    }

    /// Draws the lines from `scroll` on, as many as fit. Returns the furthest scroll that makes sense.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, scroll: usize) -> usize {
        let end = self.lines.len().saturating_sub(usize::from(area.height));
        let scroll = scroll.min(end);
        for (y, line) in (area.top()..area.bottom()).zip(self.lines.iter().skip(scroll)) {
            let mut x = area.x;
            for (text, style) in line {
                x = canvas.put(x, y, text, area.right().saturating_sub(x), *style);
            }
        }
        let more = self.lines.len().saturating_sub(scroll + usize::from(area.height));
        if more > 0 && area.height > 0 {
            let note = format!(" {more} more lines ");
            let width = u16::try_from(note.len()).unwrap_or(0).min(area.width);
            let faint = canvas.style.palette.chosen();
            canvas.put(area.right() - width, area.bottom() - 1, &note, width, faint);
        }
        end
    }

    /// The lines without their styles.
    #[cfg(test)]
    pub(super) fn plain(&self) -> Vec<String> {
        self.lines.iter().map(|line| line.iter().map(|(text, _)| text.as_str()).collect()).collect()
    }
}
