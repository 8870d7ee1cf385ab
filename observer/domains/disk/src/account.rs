//! The account of each filesystem: what of its growth files explain, those with a name and those without.
//!
//! Each file counts with what it takes now, less what it took when somebody was first seen to work on it; one that is
//! freed counts with what it gave back. What is left of the filesystem's own growth are metadata, journals, files that
//! nobody was seen to work on, and what could not be asked for.

use std::collections::BTreeMap;

use observer_core::trend::window::Window;

/// Every filesystem's account, by device.
#[derive(Debug, Default)]
pub struct Accounts {
    window: f64,
    known: BTreeMap<u32, Account>,
}

/// Bytes by which files grew, cumulative since observation began.
#[derive(Debug)]
pub struct Account {
    named: i64,
    nameless: i64,
    /// Freed by deletions of files that nobody was seen to work on.
    freed: u64,
    names: Window,
    nameless_ones: Window,
}

impl Accounts {
    /// None is known yet; growth looks back over `window` seconds.
    pub fn new(window: f64) -> Self {
        Self { window, known: BTreeMap::new() }
    }

    fn of(&mut self, dev: u32) -> &mut Account {
        let window = self.window;
        self.known.entry(dev).or_insert_with(|| Account {
            named: 0,
            nameless: 0,
            freed: 0,
            names: Window::new(window),
            nameless_ones: Window::new(window),
        })
    }

    /// A file of `dev` takes `now` bytes where it took `before`.
    pub fn change(&mut self, dev: u32, nameless: bool, before: u64, now: u64) {
        let change = now.cast_signed().saturating_sub(before.cast_signed());
        let account = self.of(dev);
        let sum = if nameless { &mut account.nameless } else { &mut account.named };
        *sum = sum.saturating_add(change);
    }

    /// Deletions freed so many bytes of `dev` so far.
    pub fn freed(&mut self, dev: u32, bytes: u64) {
        self.of(dev).freed = bytes;
    }

    /// A report is due at `at` that tells of these filesystems.
    pub fn sample(&mut self, at: u64, devices: impl Iterator<Item = u32>) {
        for dev in devices {
            let account = self.of(dev);
            let named = account.named.saturating_sub(account.freed.cast_signed());
            account.names.push(at, named as f64);
            account.nameless_ones.push(at, account.nameless as f64);
        }
    }

    /// Bytes by which files with and without a name grew over the window.
    pub fn growth(&self, dev: u32, now: u64) -> Option<(i64, i64)> {
        let account = self.known.get(&dev)?;
        Some((account.names.growth(now)? as i64, account.nameless_ones.growth(now)? as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn each_kind_of_file_grows_by_itself_and_what_is_freed_shrinks() {
        let mut accounts = Accounts::new(10.0);
        accounts.change(1, false, 0, 500);
        accounts.sample(SECOND, [1, 2].into_iter());
        accounts.change(1, false, 4096, 12_288);
        accounts.change(1, true, 8192, 0);
        accounts.freed(2, 100);
        accounts.sample(2 * SECOND, [1, 2].into_iter());
        assert_eq!(accounts.growth(1, 2 * SECOND), Some((8192, -8192)));
        assert_eq!(accounts.growth(2, 2 * SECOND), Some((-100, 0)));
        assert_eq!(accounts.growth(3, 2 * SECOND), None, "nobody spoke of it");
    }
}
