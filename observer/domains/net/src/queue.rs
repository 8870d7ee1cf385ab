//! Queues in the path: which process fills one, and which connections wait in it.
//!
//! Connections with the same local address are assumed to share their first link. Its queue makes their round trips
//! longer than the shortest one. The process that sends most bytes of connections limited by the link fills the queue.
//! Data in the other direction waits in a queue at the far end of the link, which only its sender sees.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    connection::Connection,
    diagnosis::{Bottleneck, Diagnosis},
};
use observer_core::facts::TaskId;

/// A queueing delay below this, in seconds, does not matter.
const NOTICED: f64 = 0.010;
/// Another connection is in the same queue if it sees at least this part of the filling connection's delay. Readings
/// are from different moments, and a queue shrinks by a third each time that its sender backs off.
const SAME: f64 = 0.3;

/// A connection that sees a queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueUser {
    cookie: u64,
    owner: TaskId,
    netns: u32,
    local: IpAddr,
    remote: IpAddr,
    /// Queueing delay, seconds.
    queue: f64,
    /// Bytes sent in the interval.
    sent: u64,
    /// Whether the link is its bottleneck.
    fills: bool,
}

/// A queue that one process fills.
#[derive(Clone, Debug, PartialEq)]
pub struct FilledQueue {
    pub by: TaskId,
    /// Its part of the bytes that the link limits, 0 to 1.
    pub share: f64,
    /// Seconds that the queue adds to every round trip through it.
    pub adds: f64,
    /// The peer that most of its bytes go to.
    pub to: IpAddr,
    /// Cookies of other processes' connections that wait in it.
    pub waiting: Vec<u64>,
    /// Network namespace and local address of the link.
    link: (u32, IpAddr),
}

impl FilledQueue {
    /// Whether the connection leaves over the same link.
    pub fn is_in_path_of(&self, connection: &Connection) -> bool {
        let ends = &connection.fact.ends;
        (ends.netns, ends.local.ip()) == self.link
    }
}

impl QueueUser {
    /// `None` if the connection sees no queue or has no owner.
    pub fn of(connection: &Connection, diagnosis: &Diagnosis) -> Option<Self> {
        let fact = &connection.fact;
        Some(Self {
            cookie: fact.cookie,
            owner: connection.owner()?,
            netns: fact.ends.netns,
            local: fact.ends.local.ip(),
            remote: fact.ends.remote?.ip(),
            queue: diagnosis.queue?,
            sent: connection.interval().0,
            fills: diagnosis.limit == Bottleneck::Link,
        })
    }
}

/// The queues that one process fills, the longest first.
pub fn filled(users: &[QueueUser]) -> Vec<FilledQueue> {
    let mut paths: BTreeMap<(u32, IpAddr), Vec<&QueueUser>> = BTreeMap::new();
    for user in users {
        paths.entry((user.netns, user.local)).or_default().push(user);
    }
    let mut found: Vec<FilledQueue> = paths.values().filter_map(|users| one(users)).collect();
    found.sort_by(|a, b| b.adds.total_cmp(&a.adds).then(a.by.cmp(&b.by)));
    found
}

/// The queue of one link.
fn one(users: &[&QueueUser]) -> Option<FilledQueue> {
    let filling = || users.iter().filter(|user| user.fills && user.queue >= NOTICED);
    let mut by: BTreeMap<TaskId, u64> = BTreeMap::new();
    for user in filling() {
        let sent = by.entry(user.owner).or_default();
        *sent = sent.saturating_add(user.sent);
    }
    let (by, sent) = by.iter().max_by_key(|(id, sent)| (**sent, **id))?;
    let most = filling().filter(|user| user.owner == *by).max_by_key(|user| (user.sent, user.cookie))?;
    let all: u64 = filling().map(|user| user.sent).fold(0, u64::saturating_add);
    let waits = |user: &&&QueueUser| user.owner != *by && user.queue >= SAME * most.queue;
    Some(FilledQueue {
        by: *by,
        share: *sent as f64 / all.max(1) as f64,
        adds: most.queue,
        to: most.remote,
        link: (most.netns, most.local),
        waiting: users.iter().filter(waits).map(|user| user.cookie).collect(),
    })
}
