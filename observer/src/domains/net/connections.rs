//! Connections that are open, or that ended since the last report.
//!
//! There can be a hundred thousand, most of which stand still. One of which nothing was told but that it is rests: all
//! that is kept of it is what was told, which is shared with who told it. It is woken by whatever is told of it next.

use std::{borrow::Cow, hash::BuildHasher as _};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::connection::Connection;
use crate::observation::net::{PacedFact, Packed};

/// Connections by the kernel's numbers of their sockets.
#[derive(Debug, Default)]
pub struct Connections {
    awake: HashMap<u64, Connection>,
    resting: HashTable<Packed<PacedFact>>,
    hasher: DefaultHashBuilder,
}

impl Connections {
    /// Whether the connection is known.
    pub fn has(&self, cookie: u64) -> bool {
        self.awake.contains_key(&cookie) || self.at_rest(cookie).is_some()
    }

    pub fn get(&self, cookie: u64) -> Option<Cow<'_, Connection>> {
        let awake = self.awake.get(&cookie).map(Cow::Borrowed);
        awake.or_else(|| self.at_rest(cookie).map(as_if_awake))
    }

    /// The connection, which this wakes.
    pub fn get_mut(&mut self, cookie: u64) -> Option<&mut Connection> {
        let hash = self.hasher.hash_one(cookie);
        if let Ok(entry) = self.resting.find_entry(hash, |fact| fact.handle().cookie() == cookie) {
            let (fact, _) = entry.remove();
            self.awake.insert(cookie, Connection::resting(fact));
        }
        self.awake.get_mut(&cookie)
    }

    /// Keeps a connection; an earlier one over the same socket.
    pub fn insert(&mut self, cookie: u64, connection: Connection) -> Option<Connection> {
        // It would be there twice.
        self.get_mut(cookie);
        self.awake.insert(cookie, connection)
    }

    /// Lets the connection rest, if it may.
    pub fn rest(&mut self, cookie: u64) {
        let Some(fact) = self.awake.get(&cookie).and_then(Connection::rest).cloned() else { return };
        self.awake.remove(&cookie);
        let hasher = &self.hasher;
        let hash_of = |fact: &Packed<PacedFact>| hasher.hash_one(fact.handle().cookie());
        self.resting.insert_unique(hasher.hash_one(cookie), fact, hash_of);
    }

    /// Every connection.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, Connection>> {
        self.awake().map(Cow::Borrowed).chain(self.resting.iter().map(as_if_awake))
    }

    /// Those that do not rest.
    pub fn awake(&self) -> impl Iterator<Item = &Connection> {
        self.awake.values()
    }

    /// Forgets those of which `keep` says so; what rests stays as it is.
    pub fn retain_awake(&mut self, mut keep: impl FnMut(u64, &mut Connection) -> bool) {
        self.awake.retain(|cookie, connection| keep(*cookie, connection));
    }

    fn at_rest(&self, cookie: u64) -> Option<&Packed<PacedFact>> {
        self.resting.find(self.hasher.hash_one(cookie), |fact| fact.handle().cookie() == cookie)
    }
}

fn as_if_awake<'a>(fact: &Packed<PacedFact>) -> Cow<'a, Connection> {
    Cow::Owned(Connection::resting(fact.clone()))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{connection::Phase, told::Latest},
        *,
    };
    use crate::observation::{
        TaskId,
        net::{ConnectionFact, Counters, Ends, Measures, Pace},
    };

    fn met(cookie: u64, holder: Option<TaskId>) -> Connection {
        let connection = ConnectionFact {
            cookie,
            opened: 0,
            passive: false,
            owner: None,
            holders: holder.into_iter().collect(),
            ends: Ends { netns: 1, local: "[::1]:80".parse().unwrap(), remote: None },
            state: 1,
            counters: Counters { tx: 7, ..Counters::default() },
            measures: Measures::default(),
        };
        let latest = Latest::Paced(PacedFact { connection, pace: Pace::default() }.into());
        let mut met = Connection::new(latest.clone(), &latest.told(), false, None);
        met.counted = true;
        met.arrival(&latest.told());
        met
    }

    #[test]
    fn what_rests_is_as_it_was_and_is_woken_by_what_is_told_of_it() {
        let holder = TaskId { start: 1, tgid: 2 };
        let mut connections = Connections::default();
        for cookie in 1..=3 {
            assert!(connections.insert(cookie, met(cookie, Some(holder))).is_none());
            connections.rest(cookie);
        }
        assert_eq!((connections.awake().count(), connections.iter().count()), (0, 3));
        assert!(connections.has(2) && !connections.has(4));
        let resting = connections.get(2).unwrap();
        assert_eq!((resting.told().cookie, resting.owner(), resting.phase), (2, Some(holder), Phase::Open));
        assert!(resting.counted && resting.is_quiet() && resting.interval() == (0, 0));
        connections.get_mut(2).unwrap().vanish(5);
        connections.rest(2);
        assert_eq!((connections.awake().count(), connections.iter().count()), (1, 3), "its end is to come");
        assert_eq!(connections.insert(3, met(3, None)).unwrap().owner(), Some(holder), "the earlier one");
        connections.rest(3);
        assert_eq!(connections.awake().count(), 2, "nobody is known yet who took it over");
        connections.retain_awake(|cookie, _| cookie == 3);
        assert_eq!(connections.iter().map(|known| known.told().cookie).max(), Some(3));
        assert_eq!(connections.iter().count(), 2);
    }
}
