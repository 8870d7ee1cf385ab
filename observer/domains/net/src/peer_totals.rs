//! Numbers of open connections by process and peer. They are updated as connections change, because there can be very
//! many, and a report must not walk over all of them.

use std::{hash::Hash, net::IpAddr};

use hashbrown::HashMap;

use super::{
    connection::{Connection, Phase},
    routes::{Fullest, Route, Routes},
};
use observer_core::facts::{TaskId, net::ConnectionFact};

/// One process and the address of one peer; `None` if the peer is not known.
pub type PeerTotals = (TaskId, Option<IpAddr>);

/// Numbers of open connections.
#[derive(Debug, Default)]
pub struct Tally {
    open: u64,
    /// By process.
    by_process: HashMap<TaskId, u64>,
    /// By process and peer; only if rows are grouped by peer.
    by_part: Option<HashMap<PeerTotals, u64>>,
    routes: Routes,
}

impl Tally {
    /// Empty numbers. They are counted by peer only with `by_remote`.
    pub fn new(by_remote: bool) -> Self {
        Self { by_part: by_remote.then(HashMap::new), ..Self::default() }
    }

    /// Counts `connection` in its current state. `before` is the fact with which it was counted last, if that has
    /// changed.
    pub fn count(&mut self, connection: &mut Connection, before: Option<&ConnectionFact>) {
        let was_counted = std::mem::replace(&mut connection.counted, connection.phase == Phase::Open);
        let fact: &ConnectionFact = &connection.fact;
        let now = connection.counted.then_some(fact);
        let before = was_counted.then_some(before.unwrap_or(fact));
        match (before, now) {
            // The usual case.
            (Some(before), Some(now)) if is_counted_alike(before, now) => return,
            (None, Some(_)) => self.open += 1,
            (Some(_), None) => self.open -= 1,
            _ => {}
        }
        if let Some(now) = now {
            for id in now.processes() {
                *self.by_process.entry(id).or_default() += 1;
                if let Some(by_part) = &mut self.by_part {
                    *by_part.entry((id, remote(now))).or_default() += 1;
                }
            }
            if let Some(route) = Route::of(now) {
                self.routes.add(route);
            }
        }
        if let Some(before) = before {
            for id in before.processes() {
                lower(&mut self.by_process, &id);
                if let Some(by_part) = &mut self.by_part {
                    lower(by_part, &(id, remote(before)));
                }
            }
            if let Some(route) = Route::of(before) {
                self.routes.remove(&route);
            }
        }
    }

    /// Whether the process owns or holds an open connection.
    pub fn counts(&self, id: TaskId) -> bool {
        self.by_process.contains_key(&id)
    }

    /// The number of open connections.
    pub const fn open(&self) -> u64 {
        self.open
    }

    /// Each process that owns or holds open connections, with their number.
    pub fn processes(&self) -> impl Iterator<Item = (TaskId, u64)> + '_ {
        self.by_process.iter().map(|(id, open)| (*id, *open))
    }

    /// The same by the address of the peer; `None` if that is not counted.
    pub fn parts(&self) -> Option<impl Iterator<Item = (PeerTotals, u64)> + '_> {
        Some(self.by_part.as_ref()?.iter().map(|(part, open)| (*part, *open)))
    }

    /// The route in a network namespace with the most connections.
    pub fn fullest_route(&self, netns: u32) -> Option<Fullest> {
        self.routes.fullest(netns)
    }
}

fn is_counted_alike(one: &ConnectionFact, other: &ConnectionFact) -> bool {
    remote(one) == remote(other)
        && Route::of(one) == Route::of(other)
        && one.processes().eq(other.processes())
}

fn remote(fact: &ConnectionFact) -> Option<IpAddr> {
    fact.ends.remote.map(|remote| remote.ip())
}

fn lower<K: Eq + Hash>(counts: &mut HashMap<K, u64>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
