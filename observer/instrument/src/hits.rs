//! What is where on the last frame, for the mouse.

use crate::section::Section;

/// Something that can be clicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// A page, by its place.
    Page(usize),
    Section(Section),
    /// A row of the shown table, by its place.
    Row(usize),
    /// The heading of a column, by its name.
    Heading(&'static str),
    /// A line of the menu.
    Item(usize),
}

/// The spots of a frame.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    spots: Vec<(u16, u16, u16, Spot)>,
}

impl Hits {
    /// Adds a spot: columns `from` up to `to`, excluded, of line `y`.
    pub fn add(&mut self, y: u16, from: u16, to: u16, spot: Spot) {
        self.spots.push((y, from, to, spot));
    }

    /// What is at column `x` of line `y`; of spots over each other, the one that was drawn last.
    #[must_use]
    pub fn at(&self, x: u16, y: u16) -> Option<Spot> {
        let found =
            self.spots.iter().rev().find(|(line, from, to, _)| *line == y && (*from..*to).contains(&x));
        found.map(|(.., spot)| *spot)
    }
}
