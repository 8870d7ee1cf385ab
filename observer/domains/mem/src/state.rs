//! From the facts of the mem domain to its state.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use hashbrown::HashMap;

use super::{
    machine::MachineMemory,
    pressure::{Kill, MemoryPressure},
    process::{Group, LimitState, ProcessMemory, process_bytes},
    ranked_process::AssessmentSource,
    restart::{Predecessors, Program},
};
use observer_core::{
    domain::{Context, Domain},
    facts::{
        Fact, TaskId,
        mem::{MemFact, Memory},
        process::ProcessFact,
        session::Timestamp,
    },
    report::Report,
    trend::{
        leak,
        verdict::{Assessment, assess},
    },
    view::Request,
    wants::HostQueries,
};

/// Up to so many rows, exact counters are asked for with every report; beyond, where the pass saw a change. What a CPU
/// has not yet handed in is not in the pass, so a process of which nothing changes there can still have changed.
const ALWAYS_EXACT: usize = 64;

/// What is known in the mem domain.
#[derive(Debug)]
pub struct MemState {
    /// Seconds that growth and trends look back over.
    window: f64,
    pub(super) processes: HashMap<TaskId, ProcessMemory>,
    /// By name, as [`MemFact::Place`] has it; forgotten with the last process in it.
    groups: HashMap<Vec<u8>, Rc<Group>>,
    pub(super) machine: MachineMemory,
    pub(super) shortage: MemoryPressure,
    pub(super) predecessors: Predecessors,
    /// The programs of processes that were met and are not known to have memory, until the next report.
    met: HashMap<TaskId, Program>,
    /// When series were judged last, nanoseconds of the boot clock.
    judged: Option<u64>,
    /// What series that rest say, by when what is known of them began: on most machines most of them do.
    resting: BTreeMap<Option<u64>, Assessment>,
    /// Whether a process ended that has not left yet.
    leaving: bool,
}

impl MemState {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(request: &Request) -> Self {
        Self {
            window: request.window,
            processes: HashMap::new(),
            groups: HashMap::new(),
            machine: MachineMemory::new(request.window),
            shortage: MemoryPressure::default(),
            predecessors: Predecessors::default(),
            met: HashMap::new(),
            judged: None,
            resting: BTreeMap::new(),
            leaving: false,
        }
    }

    fn process(&mut self, id: TaskId) -> &mut ProcessMemory {
        let (window, met) = (self.window, &mut self.met);
        self.processes.entry(id).or_insert_with(|| ProcessMemory::new(met.remove(&id), window))
    }

    fn group(&mut self, name: &[u8]) -> Rc<Group> {
        if let Some(group) = self.groups.get(name) {
            return Rc::clone(group);
        }
        let group = Rc::new(Group { name: name.to_vec(), nearest: RefCell::new(None) });
        self.groups.insert(name.to_vec(), Rc::clone(&group));
        group
    }

    /// A process has ended, not before `at`.
    fn end(&mut self, id: TaskId, at: u64) {
        // Who ended before that was told of it has left already.
        let Some(process) = self.processes.get_mut(&id).filter(|process| !process.ended) else { return };
        process.ended = true;
        self.leaving = true;
        if let Some((program, memory)) = process.program.as_ref().zip(process.memory()) {
            let grew = process.says.as_ref().is_some_and(|says| says.verdict.grows());
            self.predecessors.end(program, id, process_bytes(memory), grew, at);
        }
    }

    fn meet(&mut self, id: TaskId, program: Program) {
        match self.processes.get_mut(&id) {
            Some(process) => process.program = Some(program),
            None => {
                self.met.insert(id, program);
            }
        }
    }

    fn take(&mut self, fact: &MemFact) {
        match fact {
            MemFact::Counters { id, memory, page_tables } => {
                self.process(*id).read(*memory, *page_tables);
            }
            MemFact::Gone { id } => self.end(*id, self.judged.unwrap_or(0)),
            MemFact::Totals { id, totals } => self.process(*id).totals = Some(Box::new(*totals)),
            MemFact::Exact { id, memory } => self.process(*id).read_exactly(*memory),
            MemFact::Place { id, cgroup } => {
                let group = self.group(cgroup);
                self.process(*id).place = Some(group);
            }
            MemFact::Limit { cgroup, nearest } => {
                self.group(cgroup).nearest.replace(Some(nearest.clone()));
            }
            MemFact::Machine(machine) => self.machine.take(machine),
            MemFact::Kernel { part, bytes } => self.machine.take_part(part, *bytes),
            MemFact::SlabsRead { took } => self.machine.slabs_read(*took),
            MemFact::PressureTotals { cgroup, stalls } => self.shortage.waited(cgroup.as_deref(), *stalls),
            MemFact::OutOfMemory { at, victim, trigger, memory } => {
                self.killed(*at, *victim, *trigger, *memory);
            }
        }
    }

    /// Remembers a kill beside what is known at its moment: the victim leaves, and its growth with it.
    fn killed(&mut self, at: u64, victim: TaskId, trigger: TaskId, memory: Option<Memory>) {
        let numbered = |id: &&TaskId| victim.start == 0 && id.tgid == victim.tgid;
        let victim = self.processes.keys().filter(numbered).max().copied().unwrap_or(victim);
        let grew = |process: &ProcessMemory, held: f64| {
            let series = &process.series.window;
            Some(held - series.value_at(series.begin(at)?)?)
        };
        let known = self.processes.get(&victim);
        // The kernel told of its counters as a pass reads them: what a CPU holds back is missing in them, too.
        let told = memory.map(|told| known.map_or_else(|| told.or_nothing(), |known| known.killed(at, told)));
        let held = told.or_else(|| known?.memory()).map(process_bytes);
        let others = self.processes.iter().filter(|(id, process)| **id != victim && !process.ended);
        let growths =
            others.filter_map(|(id, process)| Some((*id, grew(process, process_bytes(process.memory()?))?)));
        let most = growths.max_by(|(_, left), (_, right)| left.total_cmp(right));
        let own = known.zip(held).and_then(|(process, held)| grew(process, held));
        let limit = known.and_then(|process| {
            let nearest = process.place.as_ref()?.nearest.borrow();
            let limit = nearest.as_ref()?.as_ref()?;
            Some((limit.group.clone(), limit.limit))
        });
        self.shortage.kill(Kill {
            at,
            victim,
            trigger,
            held,
            grew: own,
            most: most.filter(|(_, grew)| *grew > own.unwrap_or(0.0)),
            limit,
        });
    }

    /// Every series goes on to `now` and is judged: those that rest together, the others each by itself.
    fn sample(&mut self, now: Timestamp) {
        let now = now.boot;
        self.resting.clear();
        let machine = &self.machine;
        for process in self.processes.values_mut().filter(|process| !process.ended) {
            if let Some(memory) = process.memory() {
                let asked = process.totals.as_ref().map_or(0.0, |totals| totals.asked());
                process.series.push(now, process_bytes(memory), asked);
            }
            let window = &process.series.window;
            process.says = None;
            if window.rests(now) && leak::ruled_out(&process.series.history, now) {
                self.resting.entry(window.begin(now)).or_insert_with(|| assess(window, now));
            } else {
                process.says = Some(Box::new(process.judge(machine, now)));
            }
        }
        self.judged = Some(now);
    }

    /// What the series of `process` said when it was judged last; `None` if it never was.
    pub(super) fn says<'a>(&'a self, process: &'a ProcessMemory) -> Option<&'a Assessment> {
        let own = process.says.as_deref();
        own.or_else(|| self.resting.get(&process.series.window.begin(self.judged?)))
    }

    /// What the series of `process` says at `now`.
    pub(super) fn assessment<'a>(&'a self, process: &'a ProcessMemory, now: u64) -> AssessmentSource<'a> {
        let judged = self.says(process).filter(|_| self.judged == Some(now));
        judged.map_or_else(
            || AssessmentSource::Anew(Box::new(process.judge(&self.machine, now))),
            AssessmentSource::Judged,
        )
    }

    /// The bytes of the nearest limit above `process`, and how many of them are left; `None` while its group's limit is
    /// not known.
    pub(super) fn room(&self, process: &ProcessMemory) -> Option<LimitState> {
        process.room(&self.machine)
    }
}

impl Domain for MemState {
    fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::Mem(fact) => self.take(fact),
            Fact::Process(ProcessFact::Met { id, comm, uid, kernel_thread: false }) => {
                self.meet(*id, (comm.clone(), *uid));
            }
            Fact::Process(ProcessFact::Ended { id, at }) => self.end(*id, *at),
            _ => {}
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.sample(now);
        self.machine.sample(now);
        self.shortage.sample(now);
    }

    fn report(&self, context: &Context<'_>) -> Report {
        super::report::report(self, context)
    }

    fn draft(&self, context: &Context<'_>) -> Report {
        super::report::draft(self, context)
    }

    fn wants(&self, shown: &Report, context: &Context<'_>) -> HostQueries {
        let rows = || shown.tables.iter().flat_map(|table| &table.rows).flat_map(|row| &row.processes);
        let few = rows().count() <= ALWAYS_EXACT;
        let mut wants = HostQueries {
            cmdline: context.request.cmdline,
            slabs: self.machine.slabs_due(context.now).then(|| self.machine.slabs()),
            ..HostQueries::default()
        };
        for id in rows() {
            if context.processes.unread(*id) {
                wants.names.insert(*id);
            }
            let Some(process) = self.processes.get(id).filter(|process| !process.ended) else { continue };
            if process.is_outdated() || (few && process.is_met()) {
                wants.counters.insert(*id);
            }
            wants.limits.extend(process.place.as_ref().map(|group| group.name.clone()));
        }
        // Once for every process, so that a row that is shown later has no step where its exact counters begin.
        wants.counters.extend(
            self.processes
                .iter()
                .filter(|(_, process)| !process.was_exact() && process.is_met() && !process.ended)
                .map(|(id, _)| *id),
        );
        wants
    }

    fn remembers(&self, id: TaskId) -> bool {
        self.shortage.tells_of(id)
    }

    fn delivered(&mut self, now: Timestamp) {
        if std::mem::take(&mut self.leaving) {
            self.processes.retain(|_, process| !process.ended);
        }
        self.groups.retain(|_, group| Rc::strong_count(group) > 1);
        self.predecessors.delivered(now.boot);
        self.met.clear();
        self.shortage.delivered(now, |group| self.groups.contains_key(group));
    }
}

#[cfg(test)]
mod tests;
