//! The space of local filesystems over time.

use std::collections::{BTreeMap, BTreeSet};

use observer_core::{facts::disk::Space, trend::window::Window};

/// Every filesystem whose space is known, by its device.
#[derive(Debug, Default)]
pub struct Spaces {
    window: f64,
    known: BTreeMap<u32, Filesystem>,
}

/// One filesystem.
#[derive(Debug, Default)]
pub struct Filesystem {
    pub space: Space,
    pub used: Window,
}

impl Spaces {
    /// No filesystem is known yet; trends look back over `window` seconds.
    pub fn new(window: f64) -> Self {
        Self { window, known: BTreeMap::new() }
    }

    pub fn get(&self, dev: u32) -> Option<&Filesystem> {
        self.known.get(&dev)
    }

    pub fn take(&mut self, dev: u32, space: Space) {
        let window = self.window;
        let new = || Filesystem { space, used: Window::new(window) };
        self.known.entry(dev).or_insert_with(new).space = space;
    }

    /// A report is due at `at`; filesystems that are no longer mounted are forgotten.
    pub fn sample(&mut self, at: u64, mounted: &BTreeSet<u32>) {
        self.known.retain(|dev, _| mounted.contains(dev));
        for filesystem in self.known.values_mut() {
            filesystem.used.push(at, filesystem.space.used as f64);
        }
    }
}
