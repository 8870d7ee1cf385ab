//! From the state of the sites domain to rows: one for each call path, from its site outwards.

use std::{cmp::Reverse, collections::HashMap};

use observer_core::{
    context::Context,
    facts::TaskId,
    report::{Column, Emphasis, Note, Report, Row, Subject, Table, Unit, Value, process},
    units,
};

use self::{
    frame::{ShownFrame, SitePath},
    site::{SiteSamples, sites},
};
use crate::{
    judgement::{ENOUGH, Judgement, judge},
    notes::SitesNote,
    proportion::Rate,
    state::SitesState,
};

mod frame;
mod site;

/// Frames of a path that tables show; JSON has all.
const SHOWN_FRAMES: usize = 6;
/// The share of the samples of a process from which a note says that their paths are not complete.
const NOTEWORTHY: f64 = 0.05;

/// Bytes a second from which a process grows.
const GROWS: f64 = 65_536.0;

/// A row before its cells.
struct Candidate {
    id: TaskId,
    site: SiteSamples,
    judgement: Judgement,
    reason: String,
    ended: bool,
}

/// The report of the view `mem-where`.
pub fn report(state: &SitesState, context: &Context<'_>) -> Report {
    let mut candidates = Vec::new();
    let mut notes = Vec::new();
    for (id, known) in &state.processes {
        let sites = sites(known, context.now.boot);
        notes.extend(incomplete(*id, &sites, context));
        notes.extend(reused(*id, &sites, known.growth(), context));
        let evidence: Vec<_> = sites.iter().map(SiteSamples::evidence).collect();
        let judged = judge(&evidence, known.growth());
        candidates.extend(sites.into_iter().zip(judged).map(|(site, (judgement, reason))| Candidate {
            id: *id,
            site,
            judgement,
            reason,
            ended: known.ended,
        }));
    }
    candidates.sort_by_key(|candidate| {
        let amount = candidate.site.keeps.or(candidate.site.allocates).map_or(0.0, |rate| rate.value);
        (candidate.judgement, Reverse(amount as u64), Reverse(candidate.site.samples), candidate.id)
    });
    let mut columns = process::columns(context.request);
    columns.extend(COLUMNS);
    let rows = candidates.iter().map(|candidate| row(candidate, context)).collect();
    let mut report = context.report(vec![Table::of_processes("rows", columns, rows)]);
    report.headline = headline(&candidates, context);
    notes.extend(
        state.unwatched.iter().map(|(pid, reason)| {
            Note::new(SitesNote::Unwatched, format!("{pid} cannot be watched: {reason}."))
        }),
    );
    report.notes = notes;
    report
}

const COLUMNS: [Column; 16] = [
    Column::text("judgement").shown("JUDGEMENT", 2),
    Column::gauge("allocates", Unit::BytesPerSecond).shown("ALLOCATES", 3),
    Column::gauge("allocates_low", Unit::BytesPerSecond),
    Column::gauge("allocates_high", Unit::BytesPerSecond),
    Column::gauge("keeps", Unit::BytesPerSecond).shown("KEEPS", 1),
    Column::gauge("keeps_low", Unit::BytesPerSecond),
    Column::gauge("keeps_high", Unit::BytesPerSecond),
    Column::gauge("kept_share", Unit::Ratio).shown("KEPT", 4),
    Column::gauge("kept_share_low", Unit::Ratio),
    Column::gauge("kept_share_high", Unit::Ratio),
    Column::gauge("samples", Unit::Count).shown("SAMPLES", 6),
    Column::gauge("complete", Unit::Count),
    Column::text("at").human("SITE", 0),
    Column::text("site"),
    Column::text("path"),
    Column::text("reason"),
];

fn row(candidate: &Candidate, context: &Context<'_>) -> Row {
    let Candidate { id, site, judgement, reason, ended } = candidate;
    let path = &site.path;
    let share = site.kept.map(|(_, _, share)| share);
    let rates = |rate: Option<Rate>| match rate {
        Some(rate) => [rate.value, rate.low, rate.high].map(Value::Real),
        None => [const { Value::Missing }; 3],
    };
    let mut cells = process::cells(*id, context.processes, context.request);
    cells.push(Value::Text(judgement.name().to_owned()));
    cells.extend(rates(site.allocates));
    cells.extend(rates(site.keeps));
    cells.extend([
        Value::real(share.map(|share| share.value)),
        Value::real(share.map(|share| share.low)),
        Value::real(share.map(|share| share.high)),
        Value::Unsigned(site.samples as u64),
        Value::Unsigned(site.complete as u64),
        Value::text(path.site().map(ShownFrame::label)),
        path.site().map_or(Value::Missing, ShownFrame::object),
        Value::List(path.frames.iter().map(ShownFrame::object).collect()),
        Value::Text(reason.clone()),
    ]);
    Row {
        subject: Subject::CallPath { process: *id, frames: path.addresses.clone() },
        processes: vec![*id],
        cells,
        emphasis: if *judgement == Judgement::Leaks { Emphasis::Alarm } else { Emphasis::Plain },
        details: details(path, *judgement, reason),
        ended: *ended,
    }
}

/// The callers of the site and the reason, for humans.
fn details(path: &SitePath, judgement: Judgement, reason: &str) -> Vec<String> {
    let callers: Vec<String> =
        path.frames.iter().skip(path.site + 1).take(SHOWN_FRAMES).map(ShownFrame::label).collect();
    let mut lines = Vec::new();
    if !callers.is_empty() {
        lines.push(format!("called by {}", callers.join(" < ")));
    }
    if judgement != Judgement::Unknown {
        lines.push(reason.to_owned());
    }
    lines
}

fn headline(candidates: &[Candidate], context: &Context<'_>) -> Vec<String> {
    let mut seen = HashMap::new();
    for candidate in candidates {
        seen.entry(candidate.id).or_insert(candidate);
    }
    let mut first: Vec<_> = seen.into_values().collect();
    first.sort_by_key(|candidate| (candidate.judgement, candidate.id));
    first.iter().take(3).filter_map(|candidate| sentence(candidate, context)).collect()
}

fn sentence(candidate: &Candidate, context: &Context<'_>) -> Option<String> {
    let process = context.processes.label(candidate.id);
    let site = candidate.site.path.site()?.label();
    match candidate.judgement {
        Judgement::Leaks => {
            let keeps = units::minute_rate(candidate.site.keeps?.value, None);
            Some(format!("{process} leaks {keeps} at {site}."))
        }
        Judgement::AllocatesMost => {
            let allocates = units::minute_rate(candidate.site.allocates?.value, None);
            Some(format!("{process} allocates most at {site}: {allocates} of fresh memory."))
        }
        Judgement::Churns | Judgement::Unknown => None,
    }
}

/// A note if many paths of a process do not reach the start of their thread.
fn incomplete(id: TaskId, sites: &[SiteSamples], context: &Context<'_>) -> Option<Note> {
    let all: usize = sites.iter().map(|site| site.samples).sum();
    let ends: usize = sites.iter().map(|site| site.samples - site.complete).sum();
    (ends as f64 > NOTEWORTHY * all as f64).then(|| {
        let text = format!(
            "{}: {ends} of {all} call paths end before the start of their thread: the stack is deeper than what is \
             copied, or code has no .eh_frame (just-in-time compilers; for Java, -XX:+PreserveFramePointer helps).",
            context.processes.label(id)
        );
        Note::new(SitesNote::Incomplete, text)
    })
}

/// A note if a process grows although no site keeps what it touches first: a leak of small objects fills the holes that
/// larger ones leave.
fn reused(id: TaskId, sites: &[SiteSamples], growth: Option<f64>, context: &Context<'_>) -> Option<Note> {
    let growth = growth.filter(|growth| *growth >= GROWS)?;
    let known = || sites.iter().filter_map(|site| site.kept.filter(|(_, count, _)| *count >= ENOUGH));
    (known().count() > 0 && known().all(|(_, _, share)| share.high < 0.5)).then(|| {
        let text = format!(
            "{} grows by {}, and no site keeps what it touches first: what stays is put into memory that other objects \
             have left, so it has too few samples.",
            context.processes.label(id),
            units::byte_rate(growth)
        );
        Note::new(SitesNote::Reused, text)
    })
}

#[cfg(test)]
mod tests;
