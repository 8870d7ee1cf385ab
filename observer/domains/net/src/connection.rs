//! One TCP connection: what of its counters was observed, and whose that is.

use std::sync::Arc;

use super::{
    bottleneck::{self, ReadingPair},
    bytes::{ByteCorrection, Bytes},
    clocks::Clocks,
    diagnosis::{Diagnosis, STILL, UNREAD},
    history::{History, Reading},
    listener::Arrival,
};
use observer_core::facts::{
    TaskId,
    net::{ClosedFact, ConnectionFact, Counters, Packed, StreamBytes},
};

/// A connection that is open, or that ended since the last report. There can be very many, most of which stand still.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The latest fact.
    pub fact: Arc<ConnectionFact>,
    /// The same packed, if it came so.
    packed: Option<Packed>,
    /// `None` while nothing was told of one that was there before, but that it is.
    account: Option<Box<Account>>,
    pub phase: Phase,
    /// Whether it is counted among the open ones.
    pub counted: bool,
    /// Whether its listener has been told that somebody accepted it.
    arrived: bool,
}

/// What was observed of a connection.
#[derive(Clone, Debug)]
struct Account {
    /// Whether something was told of it since the last report.
    moved: bool,
    history: History,
    /// The counters when observation of it began.
    base: Counters,
    /// The part of the owner that has been credited.
    credited: Counters,
    /// The counters at the last report.
    reported: Counters,
    /// What its processes had written and read when the owner alone held it last.
    certain: StreamBytes,
    /// What they did from then on until it was watched who moves what: that is nobody's.
    unclear: Bytes,
    shared: bool,
    /// When it vanished, where it has: boot-clock nanoseconds.
    vanished: u64,
}

impl Account {
    /// Of a connection that was there before and is told of for the first time: `seen` are its counters when observation
    /// of it began.
    fn of_earlier(fact: &ConnectionFact, seen: Option<Counters>) -> Self {
        Self::new(fact, seen.unwrap_or(fact.counters), fact.counters, u64::from(fact.measures.unsent))
    }

    /// Of one that was opened under observation.
    fn of_new(fact: &ConnectionFact, seen: Option<Counters>) -> Self {
        let mut account = Self::new(fact, seen.unwrap_or_default(), Counters::default(), 0);
        account.moved = true;
        account
    }

    /// `unsent` bytes were written before observation and not sent yet.
    fn new(fact: &ConnectionFact, base: Counters, reported: Counters, unsent: u64) -> Self {
        // What was before observation is not asked about.
        let before = StreamBytes { tx: base.tx.saturating_add(unsent), rx: base.rx };
        Self {
            moved: false,
            history: History::default(),
            base,
            credited: Counters::default(),
            reported,
            certain: if fact.has_foreign_holder() { before } else { fact.written() },
            unclear: Bytes::default(),
            shared: false,
            vanished: 0,
        }
    }

    /// Whether all of it can be made again from what is told of the connection, whose owner has been credited with all.
    fn is_settled(&self, fact: &ConnectionFact) -> bool {
        !self.moved
            && self.history.is_empty()
            && self.credited == self.own(&fact.counters, Bytes::default())
            && !fact.has_foreign_holder()
    }

    /// What was observed, up to the counters `now`, less what others moved, and what nobody can be said to have moved.
    fn own(&self, now: &Counters, others: Bytes) -> Counters {
        Counters {
            tx: now.tx.saturating_sub(self.base.tx).saturating_sub(others.tx).saturating_sub(self.unclear.tx),
            rx: now.rx.saturating_sub(self.base.rx).saturating_sub(others.rx).saturating_sub(self.unclear.rx),
            retransmitted: now.retransmitted.saturating_sub(self.base.retransmitted),
        }
    }
}

/// How far the life of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Open,
    /// No pass finds it; its end has not been told.
    Vanished,
    /// Its end has been told since the last report.
    Closed,
    /// Its end has been reported, what its sharers said last can still come.
    Settling,
}

impl Connection {
    /// A connection met for the first time. `new` tells that it was opened under observation, so that all of its bytes
    /// were observed; otherwise those before `seen` (this first sight, if that is unknown) were not.
    #[must_use]
    pub fn new(fact: Arc<ConnectionFact>, packed: Option<Packed>, new: bool, seen: Option<Counters>) -> Self {
        let account = match (new, seen) {
            (true, _) => {
                let mut account = Account::of_new(&fact, seen);
                // What is told of with its end alone is not judged.
                if fact.opened != 0 && seen.is_none() && fact.times.is_some() {
                    account.history.keep(Reading { at: fact.opened, ..Reading::default() });
                }
                Some(Box::new(account))
            }
            (false, Some(_)) => Some(Box::new(Account::of_earlier(&fact, seen))),
            (false, None) => None,
        };
        Self { fact, packed, account, phase: Phase::Open, counted: false, arrived: false }
    }

    /// One that rested, of which this is the latest.
    #[must_use]
    pub fn woken(packed: Packed) -> Self {
        let fact = Arc::new(packed.unpack());
        Self { fact, packed: Some(packed), account: None, phase: Phase::Open, counted: true, arrived: true }
    }

    /// What there is to remember of it, where that is all: it is open, it stands still, and what it moved is booked.
    #[must_use]
    pub fn at_rest(&self) -> Option<&Packed> {
        let settled = self.account.as_ref().is_none_or(|account| account.is_settled(&self.fact));
        let rests = self.phase == Phase::Open && self.counted && self.arrived && settled;
        self.packed.as_ref().filter(|_| rests)
    }

    /// What was observed of it, from now on told apart from what is known.
    fn account(&mut self) -> &mut Account {
        self.account.get_or_insert_with(|| Box::new(Account::of_earlier(&self.fact, None)))
    }

    /// The process that its bytes belong to: the first that acted on it, else the only one that holds it.
    #[must_use]
    pub fn owner(&self) -> Option<TaskId> {
        self.fact.attributed()
    }

    /// Whether `fact` tells of the same connection, and not of a later one over the same socket.
    #[must_use]
    pub fn is(&self, fact: &ConnectionFact) -> bool {
        self.fact.opened == fact.opened
    }

    /// A pass has met it; what was told of it before.
    pub fn update(
        &mut self,
        fact: Arc<ConnectionFact>,
        packed: Option<Packed>,
        before: Clocks,
    ) -> Arc<ConnectionFact> {
        let earlier = self.reading(before);
        let account = self.account();
        // Of what stood still no readings were kept: the last that was told is still true of the last report.
        if account.history.is_empty() {
            account.history.extend(earlier);
        }
        if !fact.has_foreign_holder() {
            account.certain = fact.written();
        }
        account.moved = true;
        self.phase = Phase::Open;
        self.packed = packed;
        std::mem::replace(&mut self.fact, fact)
    }

    /// No pass finds it any more; boot-clock nanoseconds of the report before which that was so.
    pub fn vanish(&mut self, before: u64) {
        self.account().vanished = before;
        self.phase = Phase::Vanished;
    }

    /// Whether it vanished so many nanoseconds or longer before `now`, on the boot clock.
    #[must_use]
    pub fn has_vanished_for(&self, nanoseconds: u64, now: u64) -> bool {
        let since = self.account.as_ref().map_or(now, |account| account.vanished);
        self.phase == Phase::Vanished && now.saturating_sub(since) >= nanoseconds
    }

    /// It is watched from now on who moves what; returns the bytes before that which are nobody's. Told again it changes
    /// nothing.
    pub fn share(&mut self, since: StreamBytes) -> u64 {
        let account = self.account();
        if std::mem::replace(&mut account.shared, true) {
            return 0;
        }
        account.unclear = Bytes {
            tx: since.tx.saturating_sub(account.certain.tx),
            rx: since.rx.saturating_sub(account.certain.rx),
        };
        account.unclear.both()
    }

    /// It has ended; who held it is remembered, for connections that nobody acted on. What was told of it before.
    pub fn close(&mut self, closed: &ClosedFact) -> Arc<ConnectionFact> {
        self.account().moved = true;
        let holders = self.fact.holders.clone();
        let last = ConnectionFact { holders, ..ConnectionFact::clone(&closed.connection) };
        self.phase = Phase::Closed;
        self.packed = None;
        std::mem::replace(&mut self.fact, Arc::new(last))
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
    pub fn settle(&mut self, others: Bytes) -> Option<(TaskId, ByteCorrection)> {
        let owner = self.owner()?;
        let Some(account) = &mut self.account else { return Some((owner, ByteCorrection::default())) };
        let own = account.own(&self.fact.counters, others);
        let credit = ByteCorrection {
            tx: own.tx.wrapping_sub(account.credited.tx).cast_signed(),
            rx: own.rx.wrapping_sub(account.credited.rx).cast_signed(),
            retransmitted: own.retransmitted.wrapping_sub(account.credited.retransmitted).cast_signed(),
        };
        account.credited = own;
        Some((owner, credit))
    }

    /// Bytes that belong to nobody who is known.
    #[must_use]
    pub fn unattributed(&self, others: Bytes) -> u64 {
        let Some(account) = self.account.as_ref().filter(|_| self.owner().is_none()) else { return 0 };
        let own = account.own(&self.fact.counters, others);
        own.tx.saturating_add(own.rx)
    }

    /// Bytes sent and received since the last report.
    #[must_use]
    pub fn interval(&self) -> (u64, u64) {
        let (now, reported) = (self.fact.counters, self.account.as_ref().map(|account| account.reported));
        let reported = reported.unwrap_or(now);
        (now.tx.saturating_sub(reported.tx), now.rx.saturating_sub(reported.rx))
    }

    /// A report has told of it.
    pub fn delivered(&mut self, clocks: Clocks) {
        // Of most there is none: what was told of those is not touched.
        if !self.account.as_ref().is_some_and(|account| account.moved) {
            if let Some(account) = &mut self.account {
                account.history.forget(clocks.at);
            }
            return;
        }
        let reading = self.reading(clocks);
        let Some(account) = &mut self.account else { return };
        if std::mem::take(&mut account.moved) {
            account.reported = self.fact.counters;
            if let Some(reading) = reading {
                account.history.keep(reading);
            }
        }
        account.history.forget(clocks.at);
    }

    /// Whether nothing was told of it for so long that there is nothing to judge.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let still = self.account.as_ref().is_none_or(|account| account.history.is_empty());
        still && self.fact.times.is_some()
    }

    fn reading(&self, Clocks { at, jiffies, .. }: Clocks) -> Option<Reading> {
        let (counters, measures) = (self.fact.counters, self.fact.measures);
        Some(Reading { at, jiffies: jiffies?, counters, measures, times: self.fact.times? })
    }

    /// What limits it at this moment; others are known to fill a queue on its way that adds `beside` seconds.
    #[must_use]
    pub fn judge(&self, clocks: Clocks, beside: f64) -> Diagnosis {
        let (Some(hz), Some(now)) = (clocks.hz, self.reading(clocks)) else {
            return Diagnosis::unknown(UNREAD);
        };
        let history = self.account.as_ref().map(|account| &account.history);
        let Some(history) = history.filter(|history| !history.is_empty()) else {
            return Diagnosis::unknown(STILL);
        };
        let (all, from) = history.with(now);
        bottleneck::judge(ReadingPair { from: &all[from], to: &now, all: &all, hz, beside })
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
