//! Decides when the inode lists are read: they may be long, so the reading time matters.

use observer_core::facts::disk::InodeScanResult;

/// Nanoseconds between two readings without a sign of a change.
const EVERY: u64 = 10_000_000_000;

/// The same, in nanoseconds, after a file was released, because the kernel may still hold it, and while a file that is
/// known only from the lists changes.
const SOON: u64 = 1_000_000_000;

/// Nanoseconds between two readings for each inode. Reading one takes a seventh of a microsecond. This makes a quarter
/// of a percent of a processor, and one percent while a file that is known only from the lists changes.
const PER_INODE: u64 = 60_000;
const PER_INODE_WHILE_CHANGING: u64 = 15_000;

/// The number of doublings up to the longest pause.
const DOUBLINGS: u32 = 4;

/// The reason to read the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// No known file.
    None,
    /// A file is known from the lists only: the longer it does not change, the less often they are read.
    Known,
    /// The path of a file that was found can only be in the lists.
    Sought,
}

/// The state of the lists, and the times of their last readings.
#[derive(Debug, Default)]
pub struct InodeScanSchedule {
    /// The result of the last reading; `None` before the first one was complete.
    pub walk: Option<InodeScanResult>,
    /// Whether a file was released since then.
    pub released: bool,
    /// Whether a file that is known from the lists only has changed since the last query.
    pub changed: bool,
    /// The number of consecutive readings without a change.
    unchanged: u32,
    /// The time of the last query: the lists are read for the next report.
    at: u64,
    /// The times of the reports that had the last two readings.
    read: Option<(u64, u64)>,
    queried: bool,
}

impl InodeScanSchedule {
    /// Whether the lists are to be read at `now`.
    pub fn due(&self, now: u64, need: Need) -> bool {
        let doublings = match need {
            Need::None => DOUBLINGS,
            Need::Known if !self.changed => self.unchanged.min(DOUBLINGS),
            Need::Known | Need::Sought => 0,
        };
        let every = if self.released { SOON } else { EVERY.min(SOON << doublings) };
        let inodes = self.walk.map_or(0, |walk| walk.inodes);
        let pause = PER_INODE.min(PER_INODE_WHILE_CHANGING << doublings);
        now >= self.at.saturating_add(every.max(inodes.saturating_mul(pause)))
    }

    /// A report is due at `now`. With `query`, the lists are read for the next report. For the first report they are
    /// read without a query, unless it is shown at once.
    pub fn report(&mut self, now: u64, query: bool) {
        if self.queried || self.read.is_none() && self.walk.is_some() {
            self.read = Some((self.read.map_or(now, |(_, last)| last), now));
        }
        self.queried = query;
        if query {
            self.at = now;
            self.released = false;
            self.unchanged =
                if std::mem::take(&mut self.changed) { 0 } else { self.unchanged.saturating_add(1) };
        }
    }

    /// The times of the reports that had the last two readings, nanoseconds of the boot clock.
    pub fn readings(&self) -> Option<(u64, u64)> {
        self.read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_read_rarely_and_all_lists_soon_after_a_file_was_released() {
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
    fn an_unchanged_file_is_read_less_and_less_often_until_it_changes() {
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
    fn a_query_is_read_for_the_next_report() {
        let mut lists = InodeScanSchedule::default();
        lists.report(0, true);
        assert_eq!(lists.readings(), None, "if the first report was shown without them");
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
