//! What was told of a connection: as it is kept, and as it is read.

use std::ops::Deref;

use super::{clocks::Clocks, history::Reading};
use crate::observation::net::{ConnectionFact, Pace, PacedFact, Packed};

/// The latest fact about a connection, shared with who told it.
#[derive(Clone, Debug)]
pub enum Latest {
    /// By a version that did not tell its pace, or with its end.
    Plain(Packed<ConnectionFact>),
    Paced(Packed<PacedFact>),
}

impl Latest {
    /// As it is read.
    #[must_use]
    pub fn told(&self) -> Told {
        match self {
            Self::Plain(fact) => Told { connection: fact.unpack(), pace: None },
            Self::Paced(fact) => {
                let PacedFact { connection, pace } = fact.unpack();
                Told { connection, pace: Some(pace) }
            }
        }
    }
}

/// What it says.
#[derive(Clone, Debug)]
pub struct Told {
    connection: ConnectionFact,
    /// Where that is observed.
    pub pace: Option<Pace>,
}

impl Deref for Told {
    type Target = ConnectionFact;

    fn deref(&self) -> &ConnectionFact {
        &self.connection
    }
}

impl Told {
    /// Bytes per second of the kernel's latest sample of deliveries; `None` before the first.
    #[must_use]
    pub fn delivery_rate(&self) -> Option<f64> {
        let measures = &self.measures;
        (measures.rate_interval > 0).then(|| {
            let bytes = f64::from(measures.rate_delivered) * f64::from(measures.mss);
            bytes * 1e6 / f64::from(measures.rate_interval)
        })
    }

    /// Smoothed round-trip time in seconds; `None` before the first sample.
    #[must_use]
    pub fn round_trip(&self) -> Option<f64> {
        (self.measures.srtt > 0).then(|| f64::from(self.measures.srtt) / 1e6)
    }

    /// As it was at a moment, for a judgement; `None` where its pace or the kernel's clock is not observed.
    #[must_use]
    pub fn reading(&self, Clocks { at, jiffies, .. }: Clocks) -> Option<Reading> {
        let (counters, measures) = (self.counters, self.measures);
        Some(Reading { at, jiffies: jiffies?, counters, measures, pace: self.pace? })
    }
}
