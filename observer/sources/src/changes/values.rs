//! The last fact of every slot.
//!
//! There is one for each thing, so the memory beside a fact is small. Its slot is not stored: it follows from the fact.
//! A fact about a socket, of which there can be hundreds of thousands, is stored as its handle.

use std::{borrow::Cow, hash::BuildHasher as _};

use hashbrown::{DefaultHashBuilder, HashTable};

use observer_core::facts::{
    Fact, Slot,
    net::{NetSlot, SocketHandle},
};

/// The scans that find a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeenBy {
    /// The last scan that found it.
    pub found: u32,
    /// Programs that found it in their latest scan, one bit each; 0 if it came from outside scans only.
    pub finders: u32,
}

/// The index of a value. It does not change while the value is kept, and is reused after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueIndex(u32);

/// A fact in its stored form.
#[derive(Debug)]
enum Stored {
    Socket(SocketHandle),
    Other(Box<Fact>),
}

const _: () = assert!(size_of::<Option<(Stored, SeenBy)>>() == 24);

impl Stored {
    fn is_of(&self, slot: &Slot) -> bool {
        match (self, slot) {
            (Self::Socket(socket), Slot::Net(NetSlot::Socket(cookie))) => socket.cookie() == *cookie,
            (Self::Socket(_), _) => false,
            (Self::Other(fact), slot) => fact.slot().as_ref() == Some(slot),
        }
    }

    fn is(&self, fact: &Fact) -> bool {
        match (self, fact) {
            (Self::Socket(socket), Fact::Net(fact)) => socket.is(fact),
            (Self::Socket(_), _) => false,
            (Self::Other(known), fact) => **known == *fact,
        }
    }

    fn slot(&self) -> Option<Slot> {
        match self {
            Self::Socket(socket) => Some(socket.slot()),
            Self::Other(fact) => fact.slot(),
        }
    }

    fn fact(&self) -> Cow<'_, Fact> {
        match self {
            Self::Socket(socket) => Cow::Owned(socket.clone().into()),
            Self::Other(fact) => Cow::Borrowed(fact),
        }
    }

    /// Stores another fact of the same slot in the same form; returns the earlier one.
    fn replace(&mut self, fact: Fact) -> Fact {
        match self {
            Self::Socket(_) => std::mem::replace(self, fact.into()).into(),
            Self::Other(known) => std::mem::replace(known, fact),
        }
    }
}

impl From<Fact> for Stored {
    fn from(fact: Fact) -> Self {
        SocketHandle::try_from(fact).map_or_else(|fact| Self::Other(Box::new(fact)), Self::Socket)
    }
}

impl From<Stored> for Fact {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Socket(socket) => socket.into(),
            Stored::Other(fact) => *fact,
        }
    }
}

/// The last value of every slot.
#[derive(Debug, Default)]
pub struct Values {
    /// `None` is a free entry.
    stored: Vec<Option<(Stored, SeenBy)>>,
    free: Vec<ValueIndex>,
    /// How many values are about sockets.
    sockets: usize,
    by_slot: HashTable<ValueIndex>,
    hasher: DefaultHashBuilder,
}

impl Values {
    fn get(&self, index: ValueIndex) -> Option<&(Stored, SeenBy)> {
        self.stored.get(index.0 as usize)?.as_ref()
    }

    /// The index of the value of `slot`.
    pub fn find(&self, slot: &Slot) -> Option<ValueIndex> {
        let is_of = |index: &ValueIndex| self.get(*index).is_some_and(|(stored, _)| stored.is_of(slot));
        self.by_slot.find(self.hasher.hash_one(slot), is_of).copied()
    }

    /// Whether the value is `fact`.
    pub fn is(&self, index: ValueIndex, fact: &Fact) -> bool {
        self.get(index).is_some_and(|(stored, _)| stored.is(fact))
    }

    pub fn fact(&self, index: ValueIndex) -> Option<Cow<'_, Fact>> {
        self.get(index).map(|(stored, _)| stored.fact())
    }

    /// How many values are about sockets.
    pub const fn sockets(&self) -> usize {
        self.sockets
    }

    /// The last fact about a socket.
    pub fn socket(&self, slot: &Slot) -> Option<&SocketHandle> {
        match self.get(self.find(slot)?)? {
            (Stored::Socket(socket), _) => Some(socket),
            _ => None,
        }
    }

    pub fn slot(&self, index: ValueIndex) -> Option<Slot> {
        self.get(index)?.0.slot()
    }

    /// Whether [`Fact::silent_while_unchanged`] is true of the value.
    pub fn silent_while_unchanged(&self, index: ValueIndex) -> bool {
        match self.get(index) {
            Some((Stored::Socket(socket), _)) => socket.silent_while_unchanged(),
            Some((Stored::Other(fact), _)) => fact.silent_while_unchanged(),
            None => false,
        }
    }

    pub fn seen_by(&self, index: ValueIndex) -> Option<SeenBy> {
        self.get(index).map(|(_, seen_by)| *seen_by)
    }

    pub fn seen_by_mut(&mut self, index: ValueIndex) -> Option<&mut SeenBy> {
        self.stored.get_mut(index.0 as usize)?.as_mut().map(|(_, seen_by)| seen_by)
    }

    /// Stores the next value of the slot; returns the earlier one.
    pub fn replace(&mut self, index: ValueIndex, fact: Fact) -> Option<Fact> {
        let (stored, _) = self.stored.get_mut(index.0 as usize)?.as_mut()?;
        Some(stored.replace(fact))
    }

    /// Stores the first value of `slot`, the slot of `fact`.
    pub fn insert(&mut self, slot: &Slot, fact: Fact) -> ValueIndex {
        let value = Stored::from(fact);
        self.sockets += usize::from(matches!(value, Stored::Socket(_)));
        let value = Some((value, SeenBy::default()));
        let index = match self.free.pop() {
            Some(index) => {
                self.stored[index.0 as usize] = value;
                index
            }
            None => {
                self.stored.push(value);
                let index = u32::try_from(self.stored.len() - 1);
                ValueIndex(index.expect("the values would take 100 GB"))
            }
        };
        let Self { stored, by_slot, hasher, .. } = self;
        let slot_of = |index: &ValueIndex| stored[index.0 as usize].as_ref()?.0.slot();
        let hash_of = |index: &ValueIndex| slot_of(index).map_or(0, |slot| hasher.hash_one(slot));
        by_slot.insert_unique(hasher.hash_one(slot), index, hash_of);
        index
    }

    /// Removes the value.
    pub fn remove(&mut self, index: ValueIndex) -> Option<Fact> {
        let hash = self.hasher.hash_one(self.slot(index)?);
        if let Ok(entry) = self.by_slot.find_entry(hash, |known| *known == index) {
            entry.remove();
        }
        let (value, _) = self.stored.get_mut(index.0 as usize)?.take()?;
        self.sockets -= usize::from(matches!(value, Stored::Socket(_)));
        self.free.push(index);
        Some(value.into())
    }

    /// Every value, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, Fact>> {
        self.stored.iter().flatten().map(|(stored, _)| stored.fact())
    }

    pub fn len(&self) -> usize {
        self.by_slot.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }
}
