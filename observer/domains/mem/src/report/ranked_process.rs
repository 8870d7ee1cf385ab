//! A process with its assessment: the keys that rank it, before its row is made.

use std::cmp::Reverse;

use crate::{
    process::{AssessmentSource, LimitState, ProcessMemory},
    state::MemState,
};
use observer_core::{
    context::Context,
    facts::{
        TaskId,
        mem::{Memory, Totals},
    },
    report::Emphasis,
    trend::{
        envelope::MIN_GROWTH,
        verdict::{Assessment, Verdict},
    },
    units,
};

/// A process raises an alarm if it fills the rest of the memory within this many seconds.
const SOON: f64 = 3600.0;

/// The assessment of a process that was never assessed, in a draft.
static UNJUDGED: Assessment =
    Assessment { growth: None, trend: None, verdict: Verdict::Unknown, reason: String::new() };

/// The totals of a process without events.
static NOTHING: Totals =
    Totals { mapped: 0, unmapped: 0, mapped_file: 0, reserved: 0, protected: 0, peak: None };

/// A process with its assessment. Every process has one and few are shown, so values that only shown rows need are
/// computed on demand.
pub(super) struct RankedProcess<'a> {
    pub id: TaskId,
    pub process: &'a ProcessMemory,
    /// Its memory; `None` if the process has ended, or no scan has found it.
    pub memory: Option<Memory>,
    pub assessment: AssessmentSource<'a>,
    /// The assessment of the live bytes of its runtime's heap, if that is known.
    pub heap: Option<Box<Assessment>>,
    /// `None` without events.
    pub totals: Option<&'a Totals>,
    /// Growth over the window, or over the known time, in bytes.
    growth: Option<f64>,
    /// Nanoseconds of the boot clock.
    pub now: u64,
    state: &'a MemState,
}

/// The assessment that ranks the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AssessmentStage {
    /// The assessment of the previous report, with the current memory: series are not assessed yet.
    Draft,
    /// The assessment of this report.
    Final,
}

/// Every process, unordered.
pub(super) fn assessed<'a>(
    state: &'a MemState,
    context: &Context<'_>,
    stage: AssessmentStage,
) -> Vec<RankedProcess<'a>> {
    let missing = &context.session.missing;
    let followed = !missing.iter().any(|hook| hook.columns.iter().any(|name| name == "mapped"));
    let of = |(id, process)| RankedProcess::new(id, process, state, context.now.boot, followed, stage);
    state.processes.iter().map(|(id, process)| (*id, process)).map(of).collect()
}

impl<'a> RankedProcess<'a> {
    fn new(
        id: TaskId,
        process: &'a ProcessMemory,
        state: &'a MemState,
        now: u64,
        followed: bool,
        stage: AssessmentStage,
    ) -> Self {
        let memory = process.memory().filter(|_| !process.ended);
        let (assessment, growth) = match stage {
            AssessmentStage::Final => {
                let assessment = state.assessment(process, now);
                let growth = assessment.growth;
                (assessment, growth)
            }
            AssessmentStage::Draft => {
                let series = &process.series.window;
                let began = series.begin(now).and_then(|begin| series.value_at(begin));
                let growth = memory.zip(began).map(|(memory, began)| process.assessed_bytes(memory) - began);
                (AssessmentSource::Stored(state.last_assessment(process).unwrap_or(&UNJUDGED)), growth)
            }
        };
        let heap = process.heap.as_ref().filter(|_| !process.ended);
        Self {
            id,
            process,
            memory,
            assessment,
            heap: heap.map(|heap| Box::new(heap.assessment(now))),
            totals: process.totals.as_deref().or(followed.then_some(&NOTHING)),
            growth,
            now,
            state,
        }
    }

    /// See [`MemState::limit`].
    pub(super) fn limit(&self) -> Option<LimitState> {
        self.state.limit(self.process)
    }

    /// Whether the process exists and grows.
    pub(super) fn grows(&self) -> bool {
        !self.process.ended && (self.assessment.verdict.grows() || self.heap_leaks())
    }

    /// Whether the process exists and it leaks, or the objects in its heap do.
    pub(super) fn leaks(&self) -> bool {
        !self.process.ended && (self.assessment.verdict == Verdict::Leak || self.heap_leaks())
    }

    /// Whether more and more objects survive the collections of its runtime, without any sign of a bound.
    pub(super) fn heap_leaks(&self) -> bool {
        self.heap.as_ref().is_some_and(|heap| heap.verdict == Verdict::Leak)
    }

    /// Bytes of growth while no verdict is possible yet; 0 otherwise.
    pub(super) fn early(&self) -> f64 {
        let open = !self.process.ended && self.assessment.verdict == Verdict::Unknown;
        self.growth.filter(|growth| open && *growth > 0.0).unwrap_or(0.0)
    }

    /// Bytes per second of the growth that ranks it: of its memory, or of the live bytes of a heap that leaks.
    pub(super) fn rate(&self) -> f64 {
        let of = |assessment: &Assessment| assessment.trend.map_or(0.0, |trend| trend.rate);
        let heap = self.heap.as_deref().filter(|_| self.heap_leaks()).map_or(0.0, of);
        of(&self.assessment).max(heap)
    }

    /// Seconds until the heap of its runtime is full of live objects.
    pub(super) fn heap_full_in(&self) -> Option<f64> {
        let rate = self.heap.as_ref().filter(|heap| heap.verdict.grows())?.trend?.rate;
        let left = self.process.heap.as_ref()?.left()?;
        (rate > 0.0).then(|| left as f64 / rate)
    }

    /// Bytes that survived the last collection of its runtime.
    pub(super) fn live(&self) -> Option<u64> {
        self.process.heap.as_ref().filter(|_| !self.process.ended)?.latest.live
    }

    /// Resident bytes.
    pub(super) fn rss(&self) -> Option<i64> {
        let memory = self.memory?;
        Some(memory.file.saturating_add(memory.anon).saturating_add(memory.shmem))
    }

    /// The sort key of rows, ascending: leaks, then growing processes by rate, then processes that grew and have no
    /// verdict yet, then by resident memory, then ended processes by mapped bytes.
    pub(super) fn order(&self) -> impl Ord + use<> {
        let grows = self.grows();
        (
            Reverse(self.leaks()),
            Reverse(grows),
            // In whole bytes per second: smaller differences do not count.
            Reverse(if grows { self.rate() as i64 } else { 0 }),
            Reverse(self.early() as i64),
            self.process.ended,
            Reverse(self.rss()),
            Reverse(self.totals.map_or(0, |totals| totals.mapped)),
            self.id,
        )
    }

    /// Seconds until memory is full: by the trend, and by the two ends of its interval. If the limit is that of a control
    /// group, and the group grows faster than the process, the trend is the group's.
    pub(super) fn full_in(&self) -> [Option<f64>; 3] {
        let grows = self.assessment.verdict.grows() && !self.process.ended;
        let (Some(trend), true) = (self.assessment.trend, grows) else { return [None; 3] };
        let Some(limit) = self.limit() else { return [None; 3] };
        let group = limit.group.as_ref().and_then(|group| self.state.limited.get(group));
        let of_group = group.and_then(|group| group.assessment(self.now).trend);
        let trend = of_group.filter(|group| group.rate > trend.rate).unwrap_or(trend);
        let at = |rate: f64| (rate > 0.0).then(|| limit.left as f64 / rate);
        [at(trend.rate), at(trend.high), at(trend.low)]
    }

    pub(super) fn emphasis(&self) -> Emphasis {
        let soon = self.full_in()[0].is_some_and(|seconds| seconds < SOON);
        match self.assessment.verdict {
            _ if self.process.ended => Emphasis::Faint,
            _ if self.leaks() => Emphasis::Alarm,
            Verdict::Leak => Emphasis::Alarm,
            Verdict::Growing | Verdict::Warmup if soon => Emphasis::Alarm,
            Verdict::Growing | Verdict::Warmup => Emphasis::Notice,
            Verdict::Shrinking | Verdict::Stable | Verdict::Unknown => Emphasis::Plain,
        }
    }

    /// The reason for a process that has not ended, with the memory that it freed and the kernel has not taken back
    /// yet.
    pub(super) fn reason(&self) -> String {
        let mut reason = self.assessment.reason.clone();
        if let Some((live, heap)) =
            self.live().zip(self.heap.as_ref()).filter(|(_, heap)| heap.verdict.grows())
        {
            reason = format!("{reason}; {} live in its heap: {}", units::bytes(live), heap.reason);
        }
        match self.process.reclaimable() {
            Some(bytes) if bytes as f64 >= MIN_GROWTH => {
                format!("{reason}; not counting {} that it has freed (MADV_FREE)", units::bytes(bytes))
            }
            _ => reason,
        }
    }

    /// The reason for a process that has ended.
    pub(super) fn end(&self) -> String {
        match self.totals.and_then(|totals| Some((totals.mapped, totals.peak?))) {
            Some((mapped, peak)) => {
                format!(
                    "it ended; at most {} was resident, {} mapped",
                    units::bytes(peak),
                    units::bytes(mapped)
                )
            }
            None => "it ended".to_owned(),
        }
    }
}
