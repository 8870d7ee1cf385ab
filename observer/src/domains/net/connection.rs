//! One TCP connection: what of its counters was observed, and whose that is.

use super::{
    history::{History, Reading},
    judgement::Judgement,
    listener::Arrival,
    tally::Counted,
    traffic::Bytes,
    why::{self, Span},
};
use crate::observation::{
    TaskId,
    net::{ClosedFact, ConnectionFact, Counters, Pace, Written},
};

/// A connection that is open, or that ended since the last report.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The latest that is known.
    pub fact: ConnectionFact,
    /// What tells its pace, where that is observed.
    pub pace: Option<Pace>,
    history: History,
    /// The counters when observation of it began.
    base: Counters,
    /// The part of the owner that has been credited.
    credited: Counters,
    /// The counters at the last report.
    reported: Counters,
    pub phase: Phase,
    /// What its processes had written and read when the owner alone held it last.
    certain: Written,
    /// What they did from then on until it was watched who moves what: that is nobody's.
    unclear: Bytes,
    shared: bool,
    /// What it is counted as among the open ones.
    pub counted: Counted,
    /// Whether its listener has been told that somebody accepted it.
    arrived: bool,
}

/// A moment on the clocks that a connection's pace is measured with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clocks {
    /// Nanoseconds of the boot clock.
    pub at: u64,
    /// The kernel's own clock, where it was told.
    pub jiffies: Option<u32>,
    /// Jiffies a second, once that is known.
    pub hz: Option<f64>,
}

impl Clocks {
    /// The numbers of jiffies a second that Linux can be built with.
    const RATES: [f64; 4] = [100.0, 250.0, 300.0, 1000.0];

    /// A later moment; how fast jiffies go is learnt from both.
    #[must_use]
    pub fn later(self, at: u64, jiffies: Option<u32>) -> Self {
        let passed = jiffies.zip(self.jiffies).map(|(now, before)| f64::from(now.wrapping_sub(before)));
        let seconds = at.saturating_sub(self.at) as f64 / 1e9;
        let measured = passed.map(|jiffies| jiffies / seconds).filter(|hz| hz.is_finite() && *hz > 0.0);
        let distance = |hz: f64, rate: &f64| (hz / rate).ln().abs();
        let hz = measured.and_then(|hz| {
            Self::RATES.into_iter().min_by(|a, b| distance(hz, a).total_cmp(&distance(hz, b)))
        });
        // Where no pass told the time, because nothing has changed, it went on all the same.
        let passed = self.hz.map(|hz| (seconds * hz) as u32);
        let jiffies = jiffies.or_else(|| Some(self.jiffies?.wrapping_add(passed?)));
        Self { at, jiffies, hz: self.hz.or(hz) }
    }
}

/// How far the life of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Open,
    /// No pass finds it; its end has not been told. Boot-clock nanoseconds of the report before which that was so.
    Vanished(u64),
    /// Its end has been told since the last report.
    Closed,
    /// Its end has been reported, what its sharers said last can still come.
    Settling,
}

/// Bytes to add to a process's totals. A counter that is read while the kernel changes it can be a byte too high (a
/// FIN that is not yet known for one), so corrections go both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    pub tx: i64,
    pub rx: i64,
    pub retransmitted: i64,
}

impl Connection {
    /// A connection met for the first time. `new` tells that it was opened under observation, so that all of its bytes
    /// were observed; otherwise those before `seen` (this first sight, if that is unknown) were not.
    #[must_use]
    pub fn new(fact: ConnectionFact, new: bool, seen: Option<Counters>) -> Self {
        let base = if new { seen.unwrap_or_default() } else { seen.unwrap_or(fact.counters) };
        let mut history = History::default();
        if new && fact.opened != 0 && seen.is_none() {
            history.keep(Reading { at: fact.opened, ..Reading::default() });
        }
        let reported = if new { Counters::default() } else { fact.counters };
        let certain = if fact.has_foreign_holder() {
            // What was before observation is not asked about.
            Written {
                tx: base.tx.saturating_add(if new { 0 } else { fact.measures.unsent.into() }),
                rx: base.rx,
            }
        } else {
            fact.written()
        };
        Self {
            fact,
            pace: None,
            history,
            base,
            credited: Counters::default(),
            reported,
            phase: Phase::Open,
            certain,
            unclear: Bytes::default(),
            shared: false,
            counted: Counted::default(),
            arrived: false,
        }
    }

    /// The process that its bytes belong to: the first that acted on it, else the only one that holds it.
    #[must_use]
    pub fn owner(&self) -> Option<TaskId> {
        match (self.fact.owner, self.fact.holders.as_slice()) {
            (Some(owner), _) => Some(owner),
            (None, [holder]) => Some(*holder),
            (None, _) => None,
        }
    }

    /// Whether `fact` tells of the same connection, and not of a later one over the same socket.
    #[must_use]
    pub const fn is(&self, fact: &ConnectionFact) -> bool {
        self.fact.opened == fact.opened
    }

    /// A pass has met it.
    pub fn update(&mut self, fact: ConnectionFact, pace: Option<Pace>, before: Clocks) {
        // Of what stood still no readings were kept: the last that was told is still true of the last report.
        if self.history.is_empty() {
            self.history.extend(self.reading(before));
        }
        if !fact.has_foreign_holder() {
            self.certain = fact.written();
        }
        self.fact = fact;
        self.pace = pace;
        self.phase = Phase::Open;
    }

    /// It is watched from now on who moves what; returns the bytes before that which are nobody's. Told again it changes
    /// nothing.
    pub fn share(&mut self, since: Written) -> u64 {
        if self.shared {
            return 0;
        }
        self.shared = true;
        self.unclear = Bytes {
            tx: since.tx.saturating_sub(self.certain.tx),
            rx: since.rx.saturating_sub(self.certain.rx),
        };
        self.unclear.both()
    }

    /// It has ended; who held it is remembered, for connections that nobody acted on.
    pub fn close(&mut self, closed: &ClosedFact) {
        let holders = std::mem::take(&mut self.fact.holders);
        self.fact = ConnectionFact { holders, ..closed.connection.clone() };
        self.phase = Phase::Closed;
    }

    /// Its arrival, once: when it was opened under observation by the other side, and a process has taken it over.
    pub fn arrival(&mut self) -> Option<Arrival> {
        let owner = self.fact.owner.or_else(|| self.fact.holders.first().copied())?;
        let new = self.fact.passive && self.fact.opened != 0 && !self.arrived;
        self.arrived = true;
        new.then_some(Arrival { netns: self.fact.ends.netns, local: self.fact.ends.local, owner })
    }

    /// What the owner is to be credited with since the last time, when `others` have moved so much; nothing while there
    /// is no owner.
    pub fn settle(&mut self, others: Bytes) -> Option<(TaskId, Credit)> {
        let owner = self.owner()?;
        let own = self.own(others);
        let credit = Credit {
            tx: own.tx.wrapping_sub(self.credited.tx).cast_signed(),
            rx: own.rx.wrapping_sub(self.credited.rx).cast_signed(),
            retransmitted: own.retransmitted.wrapping_sub(self.credited.retransmitted).cast_signed(),
        };
        self.credited = own;
        Some((owner, credit))
    }

    /// Bytes that belong to nobody who is known.
    #[must_use]
    pub fn unattributed(&self, others: Bytes) -> u64 {
        if self.owner().is_some() {
            return 0;
        }
        let own = self.own(others);
        own.tx.saturating_add(own.rx)
    }

    /// What was observed less what others moved, and what nobody can be said to have moved.
    fn own(&self, others: Bytes) -> Counters {
        let now = &self.fact.counters;
        Counters {
            tx: now.tx.saturating_sub(self.base.tx).saturating_sub(others.tx).saturating_sub(self.unclear.tx),
            rx: now.rx.saturating_sub(self.base.rx).saturating_sub(others.rx).saturating_sub(self.unclear.rx),
            retransmitted: now.retransmitted.saturating_sub(self.base.retransmitted),
        }
    }

    /// Bytes sent and received since the last report.
    #[must_use]
    pub const fn interval(&self) -> (u64, u64) {
        let now = &self.fact.counters;
        (now.tx.saturating_sub(self.reported.tx), now.rx.saturating_sub(self.reported.rx))
    }

    /// A report has told of it.
    pub fn delivered(&mut self, clocks: Clocks) {
        self.reported = self.fact.counters;
        if let Some(reading) = self.reading(clocks) {
            self.history.keep(reading);
        }
    }

    fn reading(&self, Clocks { at, jiffies, .. }: Clocks) -> Option<Reading> {
        let (counters, measures) = (self.fact.counters, self.fact.measures);
        Some(Reading { at, jiffies: jiffies?, counters, measures, pace: self.pace? })
    }

    /// What limits it at this moment; others are known to fill a queue on its way that adds `beside` seconds.
    #[must_use]
    pub fn judge(&self, clocks: Clocks, beside: f64) -> Judgement {
        let (Some(hz), Some(now)) = (clocks.hz, self.reading(clocks)) else {
            return Judgement::unknown("its pace is not observed, or was read once only");
        };
        if self.history.is_empty() {
            return Judgement::unknown("nothing flows");
        }
        let (all, from) = self.history.with(now);
        why::judge(Span { from: &all[from], to: &now, all: &all, hz, beside })
    }

    /// Bytes per second of the kernel's latest sample of deliveries; `None` before the first.
    #[must_use]
    pub fn delivery_rate(&self) -> Option<f64> {
        let measures = &self.fact.measures;
        (measures.rate_interval > 0).then(|| {
            let bytes = f64::from(measures.rate_delivered) * f64::from(measures.mss);
            bytes * 1e6 / f64::from(measures.rate_interval)
        })
    }

    /// Smoothed round-trip time in seconds; `None` before the first sample.
    #[must_use]
    pub fn round_trip(&self) -> Option<f64> {
        (self.fact.measures.srtt > 0).then(|| f64::from(self.fact.measures.srtt) / 1e6)
    }
}
