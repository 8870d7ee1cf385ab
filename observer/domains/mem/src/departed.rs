//! Processes that have ended, as long as the growth of a group depends on them.
//!
//! A group of processes grows by what its new processes hold, and shrinks by what its ended processes held.

use observer_core::{facts::TaskId, trend::window::Window};

/// A process that held fewer bytes is not kept: it hardly changes a group.
const LEAST: f64 = 1024.0 * 1024.0;

/// The number of processes that are kept, the latest.
const KEPT: usize = 1024;

/// Ended processes.
#[derive(Debug, Default)]
pub(super) struct Departed {
    known: Vec<DepartedProcess>,
}

/// An ended process.
#[derive(Debug)]
pub(super) struct DepartedProcess {
    pub id: TaskId,
    /// The bytes that it held; 0 from its end on.
    pub window: Window,
    /// The time of its last report, nanoseconds of the boot clock.
    ended: u64,
}

impl Departed {
    /// The process `id` has ended by `now`; it held `window`.
    pub(super) fn end(&mut self, id: TaskId, mut window: Window, now: u64) {
        if window.latest().is_none_or(|held| held < LEAST) {
            return;
        }
        window.push(now, 0.0);
        if self.known.len() == KEPT {
            self.known.remove(0);
        }
        self.known.push(DepartedProcess { id, window, ended: now });
    }

    /// A report was delivered: processes that ended before the window are removed.
    pub(super) fn delivered(&mut self, now: u64) {
        self.known.retain(|process| {
            now.saturating_sub(process.ended) as f64 / 1e9 <= process.window.length() + 1.0
        });
    }

    pub(super) fn has(&self, id: TaskId) -> bool {
        self.known.iter().any(|process| process.id == id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &DepartedProcess> {
        self.known.iter()
    }
}
