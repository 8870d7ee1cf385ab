//! The growth of groups of processes (`--by`): what their new processes hold counts, and so does what their ended
//! processes held.
//!
//! The series of a group is the sum of the series of its processes. A forked process shares pages of its parent, and
//! its counters contain them: of a process that started while observed, the part counts that a page walk has found to
//! be its own. Where no walk has been made, the part is that of the other new processes of the group.

use std::collections::HashMap;

use super::{TREND, trend_value};
use crate::state::MemState;
use observer_core::{
    context::Context,
    facts::TaskId,
    report::{Emphasis, Row, Subject, Table, Value},
    trend::{
        verdict::{Assessment, Verdict, assess},
        window::Window,
    },
    view::GroupBy,
};

/// The number of times at which the series of a group is computed, evenly spaced over the window.
const POINTS: u64 = 60;

/// Replaces growth, rate and verdict of the merged rows of `table`.
pub(super) fn assess_groups(table: &mut Table, state: &MemState, context: &Context<'_>) {
    if context.request.by == GroupBy::Process {
        return;
    }
    let now = context.now.boot;
    let mut departed: HashMap<Option<String>, Vec<&Window>> = HashMap::new();
    for process in state.departed.all() {
        departed.entry(key(process.id, context)).or_default().push(&process.window);
    }
    let first = table.position(TREND);
    let [verdict, reason] = ["verdict", "reason"].map(|name| table.position(name));
    for row in &mut table.rows {
        let Subject::Group { key, .. } = &row.subject else { continue };
        let gone = departed.get(key).map_or(&[][..], Vec::as_slice);
        if row.processes.len() < 2 && gone.is_empty() {
            continue;
        }
        let Some(window) = sum(&row.processes, gone, state, now) else { continue };
        let assessment = assessment(row, &window, state, now);
        let mut set = |at: Option<usize>, value| {
            if let Some(cell) = at.and_then(|at| row.cells.get_mut(at)) {
                *cell = value;
            }
        };
        for at in 0..6 {
            set(first.map(|first| first + at), trend_value(at, Some(&assessment), &window, now));
        }
        set(verdict, Value::Text(assessment.verdict.name().to_owned()));
        row.emphasis = match assessment.verdict {
            Verdict::Leak => Emphasis::Alarm,
            verdict if verdict.grows() => row.emphasis.min(Emphasis::Notice),
            _ => row.emphasis,
        };
        if let Some(cell) = reason.and_then(|at| row.cells.get_mut(at)) {
            *cell = Value::Text(assessment.reason);
        }
    }
    table.rows.sort_by_key(|row| row.emphasis);
}

/// The name by which `id` is grouped.
fn key(id: TaskId, context: &Context<'_>) -> Option<String> {
    match context.request.by {
        GroupBy::Unit => context.processes.unit(id),
        GroupBy::Container => context.processes.container(id),
        GroupBy::Comm => context.processes.comm(id),
        GroupBy::Process | GroupBy::User | GroupBy::Remote => None,
    }
}

/// The verdict of a group: a leak if one of its processes leaks, or else that of its own series.
fn assessment(row: &Row, window: &Window, state: &MemState, now: u64) -> Assessment {
    let mut assessment = assess(window, now);
    let leaks = row.processes.iter().filter_map(|id| {
        let process = state.processes.get(id).filter(|process| !process.ended)?;
        let own = state.assessment(process, now);
        (own.verdict == Verdict::Leak)
            .then(|| (own.trend.map_or(0.0, |trend| trend.rate), *id, own.reason.clone()))
    });
    let worst = leaks.max_by(|(one, _, _), (other, _, _)| one.total_cmp(other));
    if let Some((_, id, reason)) = worst.filter(|_| assessment.verdict != Verdict::Shrinking) {
        assessment.verdict = Verdict::Leak;
        assessment.reason = format!("process {}: {reason}", id.pid());
    }
    assessment
}

/// The sum of the series of `members` and of processes that are `gone`; `None` before the first sample.
fn sum(members: &[TaskId], gone: &[&Window], state: &MemState, now: u64) -> Option<Window> {
    let began = state.births.began()?;
    let living: Vec<_> = members.iter().filter_map(|id| Some((*id, state.processes.get(id)?))).collect();
    let parts =
        living.iter().filter(|(id, _)| id.start > began).filter_map(|(_, process)| process.own_part());
    let (own, all) = parts.fold((0.0, 0.0), |sums, part| (sums.0 + part.0, sums.1 + part.1));
    let share = if all > 0.0 { (own / all).min(1.0) } else { 1.0 };
    let length = living
        .iter()
        .map(|(_, process)| process.series.window.length())
        .chain(gone.iter().map(|window| window.length()))
        .next()?;
    let begin = now.saturating_sub((length * 1e9) as u64).max(began).min(now);
    let mut window = Window::new(length);
    for point in 0..=POINTS {
        let at = if point == POINTS { now } else { begin + (now - begin) / POINTS * point };
        let of_living = living.iter().map(|(id, process)| {
            let born = id.start > began;
            // Before its first sample, a new process held nothing.
            let held =
                process.series.window.value_at(at).filter(|_| !process.ended || at < now).unwrap_or(0.0);
            if born { held * share } else { held }
        });
        let of_gone = gone.iter().map(|window| window.value_at(at).unwrap_or(0.0));
        window.push(at, of_living.chain(of_gone).sum());
    }
    Some(window)
}
