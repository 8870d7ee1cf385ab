//! The table of control groups that may run out of memory, and the sentence about the first of them.

use super::{trend_columns, trend_value};
use crate::{limited_groups::LimitedGroup, state::MemState};
use observer_core::{
    context::Context,
    report::{Column, Emphasis, Row, Subject, Table, Unit, Value},
    text::printable,
    trend::verdict::{Assessment, Verdict},
    units,
};

/// A group gets a row from this share of its limit on, or if it grows.
const SHARE: f64 = 0.8;
/// The number of groups with a row; the others are counted.
const GROUPS: usize = 30;
/// The headline names a group that is full within this many seconds.
const SOON: f64 = 3600.0;

/// A group with its assessment.
pub(super) struct RankedGroup<'a> {
    path: &'a [u8],
    group: &'a LimitedGroup,
    assessment: Assessment,
    /// Seconds until the limit is reached: by the trend, and by the two ends of its interval.
    full_in: [Option<f64>; 3],
}

/// The groups that grow or are nearly full. The one that will be full first comes first.
pub(super) fn ranked<'a>(state: &'a MemState, context: &Context<'_>) -> Vec<RankedGroup<'a>> {
    let now = context.now.boot;
    let mut groups: Vec<RankedGroup<'a>> = state
        .limited
        .all()
        .map(|(path, group)| {
            let assessment = group.assessment(now);
            let trend = assessment.trend.filter(|_| assessment.verdict.grows());
            let at = |rate: f64| (rate > 0.0).then(|| group.left() as f64 / rate);
            let full_in = trend.map_or([None; 3], |trend| [at(trend.rate), at(trend.high), at(trend.low)]);
            RankedGroup { path, group, assessment, full_in }
        })
        .filter(|group| group.assessment.verdict.grows() || group.group.share() >= SHARE)
        .collect();
    let seconds = |group: &RankedGroup<'_>| group.full_in[0].unwrap_or(f64::INFINITY);
    groups.sort_by(|one, other| {
        seconds(one)
            .total_cmp(&seconds(other))
            .then_with(|| other.group.share().total_cmp(&one.group.share()))
    });
    groups
}

pub(super) fn table(groups: &[RankedGroup<'_>], context: &Context<'_>) -> Table {
    let gauge = |name| Column::gauge(name, Unit::Bytes);
    let mut columns = vec![
        Column::label("group").shown("LIMITED GROUP", 0),
        gauge("usage").shown("USED", 0),
        gauge("limit").shown("LIMIT", 0),
        gauge("shmem").shown("SHARED", 2),
        Column::counter("oom_kills", Unit::Count),
    ];
    columns.extend(trend_columns(context));
    columns.extend([Column::text("verdict").shown("VERDICT", 2), Column::text("reason").shown("WHY", 5)]);
    columns.extend([
        Column::gauge("full_in", Unit::Seconds).shown("FULL IN", 1),
        Column::gauge("full_in_low", Unit::Seconds),
        Column::gauge("full_in_high", Unit::Seconds),
    ]);
    let rows = groups.iter().take(GROUPS).map(|group| row(group, context.now.boot)).collect();
    let mut table = Table::new("limited_groups", columns, rows);
    table.hidden.rows = groups.len().saturating_sub(GROUPS);
    table
}

fn row(ranked: &RankedGroup<'_>, now: u64) -> Row {
    let RankedGroup { path, group, assessment, full_in } = ranked;
    let name = printable(path);
    let memory = group.memory;
    let mut cells = vec![
        Value::Text(name),
        Value::unsigned(Some(memory.usage)),
        Value::unsigned(Some(memory.limit)),
        Value::unsigned(memory.shmem),
        Value::unsigned(memory.kills),
    ];
    cells.extend((0..6).map(|at| trend_value(at, Some(assessment), &group.series.window, now)));
    cells.extend([Value::Text(assessment.verdict.name().to_owned()), Value::Text(assessment.reason.clone())]);
    cells.extend(full_in.map(Value::real));
    let emphasis = match assessment.verdict {
        Verdict::Leak => Emphasis::Alarm,
        _ if full_in[0].is_some_and(|seconds| seconds < SOON) => Emphasis::Alarm,
        verdict if verdict.grows() => Emphasis::Notice,
        _ => Emphasis::Plain,
    };
    let subject = Subject::ControlGroup { path: path.to_vec() };
    Row { subject, cells, emphasis, ..Row::default() }
}

/// The sentence about the group that will be full first, if that is soon.
pub(super) fn headline(groups: &[RankedGroup<'_>], state: &MemState) -> Option<String> {
    let ranked = groups.first()?;
    let seconds = ranked.full_in[0].filter(|seconds| *seconds < SOON)?;
    let memory = ranked.group.memory;
    let mut text = format!(
        "The group {} is full in about {}: {} of {} used",
        printable(ranked.path),
        units::duration(seconds),
        units::bytes(memory.usage as f64),
        units::bytes(memory.limit as f64),
    );
    if let Some(shared) = shared(ranked.path, ranked.group, state) {
        text.push_str(&format!(", {shared}"));
    }
    Some(format!("{text}."))
}

/// A clause about shared memory and files in RAM, if they are most of the group's memory.
pub(crate) fn shared(path: &[u8], group: &LimitedGroup, state: &MemState) -> Option<String> {
    let shmem = units::bytes(group.mostly_shared()? as f64);
    let largest = state.objects.of_group(path);
    let largest =
        largest.map_or_else(String::new, |object| format!(" (most in {})", printable(&object.name)));
    Some(format!("{shmem} of it shared memory and files in RAM{largest}"))
}
