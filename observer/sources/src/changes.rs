//! From what is observed to what has changed: the one place that knows the last value of every slot.
//!
//! A fact that is equal to the last one of its slot tells nothing and is dropped, here and not later, so that the
//! engine, a recording and its replay all see the same stream. What a complete pass no longer finds is gone.
//!
//! The rule that this stands on: *what a state has forgotten is forgotten here, or is outdated, before it can be told
//! again*; else its equal value is dropped and the state never hears it. And what nobody speaks of any more is forgotten,
//! so that memory is bounded by what there is and not by what there was. A slot is forgotten
//!
//! - when no pass of a report finds it any more, with what [`Fact::ends`] names: what a pass finds (processes, counters, files,
//!   holders, sockets);
//! - a report after an end ([`Fact::ends`]): what is known of a process, a flow. It is later than the states
//!   forget, on purpose: what is said of an end twice must not bring back what ended;
//! - when its process's number is another's, which ends it though nobody heard of its end;
//! - with the report at which nothing [`Fact::keeps`] it: the limit of a group that no process is in, the space of
//!   what is not mounted, the deletion and the writers of a file that nobody was found to hold.
//!
//! Of the rest there is a fixed number (the machine, its links and mounts, the losses of each object), or as many as a
//! map of the kernel side has room for (totals of connections whose ends found no room in the ring).

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

/// So many things may have gone at one place in the order of a pass before the rest is looked up one by one.
const LOOK_AHEAD: usize = 64;
/// Where there are more sockets than this, what is told of one is packed: it takes time, and little room.
const FEW: usize = 1024;

/// The last value of every slot, and which passes still find it.
#[derive(Debug, Default)]
pub struct Changes {
    values: Values,
    /// Each program with what its latest pass found. A handful of programs.
    passes: Vec<(ProgramName, Vec<ValueIndex>)>,
    /// What the passes since the last judgement no longer found.
    missed: Vec<Slot>,
    /// Passes counted, so that a mark of an earlier one is not taken for this one's.
    pass: u32,
    /// Slots that ended since the last report was due, and those that had ended before it.
    ending: HashSet<Slot>,
    ended: HashSet<Slot>,
    /// How many known values keep each slot.
    kept: HashMap<Slot, usize>,
    /// Slots that nothing kept when last looked at; the next report that is due decides.
    loose: HashSet<Slot>,
    /// The latest process of each process id.
    latest: HashMap<u32, TaskId>,
    /// Sockets that the pass which is under way has told of so far.
    told: usize,
    packer: Packer,
}

/// What counts as found, of what the previous pass of a program had and this one has not.
#[derive(Clone, Copy)]
enum Retention {
    Nothing,
    /// What is not told of while it stays as it is ([`Fact::lasts_unsaid`]).
    WhatLasts,
    Everything,
}

impl Changes {
    /// Takes the facts of one complete pass of `program`: what differs from the last fact of its slot goes to `out`.
    /// What this program's previous pass had and this one has not is missed until [`Self::settle`] judges.
    pub fn pass(
        &mut self,
        program: ProgramName,
        facts: impl IntoIterator<Item = Fact>,
        out: &mut impl Extend<Fact>,
    ) {
        self.replace(program, facts, Retention::Nothing, out);
    }

    /// As [`Self::pass`], where the pass has kept silent about what lasts and has not changed
    /// ([`Fact::lasts_unsaid`]): that is found as long as its end is not told.
    pub fn pass_over_changes(
        &mut self,
        program: ProgramName,
        facts: impl IntoIterator<Item = Fact>,
        out: &mut impl Extend<Fact>,
    ) {
        self.replace(program, facts, Retention::WhatLasts, out);
    }

    /// Takes a part of what a pass under way tells of sockets, before it is told of as a whole: puts what is known in the
    /// place of facts that are equal to it, for one of two is enough, and packs the others where there are many.
    pub fn compact(&mut self, facts: &mut [SocketHandle]) {
        self.told += facts.len();
        let many = self.told.max(self.values.sockets()) > FEW;
        for fact in facts {
            match self.values.socket(&fact.slot()) {
                Some(known) if known == fact => *fact = known.clone(),
                _ if many => fact.pack(&mut self.packer),
                _ => {}
            }
        }
    }

    /// Whether something is missed that a pass on demand may yet find.
    #[must_use]
    pub fn seeks(&self) -> bool {
        self.missed.iter().any(|slot| self.unfound(slot).is_some_and(|(_, fact)| fact.may_be_elsewhere()))
    }

    /// All passes of a report have run: what no program's latest pass finds is forgotten, and its
    /// [`Fact::gone`] goes to `out`.
    pub fn settle(&mut self, out: &mut impl Extend<Fact>) {
        for slot in std::mem::take(&mut self.missed) {
            let unfound = self.unfound(&slot).map(|(place, fact)| (place, fact.gone()));
            let Some((place, gone)) = unfound else { continue };
            self.vacate(place);
            if let Some(gone) = gone {
                self.forget(&gone);
                self.observe(gone, out);
            }
        }
    }

    /// The value of `slot`, and its place, unless a pass finds it.
    fn unfound(&self, slot: &Slot) -> Option<(ValueIndex, Cow<'_, Fact>)> {
        let place = self.values.find(slot)?;
        self.values.mark(place).filter(|mark| mark.finders == 0)?;
        Some((place, self.values.fact(place)?))
    }

    /// Takes the facts of a pass that failed midway: changes are passed on; nothing is gone, because what it did not
    /// find it may not have reached.
    pub fn interrupted(
        &mut self,
        program: ProgramName,
        facts: impl IntoIterator<Item = Fact>,
        out: &mut impl Extend<Fact>,
    ) {
        self.replace(program, facts, Retention::Everything, out);
    }

    /// Takes the facts of a pass, and the place of what the program's previous pass found; what that had and this one has
    /// not is missed, unless it is `staying`.
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
        for place in previous {
            // A place is used again: what is there now and was not found by this program's previous pass is not meant, and
            // what this one found is among its own.
            let found_before = |mark: &SeenBy| mark.finders & finder != 0 && mark.found != self.pass;
            if !self.values.mark(place).is_some_and(|mark| found_before(&mark)) {
                continue;
            }
            let stays = match staying {
                Retention::Nothing => false,
                Retention::WhatLasts => self.values.lasts_unsaid(place),
                Retention::Everything => true,
            };
            if stays {
                found.push(place);
                continue;
            }
            if let Some(mark) = self.values.mark_mut(place) {
                mark.finders &= !finder;
                if mark.finders == 0 {
                    self.missed.extend(self.values.slot(place));
                }
            }
        }
        self.passes[number].1 = found;
    }

    /// Takes a fact that came outside a pass: an event always goes to `out`, a state-like fact when it has changed.
    pub fn single(&mut self, fact: Fact, out: &mut impl Extend<Fact>) {
        self.observe(fact, out);
    }

    /// Every process that is known.
    pub fn processes(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.latest.values().copied()
    }

    /// The current value of every slot, in the order of the slots: what a reader needs to go on from here.
    pub fn keyframe(&self) -> impl Iterator<Item = Cow<'_, Fact>> {
        let mut facts: Vec<(Option<Slot>, Cow<'_, Fact>)> =
            self.values.iter().map(|fact| (fact.slot(), fact)).collect();
        facts.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        facts.into_iter().map(|(_, fact)| fact)
    }

    /// Number of slots that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no slot is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Starts a pass; its program's number, and what its previous pass found.
    fn begin(&mut self, program: ProgramName) -> (usize, Vec<ValueIndex>) {
        self.pass = self.pass.wrapping_add(1);
        self.told = 0;
        let number = self.passes.iter().position(|(name, _)| *name == program).unwrap_or_else(|| {
            assert!(self.passes.len() < u32::BITS as usize, "a mark has no room for so many programs");
            self.passes.push((program, Vec::new()));
            self.passes.len() - 1
        });
        let previous = std::mem::take(&mut self.passes[number].1);
        (number, previous)
    }

    /// Observes the facts of a pass, and marks each slot as found by its program, once. Passes find things in the same order
    /// again and again: a fact is first compared with what stood at its place in the `previous` one.
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
            let place = match expected {
                [place, rest @ ..] if self.knows(*place, &fact) => {
                    expected = rest;
                    Some(*place)
                }
                _ => {
                    let place = self.observe(fact, out);
                    let ahead = &expected[..expected.len().min(LOOK_AHEAD)];
                    if let Some(before) = ahead.iter().position(|ahead| Some(*ahead) == place) {
                        expected = &expected[before + 1..];
                    }
                    place
                }
            };
            if let Some(place) = place
                && let Some(mark) = self.values.mark_mut(place)
                && mark.found != self.pass
            {
                mark.found = self.pass;
                mark.finders |= finder;
                found.push(place);
            }
        }
        found
    }

    /// Whether `fact` is the value at `place` and tells nothing more than that it still is.
    fn knows(&self, place: ValueIndex, fact: &Fact) -> bool {
        let tells_more = fact.lasts_unsaid() && self.awaits_ends();
        !tells_more && self.values.is(place, fact) && fact.ends().is_empty()
    }

    /// Passes `fact` on unless it is known; says where its slot's value is kept.
    fn observe(&mut self, fact: Fact, out: &mut impl Extend<Fact>) -> Option<ValueIndex> {
        self.ending.extend(fact.ends());
        if let Fact::Process(ProcessFact::Met { id, .. }) = &fact {
            self.supersede(*id);
        }
        let Some(slot) = fact.slot() else {
            out.extend([fact]);
            return None;
        };
        // A socket can be connected again after its connection's end.
        if fact.lasts_unsaid() && self.awaits_ends() {
            self.ending.remove(&slot);
            self.ended.remove(&slot);
        }
        let place = self.values.find(&slot);
        let outdated = fact.outdates(place.is_some());
        let place = match place {
            Some(place) if self.values.is(place, &fact) => return Some(place),
            Some(place) => {
                let before = self.values.replace(place, fact.clone());
                self.keep(&fact);
                before.iter().for_each(|before| self.release(before));
                place
            }
            None => self.remember(slot, fact.clone()),
        };
        if let Some(outdated) = outdated.and_then(|slot| self.values.find(&slot)) {
            self.vacate(outdated);
        }
        out.extend([fact]);
        Some(place)
    }

    /// Whether something has ended whose end is still to be forgotten with it.
    fn awaits_ends(&self) -> bool {
        !(self.ending.is_empty() && self.ended.is_empty())
    }

    /// Keeps the first value of `slot`; says where.
    fn remember(&mut self, slot: Slot, fact: Fact) -> ValueIndex {
        self.keep(&fact);
        let place = self.values.insert(&slot, fact);
        if slot.needs_keeping() && !self.kept.contains_key(&slot) {
            self.loose.insert(slot);
        }
        place
    }

    fn vacate(&mut self, place: ValueIndex) {
        if let Some(fact) = self.values.remove(place) {
            self.release(&fact);
        }
    }

    /// `fact` is known from now on.
    fn keep(&mut self, fact: &Fact) {
        for slot in fact.keeps() {
            *self.kept.entry(slot).or_default() += 1;
        }
    }

    /// `fact` is known no more.
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

    /// A number is used again only after its process has ended, even if nobody heard of that end.
    fn supersede(&mut self, id: TaskId) {
        let latest = self.latest.entry(id.pid()).or_insert(id);
        if *latest != id {
            let ended = if latest.start <= id.start { std::mem::replace(latest, id) } else { id };
            self.ending.extend(Fact::Process(ProcessFact::Ended { id: ended, at: 0 }).ends());
        }
    }

    /// Forgets what was told beside a thing that is gone. It may come back (a file whose descriptor was closed while it is
    /// mapped), and what is told of it then is news to whoever heard that it was gone.
    fn forget(&mut self, gone: &Fact) {
        gone.ends().iter().for_each(|slot| self.forget_slot(slot));
    }

    /// A report is due. Forgets what ended before the previous one was due: its final totals may follow its end, but not
    /// for so long. And what nothing keeps.
    pub fn tick(&mut self) {
        let ending = std::mem::take(&mut self.ending);
        for slot in std::mem::replace(&mut self.ended, ending) {
            self.forget_slot(&slot);
        }
        for slot in std::mem::take(&mut self.loose) {
            if !self.kept.contains_key(&slot) {
                self.forget_slot(&slot);
            }
        }
    }

    /// What a pass still finds (a process that nobody has waited for) stays until the pass does not; what passes keep
    /// silent about goes with its end.
    fn forget_slot(&mut self, slot: &Slot) {
        if let Some(place) = self.values.find(slot)
            && let Some(mark) = self.values.mark(place)
            && (mark.finders == 0 || self.values.lasts_unsaid(place))
        {
            self.vacate(place);
        }
    }
}

#[cfg(test)]
mod tests;
