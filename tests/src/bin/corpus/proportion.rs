//! A counted share with its confidence interval.

use std::fmt;

/// `of` cases among `all`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proportion {
    pub of: usize,
    pub all: usize,
}

impl Proportion {
    pub const fn new(of: usize, all: usize) -> Self {
        Self { of, all }
    }

    /// Counts one more case.
    pub fn count(&mut self, is: bool) {
        self.of += usize::from(is);
        self.all += 1;
    }

    pub fn share(self) -> f64 {
        self.of as f64 / self.all as f64
    }

    /// The 95 % interval (Wilson 1927): also valid for few cases and near 0 and 1.
    pub fn interval(self) -> (f64, f64) {
        const Z: f64 = 1.96;
        let n = self.all as f64;
        let (share, square) = (self.share(), Z * Z / n);
        let middle = (share + square / 2.0) / (1.0 + square);
        let half = Z * (share * (1.0 - share) / n + square / (4.0 * n)).sqrt() / (1.0 + square);
        ((middle - half).max(0.0), (middle + half).min(1.0))
    }
}

impl fmt::Display for Proportion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.all == 0 {
            return formatter.write_str("no case");
        }
        let (low, high) = self.interval();
        let per_cent = |share: f64| 100.0 * share;
        write!(
            formatter,
            "{:.1} % ({} of {}; {:.1} to {:.1} %)",
            per_cent(self.share()),
            self.of,
            self.all,
            per_cent(low),
            per_cent(high)
        )
    }
}
