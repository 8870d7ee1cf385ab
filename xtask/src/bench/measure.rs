//! From repeated measurements to a figure: the median with its quartiles, and pairwise differences.
//!
//! A machine drifts: it warms up, and other work starts and ends. Compared measurements therefore take turns, and each
//! is compared with the baselines just before and just after it.

use serde::Serialize;

/// Median and quartiles of repeated measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figure {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Figure {
    /// `None` without measurements.
    pub fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        Some(Self {
            median: quantile(&sorted, 0.5)?,
            low: quantile(&sorted, 0.25)?,
            high: quantile(&sorted, 0.75)?,
        })
    }

    /// Of the lower half, for measurements that noise can only increase: free of noise if half of the time is calm.
    pub fn of_lower_half(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        Self::of(&sorted[..sorted.len().div_ceil(2)])
    }

    /// Half the interquartile range.
    pub fn spread(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// The finite values, ascending.
fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Interpolates linearly between the two nearest measurements; `share` from 0 to 1.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let position = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    Some(below + (above - below) * position.fract())
}

/// Measurements in turns: in each round one baseline, then each of the others. A last baseline closes the last round.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    baseline: Vec<f64>,
    others: Vec<Vec<f64>>,
}

impl Rounds {
    /// Adds a baseline.
    pub fn baseline(&mut self, value: f64) {
        self.baseline.push(value);
    }

    /// Adds a measurement of the other with this number.
    pub fn other(&mut self, number: usize, value: f64) {
        if self.others.len() <= number {
            self.others.resize(number + 1, Vec::new());
        }
        self.others[number].push(value);
    }

    /// States that no baseline follows: later measurements are compared with the last baseline alone.
    pub fn close(&mut self) {
        if self.others.iter().any(|others| others.len() >= self.baseline.len()) {
            self.baseline.extend(self.baseline.last().copied());
        }
    }

    /// The figure of all baselines.
    pub fn baselines(&self) -> Option<Figure> {
        Figure::of(&self.baseline)
    }

    /// The difference between the other and the mean of the baselines around it.
    pub fn added(&self, number: usize) -> Option<Figure> {
        self.compare(number, |value, baseline| value - baseline)
    }

    /// The ratio of the other to the mean of the baselines around it.
    pub fn ratio(&self, number: usize) -> Option<Figure> {
        self.compare(number, |value, baseline| value / baseline)
    }

    fn compare(&self, number: usize, with: impl Fn(f64, f64) -> f64) -> Option<Figure> {
        let around = self.baseline.windows(2).map(|pair| f64::midpoint(pair[0], pair[1]));
        let values: Vec<f64> =
            self.others.get(number)?.iter().zip(around).map(|(value, around)| with(*value, around)).collect();
        Figure::of(&values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_does_not_change_the_median() {
        let figure = Figure::of(&[3.0, 1.0, 2.0, 4.0, 1000.0]).unwrap();
        assert_eq!(figure, Figure { median: 3.0, low: 2.0, high: 4.0 });
        assert_eq!(figure.spread(), 1.0);
        assert_eq!(Figure::of(&[]), None);
        assert_eq!(Figure::of(&[f64::NAN, 2.0]).unwrap().median, 2.0);
    }

    #[test]
    fn the_lower_half_is_free_of_noise_that_affects_half_of_the_time() {
        let noisy = [100.0, 170.0, 101.0, 102.0, 180.0];
        assert_eq!(Figure::of_lower_half(&noisy).unwrap().median, 101.0);
        assert_eq!(Figure::of_lower_half(&[3.0]), Figure::of(&[3.0]));
        assert_eq!(Figure::of_lower_half(&[]), None);
    }

    #[test]
    fn a_round_without_a_closing_baseline_is_compared_with_the_one_before() {
        let mut rounds = Rounds::default();
        rounds.baseline(100.0);
        rounds.other(0, 120.0);
        assert_eq!(rounds.ratio(0), None);
        rounds.close();
        rounds.close();
        assert_eq!(rounds.ratio(0).unwrap().median, 1.2);
        assert_eq!(rounds.baselines().unwrap().median, 100.0);
    }

    #[test]
    fn drift_of_the_machine_is_no_difference() {
        let mut rounds = Rounds::default();
        // Each measurement is slower by one than the one before. The other costs 10 more.
        for round in 0..5 {
            rounds.baseline(100.0 + 2.0 * f64::from(round));
            rounds.other(0, 101.0 + 10.0 + 2.0 * f64::from(round));
        }
        rounds.baseline(110.0);
        let added = rounds.added(0).unwrap();
        assert_eq!((added.median, added.spread()), (10.0, 0.0));
    }
}
