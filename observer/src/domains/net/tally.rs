//! How many connections are open, of whom and to where, kept up to date as connections change: there can be very many,
//! and a report must not walk over all of them.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, SocketAddr},
};

use super::{
    connection::{Connection, Phase},
    state::Part,
};
use crate::observation::TaskId;

/// A remote end, and where connections to it come from: each of them needs a port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// Inode number of the network namespace.
    pub netns: u32,
    pub local: IpAddr,
    pub remote: SocketAddr,
}

/// What one connection is counted as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    open: bool,
    /// Its owner and its holders.
    processes: Vec<TaskId>,
    remote: Option<IpAddr>,
    /// Where this side may have opened it.
    route: Option<Route>,
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
    /// Counts `connection` as what it is now.
    pub fn count(&mut self, connection: &mut Connection) {
        if connection.phase == Phase::Open && connection.counted.is(connection) {
            return;
        }
        let now = if connection.phase == Phase::Open { Counted::of(connection) } else { Counted::default() };
        let before = std::mem::replace(&mut connection.counted, now.clone());
        match (before.open, now.open) {
            (false, true) => self.open += 1,
            (true, false) => self.open -= 1,
            _ => {}
        }
        for id in now.processes {
            *self.by_process.entry(id).or_default() += 1;
            *self.by_part.entry((id, now.remote)).or_default() += 1;
        }
        if let Some(route) = now.route {
            *self.by_route.entry(route).or_default() += 1;
        }
        for id in before.processes {
            lower(&mut self.by_process, &id);
            lower(&mut self.by_part, &(id, before.remote));
        }
        if let Some(route) = before.route {
            lower(&mut self.by_route, &route);
        }
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

impl Counted {
    fn of(connection: &Connection) -> Self {
        let ends = connection.fact.ends;
        // Of a connection that was there before it is not known who opened it; one that was accepted is the only one of
        // its route, because its remote port is the other side's own.
        let opened = ends.remote.filter(|_| !connection.fact.passive);
        Self {
            open: true,
            processes: super::report::whose(connection),
            remote: ends.remote.map(|remote| remote.ip()),
            route: opened.map(|remote| Route { netns: ends.netns, local: ends.local.ip(), remote }),
        }
    }

    /// Whether the connection, which is open, is counted as what it is: the usual case, found out without a copy.
    fn is(&self, connection: &Connection) -> bool {
        let (owner, fact) = (connection.owner(), &connection.fact);
        let others = fact.holders.iter().filter(|holder| Some(**holder) != owner);
        self.remote == fact.ends.remote.map(|remote| remote.ip())
            && !self.processes.is_empty()
            && owner.iter().chain(others).eq(&self.processes)
    }
}

fn lower<K: Eq + Hash>(counts: &mut HashMap<K, u64>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
