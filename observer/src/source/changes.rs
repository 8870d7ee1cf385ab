//! From what is observed to what has changed: the one place that knows the last value of every slot.
//!
//! A fact that is equal to the last one of its slot tells nothing and is dropped, here and not later, so that the
//! engine, a recording and its replay all see the same stream. What a complete pass no longer finds is gone.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use crate::observation::{Observation, Slot};

/// The last value of every slot, and which passes still find it.
#[derive(Debug, Default)]
pub struct Changes {
    known: HashMap<Slot, usize>,
    /// Indexed by the values of `known`; a free place is `None`.
    values: Vec<Option<Value>>,
    free: Vec<usize>,
    /// Each program with what its latest pass found, as indices into `values`. A handful of programs.
    passes: Vec<(&'static str, Vec<usize>)>,
    /// Passes counted, so that a mark of an earlier one is never taken for this one's.
    pass: u64,
    /// Slots that ended since the last report was due, and those that had ended before it.
    ending: HashSet<Slot>,
    ended: HashSet<Slot>,
}

#[derive(Debug)]
struct Value {
    fact: Observation,
    /// The last pass that found it.
    found: u64,
    /// Programs whose latest pass found it; 0 where it only came outside passes.
    holders: u32,
}

impl Changes {
    /// Takes the facts of one complete pass of `program`: what differs from the last fact of its slot goes to `out`,
    /// then the [`Observation::gone`] of each slot that this program's previous pass had, this one has not, and no
    /// other program's latest pass has.
    pub fn pass(&mut self, program: &'static str, facts: Vec<Observation>, out: &mut Vec<Observation>) {
        let (place, previous) = self.begin(program);
        let found = self.take(facts, out);
        // Those that this pass found again were counted twice now, those that it did not once too often.
        for index in previous {
            if let Some(value) = self.values[index].as_mut() {
                value.holders -= 1;
                if value.holders == 0 {
                    let gone = value.fact.gone();
                    self.vacate(index);
                    if let Some(gone) = gone {
                        self.forget(&gone);
                        self.observe(gone, out);
                    }
                }
            }
        }
        self.passes[place].1 = found;
    }

    /// Takes the facts of a pass that failed midway: changes are passed on; nothing is gone, because what it did not
    /// find it may not have reached.
    pub fn interrupted(
        &mut self,
        program: &'static str,
        facts: Vec<Observation>,
        out: &mut Vec<Observation>,
    ) {
        let (place, previous) = self.begin(program);
        let mut found = self.take(facts, out);
        for index in previous {
            if let Some(value) = self.values[index].as_mut() {
                if value.found == self.pass {
                    value.holders -= 1;
                } else {
                    found.push(index);
                }
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

    /// The current value of every slot, in the order of the slots: what a reader needs to go on from here.
    pub fn keyframe(&self) -> impl Iterator<Item = &Observation> {
        let mut slots: Vec<(&Slot, usize)> = self.known.iter().map(|(slot, index)| (slot, *index)).collect();
        slots.sort_unstable();
        slots.into_iter().filter_map(|(_, index)| self.values[index].as_ref()).map(|value| &value.fact)
    }

    /// Number of slots that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no slot is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Starts a pass; its program's place, and what its previous pass found.
    fn begin(&mut self, program: &'static str) -> (usize, Vec<usize>) {
        self.pass += 1;
        let place = self.passes.iter().position(|(name, _)| *name == program).unwrap_or_else(|| {
            self.passes.push((program, Vec::new()));
            self.passes.len() - 1
        });
        let previous = std::mem::take(&mut self.passes[place].1);
        (place, previous)
    }

    /// Observes the facts of a pass, and counts it as a holder of each slot once.
    fn take(&mut self, facts: Vec<Observation>, out: &mut Vec<Observation>) -> Vec<usize> {
        let mut found = Vec::with_capacity(facts.len());
        for fact in facts {
            if let Some(index) = self.observe(fact, out)
                && let Some(value) = self.values[index].as_mut()
                && value.found != self.pass
            {
                value.found = self.pass;
                value.holders += 1;
                found.push(index);
            }
        }
        found
    }

    /// Passes `fact` on unless it is known; says where its slot's value is kept.
    fn observe(&mut self, fact: Observation, out: &mut Vec<Observation>) -> Option<usize> {
        self.ending.extend(fact.ends());
        let Some(slot) = fact.slot() else {
            out.push(fact);
            return None;
        };
        match self.known.entry(slot) {
            Entry::Occupied(entry) => {
                let index = *entry.get();
                if let Some(value) = self.values[index].as_mut()
                    && value.fact != fact
                {
                    value.fact = fact.clone();
                    let outdated = fact.outdates();
                    out.push(fact);
                    if let Some(&outdated) = outdated.and_then(|slot| self.known.get(&slot)) {
                        self.vacate(outdated);
                    }
                }
                Some(index)
            }
            Entry::Vacant(entry) => {
                out.push(fact.clone());
                let value = Some(Value { fact, found: 0, holders: 0 });
                let index = if let Some(index) = self.free.pop() {
                    self.values[index] = value;
                    index
                } else {
                    self.values.push(value);
                    self.values.len() - 1
                };
                entry.insert(index);
                Some(index)
            }
        }
    }

    fn vacate(&mut self, index: usize) {
        if let Some(value) = self.values[index].take() {
            if let Some(slot) = value.fact.slot() {
                self.known.remove(&slot);
            }
            self.free.push(index);
        }
    }

    /// Forgets what was told beside a thing that is gone. It may come back (a file whose descriptor was closed while it is
    /// mapped), and what is told of it then is news to whoever heard that it was gone.
    fn forget(&mut self, gone: &Observation) {
        for slot in gone.ends() {
            if let Some(&index) = self.known.get(&slot)
                && self.values[index].as_ref().is_some_and(|value| value.holders == 0)
            {
                self.vacate(index);
            }
        }
    }

    /// Forgets what ended before the last report was due: its final totals may follow its end, but not for so long.
    /// What a pass still finds (a process that nobody has waited for) stays until the pass does not.
    fn forget_ended(&mut self) {
        let ending = std::mem::take(&mut self.ending);
        for slot in std::mem::replace(&mut self.ended, ending) {
            if let Some(&index) = self.known.get(&slot)
                && self.values[index].as_ref().is_some_and(|value| value.holders == 0)
            {
                self.vacate(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{
        TaskId,
        mem::{MemFact, Memory},
        process::ProcessFact,
        session::Moment,
    };

    fn met(tgid: u64, comm: &str) -> Observation {
        let id = TaskId { start: 7, tgid };
        Observation::Process(ProcessFact::Met { id, comm: comm.into(), uid: 0, kernel_thread: false })
    }

    fn named(tgid: u64) -> Observation {
        let id = TaskId { start: 7, tgid };
        Observation::Process(ProcessFact::Named { id, exe: None, cgroup: None, cmdline: None })
    }

    fn counters(tgid: u64, anon: i64) -> Observation {
        let id = TaskId { start: 7, tgid };
        let memory = Memory { anon, ..Memory::default() };
        Observation::Mem(MemFact::Counters { id, memory, page_tables: 0 })
    }

    fn exact(tgid: u64) -> Observation {
        let id = TaskId { start: 7, tgid };
        Observation::Mem(MemFact::Exact { id, memory: Memory::default() })
    }

    fn gone(tgid: u64) -> Observation {
        Observation::Mem(MemFact::Gone { id: TaskId { start: 7, tgid } })
    }

    fn ended(tgid: u64) -> Observation {
        Observation::Process(ProcessFact::Ended { id: TaskId { start: 7, tgid }, at: 9 })
    }

    fn due() -> Observation {
        Observation::Due(Moment::default())
    }

    fn pass(changes: &mut Changes, program: &'static str, facts: &[Observation]) -> Vec<Observation> {
        let mut out = Vec::new();
        changes.pass(program, facts.to_vec(), &mut out);
        out
    }

    fn single(changes: &mut Changes, fact: Observation) -> Vec<Observation> {
        let mut out = Vec::new();
        changes.single(fact, &mut out);
        out
    }

    fn state(changes: &Changes) -> Vec<Observation> {
        changes.keyframe().cloned().collect()
    }

    #[test]
    fn what_is_equal_is_dropped_and_what_changed_is_passed_on() {
        let mut changes = Changes::default();
        assert_eq!(pass(&mut changes, "a", &[met(1, "x"), met(2, "y")]), [met(1, "x"), met(2, "y")]);
        assert_eq!(pass(&mut changes, "a", &[met(1, "x"), met(2, "z")]), [met(2, "z")]);
        assert_eq!(single(&mut changes, met(2, "z")), []);
        assert_eq!(single(&mut changes, met(2, "y")), [met(2, "y")]);
        assert_eq!(state(&changes), [met(1, "x"), met(2, "y")]);
    }

    #[test]
    fn names_read_again_after_an_exec_are_news_though_they_are_the_same() {
        let mut changes = Changes::default();
        single(&mut changes, met(1, "x"));
        assert_eq!(single(&mut changes, named(1)), [named(1)]);
        assert_eq!(single(&mut changes, named(1)), []);
        single(&mut changes, met(1, "y"));
        assert_eq!(state(&changes), [met(1, "y")]);
        assert_eq!(single(&mut changes, named(1)), [named(1)]);
    }

    #[test]
    fn events_are_never_dropped() {
        let mut changes = Changes::default();
        assert_eq!(single(&mut changes, ended(1)), [ended(1)]);
        assert_eq!(single(&mut changes, ended(1)), [ended(1)]);
        assert_eq!(pass(&mut changes, "a", &[ended(1)]), [ended(1)]);
        assert_eq!(state(&changes), []);
    }

    #[test]
    fn what_vanished_is_forgotten_and_new_when_it_comes_back() {
        let mut changes = Changes::default();
        pass(&mut changes, "a", &[met(1, "x"), met(2, "y"), met(1, "x")]);
        pass(&mut changes, "a", &[met(2, "y")]);
        assert_eq!(state(&changes), [met(2, "y")]);
        assert_eq!(pass(&mut changes, "a", &[met(1, "x"), met(2, "y")]), [met(1, "x")]);
    }

    #[test]
    fn what_vanished_is_gone_once() {
        let mut changes = Changes::default();
        pass(&mut changes, "a", &[counters(1, 10), counters(2, 20)]);
        single(&mut changes, exact(1));
        assert_eq!(pass(&mut changes, "a", &[counters(2, 20)]), [gone(1)]);
        assert_eq!(pass(&mut changes, "a", &[counters(2, 20)]), []);
        (0..2).for_each(|_| drop(single(&mut changes, due())));
        assert_eq!(state(&changes), [counters(2, 20)], "what only came outside passes went with it");
        assert_eq!(pass(&mut changes, "a", &[counters(1, 10), counters(2, 20)]), [counters(1, 10)]);
    }

    #[test]
    fn what_another_program_still_finds_is_not_gone() {
        let mut changes = Changes::default();
        pass(&mut changes, "a", &[met(1, "x")]);
        assert_eq!(pass(&mut changes, "b", &[met(1, "x")]), []);
        pass(&mut changes, "a", &[]);
        pass(&mut changes, "a", &[]);
        assert_eq!(state(&changes), [met(1, "x")]);
        pass(&mut changes, "b", &[]);
        assert_eq!(state(&changes), []);
    }

    #[test]
    fn an_interrupted_pass_declares_nothing_gone() {
        let mut changes = Changes::default();
        let mut out = Vec::new();
        pass(&mut changes, "a", &[met(1, "x"), met(2, "y")]);
        changes.interrupted("a", vec![met(1, "x"), met(3, "z")], &mut out);
        assert_eq!(out, [met(3, "z")]);
        assert_eq!(state(&changes), [met(1, "x"), met(2, "y"), met(3, "z")]);
        pass(&mut changes, "a", &[met(3, "z")]);
        assert_eq!(state(&changes), [met(3, "z")]);
        pass(&mut changes, "a", &[]);
        assert_eq!(state(&changes), []);
    }

    #[test]
    fn a_process_that_ended_is_forgotten_once_its_last_words_were_said() {
        let mut changes = Changes::default();
        single(&mut changes, met(1, "x"));
        single(&mut changes, named(1));
        single(&mut changes, ended(1));
        single(&mut changes, due());
        assert_eq!(
            single(&mut changes, met(1, "x")),
            [],
            "what follows the end is still told from what is new"
        );
        single(&mut changes, due());
        assert!(changes.is_empty());
    }

    #[test]
    fn a_zombie_stays_known_while_passes_find_it() {
        let mut changes = Changes::default();
        pass(&mut changes, "a", &[met(1, "x")]);
        single(&mut changes, ended(1));
        for _ in 0..3 {
            single(&mut changes, due());
            assert_eq!(pass(&mut changes, "a", &[met(1, "x")]), []);
        }
        pass(&mut changes, "a", &[]);
        assert!(changes.is_empty());
    }

    #[test]
    fn what_is_told_of_a_file_that_came_back_is_news() {
        use crate::observation::disk::{Answer, DiskFact, File, InodeId};
        let inode = InodeId::default();
        let file = Observation::Disk(DiskFact::File { inode, file: File::default() });
        let asked = Observation::Disk(DiskFact::Asked { inode, answer: Answer::default() });
        let mut changes = Changes::default();
        pass(&mut changes, "a", std::slice::from_ref(&file));
        assert_eq!(single(&mut changes, asked.clone()), std::slice::from_ref(&asked));
        assert_eq!(single(&mut changes, asked.clone()), []);
        assert_eq!(pass(&mut changes, "a", &[]), [Observation::Disk(DiskFact::FileGone { inode })]);
        pass(&mut changes, "b", &[file]);
        assert_eq!(single(&mut changes, asked.clone()), [asked]);
    }

    #[test]
    fn places_are_used_again() {
        let mut changes = Changes::default();
        for tgid in 0..1000 {
            pass(&mut changes, "a", &[met(tgid, "x"), met(tgid + 1, "x")]);
        }
        assert!(changes.values.len() <= 4, "{}", changes.values.len());
    }
}
