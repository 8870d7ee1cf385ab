//! Listening sockets and the connections that arrive at them.

use std::{cmp::Reverse, sync::Arc};

use hashbrown::HashMap;

use observer_core::facts::{
    TaskId,
    net::{Endpoint, SocketFact, SocketQueueFact},
};

/// A listener, and the connections that arrived at it under observation.
#[derive(Clone, Debug, Default)]
pub struct Listener {
    /// `None` only during construction.
    pub fact: Option<Arc<SocketFact>>,
    /// Connections that processes accepted since observation began.
    pub accepted: u64,
    /// The same, by process.
    accepted_by: HashMap<TaskId, u64>,
    /// Drops of its full accept queue, as counted at the last report.
    reported: Option<u32>,
}

/// A connection that a process accepted.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub netns: u32,
    pub local: Endpoint,
    pub owner: TaskId,
}

/// Every open listener, and the connections accepted since the last report.
#[derive(Debug, Default)]
pub struct Listeners {
    by_cookie: HashMap<u64, Listener>,
    arrivals: Vec<Arrival>,
}

impl Listeners {
    /// A scan has found a listener.
    pub fn meet(&mut self, fact: &Arc<SocketFact>) {
        self.by_cookie.entry(fact.cookie).or_default().fact = Some(Arc::clone(fact));
    }

    /// Replaces its queue with the kernel's report, which has more than a scan finds.
    pub fn amend(&mut self, queue: &SocketQueueFact) {
        if let Some(fact) = self.by_cookie.get_mut(&queue.cookie).and_then(|listener| listener.fact.as_mut())
        {
            amend(fact, queue);
        }
    }

    /// No scan finds it any longer.
    pub fn forget(&mut self, cookie: u64) {
        self.by_cookie.remove(&cookie);
    }

    /// Adds an accepted connection, if there is one.
    pub fn accept(&mut self, arrival: Option<Arrival>) {
        self.arrivals.extend(arrival);
    }

    /// Counts each arrival at its listener. All listeners are known only when the report is due.
    pub fn match_arrivals(&mut self) {
        for arrival in self.arrivals.drain(..) {
            let fitting = self.by_cookie.iter_mut().filter(|(_, listener)| listener.fits(&arrival));
            let nearest = fitting.max_by_key(|(cookie, listener)| (listener.nearness(&arrival), **cookie));
            if let Some((_, listener)) = nearest {
                listener.accepted += 1;
                *listener.accepted_by.entry(arrival.owner).or_default() += 1;
            }
        }
    }

    /// A report has been delivered.
    pub fn delivered(&mut self) {
        self.by_cookie.values_mut().for_each(Listener::delivered);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.by_cookie.values()
    }

    /// The last fact about each listener.
    pub fn facts(&self) -> impl Iterator<Item = &Arc<SocketFact>> {
        self.iter().filter_map(|listener| listener.fact.as_ref())
    }
}

/// Replaces the queue in the fact with the kernel's report.
pub fn amend(fact: &mut Arc<SocketFact>, queue: &SocketQueueFact) {
    let fact = Arc::make_mut(fact);
    fact.queued = queue.queued.unwrap_or(fact.queued);
    fact.queue_limit = queue.queue_limit.or(fact.queue_limit);
    fact.drops = queue.drops.unwrap_or(fact.drops);
}

impl Listener {
    /// Its holders, by accepted connections, most first; then the youngest first, because older processes started them
    /// to accept.
    #[must_use]
    pub fn holders(&self) -> Vec<TaskId> {
        let mut holders = self.fact.as_ref().map(|fact| fact.holders.to_vec()).unwrap_or_default();
        let accepted = |id: &TaskId| self.accepted_by.get(id).copied().unwrap_or_default();
        holders.sort_by_key(|id| Reverse((accepted(id), id.start, id.tgid)));
        holders
    }

    /// Connections that its full accept queue dropped since the last report.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let now = self.fact.as_ref().map_or(0, |fact| fact.drops);
        self.reported.map_or(0, |before| now.wrapping_sub(before).into())
    }

    /// A report has been delivered.
    fn delivered(&mut self) {
        self.reported = self.fact.as_ref().map(|fact| fact.drops);
    }

    /// Whether the connection can have arrived at this listener.
    fn fits(&self, arrival: &Arrival) -> bool {
        self.fact.as_ref().is_some_and(|fact| {
            let here = fact.ends.local;
            fact.ends.netns == arrival.netns
                && here.port() == arrival.local.port()
                && (here.ip().is_unspecified() || here.ip() == arrival.local.ip())
        })
    }

    /// How well the listener fits, compared to others that fit: several can share a port, and as in the kernel the most
    /// specific address wins.
    fn nearness(&self, arrival: &Arrival) -> (bool, bool) {
        self.fact.as_ref().map_or((false, false), |fact| {
            (!fact.ends.local.ip().is_unspecified(), fact.holders.contains(&arrival.owner))
        })
    }
}
