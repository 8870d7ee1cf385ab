//! From what is observed to what has changed: the one place that knows the last value of every slot.
//!
//! A fact that is equal to the last one of its slot tells nothing and is dropped, here and not later, so that the
//! engine, a recording and its replay all see the same stream. What a complete pass no longer finds is gone.
//!
//! The rule that this stands on: *what a state has forgotten is forgotten here, or is outdated, before it can be told
//! again*; else its equal value is dropped and the state never hears it. And what nobody speaks of any more is forgotten,
//! so that memory is bounded by what there is and not by what there was. A slot is forgotten
//!
//! - when no pass of a report finds it any more, with what [`Observation::ends`] names: what a pass finds (processes, counters, files,
//!   holders, sockets);
//! - a report after an end ([`Observation::ends`]): what is known of a process, a flow. It is later than the states
//!   forget, on purpose: what is said of an end twice must not bring back what ended;
//! - when its process's number is another's, which ends it though nobody heard of its end;
//! - with the report at which nothing [`Observation::keeps`] it: the limit of a group that no process is in, the space of
//!   what is not mounted, the deletion and the writers of a file that nobody was found to hold.
//!
//! Of the rest there is a fixed number (the machine, its links and mounts, the losses of each object), or as many as a
//! map of the kernel side has room for (totals of connections whose ends found no room in the ring).

use hashbrown::{HashMap, HashSet};
use values::Values;

use crate::observation::{Observation, Slot, TaskId, process::ProcessFact};

mod values;

/// So many things may have gone at one place in the order of a pass before the rest is looked up one by one.
const LOOK_AHEAD: usize = 64;

/// The last value of every slot, and which passes still find it.
#[derive(Debug, Default)]
pub struct Changes {
    values: Values,
    /// Each program with what its latest pass found. A handful of programs.
    passes: Vec<(&'static str, Vec<Place>)>,
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
}

/// An index into the values, and the number of the value that was meant: the index is used again.
type Place = (usize, u64);

impl Changes {
    /// Takes the facts of one complete pass of `program`: what differs from the last fact of its slot goes to `out`.
    /// What this program's previous pass had and this one has not is missed until [`Self::settle`] judges.
    pub fn pass(&mut self, program: &'static str, facts: Vec<Observation>, out: &mut Vec<Observation>) {
        self.replace(program, facts, |_| false, out);
    }

    /// As [`Self::pass`], where the pass has kept silent about what lasts and has not changed
    /// ([`Observation::lasts_unsaid`]): that is found as long as its end is not told.
    pub fn pass_over_changes(
        &mut self,
        program: &'static str,
        facts: Vec<Observation>,
        out: &mut Vec<Observation>,
    ) {
        self.replace(program, facts, Observation::lasts_unsaid, out);
    }

    /// Whether something is missed that a pass on demand may yet find.
    #[must_use]
    pub fn seeks(&self) -> bool {
        self.missed.iter().any(|slot| self.unfound(slot).is_some_and(|(_, fact)| fact.may_be_elsewhere()))
    }

    /// All passes of a report have run: what no program's latest pass finds is forgotten, and its
    /// [`Observation::gone`] goes to `out`.
    pub fn settle(&mut self, out: &mut Vec<Observation>) {
        for slot in std::mem::take(&mut self.missed) {
            let Some((index, fact)) = self.unfound(&slot) else { continue };
            let gone = fact.gone();
            self.vacate(index);
            if let Some(gone) = gone {
                self.forget(&gone);
                self.observe(gone, out);
            }
        }
    }

    /// The value of `slot`, and its place, unless a pass finds it.
    fn unfound(&self, slot: &Slot) -> Option<(usize, &Observation)> {
        let index = self.values.find(slot)?;
        let value = self.values.get(index).filter(|value| value.holders == 0)?;
        Some((index, &value.fact))
    }

    /// Takes the facts of a pass that failed midway: changes are passed on; nothing is gone, because what it did not
    /// find it may not have reached.
    pub fn interrupted(
        &mut self,
        program: &'static str,
        facts: Vec<Observation>,
        out: &mut Vec<Observation>,
    ) {
        self.replace(program, facts, |_| true, out);
    }

    /// Takes the facts of a pass, and the place of what the program's previous pass found; what that had and this one has
    /// not is missed, unless it `stays`.
    fn replace(
        &mut self,
        program: &'static str,
        facts: Vec<Observation>,
        stays: impl Fn(&Observation) -> bool,
        out: &mut Vec<Observation>,
    ) {
        let (place, previous) = self.begin(program);
        let mut found = self.take(facts, &previous, out);
        for (index, number) in previous {
            let Some(value) = self.values.get_mut(index).filter(|value| value.number == number) else {
                continue;
            };
            // Those that this pass found again were counted twice now, those that it did not once too often.
            if value.found != self.pass && stays(&value.fact) {
                found.push((index, number));
                continue;
            }
            value.holders -= 1;
            if value.holders == 0 {
                self.missed.extend(value.fact.slot());
            }
        }
        self.passes[place].1 = found;
    }

    /// Takes a fact that came outside a pass: an event always goes to `out`, a state-like fact when it has changed.
    pub fn single(&mut self, fact: Observation, out: &mut Vec<Observation>) {
        if matches!(fact, Observation::Due(_)) {
            self.forget_ended();
        }
        self.observe(fact, out);
    }

    /// Every process that is known.
    pub fn processes(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.latest.values().copied()
    }

    /// The current value of every slot, in the order of the slots: what a reader needs to go on from here.
    pub fn keyframe(&self) -> impl Iterator<Item = &Observation> {
        let mut facts: Vec<(Option<Slot>, &Observation)> =
            self.values.iter().map(|value| (value.fact.slot(), &value.fact)).collect();
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

    /// Starts a pass; its program's place, and what its previous pass found.
    fn begin(&mut self, program: &'static str) -> (usize, Vec<Place>) {
        self.pass = self.pass.wrapping_add(1);
        let place = self.passes.iter().position(|(name, _)| *name == program).unwrap_or_else(|| {
            self.passes.push((program, Vec::new()));
            self.passes.len() - 1
        });
        let previous = std::mem::take(&mut self.passes[place].1);
        (place, previous)
    }

    /// Observes the facts of a pass, and counts it as a holder of each slot once. Passes find things in the same order
    /// again and again: a fact is first compared with what stood at its place in the `previous` one.
    fn take(
        &mut self,
        facts: Vec<Observation>,
        previous: &[Place],
        out: &mut Vec<Observation>,
    ) -> Vec<Place> {
        let mut found = Vec::with_capacity(facts.len());
        let mut expected = previous;
        for fact in facts {
            let index = match expected {
                [(index, _), rest @ ..] if self.knows(*index, &fact) => {
                    expected = rest;
                    Some(*index)
                }
                _ => {
                    let index = self.observe(fact, out);
                    let ahead = &expected[..expected.len().min(LOOK_AHEAD)];
                    if let Some(place) = ahead.iter().position(|(ahead, _)| Some(*ahead) == index) {
                        expected = &expected[place + 1..];
                    }
                    index
                }
            };
            if let Some(index) = index
                && let Some(value) = self.values.get_mut(index)
                && value.found != self.pass
            {
                value.found = self.pass;
                value.holders += 1;
                found.push((index, value.number));
            }
        }
        found
    }

    /// Whether `fact` is the value at `index` and tells nothing more than that it still is.
    fn knows(&self, index: usize, fact: &Observation) -> bool {
        let same = self.values.get(index).is_some_and(|value| value.fact == *fact);
        same && !fact.lasts_unsaid() && fact.ends().is_empty()
    }

    /// Passes `fact` on unless it is known; says where its slot's value is kept.
    fn observe(&mut self, fact: Observation, out: &mut Vec<Observation>) -> Option<usize> {
        self.ending.extend(fact.ends());
        if let Observation::Process(ProcessFact::Met { id, .. }) = &fact {
            self.supersede(*id);
        }
        let Some(slot) = fact.slot() else {
            out.push(fact);
            return None;
        };
        // A socket can be connected again after its connection's end.
        if fact.lasts_unsaid() && !(self.ending.is_empty() && self.ended.is_empty()) {
            self.ending.remove(&slot);
            self.ended.remove(&slot);
        }
        let place = self.values.find(&slot);
        let known = place.and_then(|index| self.values.get_mut(index));
        let outdated = fact.outdates(known.is_some());
        let index = match (place, known) {
            (Some(index), Some(value)) => {
                if value.fact == fact {
                    return Some(index);
                }
                let before = std::mem::replace(&mut value.fact, fact.clone());
                self.keep(&fact);
                self.release(&before);
                index
            }
            _ => self.remember(slot, fact.clone()),
        };
        if let Some(outdated) = outdated.and_then(|slot| self.values.find(&slot)) {
            self.vacate(outdated);
        }
        out.push(fact);
        Some(index)
    }

    /// Keeps the first value of `slot`; says where.
    fn remember(&mut self, slot: Slot, fact: Observation) -> usize {
        self.keep(&fact);
        let index = self.values.insert(&slot, fact);
        if slot.needs_keeping() && !self.kept.contains_key(&slot) {
            self.loose.insert(slot);
        }
        index
    }

    fn vacate(&mut self, index: usize) {
        if let Some(value) = self.values.remove(index) {
            self.release(&value.fact);
        }
    }

    /// `fact` is known from now on.
    fn keep(&mut self, fact: &Observation) {
        for slot in fact.keeps() {
            *self.kept.entry(slot).or_default() += 1;
        }
    }

    /// `fact` is known no more.
    fn release(&mut self, fact: &Observation) {
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
            self.ending.extend(Observation::Process(ProcessFact::Ended { id: ended, at: 0 }).ends());
        }
    }

    /// Forgets what was told beside a thing that is gone. It may come back (a file whose descriptor was closed while it is
    /// mapped), and what is told of it then is news to whoever heard that it was gone.
    fn forget(&mut self, gone: &Observation) {
        gone.ends().iter().for_each(|slot| self.forget_slot(slot));
    }

    /// Forgets what ended before the last report was due: its final totals may follow its end, but not for so long. And
    /// what nothing keeps.
    fn forget_ended(&mut self) {
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
        if let Some(index) = self.values.find(slot)
            && let Some(value) = self.values.get(index)
            && (value.holders == 0 || value.fact.lasts_unsaid())
        {
            self.vacate(index);
        }
    }
}

#[cfg(test)]
mod tests;
