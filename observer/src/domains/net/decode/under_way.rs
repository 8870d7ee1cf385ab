//! What a pass over sockets has told of so far: each socket once, with all its holders, whichever parts the pass came in.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable, hash_table::Entry};
use observer_common::{
    net::{PROTOCOL_TCP, SOCKET_HIDDEN, SOCKET_SHARED, SocketRecord},
    task::{TaskId, TaskRecord},
};

use super::super::bytes::{Meaning as _, Met};
use crate::observation::net::{ConnectionFact, Holders, SocketHandle, Written};

/// What a pass has told of so far.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// Facts of sockets, in the order in which they were met, each with its first holder.
    pub sockets: Vec<SocketHandle>,
    /// All holders of those that have several, by their places.
    held: HashMap<u32, Holders>,
    /// How many of the sockets were asked for by [`Self::fresh`].
    asked: usize,
    /// Their places, by their cookies.
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Those among them that are marked as shared, and since when.
    pub shared: Vec<(u64, Written)>,
    /// Owners of sockets; some more than once.
    pub owners: Vec<TaskRecord>,
    /// Whether it met what only send and receive tell of, a socket that something else than a descriptor holds, and one of
    /// those whose owner nobody knows.
    pub uncounted: bool,
    pub hidden: bool,
    pub unowned: bool,
    /// The kernel's clock; 0 while nothing has told it.
    pub jiffies: u32,
}

impl UnderWay {
    /// Those that were met since this was last asked.
    pub fn fresh(&mut self) -> &mut [SocketHandle] {
        let asked = std::mem::replace(&mut self.asked, self.sockets.len());
        &mut self.sockets[asked..]
    }

    /// Whether the pass has met a socket.
    pub fn has(&self, cookie: u64) -> bool {
        let is = |place: &u32| self.sockets[*place as usize].cookie() == cookie;
        self.places.find(self.hasher.hash_one(cookie), is).is_some()
    }

    /// A record of a socket, and who holds it.
    pub fn meet(&mut self, holder: &TaskRecord, socket: SocketRecord, shared: Written) {
        let holder = (holder.id.tgid != 0).then_some(holder.id);
        let cookie = socket.cookie;
        let (sockets, hasher) = (&self.sockets, &self.hasher);
        let cookie_at = |place: &u32| sockets[*place as usize].cookie();
        let is = |place: &u32| cookie_at(place) == cookie;
        let hash_of = |place: &u32| hasher.hash_one(cookie_at(place));
        let vacant = match self.places.entry(hasher.hash_one(cookie), is, hash_of) {
            Entry::Occupied(place) => {
                let place = *place.get();
                if let Some(holder) = holder {
                    self.add_holder(place, holder);
                }
                return;
            }
            Entry::Vacant(vacant) => vacant,
        };
        let hidden = socket.flags & SOCKET_HIDDEN != 0;
        self.hidden |= hidden;
        self.unowned |= hidden && socket.owner.id.tgid == 0;
        self.uncounted |= socket.protocol != PROTOCOL_TCP;
        if self.jiffies == 0 {
            self.jiffies = socket.pace.jiffies;
        }
        if self.owners.last() != Some(&socket.owner) {
            self.owners.push(socket.owner);
        }
        let marked = socket.flags & SOCKET_SHARED != 0;
        // What this version does not know has no place.
        let Some(fact) = socket.fact(holder.into_iter().collect()) else { return };
        if let Met::Connection(fact) = &fact {
            self.uncounted |= is_shared(&fact.connection);
        }
        vacant.insert(u32::try_from(sockets.len()).expect("so many sockets do not fit into memory"));
        self.sockets.push(fact.into());
        if marked {
            self.shared.push((cookie, shared));
        }
    }

    /// Another descriptor for a socket that was met before.
    fn add_holder(&mut self, place: u32, holder: TaskId) {
        if let Some(holders) = self.held.get_mut(&place) {
            if !holders.contains(&holder) {
                holders.push(holder);
            }
            return;
        }
        let mut holders = self.sockets[place as usize].holders();
        if !holders.contains(&holder) {
            holders.push(holder);
            self.held.insert(place, holders);
        }
    }

    /// The pass has ended: who holds what is known.
    #[must_use]
    pub fn complete(mut self) -> Self {
        for (place, holders) in std::mem::take(&mut self.held) {
            let socket = &mut self.sockets[place as usize];
            *socket = socket.held_by(holders);
            self.uncounted |= socket.connection().is_some_and(|(connection, _)| is_shared(&connection));
        }
        self
    }
}

/// Whether the counters of a connection do not tell who of several processes moved what: it has more than one holder, or
/// one that is not its owner.
fn is_shared(fact: &ConnectionFact) -> bool {
    fact.ends.remote.is_some() && fact.has_foreign_holder()
}
