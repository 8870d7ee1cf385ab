//! Whose fault a queue is: who fills it, and who waits in it.
//!
//! Connections of one local address are taken to share their first link, whose queue they see as round trips that take
//! longer than the shortest. Who fills it is the process that sends most of what the link limits. What comes the other way
//! waits in a queue at the far end of the link, which is seen only by who sends it.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    connection::Connection,
    diagnosis::{Bottleneck, Diagnosis},
};
use observer_core::facts::TaskId;

/// A queue shorter than this, in seconds, is one that nobody notices.
const NOTICED: f64 = 0.010;
/// The part of the filler's delay that another connection must see to be in the same queue: readings are of different
/// moments, and a queue falls by a third each time that its filler falls back.
const SAME: f64 = 0.3;

/// A connection that sees a queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueUser {
    cookie: u64,
    owner: TaskId,
    netns: u32,
    local: IpAddr,
    remote: IpAddr,
    /// Seconds.
    queue: f64,
    /// Bytes sent in the interval.
    sent: u64,
    /// Whether the link is what limits it.
    fills: bool,
}

/// A queue that one process fills.
#[derive(Clone, Debug, PartialEq)]
pub struct FilledQueue {
    pub by: TaskId,
    /// The part of what the link limits that is its, 0 to 1.
    pub share: f64,
    /// Seconds that it adds to every round trip through it.
    pub adds: f64,
    /// Where most of it goes.
    pub to: IpAddr,
    /// Connections of others that wait in it.
    pub waiting: Vec<u64>,
    /// The network namespace and the local address whose link it is.
    link: (u32, IpAddr),
}

impl FilledQueue {
    /// Whether the connection leaves over the same link.
    #[must_use]
    pub fn is_on_the_way_of(&self, connection: &Connection) -> bool {
        let ends = &connection.fact.ends;
        (ends.netns, ends.local.ip()) == self.link
    }
}

impl QueueUser {
    /// `None` where no queue is seen, or nobody is known whose it could be.
    #[must_use]
    pub fn of(connection: &Connection, judgement: &Diagnosis) -> Option<Self> {
        let fact = &connection.fact;
        Some(Self {
            cookie: fact.cookie,
            owner: connection.owner()?,
            netns: fact.ends.netns,
            local: fact.ends.local.ip(),
            remote: fact.ends.remote?.ip(),
            queue: judgement.queue?,
            sent: connection.interval().0,
            fills: judgement.limit == Bottleneck::Link,
        })
    }
}

/// The queues that somebody fills, the longest first.
#[must_use]
pub fn filled(sharers: &[QueueUser]) -> Vec<FilledQueue> {
    let mut paths: BTreeMap<(u32, IpAddr), Vec<&QueueUser>> = BTreeMap::new();
    for sharer in sharers {
        paths.entry((sharer.netns, sharer.local)).or_default().push(sharer);
    }
    let mut found: Vec<FilledQueue> = paths.values().filter_map(|sharers| one(sharers)).collect();
    found.sort_by(|a, b| b.adds.total_cmp(&a.adds).then(a.by.cmp(&b.by)));
    found
}

/// The queue of one link.
fn one(sharers: &[&QueueUser]) -> Option<FilledQueue> {
    let filling = || sharers.iter().filter(|sharer| sharer.fills && sharer.queue >= NOTICED);
    let mut by: BTreeMap<TaskId, u64> = BTreeMap::new();
    for sharer in filling() {
        let sent = by.entry(sharer.owner).or_default();
        *sent = sent.saturating_add(sharer.sent);
    }
    let (by, sent) = by.iter().max_by_key(|(id, sent)| (**sent, **id))?;
    let most =
        filling().filter(|sharer| sharer.owner == *by).max_by_key(|sharer| (sharer.sent, sharer.cookie))?;
    let all: u64 = filling().map(|sharer| sharer.sent).fold(0, u64::saturating_add);
    let waits = |sharer: &&&QueueUser| sharer.owner != *by && sharer.queue >= SAME * most.queue;
    Some(FilledQueue {
        by: *by,
        share: *sent as f64 / all.max(1) as f64,
        adds: most.queue,
        to: most.remote,
        link: (most.netns, most.local),
        waiting: sharers.iter().filter(waits).map(|sharer| sharer.cookie).collect(),
    })
}
