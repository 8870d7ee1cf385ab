//! A network interface: what it carries on the wire.

use crate::observation::net::LinkFact;

/// An interface, with what it had carried at the last report.
#[derive(Clone, Debug)]
pub struct Link {
    pub fact: LinkFact,
    /// `None` until a report has told of it: how much of its counters is of this interval is not known.
    reported: Option<LinkFact>,
    /// Packets dropped before observation.
    dropped_before: u64,
}

impl Link {
    /// An interface met for the first time; one that appears later has carried nothing before (`fresh`).
    #[must_use]
    pub fn new(fact: &LinkFact, fresh: bool) -> Self {
        let empty = LinkFact { tx: 0, rx: 0, drops: 0, ..fact.clone() };
        Self {
            fact: fact.clone(),
            dropped_before: if fresh { 0 } else { fact.drops },
            reported: fresh.then_some(empty),
        }
    }

    /// What it says now.
    pub fn update(&mut self, fact: &LinkFact) {
        self.fact = fact.clone();
    }

    /// Bytes on the wire since the last report: sent, received.
    #[must_use]
    pub fn interval(&self) -> Option<(u64, u64)> {
        let before = self.reported.as_ref()?;
        Some((self.fact.tx.saturating_sub(before.tx), self.fact.rx.saturating_sub(before.rx)))
    }

    /// Packets dropped since observation began.
    #[must_use]
    pub const fn drops(&self) -> u64 {
        self.fact.drops.saturating_sub(self.dropped_before)
    }

    /// A report has told of it.
    pub fn delivered(&mut self) {
        self.reported = Some(self.fact.clone());
    }
}
