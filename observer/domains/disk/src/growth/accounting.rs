//! The part of a filesystem's growth that files explain, separately for named and unlinked files.
//!
//! A file counts with the bytes that it takes now, less those at its first event. A freed file counts with the bytes
//! that it gave back. The rest of the filesystem's growth is metadata, journals, files without events, and files whose
//! blocks could not be queried.

use std::collections::BTreeMap;

use observer_core::trend::window::Window;

/// Every filesystem, by device.
#[derive(Debug, Default)]
pub struct GrowthAccounting {
    window: f64,
    known: BTreeMap<u32, FilesystemGrowth>,
}

/// Bytes by which files grew, cumulative since observation began.
#[derive(Debug)]
struct FilesystemGrowth {
    named: i64,
    unlinked: i64,
    /// Bytes freed by deletions of files without events.
    freed: u64,
    named_series: Window,
    unlinked_series: Window,
}

impl GrowthAccounting {
    /// No filesystem is known yet; growth looks back over `window` seconds.
    pub fn new(window: f64) -> Self {
        Self { window, known: BTreeMap::new() }
    }

    fn of(&mut self, dev: u32) -> &mut FilesystemGrowth {
        let window = self.window;
        self.known.entry(dev).or_insert_with(|| FilesystemGrowth {
            named: 0,
            unlinked: 0,
            freed: 0,
            named_series: Window::new(window),
            unlinked_series: Window::new(window),
        })
    }

    /// A file of `dev` now takes `now` bytes; it took `before` bytes.
    pub fn change(&mut self, dev: u32, unlinked: bool, before: u64, now: u64) {
        let change = now.cast_signed().saturating_sub(before.cast_signed());
        let growth = self.of(dev);
        let sum = if unlinked { &mut growth.unlinked } else { &mut growth.named };
        *sum = sum.saturating_add(change);
    }

    /// Deletions have freed `bytes` of `dev` so far.
    pub fn freed(&mut self, dev: u32, bytes: u64) {
        self.of(dev).freed = bytes;
    }

    /// A report about these filesystems is due at `at`.
    pub fn sample(&mut self, at: u64, devices: impl Iterator<Item = u32>) {
        for dev in devices {
            let growth = self.of(dev);
            let named = growth.named.saturating_sub(growth.freed.cast_signed());
            growth.named_series.push(at, named as f64);
            growth.unlinked_series.push(at, growth.unlinked as f64);
        }
    }

    /// Bytes by which named and unlinked files grew over the window.
    pub fn growth(&self, dev: u32, now: u64) -> Option<(i64, i64)> {
        let growth = self.known.get(&dev)?;
        Some((growth.named_series.growth(now)? as i64, growth.unlinked_series.growth(now)? as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn each_kind_of_file_grows_by_itself_and_what_is_freed_shrinks() {
        let mut accounting = GrowthAccounting::new(10.0);
        accounting.change(1, false, 0, 500);
        accounting.sample(SECOND, [1, 2].into_iter());
        accounting.change(1, false, 4096, 12_288);
        accounting.change(1, true, 8192, 0);
        accounting.freed(2, 100);
        accounting.sample(2 * SECOND, [1, 2].into_iter());
        assert_eq!(accounting.growth(1, 2 * SECOND), Some((8192, -8192)));
        assert_eq!(accounting.growth(2, 2 * SECOND), Some((-100, 0)));
        assert_eq!(accounting.growth(3, 2 * SECOND), None, "it is not known");
    }
}
