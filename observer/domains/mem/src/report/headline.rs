//! The headline: how full the machine is, when it will be full, and which processes grow.

use super::{
    accounts,
    limited_groups::{self, RankedGroup},
    ranked_process::RankedProcess,
};
use crate::state::MemState;
use observer_core::{
    context::Context,
    report::{Value, shape::Selection},
    trend::verdict::{Verdict, assess},
    units,
};

/// One sentence per line.
pub(super) fn headline(
    state: &MemState,
    processes: &[RankedProcess<'_>],
    limited: &[RankedGroup<'_>],
    context: &Context<'_>,
) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((total, used)) = state.machine.size() {
        let machine = format!("Memory {}, {} used", units::bytes(total), units::share(used));
        lines.push(format!("{machine}{}.", course(state, context)));
    }
    let rates = processes.iter().filter_map(|process| process.assessment.trend).map(|trend| trend.rate);
    let fastest_process = rates.fold(0.0, f64::max);
    let object = accounts::fastest(state, context);
    // The fastest growth comes first: beside a growing object, a slightly growing process is not the cause.
    let (before, after) = match object {
        Some((rate, line)) if rate > fastest_process => (Some(line), None),
        other => (None, other.map(|(_, line)| line)),
    };
    // Beside a growing object, a process that grew a little and has no trend yet is not the cause.
    let is_early = processes.iter().all(|process| !process.grows())
        && processes.iter().any(|process| process.early() > 0.0);
    let is_cause = before.is_none() || !is_early;
    lines.extend(before);
    lines.extend(growing(processes, context).filter(|_| is_cause));
    lines.extend(after);
    lines.extend(limited_groups::headline(limited, state));
    lines.extend(accounts::places(state));
    lines
}

/// The trend of the machine's memory, as the end of a sentence.
fn course(state: &MemState, context: &Context<'_>) -> String {
    let assessment = assess(&state.machine.used, context.now.boot);
    let (Some(trend), Some(available)) = (assessment.trend, state.machine.available()) else {
        return String::new();
    };
    match assessment.verdict {
        verdict if verdict.grows() && trend.rate > 0.0 => format!(
            ", growing by {} a minute: full in about {}",
            units::minute_rate(trend.rate, None).trim_start_matches('+'),
            units::duration(available as f64 / trend.rate)
        ),
        Verdict::Shrinking => ", shrinking".to_owned(),
        Verdict::Stable => ", stable".to_owned(),
        _ => String::new(),
    }
}

/// The processes that grow, or that have grown before a verdict is possible.
fn growing(processes: &[RankedProcess<'_>], context: &Context<'_>) -> Option<String> {
    let selection = Selection::new(context.request, &[], context.processes);
    let is_selected = |process: &&RankedProcess<'_>| {
        let has = |selection: &Selection<'_>| selection.has(&[process.id], |_| Value::Missing);
        selection.as_ref().is_none_or(has)
    };
    let (process, among) = match selection {
        Some(_) => ("selected process", " among selected processes"),
        None => ("process", ""),
    };
    let processes: Vec<&RankedProcess<'_>> = processes.iter().filter(is_selected).collect();
    let living = || processes.iter().filter(|process| process.memory.is_some());
    let grow = processes.iter().filter(|process| process.grows()).count();
    let first = processes.iter().filter(|process| process.grows() || process.early() > 0.0);
    let Some(first) = first.min_by_key(|process| process.order()) else {
        living().next()?;
        let open = living().filter(|process| process.assessment.verdict == Verdict::Unknown).count();
        return Some(match open {
            0 => format!("No {process} grows."),
            _ => format!(
                "No {process} is known to grow; for {} it is too early to say.",
                units::count(open as u64)
            ),
        });
    };
    if !first.grows() {
        let who = context.processes.label(first.id);
        return Some(format!(
            "Too early for a trend; {who} grew most so far, {}.",
            units::change(first.early() as i64)
        ));
    }
    let who = context.processes.label(first.id);
    let rate = units::minute_rate(first.rate(), None);
    // Resident memory of a full heap does not grow.
    let in_heap = if first.heap_leaks() { " in its heap" } else { "" };
    let leaks = processes.iter().filter(|process| process.leaks()).count();
    if leaks > 0 {
        return Some(match leaks {
            1 => format!("One leak suspected{among}: {who}, {rate} a minute{in_heap}."),
            _ => format!(
                "{} leaks suspected{among}, first of all {who}, {rate} a minute{in_heap}.",
                units::count(leaks as u64)
            ),
        });
    }
    Some(match grow {
        1 => format!("One {process} grows: {who}, {rate} a minute."),
        _ => format!("{} {process}es grow, most of all {who}, {rate} a minute.", units::count(grow as u64)),
    })
}
