//! One TCP connection: its counters under observation, and its owner.

use std::sync::Arc;

use observer_common::net::{STATE_CLOSE_WAIT, STATE_CLOSING};

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
    net::{ClosedFact, ConnectionFact, Counters, Packed, StreamBytes, TcpMeasures},
};

/// `TCP_LAST_ACK`.
const STATE_LAST_ACK: u8 = 9;

/// A connection that is open, or that closed since the last report. There can be very many, most of them idle.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The latest fact.
    pub fact: Arc<ConnectionFact>,
    /// The same fact in packed form, if it came packed.
    packed: Option<Packed>,
    /// `None` for a connection from before observation, until its second fact.
    account: Option<Box<Account>>,
    pub phase: Phase,
    /// Whether it is counted among the open ones.
    pub counted: bool,
    /// Whether it has been counted as accepted at its listener.
    arrived: bool,
}

/// What was observed of a connection.
#[derive(Clone, Debug)]
struct Account {
    /// Whether a fact about it came since the last report.
    moved: bool,
    history: History,
    /// The counters when observation of it began.
    base: Counters,
    /// The owner's part of the counters that has been attributed.
    credited: Counters,
    /// The counters at the last report.
    reported: Counters,
    /// Bytes that its processes had written and read when the owner was last the only holder.
    certain: StreamBytes,
    /// Bytes from then on until the bytes of each holder were counted. They stay unattributed.
    unclear: Bytes,
    shared: bool,
    /// When it vanished, if it has: boot-clock nanoseconds.
    vanished: u64,
}

impl Account {
    /// For a connection from before observation, at its first fact. `seen` are its counters when its observation began.
    fn of_earlier(fact: &ConnectionFact, seen: Option<Counters>) -> Self {
        Self::new(fact, seen.unwrap_or(fact.counters), fact.counters, u64::from(fact.measures.unsent))
    }

    /// For a connection that was opened under observation.
    fn of_new(fact: &ConnectionFact, seen: Option<Counters>) -> Self {
        let mut account = Self::new(fact, seen.unwrap_or_default(), Counters::default(), 0);
        account.moved = true;
        account
    }

    /// `unsent` bytes were written before observation and not sent yet.
    fn new(fact: &ConnectionFact, base: Counters, reported: Counters, unsent: u64) -> Self {
        // Bytes written before observation do not count.
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

    /// Whether the next fact is enough to rebuild the whole account, because all bytes have been attributed.
    fn is_settled(&self, fact: &ConnectionFact) -> bool {
        !self.moved
            && self.history.is_empty()
            && self.credited == self.own(&fact.counters, Bytes::default())
            && !fact.has_foreign_holder()
    }

    /// The owner's part of the observed bytes, up to the counters `now`: without the bytes of other holders, and
    /// without those that stay unattributed.
    fn own(&self, now: &Counters, others: Bytes) -> Counters {
        Counters {
            tx: now.tx.saturating_sub(self.base.tx).saturating_sub(others.tx).saturating_sub(self.unclear.tx),
            rx: now.rx.saturating_sub(self.base.rx).saturating_sub(others.rx).saturating_sub(self.unclear.rx),
            retransmitted: now.retransmitted.saturating_sub(self.base.retransmitted),
        }
    }
}

/// A phase in the life of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Open,
    /// No scan finds it, but the kernel has not reported its close.
    Vanished,
    /// It has closed since the last report.
    Closed,
    /// A report contains its close, but the last bytes of its other holders can still come.
    Settling,
}

impl Connection {
    /// A connection at its first fact. If it is `new`, it was opened under observation, and all of its bytes were
    /// observed. Otherwise bytes before `seen` were not observed; if `seen` is unknown, bytes before this fact.
    #[must_use]
    pub fn new(fact: Arc<ConnectionFact>, packed: Option<Packed>, new: bool, seen: Option<Counters>) -> Self {
        let account = match (new, seen) {
            (true, _) => {
                let mut account = Account::of_new(&fact, seen);
                // A connection that is known from its close alone has no bottleneck.
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

    /// An idle connection, with its latest fact.
    #[must_use]
    pub fn from_idle(packed: Packed) -> Self {
        let fact = Arc::new(packed.unpack());
        Self { fact, packed: Some(packed), account: None, phase: Phase::Open, counted: true, arrived: true }
    }

    /// Its packed fact, if nothing else must be remembered: the connection is open, does not change, its process has
    /// read all data, and its bytes are attributed.
    #[must_use]
    pub fn idle_form(&self) -> Option<&Packed> {
        let settled = self.account.as_ref().is_none_or(|account| account.is_settled(&self.fact));
        let read = unread(&self.fact) == 0;
        let idle = self.phase == Phase::Open && self.counted && self.arrived && settled && read;
        self.packed.as_ref().filter(|_| idle)
    }

    /// The account of the connection, created if necessary.
    fn account(&mut self) -> &mut Account {
        self.account.get_or_insert_with(|| Box::new(Account::of_earlier(&self.fact, None)))
    }

    /// The process that its bytes are attributed to: the first that acted on it, else its only holder.
    #[must_use]
    pub fn owner(&self) -> Option<TaskId> {
        self.fact.attributed()
    }

    /// Whether `fact` is about this connection, and not about a later one over the same socket.
    #[must_use]
    pub fn is(&self, fact: &ConnectionFact) -> bool {
        self.fact.opened == fact.opened
    }

    /// A scan has found it. Returns its previous fact.
    pub fn update(
        &mut self,
        fact: Arc<ConnectionFact>,
        packed: Option<Packed>,
        before: Clocks,
    ) -> Arc<ConnectionFact> {
        let earlier = self.reading(before);
        let account = self.account();
        // An idle connection has no readings: its last fact was still true at the last report.
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

    /// No scan has found it since `before`, boot-clock nanoseconds.
    pub fn vanish(&mut self, before: u64) {
        self.account().vanished = before;
        self.phase = Phase::Vanished;
    }

    /// Whether it vanished at least `nanoseconds` before `now`, on the boot clock.
    #[must_use]
    pub fn has_vanished_for(&self, nanoseconds: u64, now: u64) -> bool {
        let since = self.account.as_ref().map_or(now, |account| account.vanished);
        self.phase == Phase::Vanished && now.saturating_sub(since) >= nanoseconds
    }

    /// From now on the bytes of each holder are counted. Returns the earlier bytes that stay unattributed. A second
    /// call changes nothing.
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

    /// None of its observed bytes are attributed. Returns them.
    pub fn withhold(&mut self) -> u64 {
        let counters = self.fact.counters;
        let account = self.account();
        account.unclear = Bytes {
            tx: counters.tx.saturating_sub(account.base.tx),
            rx: counters.rx.saturating_sub(account.base.rx),
        };
        account.unclear.both()
    }

    /// It has closed. Returns its previous fact. Its holders are remembered, for connections without owner.
    pub fn close(&mut self, closed: &ClosedFact) -> Arc<ConnectionFact> {
        self.account().moved = true;
        let holders = self.fact.holders.clone();
        let last = ConnectionFact { holders, ..ConnectionFact::clone(&closed.connection) };
        self.phase = Phase::Closed;
        self.packed = None;
        std::mem::replace(&mut self.fact, Arc::new(last))
    }

    /// Its arrival, returned once: if the peer opened it under observation, and a process has accepted it.
    pub fn arrival(&mut self) -> Option<Arrival> {
        let owner = self.fact.owner.or_else(|| self.fact.holders.first().copied())?;
        let new = self.fact.passive && self.fact.opened != 0 && !self.arrived;
        self.arrived = true;
        new.then_some(Arrival { netns: self.fact.ends.netns, local: self.fact.ends.local, owner })
    }

    /// The owner and its bytes since the last call, without the bytes of `others`. `None` while there is no owner.
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

    /// Bytes without a known owner.
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

    /// A report has been delivered.
    pub fn delivered(&mut self, clocks: Clocks) {
        // Most connections have no account, and are not changed.
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

    /// Whether it has been idle for so long that it has no bottleneck.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let still =
            unread(&self.fact) == 0 && self.account.as_ref().is_none_or(|account| account.history.is_empty());
        still && self.fact.times.is_some()
    }

    /// Bytes that have arrived and that its process has not read.
    #[must_use]
    pub fn unread(&self) -> u32 {
        unread(&self.fact)
    }

    fn reading(&self, Clocks { at, jiffies, .. }: Clocks) -> Option<Reading> {
        let counters = self.fact.counters;
        let measures = TcpMeasures { unread: unread(&self.fact), ..self.fact.measures };
        Some(Reading { at, jiffies: jiffies?, counters, measures, times: self.fact.times? })
    }

    /// Its bottleneck now. `beside` is the queueing delay, in seconds, of a queue in its path that other connections
    /// fill.
    #[must_use]
    pub fn judge(&self, clocks: Clocks, beside: f64) -> Diagnosis {
        let (Some(hz), Some(now)) = (clocks.hz, self.reading(clocks)) else {
            return Diagnosis::unknown(UNREAD);
        };
        let history = self.account.as_ref().map(|account| &account.history);
        let Some(history) = history.filter(|history| !history.is_empty()) else {
            return self.not_read(clocks, hz).unwrap_or_else(|| Diagnosis::unknown(STILL));
        };
        let (all, from) = history.with(now);
        let ends = &self.fact.ends;
        let local =
            ends.remote.is_some_and(|remote| remote.ip() == ends.local.ip() || remote.ip().is_loopback());
        let answers = self.fact.passive;
        bottleneck::judge(ReadingPair { from: &all[from], to: &now, all: &all, hz, beside, answers, local })
    }

    /// Its process as the bottleneck, if data has arrived that the process does not read. Nothing has changed since, so
    /// the last data has waited from its arrival until now.
    fn not_read(&self, clocks: Clocks, hz: f64) -> Option<Diagnosis> {
        let (unread, times) = (unread(&self.fact), self.fact.times?);
        let waited = clocks.jiffies?.wrapping_sub(times.last_received).cast_signed().max(0);
        (unread > 0).then(|| bottleneck::not_reading(unread, f64::from(waited) / hz))
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

/// Bytes that the process has not read. The kernel counts a FIN as one byte.
fn unread(fact: &ConnectionFact) -> u32 {
    let ended = matches!(fact.state, STATE_CLOSE_WAIT | STATE_LAST_ACK | STATE_CLOSING);
    fact.measures.unread.saturating_sub(ended.into())
}
