//! Builds the state of the mem domain from facts.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use hashbrown::HashMap;

use super::{
    births::Births,
    machine::MachineMemory,
    objects::MemoryObjects,
    pressure::{Kill, MemoryPressure},
    process::{AssessmentSource, Group, LimitState, ProcessMemory, Program, process_bytes},
    queries::MemQueries,
    restart::Predecessors,
    shared::SharedGrowth,
};
use observer_core::{
    context::Context,
    facts::{
        TaskId,
        mem::{Limit, MemFact, Memory},
        session::Timestamp,
    },
    report::Report,
    trend::{
        leak,
        verdict::{Assessment, NOISE_BYTES, assess},
    },
    view::Request,
    wants::HostQueries,
};

/// Up to this many rows, exact counters are queried for every report; above it, only for processes that a scan saw
/// change. Scans lack per-CPU remainders, so a process can change without a scan seeing it.
const ALWAYS_EXACT: usize = 64;

/// If the machine has huge pages, this many processes per report are queried for theirs: no counter has them.
const HUGE_TURN: usize = 256;

/// In every report, this many control groups without a limit are queried again, if problems are looked for.
const LIMITS_TURN: usize = 4;

/// In every report, this many processes with the largest changes are queried for memory that their counters lack.
const CHANGED: usize = 32;

/// The state of the mem domain.
#[derive(Debug)]
pub struct MemState {
    /// The window of growth and trends, in seconds.
    window: f64,
    pub(super) processes: HashMap<TaskId, ProcessMemory>,
    /// Groups by path, as in [`MemFact::Place`]; a group is removed with its last process.
    groups: HashMap<Vec<u8>, Rc<Group>>,
    pub(super) machine: MachineMemory,
    pub(super) objects: MemoryObjects,
    pub(super) pressure: MemoryPressure,
    shared: SharedGrowth,
    pub(super) births: Births,
    /// The number of processes queried for huge pages so far: processes take turns.
    turn: Cell<usize>,
    pub(super) predecessors: Predecessors,
    /// The number of control groups without a limit that were queried so far: they take turns.
    limits_turn: Cell<usize>,
    /// The programs of found processes without memory so far, until the next report.
    met: HashMap<TaskId, Program>,
    /// The time of the last assessment of the series, nanoseconds of the boot clock.
    assessed: Option<u64>,
    /// Assessments of flat series, by the time from which they are known: on most machines most series are flat.
    flat: BTreeMap<Option<u64>, Assessment>,
    /// Whether the state still contains an ended process.
    leaving: bool,
}

impl MemState {
    /// A state without facts.
    #[must_use]
    pub fn new(request: &Request) -> Self {
        Self {
            window: request.window,
            processes: HashMap::new(),
            groups: HashMap::new(),
            machine: MachineMemory::new(request.window),
            objects: MemoryObjects::default(),
            pressure: MemoryPressure::default(),
            shared: SharedGrowth::default(),
            births: Births::default(),
            turn: Cell::new(0),
            limits_turn: Cell::new(0),
            predecessors: Predecessors::default(),
            met: HashMap::new(),
            assessed: None,
            flat: BTreeMap::new(),
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

    /// A process has ended, at `at` or later.
    pub(super) fn end(&mut self, id: TaskId, at: u64) {
        // A process that ended earlier is no longer in the map.
        let Some(process) = self.processes.get_mut(&id).filter(|process| !process.ended) else { return };
        process.ended = true;
        self.leaving = true;
        if let Some((program, memory)) = process.program.as_ref().zip(process.memory()) {
            let grew = process.assessment.as_ref().is_some_and(|last| last.verdict.grows());
            self.births.end(program, id, process.assessed_bytes(memory));
            self.predecessors.end(program, id, process_bytes(memory), grew, at);
        }
    }

    pub(super) fn meet(&mut self, id: TaskId, program: Program) {
        match self.processes.get_mut(&id) {
            Some(process) => process.program = Some(program),
            None => {
                self.met.insert(id, program);
            }
        }
    }

    pub(super) fn take(&mut self, fact: &MemFact) {
        match fact {
            MemFact::Counters { id, memory, page_tables } => {
                self.process(*id).read(*memory, *page_tables);
            }
            MemFact::Gone { id } => self.end(*id, self.assessed.unwrap_or(0)),
            MemFact::Totals { id, totals } => self.process(*id).totals = Some(Box::new(*totals)),
            MemFact::Status { id, status } => self.process(*id).read_status(*status),
            MemFact::Rollup { id, rollup } => self.process(*id).read_rollup(*rollup),
            MemFact::Exact { id, memory } => self.process(*id).read_exactly(*memory),
            MemFact::Place { id, cgroup } => {
                let group = self.group(cgroup);
                self.process(*id).group = Some(group);
            }
            MemFact::Limit { cgroup, nearest } => {
                self.group(cgroup).nearest.replace(Some(nearest.clone()));
            }
            MemFact::Machine(machine) => self.machine.take(machine),
            MemFact::Accounts(accounts) => self.machine.take_accounts(accounts),
            MemFact::Object(object) => self.objects.take(object, self.window),
            MemFact::ReclaimableSlab { name } => self.machine.take_reclaimable(name),
            MemFact::Kernel { part, bytes } => self.machine.take_part(part, *bytes),
            MemFact::SlabsRead { took } => self.machine.slabs_read(*took),
            MemFact::PressureTotals { cgroup, stalls } => self.pressure.stalled(cgroup.as_deref(), *stalls),
            MemFact::OutOfMemory { at, victim, trigger, memory } => {
                self.killed(*at, *victim, *trigger, *memory);
            }
        }
    }

    /// Keeps a kill with the values at its time: the victim and its growth are removed.
    fn killed(&mut self, at: u64, victim: TaskId, trigger: TaskId, memory: Option<Memory>) {
        let numbered = |id: &&TaskId| victim.start == 0 && id.tgid == victim.tgid;
        let victim = self.processes.keys().filter(numbered).max().copied().unwrap_or(victim);
        let grew = |process: &ProcessMemory, held: f64| {
            let series = &process.series.window;
            Some(held - series.value_at(series.begin(at)?)?)
        };
        let known = self.processes.get(&victim);
        // The kernel reports the counters as a scan reads them, without per-CPU remainders.
        let reported = memory
            .map(|memory| known.map_or_else(|| memory.without_negatives(), |known| known.killed(at, memory)));
        let held = reported.or_else(|| known?.memory()).map(process_bytes);
        let others = self.processes.iter().filter(|(id, process)| **id != victim && !process.ended);
        let growths = others.filter_map(|(id, process)| {
            Some((*id, grew(process, process.assessed_bytes(process.memory()?))?))
        });
        let most = growths.max_by(|(_, left), (_, right)| left.total_cmp(right));
        let own = known.zip(held).and_then(|(process, held)| grew(process, process.beyond_private() + held));
        let limit = known.and_then(|process| {
            let nearest = process.group.as_ref()?.nearest.borrow();
            let limit = nearest.as_ref()?.as_ref()?;
            Some((limit.group.clone(), limit.limit))
        });
        self.pressure.kill(Kill {
            at,
            victim,
            trigger,
            held,
            grew: own,
            most: most.filter(|(_, grew)| *grew > own.unwrap_or(0.0)),
            limit,
        });
    }

    /// Continues every series to `now` and assesses it: all flat series together, each other one separately.
    pub(super) fn sample(&mut self, now: Timestamp) {
        let now = now.boot;
        self.flat.clear();
        self.share();
        let machine = &self.machine;
        for process in self.processes.values_mut().filter(|process| !process.ended) {
            process.sample(now);
            let window = &process.series.window;
            process.assessment = None;
            if window.is_flat(now) && leak::ruled_out(&process.series.history, now) {
                self.flat.entry(window.begin(now)).or_insert_with(|| assess(window, now));
            } else {
                process.assessment = Some(Box::new(process.assess(machine, now)));
            }
        }
        let living = self.processes.iter().filter(|(_, process)| !process.ended);
        self.births.sample(living.map(|(id, process)| (*id, process)), now, self.window);
        self.assessed = Some(now);
    }

    /// Decides how much of the touched shared memory is attributed to each process.
    fn share(&mut self) {
        let (mut touched, mut released) = (0.0, 0.0);
        for process in self.processes.values() {
            let shmem = process.memory().filter(|_| !process.ended).map_or(0, |memory| memory.shmem);
            touched += process.shared.touched(shmem);
            released += process.shared.released(shmem);
        }
        let part = self.shared.part(self.machine.shmem(), touched, released);
        for process in self.processes.values_mut().filter(|process| !process.ended) {
            if let Some(memory) = process.memory() {
                process.shared.push(memory.shmem, part);
            }
        }
    }

    /// The last assessment of `process`, if any.
    pub(super) fn last_assessment<'a>(&'a self, process: &'a ProcessMemory) -> Option<&'a Assessment> {
        let own = process.assessment.as_deref();
        own.or_else(|| self.flat.get(&process.series.window.begin(self.assessed?)))
    }

    /// The assessment of `process` at `now`.
    pub(super) fn assessment<'a>(&'a self, process: &'a ProcessMemory, now: u64) -> AssessmentSource<'a> {
        let stored = self.last_assessment(process).filter(|_| self.assessed == Some(now));
        stored.map_or_else(
            || AssessmentSource::Fresh(Box::new(process.assess(&self.machine, now))),
            AssessmentSource::Stored,
        )
    }

    /// The nearest limit above `process`; `None` while the limit of its group is not known.
    pub(super) fn limit(&self, process: &ProcessMemory) -> Option<LimitState> {
        process.limit(&self.machine)
    }

    /// The host queries for the rows of `shown`.
    pub(super) fn queries(&self, shown: &Report, context: &Context<'_>) -> HostQueries {
        let rows = || shown.tables.iter().flat_map(|table| &table.rows).flat_map(|row| &row.processes);
        let few = rows().count() <= ALWAYS_EXACT;
        let mut names = BTreeSet::new();
        let mut queries = MemQueries {
            slabs: self.machine.slabs_due(context.now).then(|| self.machine.slabs()),
            ..MemQueries::default()
        };
        for id in rows() {
            if context.processes.unread(*id) {
                names.insert(*id);
            }
            let Some(process) = self.processes.get(id).filter(|process| !process.ended) else { continue };
            if process.is_outdated() || (few && process.is_met()) {
                queries.counters.insert(*id);
            }
            if process.is_met() && queries.details.len() < ALWAYS_EXACT {
                queries.details.insert(*id);
            }
            queries.limits.extend(process.group.as_ref().map(|group| group.name.clone()));
        }
        // Every process is queried once, so that a row that is shown later has no step at its first exact counters.
        queries.counters.extend(
            self.processes
                .iter()
                .filter(|(_, process)| !process.was_exact() && process.is_met() && !process.ended)
                .map(|(id, _)| *id),
        );
        queries.counters.extend(self.beyond_counters(context.now.boot));
        let living = self.processes.iter().filter(|(_, process)| !process.ended);
        let freed = living.filter(|(_, process)| process.has_freed()).map(|(id, _)| *id);
        queries.details.extend(freed.take(ALWAYS_EXACT));
        if context.request.problems {
            queries.limits.extend(self.limits_in_turn());
        }
        let examples: Vec<TaskId> = self.births.examples(context.now.boot).take(ALWAYS_EXACT).collect();
        queries.counters.extend(&examples);
        queries.details.extend(examples);
        HostQueries::of_names(names, context.request.cmdline).with(queries)
    }

    /// The control groups whose limits are queried for problems: those that have one or are not known yet, and of the
    /// others some in turn, because a limit can be set later.
    fn limits_in_turn(&self) -> impl Iterator<Item = Vec<u8>> {
        let concerns = |group: &Group| group.nearest.borrow().as_ref().is_none_or(Option::is_some);
        let (concerned, others): (Vec<_>, Vec<_>) = self.groups.values().partition(|group| concerns(group));
        let first = self.limits_turn.get();
        self.limits_turn.set((first + LIMITS_TURN) % others.len().max(1));
        let count = LIMITS_TURN.min(others.len());
        let others: Vec<_> = others.into_iter().cycle().skip(first).take(count).collect();
        concerned.into_iter().chain(others).map(|group| group.name.clone())
    }

    /// The control groups with a known limit, and the nearest limit of each.
    pub(super) fn limited_groups(&self) -> impl Iterator<Item = Limit> {
        self.groups.values().filter_map(|group| group.nearest.borrow().clone()?)
    }

    /// Processes that may have memory that no counter contains: those that have some, those with large changes
    /// (unmapped memory can stay pinned), and, if the machine has huge pages, all of them in turn.
    fn beyond_counters(&self, now: u64) -> impl Iterator<Item = TaskId> {
        let known = self.processes.iter().filter(|(_, process)| process.is_met() && !process.ended);
        let mut changed = Vec::new();
        let mut having = Vec::new();
        for (id, process) in known {
            if process.beyond.as_ref().is_some_and(|beyond| beyond.is_relevant()) {
                having.push(*id);
            }
            if !process.series.window.is_flat(now) {
                let growth = process.series.window.growth(now).unwrap_or(0.0).abs();
                changed.extend((growth >= 8.0 * NOISE_BYTES).then_some((growth as u64, *id)));
            }
        }
        changed.sort_unstable_by(|one, other| other.cmp(one));
        changed.truncate(CHANGED);
        let count = if self.machine.has_huge_pages() { HUGE_TURN.min(self.processes.len()) } else { 0 };
        let first = self.turn.get();
        self.turn.set((first + count) % self.processes.len().max(1));
        let turn: Vec<TaskId> = self.processes.keys().cycle().skip(first).take(count).copied().collect();
        having.into_iter().chain(changed.into_iter().map(|(_, id)| id)).chain(turn)
    }

    /// A report was delivered: ended processes are removed.
    pub(super) fn forget_ended(&mut self, now: Timestamp) {
        if std::mem::take(&mut self.leaving) {
            self.processes.retain(|_, process| !process.ended);
        }
        self.groups.retain(|_, group| Rc::strong_count(group) > 1);
        self.predecessors.delivered(now.boot);
        self.met.clear();
        self.pressure.delivered(now, |group| self.groups.contains_key(group));
    }
}
