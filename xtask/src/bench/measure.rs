//! From repeated measurements to a figure: the median with its quartiles, and differences taken pair by pair.
//!
//! A machine drifts: it warms up, its neighbours come and go. What is compared is therefore measured in turns, and each
//! measurement is compared with those of the baseline just before and just after it.

use serde::Serialize;

/// The middle of repeated measurements, and the quarter of them below and above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figure {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Figure {
    /// `None` of no measurements.
    pub fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        Some(Self {
            median: quantile(&sorted, 0.5)?,
            low: quantile(&sorted, 0.25)?,
            high: quantile(&sorted, 0.75)?,
        })
    }

    /// Of the lower half of measurements that others can only make greater: what is left of noise where half of the time is
    /// calm.
    pub fn of_lower_half(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        Self::of(&sorted[..sorted.len().div_ceil(2)])
    }

    /// Half of the distance between the quartiles.
    pub fn spread(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// What was measured at all, the least first.
fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Between the two nearest measurements, in proportion.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let place = part * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

/// Measurements in turns: of each round one baseline, then each of the others; a last baseline closes the last round.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    baseline: Vec<f64>,
    others: Vec<Vec<f64>>,
}

impl Rounds {
    /// One more baseline.
    pub fn baseline(&mut self, value: f64) {
        self.baseline.push(value);
    }

    /// One more of the other with this number.
    pub fn other(&mut self, number: usize, value: f64) {
        if self.others.len() <= number {
            self.others.resize(number + 1, Vec::new());
        }
        self.others[number].push(value);
    }

    /// No baseline follows any more: what was measured since the last is compared with that one alone.
    pub fn close(&mut self) {
        if self.others.iter().any(|others| others.len() >= self.baseline.len()) {
            self.baseline.extend(self.baseline.last().copied());
        }
    }

    pub fn baselines(&self) -> Option<Figure> {
        Figure::of(&self.baseline)
    }

    /// By how much the other is more than the baseline around it.
    pub fn added(&self, number: usize) -> Option<Figure> {
        self.compare(number, |value, baseline| value - baseline)
    }

    /// How many times the baseline around it the other is.
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
    fn a_figure_is_the_middle_and_not_moved_by_one_that_is_far_off() {
        let figure = Figure::of(&[3.0, 1.0, 2.0, 4.0, 1000.0]).unwrap();
        assert_eq!(figure, Figure { median: 3.0, low: 2.0, high: 4.0 });
        assert_eq!(figure.spread(), 1.0);
        assert_eq!(Figure::of(&[]), None);
        assert_eq!(Figure::of(&[f64::NAN, 2.0]).unwrap().median, 2.0);
    }

    #[test]
    fn what_is_restless_for_half_of_the_time_is_told_from_the_other_half() {
        let restless = [100.0, 170.0, 101.0, 102.0, 180.0];
        assert_eq!(Figure::of_lower_half(&restless).unwrap().median, 101.0);
        assert_eq!(Figure::of_lower_half(&[3.0]), Figure::of(&[3.0]));
        assert_eq!(Figure::of_lower_half(&[]), None);
    }

    #[test]
    fn what_broke_off_before_its_last_baseline_is_compared_with_the_one_before() {
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
    fn a_drift_of_the_machine_is_not_taken_for_a_difference() {
        let mut rounds = Rounds::default();
        // Each measurement is one slower than the one before, whatever is measured; the other costs 10 more.
        for round in 0..5 {
            rounds.baseline(100.0 + 2.0 * f64::from(round));
            rounds.other(0, 101.0 + 10.0 + 2.0 * f64::from(round));
        }
        rounds.baseline(110.0);
        let added = rounds.added(0).unwrap();
        assert_eq!((added.median, added.spread()), (10.0, 0.0));
    }
}
