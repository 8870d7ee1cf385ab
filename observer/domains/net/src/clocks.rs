//! The clocks that measure the times of a connection.

/// One moment on the clocks that measure the times of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clocks {
    /// Nanoseconds on the boot clock.
    pub at: u64,
    /// The kernel's own clock, if it is known.
    pub jiffies: Option<u32>,
    /// Jiffies per second, once known.
    pub hz: Option<f64>,
}

impl Clocks {
    /// Jiffies per second that Linux can be built with.
    const RATES: [f64; 4] = [100.0, 250.0, 300.0, 1000.0];

    /// The clocks at a later moment. Both moments together show the number of jiffies per second.
    #[must_use]
    pub fn later(self, at: u64, jiffies: Option<u32>) -> Self {
        let passed = jiffies.zip(self.jiffies).map(|(now, before)| f64::from(now.wrapping_sub(before)));
        let seconds = at.saturating_sub(self.at) as f64 / 1e9;
        let measured = passed.map(|jiffies| jiffies / seconds).filter(|hz| hz.is_finite() && *hz > 0.0);
        let distance = |hz: f64, rate: &f64| (hz / rate).ln().abs();
        let hz = measured.and_then(|hz| {
            Self::RATES.into_iter().min_by(|a, b| distance(hz, a).total_cmp(&distance(hz, b)))
        });
        // A scan reports no time if nothing has changed, but time has passed.
        let passed = self.hz.map(|hz| (seconds * hz) as u32);
        let jiffies = jiffies.or_else(|| Some(self.jiffies?.wrapping_add(passed?)));
        Self { at, jiffies, hz: self.hz.or(hz) }
    }
}
