//! Builds the state of the mem domain from facts.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use hashbrown::HashMap;

use super::{
    births::Births,
    departed::Departed,
    limited_groups::LimitedGroups,
    machine::MachineMemory,
    objects::MemoryObjects,
    pressure::MemoryPressure,
    process::{AssessmentSource, Group, LimitState, ProcessMemory, Program, process_bytes},
    queries::MemQueries,
    restart::Predecessors,
    shared::SharedGrowth,
};
use observer_core::{
    context::Context,
    facts::{
        TaskId,
        mem::{Limit, MemFact},
        session::Timestamp,
    },
    queries::HostQueries,
    report::Report,
    trend::{
        leak,
        verdict::{Assessment, NOISE_BYTES, assess},
    },
    view::{GroupBy, Request},
};

mod kills;

/// Up to this many rows, exact counters are queried for every report; above it, only for processes that a scan saw
/// change. Scans lack per-CPU remainders, so a process can change without a scan seeing it. Page walks of more
/// processes are queried for half as many of the first ones, and for a quarter as many of the others in turn.
const ALWAYS_EXACT: usize = 64;

/// If the machine has huge pages, this many processes per report are queried for theirs: no counter has them.
const HUGE_TURN: usize = 256;

/// In every report, this many control groups without a limit are queried again, if problems are looked for.
const UNLIMITED: usize = 4;

/// This many limited groups are queried for every report, and as many others in turn.
const LIMITED: usize = 16;

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
    pub(super) limited: LimitedGroups,
    shared: SharedGrowth,
    pub(super) births: Births,
    /// Empty if rows are not grouped.
    pub(super) departed: Departed,
    grouped: bool,
    /// The number of processes queried for huge pages so far: processes take turns.
    turn: Cell<usize>,
    /// As `turn`, for limited groups, and for page walks of shown processes.
    group_turn: Cell<usize>,
    /// As `turn`, for control groups without a limit.
    unlimited_turn: Cell<usize>,
    walk_turn: Cell<usize>,
    pub(super) predecessors: Predecessors,
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
            limited: LimitedGroups::default(),
            shared: SharedGrowth::default(),
            births: Births::default(),
            departed: Departed::default(),
            grouped: request.by != GroupBy::Process,
            turn: Cell::new(0),
            group_turn: Cell::new(0),
            unlimited_turn: Cell::new(0),
            walk_turn: Cell::new(0),
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
            MemFact::RuntimeHeap { id, heap } => {
                let window = self.window;
                if let Some(process) = self.processes.get_mut(id) {
                    process.read_heap(heap.as_deref(), window);
                }
            }
            MemFact::Exact { id, memory } => self.process(*id).read_exactly(*memory),
            MemFact::Place { id, cgroup } => {
                let group = self.group(cgroup);
                self.process(*id).group = Some(group);
            }
            MemFact::Limit { cgroup, nearest } => {
                self.group(cgroup).nearest.replace(Some(nearest.clone()));
            }
            MemFact::Machine(machine) => self.machine.take(machine),
            MemFact::Mapped { bytes } => self.machine.take_mapped(*bytes),
            MemFact::Accounts(accounts) => self.machine.take_accounts(accounts),
            MemFact::Object(object) => self.objects.take(object, self.window),
            MemFact::ReclaimableSlab { name } => self.machine.take_reclaimable(name),
            MemFact::Kernel { part, bytes } => self.machine.take_part(part, *bytes),
            MemFact::SlabsRead { took } => self.machine.slabs_read(*took),
            MemFact::PressureTotals { cgroup, stalls } => self.pressure.stalled(cgroup.as_deref(), *stalls),
            MemFact::GroupMemory { group, memory } => self.limited.take(group, *memory, self.window),
            MemFact::OutOfMemory { at, victim, trigger, memory } => {
                self.killed(*at, *victim, *trigger, *memory);
            }
        }
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
        for group in self.limited.sample(now) {
            self.killed_in(group, now);
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
        let mut walks = Vec::new();
        for id in rows() {
            if context.processes.unread(*id) {
                names.insert(*id);
            }
            let Some(process) = self.processes.get(id).filter(|process| !process.ended) else { continue };
            if process.is_outdated() || (few && process.is_met()) {
                queries.counters.insert(*id);
            }
            if process.is_met() {
                walks.push(*id);
            }
            queries.limits.extend(process.group.as_ref().map(|group| group.name.clone()));
        }
        if walks.len() > ALWAYS_EXACT {
            let others = walks.split_off(ALWAYS_EXACT / 2);
            let first = self.walk_turn.get() % others.len();
            self.walk_turn.set(first + ALWAYS_EXACT / 4);
            walks.extend(others.iter().cycle().skip(first).take(ALWAYS_EXACT / 4));
        }
        let has_heap = |(id, process): (&TaskId, &ProcessMemory)| {
            (process.heap.is_some() && !process.ended).then_some(*id)
        };
        queries.heaps.extend(self.processes.iter().filter_map(has_heap).take(ALWAYS_EXACT));
        queries.heaps.extend(&walks);
        queries.details.extend(walks);
        // Every process is queried once, so that a row that is shown later has no step at its first exact counters.
        queries.counters.extend(
            self.processes
                .iter()
                .filter(|(_, process)| !process.was_exact() && process.is_met() && !process.ended)
                .map(|(id, _)| *id),
        );
        queries.counters.extend(self.beyond_counters(context.now.boot));
        queries.limits.extend(self.limited_groups());
        let living = self.processes.iter().filter(|(_, process)| !process.ended);
        let freed = living.filter(|(_, process)| process.has_freed()).map(|(id, _)| *id);
        queries.details.extend(freed.take(ALWAYS_EXACT));
        if context.request.problems {
            queries.limits.extend(self.unlimited_groups());
        }
        let examples: Vec<TaskId> = self.births.examples(context.now.boot).take(ALWAYS_EXACT).collect();
        queries.counters.extend(&examples);
        queries.details.extend(examples);
        HostQueries::of_names(names, context.request.cmdline).with(queries)
    }

    /// Control groups to query for problems: those about which nothing is known yet, and of those without a limit some in
    /// turn, because a limit can be set later.
    fn unlimited_groups(&self) -> impl Iterator<Item = Vec<u8>> {
        let is_unknown = |group: &&Rc<Group>| group.nearest.borrow().is_none();
        let is_unlimited = |group: &&Rc<Group>| matches!(&*group.nearest.borrow(), Some(None));
        let unlimited: Vec<_> = self.groups.values().filter(is_unlimited).collect();
        let first = self.unlimited_turn.get() % unlimited.len().max(1);
        self.unlimited_turn.set(first + UNLIMITED);
        let count = UNLIMITED.min(unlimited.len());
        let unlimited: Vec<_> = unlimited.into_iter().cycle().skip(first).take(count).collect();
        let unknown = self.groups.values().filter(is_unknown);
        unknown.chain(unlimited).map(|group| group.name.clone())
    }

    /// The control groups with a known limit, and the nearest limit of each.
    pub(super) fn limits(&self) -> impl Iterator<Item = Limit> {
        self.groups.values().filter_map(|group| group.nearest.borrow().clone()?)
    }

    /// One control group below each limit to query: the limits with the least left, and some of the others in turn.
    fn limited_groups(&self) -> Vec<Vec<u8>> {
        let mut limits: BTreeMap<Vec<u8>, (u64, &Vec<u8>)> = BTreeMap::new();
        for group in self.groups.values() {
            if let Some(Some(limit)) = &*group.nearest.borrow() {
                let left = limit.limit.saturating_sub(limit.usage);
                let known = limits.entry(limit.group.clone()).or_insert((left, &group.name));
                *known = (*known).min((left, &group.name));
            }
        }
        let mut limits: Vec<(u64, &Vec<u8>)> = limits.into_values().collect();
        limits.sort_unstable();
        let others = limits.split_off(limits.len().min(LIMITED));
        let first = self.group_turn.get() % others.len().max(1);
        self.group_turn.set(first + LIMITED);
        let others = others.iter().cycle().skip(first).take(LIMITED.min(others.len()));
        limits.iter().chain(others).map(|(_, name)| (*name).clone()).collect()
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
        self.departed.delivered(now.boot);
        if std::mem::take(&mut self.leaving) {
            if self.grouped {
                for (id, process) in self.processes.iter().filter(|(_, process)| process.ended) {
                    self.departed.end(*id, process.series.window.clone(), now.boot);
                }
            }
            self.processes.retain(|_, process| !process.ended);
        }
        self.groups.retain(|_, group| Rc::strong_count(group) > 1);
        let limits: BTreeSet<Vec<u8>> = self
            .groups
            .values()
            .filter_map(|group| Some(group.nearest.borrow().as_ref()?.as_ref()?.group.clone()))
            .collect();
        self.limited.retain(|group| limits.contains(group));
        self.predecessors.delivered(now.boot);
        self.met.clear();
        self.pressure.delivered(now, |group| self.groups.contains_key(group));
    }
}
