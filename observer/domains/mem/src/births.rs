//! Programs that keep starting processes, each of which holds memory that does not grow.
//!
//! The memory of a program is the sum over the processes that started while observed. The memory of older processes
//! that have ended is subtracted: a worker that replaces another is no growth. A forked process shares pages of its
//! parent, and its counters contain them. A page walk measures, for a few members, which part of their memory is their
//! own. The same part is assumed for the others. A group without such a measurement is not reported.

use hashbrown::HashMap;

use super::process::{ProcessMemory, Program};
use observer_core::{
    facts::TaskId,
    trend::{
        series::Series,
        verdict::{Assessment, assess_life},
    },
};

/// A program with fewer new processes is not reported: each process has its own row.
const FEW: usize = 5;

/// Growth of fewer bytes is not reported.
const LITTLE: f64 = 8.0 * 1024.0 * 1024.0;

/// The number of members of a group that are queried for the part of their memory that is their own.
const EXAMPLES: usize = 3;

/// Every program with processes that started while observed.
#[derive(Debug, Default)]
pub(super) struct Births {
    /// The start of observation, nanoseconds of the boot clock.
    began: Option<u64>,
    groups: HashMap<Program, BornGroup>,
    /// Bytes held by processes that started before observation and have ended.
    ended: HashMap<Program, f64>,
}

/// The processes of one program that started while observed.
#[derive(Debug)]
struct BornGroup {
    members: usize,
    /// Bytes by the counters.
    series: Series,
    total: f64,
    /// The largest members: bytes held, process.
    largest: Vec<(u64, TaskId)>,
    /// The part of the bytes in the counters that is the members' own, 0 to 1; `None` while it is not known for any
    /// member.
    own: Option<f64>,
}

/// A program whose new processes together grow.
pub(super) struct GrowingGroup<'a> {
    pub program: &'a Program,
    pub members: usize,
    /// Bytes of the group's own memory.
    pub growth: f64,
    /// Seconds of the series.
    pub seconds: f64,
    /// By the counters, which include shared pages: multiply its rates by [`Self::own`].
    pub assessment: Assessment,
    pub own: f64,
}

impl Births {
    /// A process of `program` has ended; it held `held` bytes.
    pub(super) fn end(&mut self, program: &Program, id: TaskId, held: f64) {
        if self.began.is_some_and(|began| id.start <= began) {
            *self.ended.entry(program.clone()).or_default() += held;
        }
    }

    /// Adds up the bytes that `processes` hold at `now`. Trends look back over `window` seconds.
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

    /// The start of observation, nanoseconds of the boot clock.
    pub(super) const fn began(&self) -> Option<u64> {
        self.began
    }

    fn many(&self, now: u64) -> impl Iterator<Item = (&Program, &BornGroup, f64)> {
        self.groups.iter().filter_map(move |(program, group)| {
            let growth = group.series.window.growth(now)?;
            (group.members >= FEW && growth >= LITTLE).then_some((program, group, growth))
        })
    }

    /// The largest members of groups that may be reported, to query the part of their memory that is their own.
    pub(super) fn examples(&self, now: u64) -> impl Iterator<Item = TaskId> {
        self.many(now).flat_map(|(_, group, _)| group.largest.iter().map(|(_, id)| *id))
    }

    /// The growing groups, the largest growth first. `left`: available bytes of the machine's memory.
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
    /// The program had no new process until now.
    fn new(now: u64, window: f64) -> Self {
        let mut series = Series::new(window);
        series.push(now.saturating_sub(1_000_000_000), 0.0, 0.0);
        Self { members: 0, series, total: 0.0, largest: Vec::new(), own: None }
    }
}
