//! When the lists of all inodes in memory are read: they may be long, so the time that it takes decides.

use observer_core::facts::disk::InodeScanResult;

/// Nanoseconds after which they are read again though nothing hints at a change.
const EVERY: u64 = 10_000_000_000;

/// The same when a file was let go of, which something else may hold, or while a file that is known from them alone changes.
const SOON: u64 = 1_000_000_000;

/// Nanoseconds that pass at least between two readings for each inode, which takes a seventh of a microsecond: a quarter of
/// a percent of a processor, and a whole one while a file that is known from the lists alone changes.
const AN_INODE: u64 = 60_000;
const AN_INODE_NOW: u64 = 15_000;

/// Doublings after which a pause is the longest.
const DOUBLINGS: u32 = 4;

/// What depends on the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// No file that is known.
    None,
    /// A file is known from them alone: the longer it stays as it is, the less often it is looked at.
    Known,
    /// A file was found whose path only they can tell, and have not yet.
    Sought,
}

/// What is known of the lists and when they were last read.
#[derive(Debug, Default)]
pub struct InodeScanSchedule {
    /// How the last reading went; `None` before the first was finished.
    pub walk: Option<InodeScanResult>,
    /// A file was let go of since.
    pub released: bool,
    /// What is known from them alone has changed since they were last asked for.
    pub changed: bool,
    /// Readings in a row that found nothing changed.
    still: u32,
    /// When they were last asked for: they are read for the report that follows.
    at: u64,
    /// The reports that the last two readings were for.
    read: Option<(u64, u64)>,
    asked: bool,
}

impl InodeScanSchedule {
    /// Whether they are to be read at `now`.
    pub fn due(&self, now: u64, need: Need) -> bool {
        let doublings = match need {
            Need::None => DOUBLINGS,
            Need::Known if !self.changed => self.still.min(DOUBLINGS),
            Need::Known | Need::Sought => 0,
        };
        let every = if self.released { SOON } else { EVERY.min(SOON << doublings) };
        let inodes = self.walk.map_or(0, |walk| walk.inodes);
        let pause = AN_INODE.min(AN_INODE_NOW << doublings);
        now >= self.at.saturating_add(every.max(inodes.saturating_mul(pause)))
    }

    /// A report is due at `now`; with `ask`, they are read for the next one. For the first they are read unasked, where
    /// that is not shown at once.
    pub fn report(&mut self, now: u64, ask: bool) {
        if self.asked || self.read.is_none() && self.walk.is_some() {
            self.read = Some((self.read.map_or(now, |(_, last)| last), now));
        }
        self.asked = ask;
        if ask {
            self.at = now;
            self.released = false;
            self.still = if std::mem::take(&mut self.changed) { 0 } else { self.still.saturating_add(1) };
        }
    }

    /// The moments of the reports that the last two readings were for, nanoseconds of the boot clock.
    pub fn readings(&self) -> Option<(u64, u64)> {
        self.read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_as_seldom_as_they_are_long_and_soon_after_a_file_was_let_go_of() {
        let mut lists = InodeScanSchedule::default();
        lists.report(EVERY, true);
        assert!(!lists.due(EVERY + SOON, Need::None));
        assert!(lists.due(EVERY + SOON, Need::Sought));
        lists.released = true;
        assert!(lists.due(EVERY + SOON, Need::None));
        lists.walk = Some(InodeScanResult { inodes: 1_000_000, complete: true });
        assert!(!lists.due(EVERY + SOON, Need::None), "a million inodes take a seventh of a second");
        assert!(!lists.due(EVERY + 59_000_000_000, Need::None));
        assert!(lists.due(EVERY + 60_000_000_000, Need::None));
        assert!(lists.due(EVERY + 15_000_000_000, Need::Sought));
        lists.report(u64::MAX, true);
        assert!(lists.due(u64::MAX, Need::None), "the end of time is no overflow");
    }

    #[test]
    fn a_file_that_stays_as_it_is_is_looked_at_ever_less_often_until_it_changes() {
        let mut lists = InodeScanSchedule::default();
        let (mut now, mut pauses) = (EVERY, Vec::new());
        lists.changed = true;
        lists.report(now, true);
        for _ in 0..6 {
            let asked = now;
            while !lists.due(now, Need::Known) {
                now += SOON;
                lists.report(now, false);
            }
            pauses.push((now - asked) / SOON);
            lists.report(now, true);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10]);
        assert!(!lists.due(now + SOON, Need::Known));
        assert!(lists.due(now + SOON, Need::Sought));
        lists.changed = true;
        assert!(lists.due(now + SOON, Need::Known));
        lists.report(now + SOON, true);
        assert!(!lists.due(now + SOON, Need::Known));
        assert!(lists.due(now + 2 * SOON, Need::Known));
    }

    #[test]
    fn what_is_asked_for_is_read_for_the_next_report() {
        let mut lists = InodeScanSchedule::default();
        lists.report(0, true);
        assert_eq!(lists.readings(), None, "where what is known without them was shown first");
        let mut lists =
            InodeScanSchedule { walk: Some(InodeScanResult::default()), ..InodeScanSchedule::default() };
        lists.report(1, true);
        assert_eq!(lists.readings(), Some((1, 1)));
        lists.report(2, false);
        lists.report(3, false);
        assert_eq!(lists.readings(), Some((1, 2)));
        lists.report(4, true);
        assert_eq!(lists.readings(), Some((1, 2)));
        lists.report(5, false);
        assert_eq!(lists.readings(), Some((2, 5)));
    }
}
