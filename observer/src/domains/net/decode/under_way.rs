//! What a pass over sockets has told of so far: each socket once, with all its holders, whichever parts the pass came in.

use std::sync::Arc;

use hashbrown::{HashMap, hash_map::Entry};
use observer_common::{
    net::{PROTOCOL_TCP, SOCKET_HIDDEN, SOCKET_SHARED, SocketRecord},
    task::{TaskId, TaskRecord},
};

use super::super::bytes::Meaning as _;
use crate::observation::net::{SocketHandle, Written};

/// What a pass has told of so far.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// Facts of sockets, in the order in which they were met.
    pub sockets: Vec<SocketHandle>,
    /// How many of them were asked for by [`Self::fresh`].
    asked: usize,
    /// Where in it each socket is.
    pub places: HashMap<u64, u32>,
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

    /// A record of a socket, and who holds it.
    pub fn meet(&mut self, holder: &TaskRecord, socket: SocketRecord, shared: Written) {
        let holder = (holder.id.tgid != 0).then_some(holder.id);
        let place = match self.places.entry(socket.cookie) {
            Entry::Occupied(place) => {
                if let Some(holder) = holder {
                    add_holder(&mut self.sockets[*place.get() as usize], holder);
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
            self.jiffies = socket.pace.jiffies;
        }
        if self.owners.last() != Some(&socket.owner) {
            self.owners.push(socket.owner);
        }
        let cookie = socket.cookie;
        let marked = socket.flags & SOCKET_SHARED != 0;
        // What this version does not know has no place.
        let Some(fact) = socket.fact(holder.into_iter().collect()) else { return };
        place.insert(u32::try_from(self.sockets.len()).expect("so many sockets do not fit into memory"));
        self.sockets.push(fact);
        if marked {
            self.shared.push((cookie, shared));
        }
    }
}

/// Another descriptor for a socket that was met before.
fn add_holder(fact: &mut SocketHandle, holder: TaskId) {
    if fact.holders().contains(&holder) {
        return;
    }
    // Somebody may keep the fact as it was without this holder.
    let holders = match fact {
        SocketHandle::Connection(fact) => &mut Arc::make_mut(fact).holders,
        SocketHandle::Paced(fact) => &mut Arc::make_mut(fact).connection.holders,
        SocketHandle::Socket(fact) => &mut Arc::make_mut(fact).holders,
    };
    holders.push(holder);
}

/// Whether the counters of a connection do not tell who of several processes moved what: it has more than one holder, or
/// one that is not its owner.
pub(super) fn is_shared(fact: &SocketHandle) -> bool {
    let SocketHandle::Paced(fact) = fact else { return false };
    fact.connection.ends.remote.is_some() && fact.connection.has_foreign_holder()
}
