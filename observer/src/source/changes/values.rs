//! The last fact of every slot, and where it is kept.
//!
//! There are as many as there are things, so what is kept beside each fact is little: a slot is not kept at all, it is in
//! the fact that it was made of.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::observation::{Observation, Slot};

/// A fact with a slot, and who still finds it.
#[derive(Debug)]
pub struct Value {
    pub fact: Observation,
    /// Distinguishes it from another that was kept at its place before.
    pub number: u64,
    /// The last pass that found it.
    pub found: u32,
    /// Programs whose latest pass found it; 0 where it only came outside passes.
    pub holders: u32,
}

/// The last value of every slot. A place stays the value's own as long as it is kept, and is used again after that.
#[derive(Debug, Default)]
pub struct Values {
    /// A free place is `None`.
    values: Vec<Option<Value>>,
    free: Vec<u32>,
    /// Places, by the slots of what is there.
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Values counted.
    numbers: u64,
}

impl Values {
    /// Where the value of `slot` is.
    pub fn find(&self, slot: &Slot) -> Option<usize> {
        let is = |place: &u32| {
            self.get(*place as usize).is_some_and(|value| value.fact.slot().as_ref() == Some(slot))
        };
        self.places.find(self.hasher.hash_one(slot), is).map(|place| *place as usize)
    }

    pub fn get(&self, place: usize) -> Option<&Value> {
        self.values.get(place)?.as_ref()
    }

    pub fn get_mut(&mut self, place: usize) -> Option<&mut Value> {
        self.values.get_mut(place)?.as_mut()
    }

    /// Keeps the first value of `slot`, which is that of `fact` and has none yet; says where.
    pub fn insert(&mut self, slot: &Slot, fact: Observation) -> usize {
        self.numbers += 1;
        let value = Some(Value { fact, number: self.numbers, found: 0, holders: 0 });
        let place = if let Some(place) = self.free.pop() {
            self.values[place as usize] = value;
            place
        } else {
            self.values.push(value);
            u32::try_from(self.values.len() - 1).expect("four thousand million values do not fit into memory")
        };
        let Self { values, places, hasher, .. } = self;
        let hash_of = |place: &u32| {
            let value = values.get(*place as usize).and_then(Option::as_ref);
            value.and_then(|value| value.fact.slot()).map_or(0, |slot| hasher.hash_one(slot))
        };
        places.insert_unique(hasher.hash_one(slot), place, hash_of);
        place as usize
    }

    /// Takes away the value at `place`.
    pub fn remove(&mut self, place: usize) -> Option<Value> {
        let slot = self.get(place)?.fact.slot();
        if let Some(slot) = slot
            && let Ok(entry) =
                self.places.find_entry(self.hasher.hash_one(slot), |known| *known as usize == place)
        {
            let (place, _) = entry.remove();
            self.free.push(place);
        }
        self.values.get_mut(place)?.take()
    }

    /// Every value, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        self.values.iter().flatten()
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}
