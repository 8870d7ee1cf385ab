//! Programs with more and more processes, each of which holds memory that does not grow.
//!
//! Of each program, the memory of processes that started while observed is added up, less what processes held that were
//! there before and ended: a worker that replaces another is no growth. A fork shares the pages of its parent, which its
//! counters contain. How much is its own is known of a few members by a walk over their pages, and assumed of the others;
//! without any, no group is reported.

use hashbrown::HashMap;

use super::process::{ProcessMemory, Program};
use observer_core::{
    facts::TaskId,
    trend::{
        series::Series,
        verdict::{Assessment, assess_life},
    },
};

/// A program with fewer new processes is not reported: their own rows show them.
const FEW: usize = 5;

/// Nor is growth of fewer bytes.
const LITTLE: f64 = 8.0 * 1024.0 * 1024.0;

/// So many members of a group are asked for what is their own.
const EXAMPLES: usize = 3;

/// Every program that has started processes while observed.
#[derive(Debug, Default)]
pub(super) struct Births {
    /// When observation began, nanoseconds of the boot clock.
    began: Option<u64>,
    groups: HashMap<Program, BornGroup>,
    /// Bytes that processes held which had started before and ended.
    ended: HashMap<Program, f64>,
}

/// The new processes of one program.
#[derive(Debug)]
struct BornGroup {
    members: usize,
    /// Bytes, by the counters.
    series: Series,
    total: f64,
    /// The largest members, with what they hold.
    largest: Vec<(u64, TaskId)>,
    /// What is their own, as a share of what their counters have; `None` if it is not known of any.
    own: Option<f64>,
}

/// A program whose new processes together grow.
pub(super) struct GrowingGroup<'a> {
    pub program: &'a Program,
    pub members: usize,
    /// Bytes.
    pub growth: f64,
    /// Seconds in which it grew.
    pub seconds: f64,
    /// Of what its counters have, which is [`Self::own`] times too much.
    pub assessment: Assessment,
    pub own: f64,
}

impl Births {
    /// A process of `program` has ended that held `held` bytes.
    pub(super) fn end(&mut self, program: &Program, id: TaskId, held: f64) {
        if self.began.is_some_and(|began| id.start <= began) {
            *self.ended.entry(program.clone()).or_default() += held;
        }
    }

    /// Adds up what `processes` hold at `now`; trends look back over `window` seconds.
    pub(super) fn sample<'a>(
        &mut self,
        processes: impl Iterator<Item = (TaskId, &'a ProcessMemory)>,
        now: u64,
        window: f64,
    ) {
        let began = *self.began.get_or_insert(now);
        for group in self.groups.values_mut() {
            (group.members, group.total) = (0, 0.0);
            group.largest.clear();
        }
        let mut shares: HashMap<&Program, (f64, f64)> = HashMap::new();
        for (id, process) in processes.filter(|(id, _)| id.start > began) {
            let (Some(program), Some(memory)) = (process.program.as_ref(), process.memory()) else {
                continue;
            };
            let group = self.groups.entry_ref(program).or_insert_with(|| BornGroup::new(now, window));
            let bytes = process.assessed_bytes(memory);
            group.members += 1;
            group.total += bytes;
            group.largest.push((bytes.max(0.0) as u64, id));
            if let Some((own, all)) = process.own_part() {
                let sums = shares.entry(program).or_default();
                (sums.0, sums.1) = (sums.0 + own, sums.1 + all);
            }
        }
        for (program, group) in &mut self.groups {
            let ended = self.ended.get(program).copied().unwrap_or(0.0);
            group.series.push(now, (group.total - ended).max(0.0), group.total);
            let share =
                shares.get(program).filter(|(_, all)| *all > 0.0).map(|(own, all)| (own / all).min(1.0));
            group.own = share.or(group.own);
            group.largest.sort_unstable_by(|one, other| other.cmp(one));
            group.largest.truncate(EXAMPLES);
        }
        self.groups.retain(|_, group| group.members > 0);
    }

    fn many(&self, now: u64) -> impl Iterator<Item = (&Program, &BornGroup, f64)> {
        self.groups.iter().filter_map(move |(program, group)| {
            let growth = group.series.window.growth(now)?;
            (group.members >= FEW && growth >= LITTLE).then_some((program, group, growth))
        })
    }

    /// Members of groups that may be reported, to be asked for what is their own.
    pub(super) fn examples(&self, now: u64) -> impl Iterator<Item = TaskId> {
        self.many(now).flat_map(|(_, group, _)| group.largest.iter().map(|(_, id)| *id))
    }

    /// The groups that grow, the most first; `left` bytes are left of the machine's memory.
    pub(super) fn growing(&self, now: u64, left: Option<f64>) -> Vec<GrowingGroup<'_>> {
        let groups = self.many(now).filter_map(|(program, group, growth)| {
            let own = group.own?;
            let assessment = assess_life(&group.series, now, left);
            let seconds = group.series.window.known(now);
            let grows = assessment.verdict.grows() && growth * own >= LITTLE;
            let (members, growth) = (group.members, growth * own);
            grows.then_some(GrowingGroup { program, members, growth, seconds, assessment, own })
        });
        let mut groups: Vec<GrowingGroup<'_>> = groups.collect();
        groups.sort_by(|one, other| {
            other.growth.total_cmp(&one.growth).then_with(|| one.program.cmp(other.program))
        });
        groups
    }
}

impl BornGroup {
    /// Until now the program had no new process.
    fn new(now: u64, window: f64) -> Self {
        let mut series = Series::new(window);
        series.push(now.saturating_sub(1_000_000_000), 0.0, 0.0);
        Self { members: 0, series, total: 0.0, largest: Vec::new(), own: None }
    }
}
