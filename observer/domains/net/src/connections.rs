//! Connections that are open, or that ended since the last report.
//!
//! There can be a hundred thousand, most of which stand still. Where what was told of one is packed, and there is nothing
//! else to remember of it, it rests: only that is kept, shared with who told it, and no report walks over it. Whatever is
//! told of it next wakes it.

use std::{borrow::Cow, hash::BuildHasher as _};

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use super::{connection::Connection, peer_totals::Tally};
use observer_core::facts::{TaskId, net::Packed};

/// Connections by the kernel's numbers of their sockets.
#[derive(Debug, Default)]
pub struct Connections {
    awake: HashMap<u64, Connection>,
    resting: HashTable<Packed>,
    hasher: DefaultHashBuilder,
}

impl Connections {
    /// Whether the connection is known.
    pub fn has(&self, cookie: u64) -> bool {
        let rests = |hash| self.resting.find(hash, |fact| fact.cookie() == cookie).is_some();
        self.awake.contains_key(&cookie) || rests(self.hasher.hash_one(cookie))
    }

    /// The connection, awake.
    pub fn wake(&mut self, cookie: u64) -> Option<&mut Connection> {
        // Where there are few, none rests.
        let hash = (!self.resting.is_empty()).then(|| self.hasher.hash_one(cookie));
        let resting = hash.map(|hash| self.resting.find_entry(hash, |fact| fact.cookie() == cookie));
        if let Some(Ok(entry)) = resting {
            let (fact, _) = entry.remove();
            self.awake.insert(cookie, Connection::woken(fact));
        }
        self.awake.get_mut(&cookie)
    }

    /// Keeps a connection; an earlier one over the same socket.
    pub fn insert(&mut self, connection: Connection) -> Option<Connection> {
        let cookie = connection.fact.cookie;
        // It would be there twice.
        self.wake(cookie);
        self.awake.insert(cookie, connection)
    }

    /// Lets the connection rest, if it may.
    pub fn rest(&mut self, cookie: u64) {
        if let Some(fact) = self.awake.get(&cookie).and_then(Connection::at_rest).cloned() {
            self.awake.remove(&cookie);
            lay(&mut self.resting, &self.hasher, fact);
        }
    }

    /// Every connection.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, Connection>> {
        self.awake().map(Cow::Borrowed).chain(self.resting().map(Cow::Owned))
    }

    /// Those that do not rest.
    pub fn awake(&self) -> impl Iterator<Item = &Connection> {
        self.awake.values()
    }

    /// Those that do, each as it is when it is woken.
    pub fn resting(&self) -> impl Iterator<Item = Connection> {
        self.resting.iter().map(|fact| Connection::woken(fact.clone()))
    }

    /// Whose connections are; nobody's that is not asked about, where that saves a walk over many.
    pub fn owners(&self, asked: &[TaskId], tally: &Tally) -> HashSet<TaskId> {
        let mut owners = HashSet::new();
        if !asked.is_empty() {
            owners.extend(self.awake().filter_map(Connection::owner));
        }
        // Those that rest are open.
        if asked.iter().any(|id| tally.counts(*id)) {
            owners.extend(self.resting().filter_map(|connection| connection.owner()));
        }
        owners
    }

    /// Of those that do not rest, forgets what `keep` does not want, and lets rest what may.
    pub fn retain_awake(&mut self, mut keep: impl FnMut(u64, &mut Connection) -> bool) {
        let Self { awake, resting, hasher } = self;
        awake.retain(|cookie, connection| {
            if !keep(*cookie, connection) {
                return false;
            }
            let rest = connection.at_rest().cloned();
            let stays = rest.is_none();
            rest.into_iter().for_each(|fact| lay(resting, hasher, fact));
            stays
        });
    }
}

fn lay(resting: &mut HashTable<Packed>, hasher: &DefaultHashBuilder, fact: Packed) {
    resting.insert_unique(hasher.hash_one(fact.cookie()), fact, |fact| hasher.hash_one(fact.cookie()));
}
