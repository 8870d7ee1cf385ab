//! How many connections are open, of whom and to where, kept up to date as connections change: there can be very many,
//! and a report must not walk over all of them.

use std::{hash::Hash, net::IpAddr};

use hashbrown::HashMap;

use super::{
    connection::{Connection, Phase},
    state::Part,
};
use crate::observation::{
    TaskId,
    net::{ConnectionFact, Endpoint},
};

/// A remote end, and where connections to it come from: each of them needs a port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// Inode number of the network namespace.
    pub netns: u32,
    pub local: IpAddr,
    pub remote: Endpoint,
}

/// Open connections.
#[derive(Debug, Default)]
pub struct Tally {
    open: u64,
    /// By process, and by its remote.
    by_process: HashMap<TaskId, u64>,
    by_part: HashMap<Part, u64>,
    by_route: HashMap<Route, u64>,
}

impl Tally {
    /// Counts `connection` as what it is now; `told` is what was told of it when it was counted last, where that is not
    /// what is told now.
    pub fn count(&mut self, connection: &mut Connection, told: Option<&ConnectionFact>) {
        let was_counted = std::mem::replace(&mut connection.counted, connection.phase == Phase::Open);
        let fact: &ConnectionFact = &connection.fact;
        let now = connection.counted.then_some(fact);
        let before = was_counted.then_some(told.unwrap_or(fact));
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
                *self.by_part.entry((id, remote(now))).or_default() += 1;
            }
            if let Some(route) = route(now) {
                *self.by_route.entry(route).or_default() += 1;
            }
        }
        if let Some(before) = before {
            for id in before.processes() {
                lower(&mut self.by_process, &id);
                lower(&mut self.by_part, &(id, remote(before)));
            }
            if let Some(route) = route(before) {
                lower(&mut self.by_route, &route);
            }
        }
    }

    /// Whether the process owns or holds an open connection.
    pub fn counts(&self, id: TaskId) -> bool {
        self.by_process.contains_key(&id)
    }

    /// How many connections are open, whoever has them.
    pub const fn open(&self) -> u64 {
        self.open
    }

    /// Each process that owns or holds open connections, with how many.
    pub fn processes(&self) -> impl Iterator<Item = (TaskId, u64)> + '_ {
        self.by_process.iter().map(|(id, open)| (*id, *open))
    }

    /// The same by the remote address.
    pub fn parts(&self) -> impl Iterator<Item = (Part, u64)> + '_ {
        self.by_part.iter().map(|(part, open)| (*part, *open))
    }

    /// Each route with its connections.
    pub fn routes(&self) -> impl Iterator<Item = (Route, u64)> + '_ {
        self.by_route.iter().map(|(route, open)| (*route, *open))
    }
}

fn is_counted_alike(one: &ConnectionFact, other: &ConnectionFact) -> bool {
    remote(one) == remote(other) && route(one) == route(other) && one.processes().eq(other.processes())
}

fn remote(fact: &ConnectionFact) -> Option<IpAddr> {
    fact.ends.remote.map(|remote| remote.ip())
}

/// Where this side may have opened it. Of a connection that was there before it is not known who did; one that was accepted
/// is the only one of its route, because its remote port is the other side's own.
fn route(fact: &ConnectionFact) -> Option<Route> {
    let ends = &fact.ends;
    let remote = ends.remote.filter(|_| !fact.passive)?;
    Some(Route { netns: ends.netns, local: ends.local.ip(), remote })
}

fn lower<K: Eq + Hash>(counts: &mut HashMap<K, u64>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
