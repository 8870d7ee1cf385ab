//! What a pass over sockets has told of so far: each socket once, with all its holders, whichever parts the pass came in.

use std::sync::Arc;

use hashbrown::{HashMap, hash_map::Entry};
use observer_common::{
    net::{PROTOCOL_TCP, SOCKET_HIDDEN, SOCKET_SHARED, SocketRecord},
    task::{TaskId, TaskRecord},
};

use super::super::bytes::Meaning as _;
use crate::observation::{
    Observation,
    net::{NetFact, Written},
};

/// What a pass has told of so far.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// Facts of sockets, in the order in which they were met; after one that is shared, that it is.
    pub sockets: Vec<Observation>,
    /// Where in it each socket is.
    pub places: HashMap<u64, usize>,
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
    /// A record of a socket, and who holds it.
    pub fn meet(&mut self, holder: &TaskRecord, socket: SocketRecord, shared: Written) {
        let holder = (holder.id.tgid != 0).then_some(holder.id);
        let place = match self.places.entry(socket.cookie) {
            Entry::Occupied(place) => {
                if let Some(holder) = holder {
                    add_holder(&mut self.sockets[*place.get()], holder);
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
        // Exactly as much as it takes: most sockets have one holder.
        let holders = holder.map_or_else(Vec::new, |holder| vec![holder]);
        let Some(fact) = socket.fact(holders) else { return };
        place.insert(self.sockets.len());
        self.sockets.push(Observation::Net(fact));
        if marked {
            self.sockets.push(Observation::Net(NetFact::Shared { cookie, since: shared }));
        }
    }
}

/// Another descriptor for a socket that was met before: nobody else has its fact yet.
fn add_holder(fact: &mut Observation, holder: TaskId) {
    let holders = match fact {
        Observation::Net(NetFact::Paced(fact)) => Arc::get_mut(fact).map(|fact| &mut fact.connection.holders),
        Observation::Net(NetFact::Socket(fact)) => Arc::get_mut(fact).map(|fact| &mut fact.holders),
        _ => None,
    };
    if let Some(holders) = holders
        && !holders.contains(&holder)
    {
        holders.push(holder);
    }
}

/// Whether the counters of a connection do not tell who of several processes moved what: it has more than one holder, or
/// one that is not its owner.
pub(super) fn is_shared(fact: &Observation) -> bool {
    let Observation::Net(NetFact::Paced(fact)) = fact else { return false };
    fact.connection.ends.remote.is_some() && fact.connection.has_foreign_holder()
}
