//! OOM kills, and memory pressure: the time that tasks waited for memory.

use std::{cmp::Ordering, collections::BTreeMap};

use super::notes::MemNote;
use observer_core::{
    context::Context,
    facts::{TaskId, mem::PressureTotals, session::Timestamp},
    report::Note,
    text::printable,
    trend::window::Window,
    units,
};

/// The least share of time with waiting tasks that is reported.
const SHARE: f64 = 0.01;

/// A kill is kept for this many nanoseconds.
const SHOWN: u64 = 60 * SECOND;

/// A control group that counts a kill within this many nanoseconds explains it.
const OPEN: u64 = 5 * SECOND;

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// The number of kills that are kept, those of the largest victims; the others are counted. A control group that
/// restarts its killed processes has thousands of kills.
const KEPT: usize = 32;

/// Recent kills and stalls.
#[derive(Debug, Default)]
pub(super) struct MemoryPressure {
    kills: Vec<Kill>,
    /// The number of other kills in each second of the boot clock.
    others: BTreeMap<u64, u64>,
    /// Stalls of the machine (`None`) and of control groups.
    stalls: BTreeMap<Option<Vec<u8>>, StalledGroup>,
}

/// An OOM kill. Growth means anonymous memory and swap over the window.
#[derive(Clone, Debug)]
pub(super) struct Kill {
    /// Nanoseconds of the boot clock.
    pub at: u64,
    pub victim: TaskId,
    pub trigger: TaskId,
    /// Bytes that only the exit of the victim frees.
    pub held: Option<f64>,
    pub grew: Option<f64>,
    /// The process with the largest growth, and its bytes of growth, if it is not the victim.
    pub most: Option<(TaskId, f64)>,
    /// The nearest limit of a control group: path of the group, bytes.
    pub limit: Option<(Vec<u8>, u64)>,
    /// Bytes of shared memory and files in RAM, if they are most of the group's memory; and the largest of them.
    pub shared: Option<(u64, Option<Vec<u8>>)>,
}

#[derive(Debug)]
struct StalledGroup {
    latest: PressureTotals,
    /// Microseconds since boot in which some task waited.
    some: Window,
    full: Window,
}

impl MemoryPressure {
    pub(super) fn kill(&mut self, kill: Kill) {
        self.kills.push(kill);
        if self.kills.len() > KEPT {
            self.kills.sort_by(Kill::by_size);
            if let Some(least) = self.kills.pop() {
                *self.others.entry(least.at / SECOND).or_default() += 1;
            }
        }
    }

    /// Removes and returns the kills of the last seconds before `now` for which no control group is known.
    pub(super) fn take_unexplained(&mut self, now: u64) -> Vec<Kill> {
        let is_open = |kill: &Kill| kill.limit.is_none() && now.saturating_sub(kill.at) < OPEN;
        let (open, rest) = std::mem::take(&mut self.kills).into_iter().partition(is_open);
        self.kills = rest;
        open
    }

    pub(super) fn stalled(&mut self, cgroup: Option<&[u8]>, stalls: PressureTotals) {
        let cgroup = cgroup.map(<[u8]>::to_vec);
        let new = || StalledGroup { latest: stalls, some: Window::default(), full: Window::default() };
        self.stalls.entry(cgroup).or_insert_with(new).latest = stalls;
    }

    pub(super) fn sample(&mut self, now: Timestamp) {
        for group in self.stalls.values_mut() {
            group.some.push(now.boot, group.latest.some as f64);
            group.full.push(now.boot, group.latest.full as f64);
        }
    }

    /// The kills that are kept, the largest victim first.
    pub(super) fn kills(&self) -> Vec<&Kill> {
        let mut kills: Vec<&Kill> = self.kills.iter().collect();
        kills.sort_by(|one, other| one.by_size(other));
        kills
    }

    /// Shares of the time from `from` to `now` in which some task, and all tasks, waited for memory: of the machine
    /// (`None`) and of each control group.
    pub(super) fn waiting(&self, from: u64, now: u64) -> impl Iterator<Item = (Option<&[u8]>, f64, f64)> {
        self.stalls.iter().filter_map(move |(group, waiting)| {
            let (some, full) = waiting.shares(from, now)?;
            Some((group.as_deref(), some, full))
        })
    }

    /// Whether a note names the process `id`.
    pub(super) fn names(&self, id: TaskId) -> bool {
        let of = |kill: &Kill| {
            kill.victim == id || kill.trigger == id || kill.most.is_some_and(|(most, _)| most == id)
        };
        self.kills.iter().any(of)
    }

    /// A report was delivered: old kills are removed, and groups without a known process.
    pub(super) fn delivered(&mut self, now: Timestamp, known: impl Fn(&[u8]) -> bool) {
        self.kills.retain(|kill| now.boot.saturating_sub(kill.at) < SHOWN);
        self.others.retain(|second, _| now.boot.saturating_sub(second.saturating_mul(SECOND)) < SHOWN);
        self.stalls.retain(|group, _| group.as_deref().is_none_or(&known));
    }

    pub(super) fn notes(&self, context: &Context<'_>) -> Vec<Note> {
        let kills = self.kills();
        let first = kills.len().min(Note::FEW);
        let mut notes: Vec<Note> =
            kills[..first].iter().map(|kill| Note::new(MemNote::OomKill, kill.text(context))).collect();
        let rest = (kills.len() - first) as u64;
        let others = self.others.values().fold(rest, |sum, count| sum.saturating_add(*count));
        if others > 0 {
            let killed = units::counted(others, "more process was", "more processes were");
            let text = format!("Out of memory: {killed} killed in the last minute.");
            notes.push(Note::new(MemNote::OomKill, text));
        }
        let mut stalls: Vec<(f64, String)> = self
            .stalls
            .iter()
            .filter_map(|(group, waiting)| waiting.text(group.as_deref(), context))
            .collect();
        stalls.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        let others = |rest: &[(f64, String)]| {
            let groups = units::counted(rest.len() as u64, "more group", "more groups");
            format!("Since the last report tasks waited for memory in {groups}, for less of the time.")
        };
        notes.extend(Note::few(MemNote::Stall, &stalls, |(_, text)| text.clone(), others));
        notes
    }
}

impl Kill {
    /// The order of kills: the largest victim first, then the latest.
    fn by_size(&self, other: &Self) -> Ordering {
        let held = |kill: &Self| kill.held.unwrap_or(0.0);
        held(other).total_cmp(&held(self)).then_with(|| other.at.cmp(&self.at))
    }

    /// A sentence about it.
    pub(super) fn text(&self, context: &Context<'_>) -> String {
        let name = |id: TaskId| {
            // If the kernel reports only a number, it means the latest process with that number.
            let latest = if id.start == 0 { context.processes.latest(id.pid()) } else { None };
            context.processes.label(latest.unwrap_or(id))
        };
        let ago = units::duration(context.now.boot.saturating_sub(self.at) as f64 / 1e9);
        let mut text = format!("Out of memory {ago} ago: {} was killed", name(self.victim));
        if self.trigger == self.victim {
            text.push_str(", having asked for more");
        } else {
            text.push_str(&format!(" as {} asked for more", name(self.trigger)));
        }
        if let Some(held) = self.held {
            text.push_str(&format!("; it held {}", units::bytes(held)));
        }
        if let Some(grew) = self.grew {
            text.push_str(&format!(", {} within the window", units::change(grew)));
        }
        if let Some((most, grew)) = self.most {
            text.push_str(&format!("; most had grown {}, {}", name(most), units::change(grew)));
        }
        if let Some((group, limit)) = &self.limit {
            let group = printable(group);
            text.push_str(&format!("; the limit of its group {group} is {}", units::bytes(*limit as f64)));
        }
        if let Some((bytes, object)) = &self.shared {
            text.push_str(&format!(", {} of it shared memory and files in RAM", units::bytes(*bytes as f64)));
            if let Some(name) = object {
                text.push_str(&format!(" (most in {})", printable(name)));
            }
        }
        text.push('.');
        text
    }
}

impl StalledGroup {
    /// The shares of time in which some task, and all tasks, waited.
    fn shares(&self, from: u64, now: u64) -> Option<(f64, f64)> {
        // In microseconds per second.
        let share = |window: &Window| window.rate(from, now).map(|rate| (rate / 1e6).min(1.0));
        Some((share(&self.some)?, share(&self.full).unwrap_or(0.0)))
    }

    /// The share of time in which some task waited, and the text of its note; `None` below the threshold.
    fn text(&self, group: Option<&[u8]>, context: &Context<'_>) -> Option<(f64, String)> {
        let (some, full) = self.shares(context.previous.boot, context.now.boot)?;
        let place = group.map_or_else(String::new, |group| format!(" in the group {}", printable(group)));
        (some >= SHARE).then(|| {
            let text = format!(
                "Since the last report tasks{place} waited for memory {} of the time, all at once {}.",
                units::share(some),
                units::share(full)
            );
            (some, text)
        })
    }
}
