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
    /// A series without samples. Growth and rates are measured over the last `seconds`.
    pub fn new(seconds: f64) -> Self {
        Self { window: Window::new(seconds), history: History::default() }
    }

    /// Adds a sample: since `at` it holds `value` bytes, and while observed it has mapped `asked` bytes more than it has
    /// unmapped. If mappings are unknown, `asked` never changes.
    pub fn push(&mut self, at: u64, value: f64, asked: f64) {
        self.window.push(at, value);
        self.history.push(at, value, asked);
    }
}
