//! A list to choose from.

/// What is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Sort,
    Columns,
    Group,
}

/// The list, and its cursor.
#[derive(Clone, Debug)]
pub struct Menu {
    pub choice: Choice,
    pub title: &'static str,
    pub items: Vec<Item>,
    pub cursor: usize,
}

/// One line of a menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What is chosen with it.
    pub name: String,
    /// What is shown.
    pub label: String,
    pub marked: bool,
}

impl Menu {
    /// A menu with its cursor on the first marked item.
    #[must_use]
    pub fn new(choice: Choice, title: &'static str, items: Vec<Item>) -> Self {
        let marked = items.iter().position(|item| item.marked);
        Self { choice, title, cursor: marked.unwrap_or(0), items }
    }

    /// Moves the cursor by some lines.
    pub fn step(&mut self, lines: isize) {
        self.cursor = self.cursor.saturating_add_signed(lines).min(self.items.len().saturating_sub(1));
    }

    /// The item under the cursor.
    #[must_use]
    pub fn selected(&self) -> Option<&Item> {
        self.items.get(self.cursor)
    }

    /// Marks the item under the cursor, or removes its mark.
    pub fn toggle(&mut self) {
        if let Some(item) = self.items.get_mut(self.cursor) {
            item.marked = !item.marked;
        }
    }

    /// Moves the cursor to the next item that begins with this character.
    pub fn find(&mut self, character: char) {
        let count = self.items.len();
        let begins = |item: &Item| {
            item.label.chars().next().is_some_and(|first| first.to_lowercase().eq(character.to_lowercase()))
        };
        let found =
            (1..=count).map(|step| (self.cursor + step) % count.max(1)).find(|at| begins(&self.items[*at]));
        self.cursor = found.unwrap_or(self.cursor);
    }
}
