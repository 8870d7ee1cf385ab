//! What is at the address of a fault, soon after it and later. Only a hash of it is kept.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    fs::File,
    hash::BuildHasher as _,
    io,
    os::unix::fs::FileExt as _,
};

use observer_core::facts::{
    TaskId,
    sites::{Found, SitesFact},
};

use crate::judgement::AGES;

/// Bytes that are compared. More would reach into the next object more often.
const BYTES: usize = 32;
/// Nanoseconds after the fault. Before, the program has not written yet; later, a short-lived object is freed already.
const FIRST: u64 = 3_000_000;
/// A first look after this says nothing about the object of the fault.
const LATE: u64 = 25_000_000;
const MILLISECOND: u64 = 1_000_000;
/// Looks that wait; further faults are not looked at.
const MOST: usize = 1 << 16;

/// The looks that are to come, by the time at which they are due.
#[derive(Default)]
pub struct Looks {
    due: BTreeMap<(u64, u64), Look>,
    hasher: RandomState,
    /// Distinguishes looks that are due at the same time.
    next: u64,
}

struct Look {
    process: TaskId,
    number: u64,
    address: u64,
    /// When the fault was, boot-clock nanoseconds.
    fault: u64,
    /// What was there at the first look, and how many looks have followed it.
    first: Option<(Hashes, usize)>,
}

/// Hashes of the bytes before the address, and from it on; `None` if they say nothing, or have changed.
type Hashes = [Option<u64>; 2];

/// What the memory of a process has at an address.
pub enum Content {
    /// The bytes before the address, if they are mapped, and from it on.
    Bytes(Option<[u8; BYTES]>, [u8; BYTES]),
    /// Nothing is mapped there.
    Gone,
    /// The process has ended, or may not be read.
    Unreadable,
}

impl Looks {
    /// From now on looks at `address`, where a fault was at `fault`.
    pub fn add(&mut self, process: TaskId, number: u64, address: u64, fault: u64) {
        if self.due.len() < MOST {
            self.wait(fault + FIRST, Look { process, number, address, fault, first: None });
        }
    }

    /// When the next look is due, boot-clock nanoseconds.
    pub fn next(&self) -> Option<u64> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// Looks at everything that is due at `now`. Returns what was found.
    pub fn look(&mut self, now: u64, mut read: impl FnMut(TaskId, u64) -> Content) -> Vec<SitesFact> {
        let mut facts = Vec::new();
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= now
        {
            let look = entry.remove();
            let content = read(look.process, look.address);
            facts.extend(self.compare(look, &content, now));
        }
        facts
    }

    /// What a look has found, if it says something. The next look waits from now on, if there is one.
    fn compare(&mut self, look: Look, content: &Content, now: u64) -> Option<SitesFact> {
        let age = now.saturating_sub(look.fault);
        let Look { process, number, address, fault, first } = look;
        let hashes = match content {
            Content::Unreadable => return None,
            Content::Gone => [None; 2],
            Content::Bytes(before, after) => [before.as_ref(), Some(after)].map(|bytes| {
                // Fresh memory is zero: nothing was written yet.
                let written = bytes.filter(|bytes| bytes.iter().any(|byte| *byte != 0));
                written.map(|bytes| self.hasher.hash_one(bytes))
            }),
        };
        let Some((first, looks)) = first else {
            if age <= LATE && hashes != [None; 2] {
                self.wait_for(0, Look { process, number, address, fault, first: Some((hashes, 0)) });
            }
            return None;
        };
        let [before, after] = [0, 1].map(|side| match first[side] {
            None => Found::Unknown,
            same if same == hashes[side] => Found::Same,
            Some(_) => Found::Changed,
        });
        let left = [(before, first[0]), (after, first[1])]
            .map(|(found, hash)| hash.filter(|_| found == Found::Same));
        if left != [None; 2] {
            self.wait_for(
                looks + 1,
                Look { process, number, address, fault, first: Some((left, looks + 1)) },
            );
        }
        let age = u32::try_from(age / MILLISECOND).unwrap_or(u32::MAX);
        Some(SitesFact::Look { process, number, age, before, after })
    }

    fn wait_for(&mut self, looks: usize, look: Look) {
        if let Some(age) = AGES.get(looks) {
            self.wait(look.fault + u64::from(*age) * MILLISECOND, look);
        }
    }

    fn wait(&mut self, at: u64, look: Look) {
        self.next += 1;
        self.due.insert((at, self.next), look);
    }
}

/// Reads the memory of a process around `address` through its open `mem`.
pub fn read(memory: &File, address: u64) -> Content {
    let mut both = [0; 2 * BYTES];
    if memory.read_exact_at(&mut both, address.wrapping_sub(BYTES as u64)).is_ok() {
        let (before, after) = both.split_at(BYTES);
        if let (Ok(before), Ok(after)) = (before.try_into(), after.try_into()) {
            return Content::Bytes(Some(before), after);
        }
    }
    let mut after = [0; BYTES];
    match memory.read_at(&mut after, address) {
        Ok(0) => Content::Unreadable,
        Ok(_) => Content::Bytes(None, after),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Content::Unreadable,
        Err(_) => Content::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TaskId = TaskId { start: 1, tgid: 42 };
    const SECOND: u64 = 1_000_000_000;

    /// The results of looks at this content, at these times after a fault.
    fn found(contents: Vec<(u64, Content)>) -> Vec<(u32, Found, Found)> {
        let mut looks = Looks::default();
        looks.add(ID, 7, 0x1000, 10 * SECOND);
        let mut facts = Vec::new();
        for (after, content) in contents {
            let mut content = Some(content);
            facts.extend(looks.look(10 * SECOND + after, |_, _| content.take().expect("one look")));
        }
        let look = |fact| match fact {
            SitesFact::Look { age, before, after, number: 7, .. } => (age, before, after),
            other => panic!("{other:?}"),
        };
        facts.into_iter().map(look).collect()
    }

    fn bytes(before: u8, after: u8) -> Content {
        Content::Bytes(Some([before; BYTES]), [after; BYTES])
    }

    #[test]
    fn content_that_stays_is_seen_at_each_age() {
        let times = [FIRST, 2 * SECOND, 8 * SECOND, 30 * SECOND, 99 * SECOND];
        let results = found(times.into_iter().map(|time| (time, bytes(6, 7))).collect());
        let ages: Vec<u32> = results.iter().map(|(age, _, _)| *age).collect();
        assert_eq!(ages, [2_000, 8_000, 30_000]);
        assert!(
            results.iter().all(|(_, before, after)| [*before, *after] == [Found::Same; 2]),
            "{results:?}"
        );
    }

    #[test]
    fn each_side_of_an_address_is_compared_by_itself() {
        let contents = vec![(FIRST, bytes(6, 7)), (2 * SECOND, bytes(6, 8)), (8 * SECOND, bytes(5, 7))];
        let expected = [(2_000, Found::Same, Found::Changed), (8_000, Found::Changed, Found::Unknown)];
        assert_eq!(found(contents), expected, "and what has changed is not looked at again");
        let gone = vec![(FIRST, bytes(6, 7)), (2 * SECOND, Content::Gone), (8 * SECOND, bytes(6, 7))];
        assert_eq!(found(gone), [(2_000, Found::Changed, Found::Changed)]);
    }

    #[test]
    fn zeroes_and_a_late_first_look_say_nothing() {
        let zeroes = vec![(FIRST, bytes(0, 7)), (2 * SECOND, bytes(3, 7))];
        assert_eq!(found(zeroes), [(2_000, Found::Unknown, Found::Same)]);
        assert!(found(vec![(FIRST, bytes(0, 0)), (2 * SECOND, bytes(0, 0))]).is_empty());
        assert!(found(vec![(LATE + MILLISECOND, bytes(7, 7)), (2 * SECOND, bytes(7, 7))]).is_empty());
        assert!(found(vec![(FIRST, Content::Unreadable), (2 * SECOND, bytes(7, 7))]).is_empty());
    }
}
