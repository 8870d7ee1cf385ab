//! A series of bytes as it is judged: the last minute exactly, and its whole life in parts.

use super::{history::History, window::Window};

/// What a thing holds, since it was first seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What growth and rates look back over.
    pub window: Window,
    /// What a verdict rests on.
    pub history: History,
}

impl Series {
    /// Nothing is known yet; growth and rates look back over `seconds`.
    #[must_use]
    pub fn new(seconds: f64) -> Self {
        Self { window: Window::new(seconds), history: History::default() }
    }

    /// Takes in that it holds `value` bytes since `at`, and that so many bytes were asked of the kernel, and not given
    /// back, while it was observed; the same number every time where that is not known.
    pub fn push(&mut self, at: u64, value: f64, asked: f64) {
        self.window.push(at, value);
        self.history.push(at, value, asked);
    }
}
