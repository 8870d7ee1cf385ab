//! How fast a series rises or falls: a rate with a 95 % interval.
//!
//! Successive values of a process's memory or of a file's size are not independent: what is high now is high in a
//! second. An interval that ignores this is several times too narrow and finds growth in every slow wave. So there are
//! two models, and the autocorrelation of the values decides between them:
//!
//! - *values that vary about a line*: the median of the slopes between all pairs of points (Theil 1950, Sen 1968),
//!   which one outlier cannot move; its interval by the ranks of those slopes, with the variance of Kendall's S raised
//!   for the lag-1 autocorrelation of the residuals (Yue and Wang 2004).
//! - *values that are sums of steps*, such as memory that requests leak or a cache fills: the mean of the changes, its
//!   interval by Student's t. It is right for a random walk with drift, and too wide, never too narrow, for a series
//!   that returns to a line. A single jump of any height is no trend.
//!
//! The cost is limited: a series is resampled to at most [`POINTS`] points, and a constant one costs one comparison a
//! sample.

use super::window::Window;

/// The most points that are used: 780 slopes between pairs.
pub const POINTS: usize = 40;

/// The fewest seconds that a trend needs; half the window if that is less.
pub const SECONDS: f64 = 10.0;

/// From this lag-1 autocorrelation of the residuals on, values count as sums of steps: above it, 40 points have only a
/// few independent ones, and the rank interval loses its 95 %.
const SUMS_OF_STEPS: f64 = 0.6;

/// Standard errors (one over the root of the number of points) by which the autocorrelation must stay below
/// [`SUMS_OF_STEPS`]: few points cannot show that successive values are independent. Chosen by measurement, see the
/// tests: intervals contain the truth in 95 % or more of autoregressive series of a minute (91 % of random walks) and
/// 88 % of those of 12 seconds, and a leak is found as early as without.
const MARGIN: f64 = 1.5;

/// 97.5 % quantile of the normal distribution.
const NORMAL: f64 = 1.96;

/// A rate and its 95 % interval, units per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    pub rate: f64,
    pub low: f64,
    pub high: f64,
}

impl Trend {
    /// The same rate, in an interval that contains `other`'s as well.
    #[must_use]
    pub const fn or(self, other: &Self) -> Self {
        Self { rate: self.rate, low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// Seconds that a trend over `window` needs.
pub fn needed(window: &Window) -> f64 {
    SECONDS.min(window.length() / 2.0)
}

/// The trend of `window` at `now`; `None` while too little of it is known.
pub fn trend(window: &Window, now: u64) -> Option<Trend> {
    if window.known(now) < needed(window) {
        return None;
    }
    if window.growth(now)? == 0.0 && window.within(window.begin(now)?, now).next().is_none() {
        return Some(Trend { rate: 0.0, low: 0.0, high: 0.0 });
    }
    let points = window.resampled(now, POINTS);
    if points.len() < 5 {
        return None;
    }
    let mut slopes = slopes(&points);
    let rate = median(&mut slopes);
    let correlation = autocorrelation(&points, rate);
    Some(if correlation + MARGIN / (points.len() as f64).sqrt() < SUMS_OF_STEPS {
        about_a_line(&mut slopes, rate, points.len(), correlation)
    } else {
        sums_of_steps(&points)
    })
}

/// A slope as an integer in the order of [`f64::total_cmp`]. Selecting ranks is most of the work of a trend, and takes
/// fewer instructions on integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slope(i64);

impl Slope {
    const fn of(value: f64) -> Self {
        Self(ordered(value.to_bits().cast_signed()))
    }

    const fn value(self) -> f64 {
        f64::from_bits(ordered(self.0).cast_unsigned())
    }
}

/// The bits of a number, or the reverse: all but the sign are inverted in negative numbers.
const fn ordered(bits: i64) -> i64 {
    bits ^ ((bits >> 63) & i64::MAX)
}

/// The slopes between all pairs of points.
fn slopes(points: &[(f64, f64)]) -> Vec<Slope> {
    let mut slopes = Vec::with_capacity(points.len() * (points.len() - 1) / 2);
    for (index, (at, value)) in points.iter().enumerate() {
        let slope = |(later, other): &(f64, f64)| Slope::of((other - value) / (later - at));
        slopes.extend(points[index + 1..].iter().map(slope));
    }
    slopes
}

/// The slope of rank `rank` (0 is the lowest), the ranks beyond the ends being the ends.
fn ranked(slopes: &mut [Slope], rank: f64) -> f64 {
    let rank = (rank.max(0.0) as usize).min(slopes.len() - 1);
    slopes.select_nth_unstable(rank).1.value()
}

/// The upper median. Afterwards all lower slopes are before it, all higher ones after it.
fn median(slopes: &mut [Slope]) -> f64 {
    ranked(slopes, (slopes.len() / 2) as f64)
}

/// The interval of the median slope `rate`, which partitions `slopes`.
fn about_a_line(slopes: &mut [Slope], rate: f64, points: usize, correlation: f64) -> Trend {
    let (n, pairs) = (points as f64, slopes.len() as f64);
    let variance = n * (n - 1.0) * (2.0 * n + 5.0) / 18.0;
    let reach = NORMAL * (variance * inflation(points, correlation)).sqrt();
    let middle = slopes.len() / 2;
    let (below, above) = slopes.split_at_mut(middle);
    Trend {
        rate,
        low: ranked(below, ((pairs - reach) / 2.0).floor() - 1.0),
        high: ranked(above, f64::midpoint(pairs, reach).ceil() - middle as f64),
    }
}

/// By how much autocorrelation raises the variance of a mean of `points` values.
fn inflation(points: usize, correlation: f64) -> f64 {
    let n = points as f64;
    let (mut sum, mut power) = (1.0, 1.0);
    for lag in 1..points {
        power *= correlation;
        sum += 2.0 * (1.0 - lag as f64 / n) * power;
    }
    sum
}

fn sums_of_steps(points: &[(f64, f64)]) -> Trend {
    let rates = || points.windows(2).map(|pair| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0));
    let n = (points.len() - 1) as f64;
    let rate = rates().sum::<f64>() / n;
    let variance = rates().map(|each| (each - rate).powi(2)).sum::<f64>() / (n - 1.0);
    let half = student(n - 1.0) * (variance / n).sqrt();
    Trend { rate, low: rate - half, high: rate + half }
}

/// 97.5 % quantile of Student's t, good to 1 % from 3 degrees of freedom on.
pub(super) fn student(freedom: f64) -> f64 {
    NORMAL + 2.37 / freedom + 2.82 / freedom.powi(2) + 2.6 / freedom.powi(3)
}

/// Lag-1 autocorrelation of the residuals about a line of slope `rate`, by their ranks, so that an outlier weighs as
/// much as any point; corrected for the bias of fitting a line to a short series.
fn autocorrelation(points: &[(f64, f64)], rate: f64) -> f64 {
    let n = points.len() as f64;
    let ranks = ranks(points.iter().map(|(at, value)| value - rate * at).collect());
    let mean = (n - 1.0) / 2.0;
    let spread: f64 = ranks.iter().map(|rank| (rank - mean).powi(2)).sum();
    if spread == 0.0 {
        return 0.0;
    }
    let together: f64 = ranks.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    ((n * (together / spread) + 2.0) / (n - 4.0)).clamp(0.0, 0.99)
}

/// The rank of each value, equal ones sharing their mean rank.
fn ranks(values: Vec<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for run in order.chunk_by(|a, b| values[*a] == values[*b]) {
        for index in run {
            ranks[*index] = first as f64 + (run.len() - 1) as f64 / 2.0;
        }
        first += run.len();
    }
    ranks
}

#[cfg(test)]
mod tests;
