//! Converts bytes of an interval to bytes per second.

use observer_core::{context::Context, report::Value};

/// The length of an interval.
#[derive(Clone, Copy)]
pub struct Rates {
    /// Seconds; `None` before the first interval.
    elapsed: Option<f64>,
}

impl Rates {
    pub fn of(context: &Context<'_>) -> Self {
        let elapsed = context.now.since(context.previous);
        Self { elapsed: (!context.first && elapsed > 0.0).then_some(elapsed) }
    }

    /// Bytes per second; `None` if the length of the interval is not known.
    pub fn per_second(self, bytes: u64) -> Option<f64> {
        self.elapsed.map(|elapsed| bytes as f64 / elapsed)
    }

    /// The same rate as a cell.
    pub fn rate(self, bytes: u64) -> Value {
        Value::real(self.per_second(bytes))
    }
}
