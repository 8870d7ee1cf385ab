//! The space of local filesystems over time.

use std::collections::{BTreeMap, BTreeSet};

use observer_core::{
    facts::disk::{Limit, Space},
    trend::window::Window,
};

/// Every filesystem with known space, by device.
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
    pub inodes_used: Window,
    /// Its limits other than blocks and inodes.
    pub limits: Vec<Limited>,
}

/// A limit over time.
#[derive(Debug)]
pub struct Limited {
    pub limit: Limit,
    /// The negated rest, which rises while the rest is used up.
    pub rest: Window,
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
        let new = || Filesystem {
            space,
            used: Window::new(window),
            inodes_used: Window::new(window),
            limits: Vec::new(),
        };
        self.known.entry(dev).or_insert_with(new).space = space;
    }

    /// Takes in the limits of a filesystem with known space.
    pub fn limit(&mut self, dev: u32, limits: &[Limit]) {
        let window = self.window;
        let Some(filesystem) = self.known.get_mut(&dev) else { return };
        let mut before = std::mem::take(&mut filesystem.limits);
        filesystem.limits.extend(limits.iter().map(|limit| {
            let is_same = |known: &Limited| known.limit.kind == limit.kind && known.limit.of == limit.of;
            let known = before.iter().position(is_same).map(|index| before.swap_remove(index).rest);
            Limited { limit: limit.clone(), rest: known.unwrap_or_else(|| Window::new(window)) }
        }));
    }

    /// A report is due at `at`. Filesystems that are no longer mounted are removed.
    pub fn sample(&mut self, at: u64, mounted: &BTreeSet<u32>) {
        self.known.retain(|dev, _| mounted.contains(dev));
        for filesystem in self.known.values_mut() {
            filesystem.used.push(at, filesystem.space.used as f64);
            filesystem.inodes_used.push(at, filesystem.space.inodes_used as f64);
            for Limited { limit, rest } in &mut filesystem.limits {
                rest.push(at, -(limit.left as f64));
            }
        }
    }
}
