//! Keeps observer within its budget by increasing the interval between reports.

use std::time::Duration;

use observer_core::facts::session::IntervalFact;

/// The longest interval, even for a very small budget.
const LONGEST: Duration = Duration::from_secs(3600);

/// The control of the interval between reports.
pub struct IntervalControl {
    asked: Duration,
    interval: Duration,
    /// Fraction of one core.
    budget: f64,
    /// Processor time used up to the last report.
    spent: Duration,
}

impl IntervalControl {
    /// Starts with the requested interval. `spent` is the processor time used so far, which does not count.
    #[must_use]
    pub const fn new(asked: Duration, budget: f64, spent: Duration) -> Self {
        Self { asked, interval: asked, budget, spent }
    }

    /// The time between reports.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// Computes the interval from the cost of the last one. `spent` is the processor time used so far. Returns the
    /// interval if it has changed.
    pub fn after_report(&mut self, spent: Duration) -> Option<IntervalFact> {
        let cost = spent.saturating_sub(std::mem::replace(&mut self.spent, spent));
        // Whole tenths of a second, so that the interval does not change with every report.
        let needed = (cost.as_secs_f64() / self.budget * 10.0).ceil() / 10.0;
        let needed = Duration::try_from_secs_f64(needed).unwrap_or(LONGEST).min(LONGEST);
        let interval = self.asked.max(needed);
        if interval == self.interval {
            return None;
        }
        self.interval = interval;
        Some(IntervalFact { interval: interval.as_secs_f64(), asked: self.asked.as_secs_f64() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_costly_report_stretches_the_interval_until_it_is_cheap_again() {
        let second = Duration::from_secs(1);
        let mut pace = IntervalControl::new(second, 0.01, Duration::from_millis(500));
        assert_eq!(pace.after_report(Duration::from_millis(505)), None);
        let stretched = pace.after_report(Duration::from_millis(535));
        assert_eq!(stretched, Some(IntervalFact { interval: 3.0, asked: 1.0 }));
        assert_eq!(pace.interval(), 3 * second);
        let back = pace.after_report(Duration::from_millis(536));
        assert_eq!(back, Some(IntervalFact { interval: 1.0, asked: 1.0 }));
    }
}
