//! What a pass over sockets has told of so far: each socket once, with all its holders, whichever parts the pass came in.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};
use observer_common::{
    net::{HeldRecord, PROTOCOL_TCP, SOCKET_HIDDEN, SOCKET_SHARED},
    task::TaskRecord,
};

use super::meaning;
use observer_core::facts::net::{SocketHandle, StreamBytes};

/// From so many sockets on room is made for as many as are expected, and not again and again for twice as many: what is left
/// behind then stays with observer.
const MANY: usize = 4096;

/// What a pass has told of so far.
#[derive(Debug, Default)]
pub(super) struct PartialScan {
    /// Facts of sockets, in the order in which they were met.
    pub sockets: Vec<SocketHandle>,
    /// How many of them were asked for by [`Self::fresh`].
    asked: usize,
    /// Where in it each socket is, by its number, which is there.
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// As many sockets as it may be at most, by what passes before it met.
    expected: usize,
    /// Those among them that are marked as shared, and since when.
    pub shared: Vec<(u64, StreamBytes)>,
    /// Owners of sockets; some more than once.
    pub owners: Vec<TaskRecord>,
    /// Whether it met what only send and receive tell of (datagrams, connections that several share), a socket that
    /// something else than a descriptor holds, and one of those whose owner nobody knows.
    pub uncounted: bool,
    pub hidden: bool,
    pub unowned: bool,
    /// The kernel's clock; 0 while nothing has told it.
    pub jiffies: u32,
}

impl PartialScan {
    /// Nothing was told yet.
    pub fn expecting(sockets: usize) -> Self {
        Self { expected: sockets, ..Self::default() }
    }

    /// As many sockets as the next pass may meet: this one, or an earlier one that told of more.
    pub fn next_expected(&self) -> usize {
        self.sockets.len().max(self.expected - self.expected / 64)
    }

    /// Those that were met since this was last asked.
    pub fn fresh(&mut self) -> &mut [SocketHandle] {
        let asked = std::mem::replace(&mut self.asked, self.sockets.len());
        &mut self.sockets[asked..]
    }

    /// Whether the socket of this number was met.
    pub fn has(&self, cookie: u64) -> bool {
        let is_it = |place: &u32| self.sockets[*place as usize].cookie() == cookie;
        self.places.find(self.hasher.hash_one(cookie), is_it).is_some()
    }

    /// Takes a record of a socket and one of its holders.
    pub fn meet(&mut self, record: &HeldRecord) {
        let HeldRecord { holder, socket, shared_tx: tx, shared_rx: rx } = record;
        let holder = (holder.id.tgid != 0).then_some(holder.id);
        let Self { sockets, places, hasher, .. } = self;
        let cookie_at = |place: &u32| sockets[*place as usize].cookie();
        if places.len() >= MANY && places.len() == places.capacity() {
            places.reserve(self.expected.saturating_sub(places.len()), |place| {
                hasher.hash_one(cookie_at(place))
            });
        }
        let place = match places.entry(
            hasher.hash_one(socket.cookie),
            |place| cookie_at(place) == socket.cookie,
            |place| hasher.hash_one(cookie_at(place)),
        ) {
            Entry::Occupied(place) => {
                let known = &mut sockets[*place.get() as usize];
                if let Some(holder) = holder.filter(|holder| !known.is_held_by(*holder)) {
                    known.add_holder(holder);
                    self.uncounted |= known.is_shared();
                }
                return;
            }
            Entry::Vacant(place) => place,
        };
        let hidden = socket.flags & SOCKET_HIDDEN != 0;
        self.hidden |= hidden;
        self.unowned |= hidden && socket.owner.id.tgid == 0;
        self.uncounted |= socket.protocol != PROTOCOL_TCP;
        if self.jiffies == 0 {
            self.jiffies = socket.jiffies;
        }
        if self.owners.last() != Some(&socket.owner) {
            self.owners.push(socket.owner);
        }
        // What this version does not know has no place.
        let Some(fact) = meaning::socket(socket, holder.into_iter().collect()) else { return };
        place.insert(u32::try_from(sockets.len()).expect("so many sockets do not fit into memory"));
        self.uncounted |= fact.is_shared();
        sockets.push(fact);
        if socket.flags & SOCKET_SHARED != 0 {
            self.shared.push((socket.cookie, StreamBytes { tx: *tx, rx: *rx }));
        }
    }
}
