//! When the lists of all inodes in memory are read: they may be long, so the time that it takes decides.

use crate::observation::disk::Walk;

/// Nanoseconds after which they are read again though nothing hints at a change.
const EVERY: u64 = 10_000_000_000;

/// The same when a file was let go of, which something else may hold, or while a file is known from them alone.
const SOON: u64 = 1_000_000_000;

/// Nanoseconds that pass at least between two readings for each inode, which takes a seventh of a microsecond: a quarter of
/// a percent of a processor, and a whole one while a file is known from the lists alone.
const AN_INODE: u64 = 60_000;
const AN_INODE_NOW: u64 = 15_000;

/// What is known of the lists and when they were last read.
#[derive(Debug, Default)]
pub struct Lists {
    /// How the last reading went; `None` before the first was finished.
    pub walk: Option<Walk>,
    /// A file was let go of since.
    pub released: bool,
    at: u64,
}

impl Lists {
    /// Whether they are to be read at `now`; `unreachable` says that a file is known from them alone.
    pub fn due(&self, now: u64, unreachable: bool) -> bool {
        let every = if self.released || unreachable { SOON } else { EVERY };
        let inodes = self.walk.map_or(0, |walk| walk.inodes);
        let pause = if unreachable { AN_INODE_NOW } else { AN_INODE };
        now >= self.at.saturating_add(every.max(inodes.saturating_mul(pause)))
    }

    /// They are read at `now`.
    pub fn read(&mut self, now: u64) {
        self.at = now;
        self.released = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_as_seldom_as_they_are_long_and_soon_after_a_file_was_let_go_of() {
        let mut lists = Lists::default();
        lists.read(EVERY);
        assert!(!lists.due(EVERY + SOON, false));
        assert!(lists.due(EVERY + SOON, true));
        lists.released = true;
        assert!(lists.due(EVERY + SOON, false));
        lists.walk = Some(Walk { inodes: 1_000_000, complete: true });
        assert!(!lists.due(EVERY + SOON, false), "a million inodes take a seventh of a second");
        assert!(!lists.due(EVERY + 59_000_000_000, false));
        assert!(lists.due(EVERY + 60_000_000_000, false));
        assert!(lists.due(EVERY + 15_000_000_000, true));
        lists.read(u64::MAX);
        assert!(lists.due(u64::MAX, false), "the end of time is no overflow");
    }
}
