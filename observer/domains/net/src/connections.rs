//! Connections that are open, or that closed since the last report.
//!
//! There can be a hundred thousand, and most of them are idle. An idle connection is reduced to its packed fact, which
//! is shared with the source, if nothing else must be remembered. No report visits such a connection. The next fact
//! makes it active again.

use std::{borrow::Cow, hash::BuildHasher as _};

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use super::{connection::Connection, peer_totals::Tally};
use observer_core::facts::{TaskId, net::Packed};

/// Connections by the cookies of their sockets.
#[derive(Debug, Default)]
pub struct Connections {
    active: HashMap<u64, Connection>,
    idle: HashTable<Packed>,
    hasher: DefaultHashBuilder,
}

impl Connections {
    /// Whether the connection is known.
    pub fn has(&self, cookie: u64) -> bool {
        let is_idle = |hash| self.idle.find(hash, |fact| fact.cookie() == cookie).is_some();
        self.active.contains_key(&cookie) || is_idle(self.hasher.hash_one(cookie))
    }

    /// The connection, which is active from now on.
    pub fn activate(&mut self, cookie: u64) -> Option<&mut Connection> {
        // No connection is idle while there are few; then no hash is needed.
        let hash = (!self.idle.is_empty()).then(|| self.hasher.hash_one(cookie));
        let idle = hash.map(|hash| self.idle.find_entry(hash, |fact| fact.cookie() == cookie));
        if let Some(Ok(entry)) = idle {
            let (fact, _) = entry.remove();
            self.active.insert(cookie, Connection::from_idle(fact));
        }
        self.active.get_mut(&cookie)
    }

    /// Adds a connection. Returns an earlier one over the same socket.
    pub fn insert(&mut self, connection: Connection) -> Option<Connection> {
        let cookie = connection.fact.cookie;
        // Otherwise the map would contain it twice.
        self.activate(cookie);
        self.active.insert(cookie, connection)
    }

    /// Makes the connection idle, if possible.
    pub fn make_idle(&mut self, cookie: u64) {
        if let Some(fact) = self.active.get(&cookie).and_then(Connection::idle_form).cloned() {
            self.active.remove(&cookie);
            insert_idle(&mut self.idle, &self.hasher, fact);
        }
    }

    /// Every connection.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, Connection>> {
        self.active().map(Cow::Borrowed).chain(self.idle().map(Cow::Owned))
    }

    /// The active connections.
    pub fn active(&self) -> impl Iterator<Item = &Connection> {
        self.active.values()
    }

    /// The idle connections, each as it would be when active.
    pub fn idle(&self) -> impl Iterator<Item = Connection> {
        self.idle.iter().map(|fact| Connection::from_idle(fact.clone()))
    }

    /// The owners of connections. Processes that are not `asked` for may be left out, where that avoids a walk over
    /// many connections.
    pub fn owners(&self, asked: &[TaskId], tally: &Tally) -> HashSet<TaskId> {
        let mut owners = HashSet::new();
        if !asked.is_empty() {
            owners.extend(self.active().filter_map(Connection::owner));
        }
        // Idle connections are open.
        if asked.iter().any(|id| tally.counts(*id)) {
            owners.extend(self.idle().filter_map(|connection| connection.owner()));
        }
        owners
    }

    /// Removes active connections that `keep` rejects. Makes the others idle, if possible.
    pub fn retain_active(&mut self, mut keep: impl FnMut(u64, &mut Connection) -> bool) {
        let Self { active, idle, hasher } = self;
        active.retain(|cookie, connection| {
            if !keep(*cookie, connection) {
                return false;
            }
            let idle_form = connection.idle_form().cloned();
            let stays = idle_form.is_none();
            idle_form.into_iter().for_each(|fact| insert_idle(idle, hasher, fact));
            stays
        });
    }
}

fn insert_idle(idle: &mut HashTable<Packed>, hasher: &DefaultHashBuilder, fact: Packed) {
    idle.insert_unique(hasher.hash_one(fact.cookie()), fact, |fact| hasher.hash_one(fact.cookie()));
}
