//! The last fact of every slot, and where it is kept.
//!
//! There are as many as there are things, so what is kept beside each fact is little: a slot is not kept at all, it is in
//! the fact that it was made of. Sockets, of which there can be hundreds of thousands, are kept by their handles, apart
//! from other facts, each of which takes as much room as the largest.

use std::{borrow::Cow, hash::BuildHasher as _};

use hashbrown::{DefaultHashBuilder, HashTable};

use observer_core::facts::{
    Fact, Slot,
    net::{NetSlot, SocketHandle},
};

/// Who still finds a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenBy {
    /// The last pass that found it.
    pub found: u32,
    /// Programs whose latest pass found it, a bit each; none where it only came outside passes.
    pub finders: u32,
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueIndex(u32);

/// The same: among which facts, and where there.
#[derive(Clone, Copy)]
enum At {
    Socket(usize),
    Other(usize),
}

impl ValueIndex {
    const fn at(self) -> At {
        let index = (self.0 >> 1) as usize;
        if self.0 & 1 == 1 { At::Socket(index) } else { At::Other(index) }
    }
}

impl From<At> for ValueIndex {
    fn from(at: At) -> Self {
        let (index, kind) = match at {
            At::Socket(index) => (index, 1),
            At::Other(index) => (index, 0),
        };
        Self(u32::try_from(index << 1).expect("two thousand million values do not fit into memory") | kind)
    }
}

/// The last value of every slot. A place stays the value's own as long as it is kept, and is used again after that.
#[derive(Debug, Default)]
pub struct Values {
    sockets: FactStore<SocketHandle>,
    others: FactStore<Fact>,
    /// Places, by the slots of what is there.
    places: HashTable<ValueIndex>,
    hasher: DefaultHashBuilder,
}

impl Values {
    /// Where the value of `slot` is.
    pub fn find(&self, slot: &Slot) -> Option<ValueIndex> {
        self.places.find(self.hasher.hash_one(slot), |place| self.is_of(*place, slot)).copied()
    }

    fn is_of(&self, place: ValueIndex, slot: &Slot) -> bool {
        match (place.at(), slot) {
            (At::Socket(at), Slot::Net(NetSlot::Socket(cookie))) => {
                self.sockets.get(at).is_some_and(|(socket, _)| socket.cookie() == *cookie)
            }
            (At::Other(at), slot) => {
                self.others.get(at).is_some_and(|(fact, _)| fact.slot().as_ref() == Some(slot))
            }
            _ => false,
        }
    }

    /// Whether the value at `place` is `fact`.
    pub fn is(&self, place: ValueIndex, fact: &Fact) -> bool {
        match (place.at(), fact) {
            (At::Socket(at), Fact::Net(fact)) => {
                self.sockets.get(at).is_some_and(|(socket, _)| socket.is(fact))
            }
            (At::Other(at), fact) => self.others.get(at).is_some_and(|(known, _)| known == fact),
            _ => false,
        }
    }

    pub fn fact(&self, place: ValueIndex) -> Option<Cow<'_, Fact>> {
        match place.at() {
            At::Socket(at) => self.sockets.get(at).map(|(socket, _)| Cow::Owned(socket.clone().into())),
            At::Other(at) => self.others.get(at).map(|(fact, _)| Cow::Borrowed(fact)),
        }
    }

    /// Of how many sockets facts are kept.
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// The last fact about a socket.
    pub fn socket(&self, slot: &Slot) -> Option<&SocketHandle> {
        match self.find(slot)?.at() {
            At::Socket(at) => self.sockets.get(at).map(|(socket, _)| socket),
            At::Other(_) => None,
        }
    }

    pub fn slot(&self, place: ValueIndex) -> Option<Slot> {
        match place.at() {
            At::Socket(at) => self.sockets.get(at).map(|(socket, _)| socket.slot()),
            At::Other(at) => self.others.get(at).and_then(|(fact, _)| fact.slot()),
        }
    }

    /// Whether [`Fact::lasts_unsaid`] is true of the value at `place`.
    pub fn lasts_unsaid(&self, place: ValueIndex) -> bool {
        match place.at() {
            At::Socket(at) => self.sockets.get(at).is_some_and(|(socket, _)| socket.lasts_unsaid()),
            At::Other(at) => self.others.get(at).is_some_and(|(fact, _)| fact.lasts_unsaid()),
        }
    }

    pub fn mark(&self, place: ValueIndex) -> Option<SeenBy> {
        match place.at() {
            At::Socket(at) => self.sockets.get(at).map(|(_, mark)| *mark),
            At::Other(at) => self.others.get(at).map(|(_, mark)| *mark),
        }
    }

    pub fn mark_mut(&mut self, place: ValueIndex) -> Option<&mut SeenBy> {
        match place.at() {
            At::Socket(at) => self.sockets.get_mut(at).map(|(_, mark)| mark),
            At::Other(at) => self.others.get_mut(at).map(|(_, mark)| mark),
        }
    }

    /// Keeps the next value of the slot whose value is at `place`; what was there.
    pub fn replace(&mut self, place: ValueIndex, fact: Fact) -> Option<Fact> {
        match place.at() {
            At::Socket(at) => {
                let socket = SocketHandle::try_from(fact).ok()?;
                let (known, _) = self.sockets.get_mut(at)?;
                Some(std::mem::replace(known, socket).into())
            }
            At::Other(at) => {
                let (known, _) = self.others.get_mut(at)?;
                Some(std::mem::replace(known, fact))
            }
        }
    }

    /// Keeps the first value of `slot`, which is that of `fact` and has none yet; says where.
    pub fn insert(&mut self, slot: &Slot, fact: Fact) -> ValueIndex {
        let mark = SeenBy { found: 0, finders: 0 };
        let place = ValueIndex::from(match SocketHandle::try_from(fact) {
            Ok(socket) => At::Socket(self.sockets.insert(socket, mark)),
            Err(fact) => At::Other(self.others.insert(fact, mark)),
        });
        let Self { sockets, others, places, hasher, .. } = self;
        let hash_of = |place: &ValueIndex| {
            let slot = match place.at() {
                At::Socket(at) => sockets.get(at).map(|(socket, _)| socket.slot()),
                At::Other(at) => others.get(at).and_then(|(fact, _)| fact.slot()),
            };
            slot.map_or(0, |slot| hasher.hash_one(slot))
        };
        places.insert_unique(hasher.hash_one(slot), place, hash_of);
        place
    }

    /// Takes away the value at `place`.
    pub fn remove(&mut self, place: ValueIndex) -> Option<Fact> {
        let hash = self.hasher.hash_one(self.slot(place)?);
        if let Ok(entry) = self.places.find_entry(hash, |known| *known == place) {
            entry.remove();
        }
        match place.at() {
            At::Socket(at) => self.sockets.remove(at).map(Fact::from),
            At::Other(at) => self.others.remove(at),
        }
    }

    /// Every value, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, Fact>> {
        let sockets = self.sockets.iter().map(|socket| Cow::Owned(socket.clone().into()));
        sockets.chain(self.others.iter().map(Cow::Borrowed))
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// Facts of one kind, each with its mark.
#[derive(Debug)]
struct FactStore<F> {
    /// A free place is `None`.
    values: Vec<Option<(F, SeenBy)>>,
    free: Vec<usize>,
}

impl<F> Default for FactStore<F> {
    fn default() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }
}

impl<F> FactStore<F> {
    fn get(&self, at: usize) -> Option<&(F, SeenBy)> {
        self.values.get(at)?.as_ref()
    }

    fn get_mut(&mut self, at: usize) -> Option<&mut (F, SeenBy)> {
        self.values.get_mut(at)?.as_mut()
    }

    fn insert(&mut self, fact: F, mark: SeenBy) -> usize {
        let value = Some((fact, mark));
        if let Some(at) = self.free.pop() {
            self.values[at] = value;
            return at;
        }
        self.values.push(value);
        self.values.len() - 1
    }

    fn remove(&mut self, at: usize) -> Option<F> {
        let (fact, _) = self.values.get_mut(at)?.take()?;
        self.free.push(at);
        Some(fact)
    }

    fn len(&self) -> usize {
        self.values.len() - self.free.len()
    }

    fn iter(&self) -> impl Iterator<Item = &F> {
        self.values.iter().flatten().map(|(fact, _)| fact)
    }
}
