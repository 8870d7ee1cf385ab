//! How many faults of a process one sample stands for: adapted, so that the number of samples a second stays the same.

use std::time::Instant;

/// Before anything is known of a process.
const FIRST: u32 = 64;
const MOST: f64 = 1_048_576.0;
/// A change smaller than this factor is not worth it.
const SLUGGISH: f64 = 1.5;

/// The period of one process.
#[derive(Debug)]
pub struct Period {
    value: u32,
    /// Samples since the last adaptation.
    samples: u32,
    since: Instant,
}

impl Default for Period {
    fn default() -> Self {
        Self { value: FIRST, samples: 0, since: Instant::now() }
    }
}

impl Period {
    pub const fn value(&self) -> u32 {
        self.value
    }

    /// A sample has arrived.
    pub const fn count(&mut self) {
        self.samples = self.samples.saturating_add(1);
    }

    /// Adapts the period to `goal` samples a second. Returns it if it has changed.
    pub fn adapt(&mut self, goal: f64, now: Instant) -> Option<u32> {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        if seconds < 0.1 {
            return None;
        }
        let faults = f64::from(self.samples) * f64::from(self.value) / seconds;
        let wanted = (faults / goal).clamp(1.0, MOST);
        (self.samples, self.since) = (0, now);
        let value = f64::from(self.value);
        if wanted < value * SLUGGISH && wanted > value / SLUGGISH {
            return None;
        }
        let wanted = wanted.round() as u32;
        (wanted != self.value).then(|| {
            self.value = wanted;
            wanted
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{FIRST, Period};

    #[test]
    fn a_period_follows_the_faults_of_its_process() {
        let start = Instant::now();
        let mut period = Period { value: FIRST, samples: 0, since: start };
        (0..1000).for_each(|_| period.count());
        assert_eq!(period.adapt(100.0, start + Duration::from_secs(1)), Some(640));
        (0..100).for_each(|_| period.count());
        assert_eq!(period.adapt(100.0, start + Duration::from_secs(2)), None, "as wanted");
        assert_eq!(period.adapt(100.0, start + Duration::from_secs(3)), Some(1), "it no longer grows");
    }
}
