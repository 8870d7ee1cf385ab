//! A series from its beginning, finer the newer it is: the basis of a verdict about minutes or hours.
//!
//! [`Window`](super::window::Window) is exact over the last minute. A history reaches back to the first value, at most
//! [`REACH`], in a limited number of buckets. Of each bucket it keeps the lowest value, the last one, and how much had
//! been asked of the kernel by then. A change that is undone within a bucket leaves no trace, which is intended: what a
//! collector gives back is not held.
//!
//! New buckets are two seconds wide. If there are more than [`BUCKETS`] of a width, the two oldest of them become one
//! of twice that width (Datar, Gionis, Indyk and Motwani 2002, “exponential histogram”).

use std::collections::VecDeque;

/// Nanoseconds of the newest buckets.
const WIDTH: u64 = 2_000_000_000;

/// Buckets of one width.
const BUCKETS: usize = 17;

/// The widest buckets are `WIDTH << WIDEST`; older ones are forgotten.
const WIDEST: u8 = 6;

/// The seconds that a history reaches back at most: more than an hour.
pub const REACH: f64 = ((BUCKETS << WIDEST) as u64 * 2 * WIDTH / 1_000_000_000) as f64;

/// A series of bytes since it was first seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Nanoseconds of the boot clock: the first value.
    begin: u64,
    buckets: VecDeque<Bucket>,
    /// The bytes asked of the kernel at the first value.
    asked: f64,
}

/// A time up to the next bucket's begin.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    /// In [`WIDTH`]s since the history's begin.
    begin: u32,
    /// Its width is `WIDTH << level`, or more if the series did not change.
    level: u8,
    /// Pages of 4 KiB, as `f32` exact to 64 GiB.
    low: f32,
    last: f32,
    asked: f32,
}

/// A part of the examined time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// Seconds before now at which it ends.
    pub ago: f64,
    /// Bytes.
    pub low: f64,
    /// Bytes, at its end.
    pub last: f64,
    /// Bytes that had been asked of the kernel at its end, less those given back, since the history began.
    pub asked: f64,
}

/// Bytes of one unit of [`Bucket`].
const PAGE: f64 = 4096.0;

impl History {
    /// Adds that the series is `value` bytes at `at`, and that `asked` bytes have been asked of the kernel so far. A
    /// time that is not later than the last one counts as the last one.
    pub fn push(&mut self, at: u64, value: f64, asked: f64) {
        if !value.is_finite() || !asked.is_finite() {
            return;
        }
        if self.buckets.is_empty() {
            (self.begin, self.asked) = (at, asked);
            // Most series never change.
            self.buckets.reserve_exact(1);
        }
        let begin = u32::try_from(at.saturating_sub(self.begin) / WIDTH).unwrap_or(u32::MAX);
        let (value, asked) = ((value / PAGE) as f32, ((asked - self.asked) / PAGE) as f32);
        match self.buckets.back_mut() {
            Some(last) if last.last == value && last.asked == asked => {}
            Some(last) if begin <= last.begin => {
                (last.low, last.last, last.asked) = (last.low.min(value), value, asked);
            }
            last => {
                // Until now the series had its last value.
                let low = last.map_or(value, |last| last.last.min(value));
                self.buckets.push_back(Bucket { begin, level: 0, low, last: value, asked });
                self.merge();
            }
        }
    }

    /// Seconds for which the series is known.
    pub fn known(&self, now: u64) -> f64 {
        let forgotten = self.buckets.front().map_or(0, |bucket| u64::from(bucket.begin) * WIDTH);
        now.saturating_sub(self.begin.saturating_add(forgotten)) as f64 / 1e9
    }

    /// Seconds since the last change, to within two.
    pub fn flat_for(&self, now: u64) -> f64 {
        let changed = self.buckets.back().map_or(0, |bucket| u64::from(bucket.begin) * WIDTH);
        now.saturating_sub(self.begin.saturating_add(changed)) as f64 / 1e9
    }

    /// Bytes by which the newest value is above the lowest: the most that it can have grown.
    pub fn rise(&self) -> f64 {
        let lowest = self.buckets.iter().map(|bucket| bucket.low).fold(f32::INFINITY, f32::min);
        self.buckets.back().map_or(0.0, |last| f64::from(last.last - lowest) * PAGE)
    }

    /// The last `seconds` up to `now` as `count` segments of equal length, the oldest first.
    pub fn segments(&self, now: u64, seconds: f64, count: usize) -> Vec<Segment> {
        let since = now.saturating_sub(self.begin) as f64 / 1e9;
        let length = seconds.min(since) / count as f64;
        let mut buckets = self.buckets.iter().peekable();
        let mut before: Option<&Bucket> = None;
        let mut segments = Vec::with_capacity(count);
        for index in 0..count {
            let ago = length * (count - 1 - index) as f64;
            // A bucket belongs to the segment that contains its middle, so that no low point counts twice.
            let end = since - ago;
            let mut low = f32::INFINITY;
            while let Some(bucket) = buckets.peek() {
                let width = (WIDTH << bucket.level) as f64 / 1e9;
                let middle = f64::from(bucket.begin) * (WIDTH as f64 / 1e9) + width / 2.0;
                if middle > end && index + 1 < count {
                    break;
                }
                if middle > end - length {
                    low = low.min(bucket.low);
                }
                before = Some(bucket);
                buckets.next();
            }
            let Some(held) = before.or_else(|| self.buckets.front()) else { return Vec::new() };
            if low == f32::INFINITY {
                low = held.last;
            }
            segments.push(Segment {
                ago,
                low: f64::from(low) * PAGE,
                last: f64::from(held.last) * PAGE,
                asked: f64::from(held.asked) * PAGE,
            });
        }
        segments
    }

    /// If there are too many buckets of one width, the two oldest of them become one.
    fn merge(&mut self) {
        for level in 0..=WIDEST {
            let first = self.buckets.partition_point(|bucket| bucket.level > level);
            let end = self.buckets.partition_point(|bucket| bucket.level >= level);
            if end - first <= BUCKETS {
                return;
            }
            if level == WIDEST {
                self.buckets.pop_front();
                return;
            }
            // Only two that fill a bucket of twice the width; a single one just counts as wider.
            let wide = 2u32 << level;
            let pair = self.buckets[first + 1].begin / wide == self.buckets[first].begin / wide;
            if pair {
                let newer = self.buckets[first + 1];
                let older = &mut self.buckets[first];
                (older.low, older.last, older.asked) = (older.low.min(newer.low), newer.last, newer.asked);
                self.buckets.remove(first + 1);
            }
            self.buckets[first].level += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MIB: f64 = 1024.0 * 1024.0;

    fn history(seconds: u64, value: impl Fn(u64) -> f64) -> (History, u64) {
        let mut history = History::default();
        for second in 0..=seconds {
            history.push((77 + second) * SECOND, value(second) * MIB, 0.0);
        }
        (history, (77 + seconds) * SECOND)
    }

    #[test]
    fn low_points_of_segments_are_those_of_the_series() {
        let (history, now) = history(240, |second| (100 + second + 50 * (second % 7)) as f64);
        let lows: Vec<f64> = history.segments(now, 240.0, 12).iter().map(|each| each.low / MIB).collect();
        assert_eq!(lows.len(), 12);
        for (index, low) in lows.iter().enumerate() {
            let truth = 100.0 + 20.0 * index as f64;
            assert!((low - truth).abs() <= 16.0, "segment {index}: {low} and not about {truth}");
        }
        assert!(lows.windows(2).all(|pair| pair[0] < pair[1]), "{lows:?}");
    }

    #[test]
    fn a_constant_series_takes_one_bucket() {
        let (history, now) = history(5000, |_| 7.0);
        assert_eq!(history.buckets.len(), 1);
        assert_eq!(history.known(now), 5000.0);
        let segments = history.segments(now, 5000.0, 4);
        assert!(segments.iter().all(|each| each.low == 7.0 * MIB && each.last == 7.0 * MIB));
    }

    #[test]
    fn buckets_are_limited_and_the_newest_are_fine() {
        let (history, now) = history(100_000, |second| second as f64);
        assert!(
            history.buckets.len() <= (BUCKETS + 1) * (usize::from(WIDEST) + 1),
            "{}",
            history.buckets.len()
        );
        let known = history.known(now);
        assert!(known > 0.9 * REACH && known < 1.2 * REACH, "{known} of {REACH}");
        let last = history.segments(now, 40.0, 10);
        for (index, each) in last.iter().enumerate() {
            let truth = (100_000 - 40 + 4 * (index + 1)) as f64;
            assert!((each.last / MIB - truth).abs() <= 2.0, "{} and not {truth}", each.last / MIB);
        }
        assert!(history.buckets.iter().zip(history.buckets.range(1..)).all(|(a, b)| a.begin < b.begin));
    }

    #[test]
    fn a_value_holds_until_the_next_one() {
        let mut history = History::default();
        history.push(0, 5.0 * MIB, 0.0);
        history.push(90 * SECOND, 9.0 * MIB, 3.0 * MIB);
        let segments = history.segments(120 * SECOND, 120.0, 6);
        let lasts: Vec<f64> = segments.iter().map(|each| each.last / MIB).collect();
        assert_eq!(lasts, [5.0, 5.0, 5.0, 5.0, 9.0, 9.0]);
        assert_eq!(segments[5].asked, 3.0 * MIB);
    }

    #[test]
    fn a_time_that_is_not_later_counts_as_the_last_one() {
        let mut history = History::default();
        for value in [4.0, 2.0, 8.0] {
            history.push(9 * SECOND, value * MIB, 0.0);
        }
        history.push(3 * SECOND, MIB, 0.0);
        history.push(9 * SECOND, f64::NAN, 0.0);
        assert_eq!(history.buckets.len(), 1);
        let only = history.segments(10 * SECOND, 1.0, 1)[0];
        assert_eq!((only.low, only.last), (MIB, MIB));
        assert!(History::default().segments(SECOND, 1.0, 3).is_empty());
    }
}
