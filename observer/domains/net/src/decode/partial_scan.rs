//! The sockets that a scan has found so far, each once, with all its holders. The output of the scan may be read in any
//! parts.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};
use observer_common::{
    net::{HeldRecord, PROTOCOL_TCP, SOCKET_HIDDEN, SOCKET_SEEN, SOCKET_SHARED},
    task::TaskRecord,
};

use super::meaning;
use observer_core::facts::net::{SocketHandle, StreamBytes};

/// From this many sockets on, the table grows to the expected size at once. If it grew by doubling, observer would keep
/// the memory of the smaller tables.
const MANY: usize = 4096;

/// The results of a scan so far.
#[derive(Debug, Default)]
pub(super) struct PartialScan {
    /// Facts about sockets, in the order of the scan.
    pub sockets: Vec<SocketHandle>,
    /// The number of facts that [`Self::fresh`] has returned.
    returned: usize,
    /// Indexes in `sockets`, found by the cookies in the facts.
    indexes: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The highest expected number of sockets, from earlier scans.
    expected: usize,
    /// Cookies of sockets that are marked as shared, with their bytes at that time.
    pub shared: Vec<(u64, StreamBytes)>,
    /// Owners of sockets; some are in the list more than once.
    pub owners: Vec<TaskRecord>,
    /// Whether it found a socket that only the send and receive hooks report on (datagrams, a shared connection), one
    /// without descriptor that is in use or still sends, and one in use without owner.
    pub uncounted: bool,
    pub hidden: bool,
    pub unowned: bool,
    /// The kernel's clock; 0 until a record contains it.
    pub jiffies: u32,
}

impl PartialScan {
    /// The state before the first record.
    pub fn expecting(sockets: usize) -> Self {
        Self { expected: sockets, ..Self::default() }
    }

    /// The expected number of sockets in the next scan: the number of this scan, or of an earlier scan that found more.
    pub fn next_expected(&self) -> usize {
        self.sockets.len().max(self.expected - self.expected / 64)
    }

    /// Facts found since the last call.
    pub fn fresh(&mut self) -> &mut [SocketHandle] {
        let returned = std::mem::replace(&mut self.returned, self.sockets.len());
        &mut self.sockets[returned..]
    }

    /// Whether the socket was found.
    pub fn has(&self, cookie: u64) -> bool {
        let is_it = |index: &u32| self.sockets[*index as usize].cookie() == cookie;
        self.indexes.find(self.hasher.hash_one(cookie), is_it).is_some()
    }

    /// Takes a record of a socket and one of its holders.
    pub fn meet(&mut self, record: &HeldRecord) {
        let HeldRecord { holder, socket, shared_tx: tx, shared_rx: rx } = record;
        let holder = (holder.id.tgid != 0).then_some(holder.id);
        let Self { sockets, indexes, hasher, .. } = self;
        let cookie_at = |index: &u32| sockets[*index as usize].cookie();
        if indexes.len() >= MANY && indexes.len() == indexes.capacity() {
            indexes.reserve(self.expected.saturating_sub(indexes.len()), |index| {
                hasher.hash_one(cookie_at(index))
            });
        }
        let index = match indexes.entry(
            hasher.hash_one(socket.cookie),
            |index| cookie_at(index) == socket.cookie,
            |index| hasher.hash_one(cookie_at(index)),
        ) {
            Entry::Occupied(index) => {
                let known = &mut sockets[*index.get() as usize];
                if let Some(holder) = holder.filter(|holder| !known.is_held_by(*holder)) {
                    known.add_holder(holder);
                    self.uncounted |= known.is_shared();
                }
                return;
            }
            Entry::Vacant(index) => index,
        };
        let hidden = socket.flags & SOCKET_HIDDEN != 0;
        // A FIN is one of the bytes in flight. Most closing sockets are gone before a second scan.
        let sends = socket.unsent > 0 || (socket.flags & SOCKET_SEEN != 0 && socket.unacked > 1);
        self.hidden |= hidden || (holder.is_none() && sends);
        self.unowned |= hidden && socket.owner.id.tgid == 0;
        self.uncounted |= socket.protocol != PROTOCOL_TCP;
        if self.jiffies == 0 {
            self.jiffies = socket.jiffies;
        }
        if self.owners.last() != Some(&socket.owner) {
            self.owners.push(socket.owner);
        }
        // A socket of an unknown protocol has no fact.
        let Some(fact) = meaning::socket(socket, holder.into_iter().collect()) else { return };
        index.insert(u32::try_from(sockets.len()).expect("so many sockets do not fit into memory"));
        self.uncounted |= fact.is_shared();
        sockets.push(fact);
        if socket.flags & SOCKET_SHARED != 0 {
            self.shared.push((socket.cookie, StreamBytes { tx: *tx, rx: *rx }));
        }
    }
}
