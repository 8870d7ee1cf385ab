//! Colours and weights: the 16 colours of the terminal, so a light one stays light and a dark one dark.

use observer_core::report::Emphasis;
use ratatui::style::{Color, Modifier, Style};

/// Whether there are colours. Without them, weights alone distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    pub coloured: bool,
}

impl Palette {
    fn coloured(self, color: Color, modifier: Modifier) -> Style {
        let style = Style::new().add_modifier(modifier);
        if self.coloured { style.fg(color) } else { style }
    }

    /// Text without meaning of its own.
    pub(super) const fn plain(self) -> Style {
        Style::new()
    }

    /// The answer in words.
    pub(super) const fn headline(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Titles of columns, hints, what is there for completeness.
    pub(super) const fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What is chosen: a page, a table, the row under the cursor.
    pub(super) const fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// A key in a hint.
    pub(super) const fn key(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// A state that must not be overlooked: paused, or another time than now.
    pub(super) fn state(self) -> Style {
        self.coloured(Color::Cyan, Modifier::REVERSED)
    }

    pub(super) fn error(self) -> Style {
        self.coloured(Color::Red, Modifier::BOLD)
    }

    /// Something was lost, or a row is worth a look.
    pub(super) fn warning(self) -> Style {
        self.coloured(Color::Yellow, Modifier::empty())
    }

    /// The course of a number.
    pub(super) fn graph(self) -> Style {
        self.coloured(Color::Cyan, Modifier::empty())
    }

    /// A row by how much it matters.
    pub(super) fn row(self, emphasis: Emphasis) -> Style {
        match emphasis {
            Emphasis::Alarm => self.error(),
            Emphasis::Notice => self.warning(),
            Emphasis::Plain => self.plain(),
            Emphasis::Faint => self.faint(),
        }
    }
}
