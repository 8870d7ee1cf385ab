//! From what is observed to what has changed: this module alone knows the last value of every slot.
//!
//! A fact that equals the last one of its slot is dropped, here and not later, so that the engine, a recording and its
//! replay all get the same stream. A thing that a complete scan no longer finds is gone.
//!
//! One rule must hold: *what a state has forgotten is forgotten here, or is outdated, before it can be reported
//! again*; otherwise its equal value is dropped and the state never gets it. What no source reports any longer is
//! forgotten too, so memory is bounded by what exists now. A slot is forgotten
//!
//! - when no scan of a report finds it any longer, with what [`Fact::ends`] names: what scans find (processes,
//!   counters, files, holders, sockets);
//! - a report after an end ([`Fact::ends`]): what is known of a process, a flow. The states forget earlier, on purpose:
//!   an end that is reported twice must not bring back what ended;
//! - when another process has its process id, which ends the process even if no end was reported;
//! - with the report at which nothing [`Fact::keeps`] it: the limit of a group without processes, the space of an
//!   unmounted filesystem, the deletion and the writers of a file for which no holder was found.
//!
//! The number of the other slots is fixed (the machine, its links and mounts, the losses of each object), or bounded by
//! the size of a map in the kernel (totals of connections that closed without a record, because the ring buffer was
//! full).

use std::borrow::Cow;

use hashbrown::{HashMap, HashSet};
use values::{SeenBy, ValueIndex, Values};

use observer_common::names::ProgramName;
use observer_core::facts::{
    Fact, Slot, TaskId,
    net::{Packer, SocketHandle},
    process::ProcessFact,
};

mod values;

/// How many values in a row may be missing from the order of a scan before the rest is looked up one by one.
const LOOK_AHEAD: usize = 64;
/// Facts about more sockets than this are packed, which takes time and saves memory.
const FEW: usize = 1024;

/// The last value of every slot, and which scans still find it.
#[derive(Debug, Default)]
pub struct Changes {
    values: Values,
    /// Each program with the values that its latest scan found. There are few programs.
    scans: Vec<(ProgramName, Vec<ValueIndex>)>,
    /// Slots that the scans since the last [`Self::settle`] no longer found.
    missed: Vec<Slot>,
    /// The number of the current scan.
    scan: u32,
    /// Slots that ended since the last report was due, and slots that had ended before it.
    ending: HashSet<Slot>,
    ended: HashSet<Slot>,
    /// How many known values keep each slot.
    kept: HashMap<Slot, usize>,
    /// Slots that no known value kept at the last check; the next report that is due decides.
    loose: HashSet<Slot>,
    /// The latest process of each process id.
    latest: HashMap<u32, TaskId>,
    /// Sockets that the current scan has found so far.
    scanned: usize,
    packer: Packer,
}

/// Which of the values that the previous scan of a program found, and this one did not, still count as found.
#[derive(Clone, Copy)]
enum Retention {
    Nothing,
    /// Values that are not reported while they do not change ([`Fact::silent_while_unchanged`]).
    WhatLasts,
    Everything,
}

impl Changes {
    /// Takes the facts of one complete scan of `program`. Those that differ from the last one of their slot go to
    /// `out`. What this program's previous scan found and this one did not is missed until [`Self::settle`] decides.
    pub fn scan(
        &mut self,
        program: ProgramName,
        facts: impl IntoIterator<Item = Fact>,
        out: &mut impl Extend<Fact>,
    ) {
        self.replace(program, facts, Retention::Nothing, out);
    }

    /// As [`Self::scan`], for a scan that leaves out what lasts and has not changed ([`Fact::silent_while_unchanged`]): that
    /// counts as found until its end is reported.
    pub fn scan_of_changes(
        &mut self,
        program: ProgramName,
        facts: impl IntoIterator<Item = Fact>,
        out: &mut impl Extend<Fact>,
    ) {
        self.replace(program, facts, Retention::WhatLasts, out);
    }

    /// Makes a part of a scan smaller, before the scan is taken as a whole: replaces facts that are known by the known
    /// ones, because one of two equal ones is enough, and packs the others where there are many.
    pub fn compact(&mut self, facts: &mut [SocketHandle]) {
        self.scanned += facts.len();
        let many = self.scanned.max(self.values.sockets()) > FEW;
        for fact in facts {
            match self.values.socket(&fact.slot()) {
                Some(known) if known == fact => *fact = known.clone(),
                _ if many => fact.pack(&mut self.packer),
                _ => {}
            }
        }
    }

    /// Whether something is missed that a scan on demand may still find.
    pub fn has_missing(&self) -> bool {
        self.missed.iter().any(|slot| self.unfound(slot).is_some_and(|(_, fact)| fact.may_be_elsewhere()))
    }

    /// All scans of a report have run: what no program's latest scan found is forgotten, and its [`Fact::gone`] goes to
    /// `out`.
    pub fn settle(&mut self, out: &mut impl Extend<Fact>) {
        for slot in std::mem::take(&mut self.missed) {
            let unfound = self.unfound(&slot).map(|(index, fact)| (index, fact.gone()));
            let Some((index, gone)) = unfound else { continue };
            self.remove(index);
            if let Some(gone) = gone {
                // Facts about the same thing are forgotten with it. It may come back (a file with a closed descriptor
                // that is mapped); then all of them are new to a state that knows that it was gone.
                gone.ended_slots().iter().for_each(|slot| self.forget(slot));
                self.single(gone, out);
            }
        }
    }

    /// The value of `slot`, unless a scan finds it.
    fn unfound(&self, slot: &Slot) -> Option<(ValueIndex, Cow<'_, Fact>)> {
        let index = self.values.find(slot)?;
        self.values.seen_by(index).filter(|seen_by| seen_by.finders == 0)?;
        Some((index, self.values.fact(index)?))
    }

    /// Takes the facts of a scan that failed midway. Nothing is gone, because the scan may not have reached what it did
    /// not find.
    pub fn interrupted_scan(
        &mut self,
        program: ProgramName,
        facts: impl IntoIterator<Item = Fact>,
        out: &mut impl Extend<Fact>,
    ) {
        self.replace(program, facts, Retention::Everything, out);
    }

    /// Takes the facts of a scan. What the program's previous scan found and this one did not is missed, unless it is
    /// `staying`.
    fn replace(
        &mut self,
        program: ProgramName,
        facts: impl IntoIterator<Item = Fact>,
        staying: Retention,
        out: &mut impl Extend<Fact>,
    ) {
        let (number, previous) = self.begin(program);
        let finder = 1 << number;
        let mut found = self.take(finder, facts, &previous, out);
        for index in previous {
            // The index may belong to another value by now, which this program's previous scan did not find. The
            // values that this scan found are in `found`.
            let found_before = |seen_by: &SeenBy| seen_by.finders & finder != 0 && seen_by.found != self.scan;
            if !self.values.seen_by(index).is_some_and(|seen_by| found_before(&seen_by)) {
                continue;
            }
            let stays = match staying {
                Retention::Nothing => false,
                Retention::WhatLasts => self.values.silent_while_unchanged(index),
                Retention::Everything => true,
            };
            if stays {
                found.push(index);
                continue;
            }
            if let Some(seen_by) = self.values.seen_by_mut(index) {
                seen_by.finders &= !finder;
                if seen_by.finders == 0 {
                    self.missed.extend(self.values.slot(index));
                }
            }
        }
        self.scans[number].1 = found;
    }

    /// Takes a fact from outside a scan. An event always goes to `out`; a state-like fact does if it differs from the
    /// last one of its slot.
    pub fn single(&mut self, fact: Fact, out: &mut impl Extend<Fact>) {
        self.note_ends(&fact);
        match fact.slot() {
            Some(slot) => {
                self.observe(slot, fact, out);
            }
            None => out.extend([fact]),
        }
    }

    /// Every process that is known.
    pub fn processes(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.latest.values().copied()
    }

    /// The current value of every slot, in the order of the slots: a reader can start from them.
    pub fn keyframe(&self) -> impl Iterator<Item = Cow<'_, Fact>> {
        let mut facts: Vec<(Option<Slot>, Cow<'_, Fact>)> =
            self.values.iter().map(|fact| (fact.slot(), fact)).collect();
        facts.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        facts.into_iter().map(|(_, fact)| fact)
    }

    /// Number of slots that are known.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no slot is known.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Starts a scan; returns its program's number, and the values that its previous scan found.
    fn begin(&mut self, program: ProgramName) -> (usize, Vec<ValueIndex>) {
        self.scan = self.scan.wrapping_add(1);
        self.scanned = 0;
        let number = self.scans.iter().position(|(name, _)| *name == program).unwrap_or_else(|| {
            assert!(
                self.scans.len() < u32::BITS as usize,
                "domains declare fewer iterators than a set has bits"
            );
            self.scans.push((program, Vec::new()));
            self.scans.len() - 1
        });
        let previous = std::mem::take(&mut self.scans[number].1);
        (number, previous)
    }

    /// Takes the facts of a scan, and marks each slot once as found by its program. Successive scans find things in
    /// the same order: a fact is first compared with the one at its position in the `previous` scan.
    fn take(
        &mut self,
        finder: u32,
        facts: impl IntoIterator<Item = Fact>,
        previous: &[ValueIndex],
        out: &mut impl Extend<Fact>,
    ) -> Vec<ValueIndex> {
        let facts = facts.into_iter();
        let mut found = Vec::with_capacity(facts.size_hint().0);
        let mut expected = previous;
        for fact in facts {
            let index = match expected {
                [index, rest @ ..] if self.knows(*index, &fact) => {
                    expected = rest;
                    *index
                }
                _ => {
                    self.note_ends(&fact);
                    let Some(slot) = fact.slot() else {
                        out.extend([fact]);
                        continue;
                    };
                    let index = self.observe(slot, fact, out);
                    let ahead = &expected[..expected.len().min(LOOK_AHEAD)];
                    if let Some(before) = ahead.iter().position(|ahead| *ahead == index) {
                        expected = &expected[before + 1..];
                    }
                    index
                }
            };
            if let Some(seen_by) = self.values.seen_by_mut(index)
                && seen_by.found != self.scan
            {
                seen_by.found = self.scan;
                seen_by.finders |= finder;
                found.push(index);
            }
        }
        found
    }

    /// Whether `fact` is the value at `index`, unchanged.
    fn knows(&self, index: ValueIndex, fact: &Fact) -> bool {
        let is_more = fact.silent_while_unchanged() && self.awaits_ends();
        !is_more && self.values.is(index, fact) && fact.ended_slots().is_empty()
    }

    /// Remembers the slots that end with a fact.
    fn note_ends(&mut self, fact: &Fact) {
        self.ending.extend(fact.ended_slots());
        if let Fact::Process(ProcessFact::Met { id, .. }) = fact {
            self.supersede(*id);
        }
    }

    /// Takes a fact of `slot`; it goes to `out` unless it is known.
    fn observe(&mut self, slot: Slot, fact: Fact, out: &mut impl Extend<Fact>) -> ValueIndex {
        // A socket can be connected again after its connection has closed.
        if fact.silent_while_unchanged() && self.awaits_ends() {
            self.ending.remove(&slot);
            self.ended.remove(&slot);
        }
        let known = self.values.find(&slot);
        let outdated = fact.outdates(known.is_some());
        let index = match known {
            Some(index) if self.values.is(index, &fact) => return index,
            Some(index) => {
                let before = self.values.replace(index, fact.clone());
                self.keep(&fact);
                before.iter().for_each(|before| self.release(before));
                index
            }
            None => self.remember(slot, fact.clone()),
        };
        if let Some(outdated) = outdated.and_then(|slot| self.values.find(&slot)) {
            self.remove(outdated);
        }
        out.extend([fact]);
        index
    }

    /// Whether a slot has ended and is not forgotten yet.
    fn awaits_ends(&self) -> bool {
        !(self.ending.is_empty() && self.ended.is_empty())
    }

    /// Stores the first value of `slot`.
    fn remember(&mut self, slot: Slot, fact: Fact) -> ValueIndex {
        self.keep(&fact);
        let index = self.values.insert(&slot, fact);
        if slot.needs_keeping() && !self.kept.contains_key(&slot) {
            self.loose.insert(slot);
        }
        index
    }

    fn remove(&mut self, index: ValueIndex) {
        if let Some(fact) = self.values.remove(index) {
            self.release(&fact);
        }
    }

    /// `fact` is known from now on.
    fn keep(&mut self, fact: &Fact) {
        for slot in fact.keeps() {
            *self.kept.entry(slot).or_default() += 1;
        }
    }

    /// `fact` is no longer known.
    fn release(&mut self, fact: &Fact) {
        for slot in fact.keeps() {
            if let Some(keepers) = self.kept.get_mut(&slot) {
                *keepers -= 1;
                if *keepers == 0 {
                    self.kept.remove(&slot);
                    self.loose.insert(slot);
                }
            }
        }
    }

    /// A process id is used again only after its process has ended, even if that end was not reported.
    fn supersede(&mut self, id: TaskId) {
        let latest = self.latest.entry(id.pid()).or_insert(id);
        if *latest != id {
            let ended = if latest.start <= id.start { std::mem::replace(latest, id) } else { id };
            self.ending.extend(Fact::Process(ProcessFact::Ended { id: ended, at: 0 }).ended_slots());
        }
    }

    /// A report is due. Forgets what ended before the previous report was due, because final totals may follow an end
    /// for that long, and what nothing keeps.
    pub fn tick(&mut self) {
        let ending = std::mem::take(&mut self.ending);
        for slot in std::mem::replace(&mut self.ended, ending) {
            self.forget(&slot);
        }
        for slot in std::mem::take(&mut self.loose) {
            if !self.kept.contains_key(&slot) {
                self.forget(&slot);
            }
        }
    }

    /// Forgets a slot. What a scan still finds (a process that its parent has not waited for) stays until no scan
    /// finds it; what scans leave out goes with its end.
    fn forget(&mut self, slot: &Slot) {
        if let Some(index) = self.values.find(slot)
            && let Some(seen_by) = self.values.seen_by(index)
            && (seen_by.finders == 0 || self.values.silent_while_unchanged(index))
        {
            self.remove(index);
        }
    }
}

#[cfg(test)]
mod tests;
