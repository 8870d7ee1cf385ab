//! Network interfaces: the traffic of each on the wire, and its drops and errors.

use std::collections::BTreeMap;

use observer_core::facts::net::{LinkFact, QueueFact, SaturationFact};

/// Every interface of observer's network namespace, by name.
#[derive(Clone, Debug, Default)]
pub struct Links(BTreeMap<Vec<u8>, Link>);

impl Links {
    /// Updates the interfaces. An interface that appears after observation has `started` began with empty counters.
    pub fn update(&mut self, facts: &[LinkFact], started: bool) {
        self.0.retain(|name, _| facts.iter().any(|fact| fact.name == *name));
        for fact in facts {
            let link = self.0.entry(fact.name.clone());
            link.and_modify(|link| link.fact = fact.clone()).or_insert_with(|| Link::new(fact, started));
        }
    }

    /// Updates their queues, drops and errors.
    pub fn saturate(&mut self, facts: &[SaturationFact]) {
        for fact in facts {
            if let Some(link) = self.0.get_mut(&fact.name) {
                link.saturate(fact);
            }
        }
    }

    /// All interfaces.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.0.values()
    }

    /// A report has been delivered.
    pub fn delivered(&mut self) {
        self.0.values_mut().for_each(Link::delivered);
    }
}

/// An interface, with its counters at the last report.
#[derive(Clone, Debug)]
pub struct Link {
    pub fact: LinkFact,
    /// `None` until its first report: the part of its counters that belongs to this interval is unknown.
    reported: Option<LinkFact>,
    /// Packets dropped before observation.
    dropped_before: u64,
    /// Whether it was created under observation.
    fresh: bool,
    /// `None` in recordings of versions that did not read it.
    saturation: Option<Saturation>,
    /// Packets lost before the last report.
    lost_before: u64,
}

/// The queue of an interface, and its losses.
#[derive(Clone, Copy, Debug)]
struct Saturation {
    errors: u64,
    errors_before: u64,
    queue: Option<QueueFact>,
    /// The kernel's last known counter of drops.
    counter: Option<u32>,
    /// Packets that its queue dropped under observation.
    queue_drops: u64,
}

impl Link {
    fn new(fact: &LinkFact, fresh: bool) -> Self {
        let empty = LinkFact { tx: 0, rx: 0, drops: 0, ..fact.clone() };
        Self {
            fact: fact.clone(),
            dropped_before: if fresh { 0 } else { fact.drops },
            reported: fresh.then_some(empty),
            fresh,
            saturation: None,
            lost_before: 0,
        }
    }

    fn saturate(&mut self, fact: &SaturationFact) {
        let before = self.saturation.get_or_insert_with(|| Saturation {
            errors: 0,
            errors_before: if self.fresh { 0 } else { fact.errors },
            queue: None,
            counter: self.fresh.then_some(0),
            queue_drops: 0,
        });
        (before.errors, before.queue) = (fact.errors, fact.queue);
        let Some(now) = fact.queue.map(|queue| queue.drops) else { return };
        // A new queueing discipline counts from 0. Its counter can also wrap.
        let dropped = before.counter.map_or(0, |counter| now.wrapping_sub(counter).cast_signed().max(0));
        before.queue_drops = before.queue_drops.saturating_add(dropped.cast_unsigned().into());
        before.counter = Some(now);
    }

    /// Bytes on the wire since the last report: (sent, received).
    pub fn interval(&self) -> Option<(u64, u64)> {
        let before = self.reported.as_ref()?;
        Some((self.fact.tx.saturating_sub(before.tx), self.fact.rx.saturating_sub(before.rx)))
    }

    /// Packets that the interface dropped since observation began.
    pub const fn drops(&self) -> u64 {
        self.fact.drops.saturating_sub(self.dropped_before)
    }

    /// Damaged packets since observation began.
    pub fn errors(&self) -> Option<u64> {
        self.saturation.map(|saturation| saturation.errors.saturating_sub(saturation.errors_before))
    }

    /// Bytes and packets that wait to be sent now.
    pub fn queue(&self) -> Option<QueueFact> {
        self.saturation?.queue
    }

    /// Packets that its full queue dropped since observation began.
    pub fn queue_drops(&self) -> Option<u64> {
        self.queue().and(self.saturation).map(|saturation| saturation.queue_drops)
    }

    /// Packets dropped or damaged since the last report.
    pub fn lost(&self) -> u64 {
        self.all_lost().saturating_sub(self.lost_before)
    }

    fn all_lost(&self) -> u64 {
        let queue = self.saturation.map_or(0, |saturation| saturation.queue_drops);
        self.drops().saturating_add(queue).saturating_add(self.errors().unwrap_or(0))
    }

    fn delivered(&mut self) {
        self.reported = Some(self.fact.clone());
        self.lost_before = self.all_lost();
    }
}
