//! A series of values over the last seconds: its values, its growth, its shape.
//!
//! Only changes are stored: a value holds until the next one. Time is the boot clock in nanoseconds and always an
//! argument. It continues while the machine sleeps, so a rate over a sleep is a rate over all of it. A change between
//! two samples that is undone leaves no trace.
//!
//! Memory is limited: a sixtieth of the window keeps only its lowest, its highest and its last sample. So extremes and
//! the ends are exact at any rate of samples, and there are at most some 190 samples.

use std::collections::VecDeque;

/// Buckets of the window.
const BUCKETS: u64 = 60;

/// The most samples of one bucket.
const SAMPLES_A_BUCKET: usize = 3;

/// The samples of the last `length`, and the one before them, which was the value when the window began.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Nanoseconds.
    length: u64,
    samples: VecDeque<Sample>,
}

/// A value that held from `at` until the next sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Nanoseconds of the boot clock.
    pub at: u64,
    pub value: f64,
}

impl Default for Window {
    /// The default window: a minute.
    fn default() -> Self {
        Self::new(60.0)
    }
}

impl Window {
    /// An empty window over `seconds`; at least a millisecond.
    pub fn new(seconds: f64) -> Self {
        Self { length: (seconds.max(0.001) * 1e9) as u64, samples: VecDeque::new() }
    }

    /// Its length in seconds.
    pub const fn length(&self) -> f64 {
        self.length as f64 / 1e9
    }

    /// Adds that the series has been `value` since `at`. A value for a time that is not later than the last one's
    /// replaces that one. A value that is not finite is ignored.
    pub fn push(&mut self, at: u64, value: f64) {
        if !value.is_finite() {
            return;
        }
        match self.samples.back_mut() {
            Some(last) if at <= last.at => last.value = value,
            Some(last) if last.value == value => return,
            last => {
                // Most series never change.
                if last.is_none() {
                    self.samples.reserve_exact(1);
                }
                self.samples.push_back(Sample { at, value });
            }
        }
        let begin = at.saturating_sub(self.length);
        while self.samples.get(1).is_some_and(|second| second.at <= begin) {
            self.samples.pop_front();
        }
        self.thin_out();
    }

    /// The value now.
    pub fn latest(&self) -> Option<f64> {
        self.samples.back().map(|sample| sample.value)
    }

    /// The value at `at`; `None` before the first sample.
    pub fn value_at(&self, at: u64) -> Option<f64> {
        let after = self.samples.partition_point(|sample| sample.at <= at);
        Some(self.samples.get(after.checked_sub(1)?)?.value)
    }

    /// When the known part of the window began: its length before `now`, or the first sample if that is later.
    pub fn begin(&self, now: u64) -> Option<u64> {
        Some(self.samples.front()?.at.max(now.saturating_sub(self.length)))
    }

    /// Whether the series had one value for all of the known window. Two flat series that began together differ only in
    /// that value.
    pub fn is_flat(&self, now: u64) -> bool {
        self.samples.back().is_none_or(|last| Some(last.at) <= self.begin(now))
    }

    /// Seconds up to `now` for which the series is known, at most the window's length; 0 if it is not known at all.
    pub fn known(&self, now: u64) -> f64 {
        self.begin(now).map_or(0.0, |begin| now.saturating_sub(begin) as f64 / 1e9)
    }

    /// The value at `now` less the one when the window began; `None` until there are two times.
    pub fn growth(&self, now: u64) -> Option<f64> {
        let begin = self.begin(now)?;
        if now <= begin {
            return None;
        }
        Some(self.value_at(now)? - self.value_at(begin)?)
    }

    /// Change per second from `previous` to `now`, the last interval, or since the first sample if that is later.
    /// `None` until there are two times.
    pub fn rate(&self, previous: u64, now: u64) -> Option<f64> {
        let previous = previous.max(self.samples.front()?.at);
        if now <= previous {
            return None;
        }
        Some((self.value_at(now)? - self.value_at(previous)?) / ((now - previous) as f64 / 1e9))
    }

    /// The series at `points` evenly spaced times of the window, the last of them `now`. There are fewer if the series
    /// is shorter: nothing is made up before the first sample.
    pub fn sparkline(&self, now: u64, points: usize) -> Vec<f64> {
        let steps = (points.max(2) - 1) as u64;
        (0..=steps)
            .filter_map(|step| self.value_at(now.checked_sub(self.length / steps * (steps - step))?))
            .collect()
    }

    /// The lowest value in each of `count` equal segments of the known window.
    pub fn lows(&self, now: u64, count: u64) -> Vec<f64> {
        let Some(begin) = self.begin(now) else { return Vec::new() };
        let length = now.saturating_sub(begin) / count.max(1);
        (0..count)
            .filter_map(|index| {
                let (from, to) = (begin + length * index, begin + length * (index + 1));
                let held = self.value_at(from)?;
                Some(self.within(from, to).map(|sample| sample.value).fold(held, f64::min))
            })
            .collect()
    }

    /// The samples after `from` up to `to`.
    pub fn within(&self, from: u64, to: u64) -> impl Iterator<Item = &Sample> {
        let first = self.samples.partition_point(|sample| sample.at <= from);
        self.samples.range(first..).take_while(move |sample| sample.at <= to)
    }

    /// The series as at most `most` evenly spaced points (seconds since the window began, value), about as many as
    /// there were readings. Between two readings it is a line; between two changes that are further apart it is
    /// constant until the last reading before the second.
    pub fn resampled(&self, now: u64, most: usize) -> Vec<(f64, f64)> {
        let Some(begin) = self.begin(now).filter(|begin| *begin < now) else { return Vec::new() };
        let interval = self.reading_interval(now - begin);
        let steps = ((now - begin).div_ceil(interval) as usize).clamp(1, most.max(2) - 1);
        let mut before = self.samples.partition_point(|sample| sample.at <= begin) - 1;
        (0..=steps)
            .map(|step| {
                let since = (u128::from(now - begin) * step as u128 / steps as u128) as u64;
                let at = begin + since;
                while self.samples.get(before + 1).is_some_and(|next| next.at <= at) {
                    before += 1;
                }
                let (held, next) = (self.samples[before], self.samples.get(before + 1));
                let value = next.filter(|next| next.at <= now).map_or(held.value, |next| {
                    let from = held.at.max(next.at.saturating_sub(interval + interval / 2));
                    let share = at.saturating_sub(from) as f64 / (next.at - from) as f64;
                    held.value + (next.value - held.value) * share
                });
                (since as f64 / 1e9, value)
            })
            .collect()
    }

    /// The time between two readings of the series, estimated from its changes: the lower quartile of the times between
    /// them, at most an eighth of `span`, so that a few changes in a long time are steps and no ramp.
    fn reading_interval(&self, span: u64) -> u64 {
        let most = (span / 8).max(1);
        let mut gaps: Vec<u64> =
            self.samples.iter().zip(self.samples.range(1..)).map(|(a, b)| b.at - a.at).collect();
        let quartile = gaps.len() / 4;
        if gaps.is_empty() {
            return most;
        }
        (*gaps.select_nth_unstable(quartile).1).clamp(1, most)
    }

    /// The newest bucket keeps its lowest, its highest and its last sample.
    fn thin_out(&mut self) {
        let width = (self.length / BUCKETS).max(1);
        let Some(last) = self.samples.back() else { return };
        let newest = last.at / width;
        let same = self.samples.iter().rev().take_while(|sample| sample.at / width == newest).count();
        if same <= SAMPLES_A_BUCKET {
            return;
        }
        let first = self.samples.len() - same;
        let candidates = first..self.samples.len() - 1;
        let value = |index: &usize| self.samples[*index].value;
        let lowest = candidates.clone().min_by(|a, b| value(a).total_cmp(&value(b)));
        let highest = candidates.clone().max_by(|a, b| value(a).total_cmp(&value(b)));
        let kept = |index: usize| Some(index) == lowest || Some(index) == highest;
        if let Some(superfluous) = candidates.into_iter().find(|index| !kept(*index)) {
            self.samples.remove(superfluous);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn window(samples: &[(u64, f64)]) -> Window {
        let mut window = Window::new(10.0);
        for (at, value) in samples {
            window.push(at * SECOND, *value);
        }
        window
    }

    #[test]
    fn growth_needs_two_times_and_no_change() {
        let window = window(&[(5, 7.0)]);
        assert_eq!(window.growth(5 * SECOND), None);
        assert_eq!(window.growth(6 * SECOND), Some(0.0));
        assert_eq!(Window::default().growth(6 * SECOND), None);
    }

    #[test]
    fn growth_is_relative_to_the_value_when_the_window_began() {
        let window = window(&[(0, 1.0), (3, 2.0), (12, 5.0), (14, 9.0)]);
        assert_eq!(window.growth(14 * SECOND), Some(7.0), "at 4 it was 2");
        assert_eq!(window.growth(23 * SECOND), Some(4.0), "at 13 it was 5");
        assert_eq!(window.growth(30 * SECOND), Some(0.0));
    }

    #[test]
    fn samples_leave_with_the_window_except_one() {
        let mut window = Window::new(10.0);
        for second in 0..1000 {
            window.push(second * SECOND, second as f64);
        }
        assert_eq!(window.samples.len(), 11);
        assert_eq!(window.growth(999 * SECOND), Some(10.0));
    }

    #[test]
    fn many_samples_keep_ends_and_extremes() {
        let mut window = Window::new(10.0);
        let value = |step: u64| match step {
            31_415 => 1e6,
            27_182 => -1e6,
            _ => (step % 97) as f64,
        };
        for step in 0..100_000 {
            window.push(step * SECOND / 5000, value(step));
        }
        let now = 99_999 * SECOND / 5000;
        assert!(window.samples.len() <= 190, "{}", window.samples.len());
        assert_eq!(window.latest(), Some(value(99_999)));

        let mut window = Window::new(20.0);
        for step in 0..100_000 {
            window.push(step * SECOND / 5000, value(step));
        }
        let values = || window.samples.iter().map(|sample| sample.value);
        assert_eq!(values().fold(0.0, f64::max), 1e6);
        assert_eq!(values().fold(0.0, f64::min), -1e6);
        assert_eq!(window.growth(now), Some(value(99_999) - value(0)));
        assert!(window.samples.iter().zip(window.samples.range(1..)).all(|(a, b)| a.at < b.at));
    }

    #[test]
    fn a_time_that_is_not_later_replaces_the_last() {
        let mut window = window(&[(5, 1.0), (6, 2.0), (6, 3.0), (4, 4.0)]);
        assert_eq!(window.latest(), Some(4.0));
        assert_eq!(window.growth(6 * SECOND), Some(3.0));
        assert_eq!(window.growth(2 * SECOND), None, "before the first");
        window.push(7 * SECOND, f64::NAN);
        assert_eq!(window.latest(), Some(4.0));
    }

    #[test]
    fn a_sleep_of_the_machine_counts_as_time() {
        let window = window(&[(0, 0.0), (1, 10.0), (3601, 20.0)]);
        assert_eq!(window.growth(3601 * SECOND), Some(10.0));
        assert_eq!(window.rate(SECOND, 3601 * SECOND), Some(10.0 / 3600.0));
        assert_eq!(window.known(3601 * SECOND), 10.0);
    }

    #[test]
    fn the_last_interval_has_a_rate_from_two_times_on() {
        let window = window(&[(10, 100.0), (11, 130.0)]);
        assert_eq!(window.rate(10 * SECOND, 11 * SECOND), Some(30.0));
        assert_eq!(window.rate(9 * SECOND, 12 * SECOND), Some(15.0), "nothing is known of 9");
        assert_eq!(window.rate(12 * SECOND, 13 * SECOND), Some(0.0));
        assert_eq!(window.rate(13 * SECOND, 13 * SECOND), None);
    }

    #[test]
    fn a_sparkline_ends_now_and_starts_with_the_series() {
        let window = window(&[(20, 1.0), (24, 2.0), (28, 3.0)]);
        assert_eq!(window.sparkline(30 * SECOND, 6), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
        assert_eq!(window.sparkline(24 * SECOND, 6), [1.0, 1.0, 2.0]);
        assert_eq!(window.sparkline(3 * SECOND, 6), Vec::<f64>::new());
    }

    #[test]
    fn a_series_is_flat_when_its_last_change_has_left_the_window() {
        let window = window(&[(0, 1.0), (3, 2.0)]);
        assert!(!window.is_flat(12 * SECOND));
        assert!(window.is_flat(13 * SECOND), "the window begins with the change");
        assert!(Window::default().is_flat(SECOND));
    }

    #[test]
    fn low_points_are_those_of_the_segments() {
        let window = window(&[(0, 5.0), (1, 9.0), (3, 6.0), (4, 9.0), (6, 7.0), (7, 9.0), (8, 8.0)]);
        assert_eq!(window.lows(9 * SECOND, 3), [5.0, 6.0, 7.0]);
    }
}
