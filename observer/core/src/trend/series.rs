//! A series of bytes as a verdict needs it: the last minute exactly, and all of it in buckets.

use super::{history::History, window::Window};

/// The bytes that a process, or a part of the kernel, holds since it was first seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// For growth and rates.
    pub window: Window,
    /// For verdicts.
    pub history: History,
}

impl Series {
    /// Nothing is known yet; growth and rates look back over `seconds`.
    pub fn new(seconds: f64) -> Self {
        Self { window: Window::new(seconds), history: History::default() }
    }

    /// Adds that it holds `value` bytes since `at`, and that `asked` bytes were asked of the kernel and not given back
    /// while it was observed. If that is not known, `asked` is always the same.
    pub fn push(&mut self, at: u64, value: f64, asked: f64) {
        self.window.push(at, value);
        self.history.push(at, value, asked);
    }
}
