//! Intervals of what is only sampled, at 95 %.

/// The quantile of the normal distribution for two-sided intervals of 95 %.
const Z: f64 = 1.96;

/// A share and its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proportion {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Proportion {
    /// `part` of `all` samples, by Wilson's interval. `None` without samples.
    pub fn of(part: usize, all: usize) -> Option<Self> {
        if all == 0 {
            return None;
        }
        let (n, share) = (all as f64, part.min(all) as f64 / all as f64);
        let square = Z * Z;
        let middle = (share + square / (2.0 * n)) / (1.0 + square / n);
        let half = Z / (1.0 + square / n) * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
        Some(Self { value: share, low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
    }
}

/// A rate and its interval, bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Rate {
    /// The rate of `samples` random samples with this sum, over `seconds`. `None` if no time has passed.
    pub fn of(sum: u64, samples: usize, seconds: f64) -> Option<Self> {
        if seconds <= 0.0 {
            return None;
        }
        let value = sum as f64 / seconds;
        if samples == 0 {
            return Some(Self::default());
        }
        // The number of random events in a time varies by its square root.
        let relative = Z / (samples as f64).sqrt();
        Some(Self { value, low: value * (1.0 - relative).max(0.0), high: value * (1.0 + relative) })
    }

    /// The part of it that a share is of.
    pub fn times(self, share: Proportion) -> Self {
        let value = self.value * share.value;
        let wide = |end: f64, other: f64, of: f64, of_other: f64| {
            (square_of_distance(end, of) + square_of_distance(other, of_other)).sqrt()
        };
        // The relative errors of the two are independent.
        let below = wide(self.low, share.low, self.value, share.value);
        let above = wide(self.high, share.high, self.value, share.value);
        Self {
            value,
            low: (value * (1.0 - below)).max(0.0),
            high: (value * (1.0 + above)).max(self.value * share.high),
        }
    }
}

fn square_of_distance(end: f64, value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { ((end - value) / value).powi(2) }
}

#[cfg(test)]
mod tests {
    use super::{Proportion, Rate};

    #[test]
    fn an_interval_narrows_with_samples_and_stays_within_its_range() {
        let few = Proportion::of(5, 10).expect("samples");
        let many = Proportion::of(500, 1000).expect("samples");
        assert!(few.high - few.low > 0.4 && many.high - many.low < 0.07, "{few:?} {many:?}");
        let all = Proportion::of(20, 20).expect("samples");
        assert!((0.80..0.87).contains(&all.low) && all.high > 0.999, "{all:?}");
        assert_eq!(Proportion::of(0, 0), None);
    }

    #[test]
    fn a_rate_of_few_samples_is_wide_and_its_part_is_wider() {
        let rate = Rate::of(1000, 4, 10.0).expect("time has passed");
        assert!((rate.value - 100.0).abs() < 1e-9 && rate.low < 5.0 && rate.high > 195.0, "{rate:?}");
        let part = rate.times(Proportion::of(2, 4).expect("samples"));
        assert!((part.value - 50.0).abs() < 1e-9 && part.low == 0.0 && part.high > 100.0, "{part:?}");
        assert_eq!(Rate::of(0, 0, 1.0), Some(Rate::default()));
        assert_eq!(Rate::of(1, 1, 0.0), None);
    }
}
