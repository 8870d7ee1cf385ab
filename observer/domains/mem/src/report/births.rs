//! The table of programs with new processes that grow together.

use crate::{births::GrowingGroup, state::MemState};
use observer_core::{
    context::Context,
    report::{Column, Emphasis, Row, Subject, Table, Unit, Value},
    text::printable,
    trend::verdict::Verdict,
    units,
    view::GroupBy,
};

/// The growing groups, the largest growth first.
pub(crate) fn growing<'a>(state: &'a MemState, context: &Context<'_>) -> Vec<GrowingGroup<'a>> {
    state.births.growing(context.now.boot, state.machine.available().map(|bytes| bytes as f64))
}

/// One row per group.
pub(super) fn table(groups: &[GrowingGroup<'_>]) -> Table {
    let columns = vec![
        Column::label("comm").shown("STARTED", 0),
        Column::gauge("processes", Unit::Count).shown("PROCESSES", 0),
        Column::gauge("growth", Unit::Bytes).shown("GROWTH", 0),
        Column::gauge("rate", Unit::BytesPerSecond),
        Column::gauge("rate_low", Unit::BytesPerSecond),
        Column::gauge("rate_high", Unit::BytesPerSecond),
        Column::text("verdict").shown("VERDICT", 2),
        Column::text("reason"),
    ];
    let rows = groups.iter().map(|group| {
        let name = printable(&group.program.0);
        let trend = group.assessment.trend;
        let verdict = group.assessment.verdict;
        let cells = vec![
            Value::Text(name.clone()),
            Value::Unsigned(group.members as u64),
            Value::Signed(group.growth.round() as i64),
            Value::real(trend.map(|trend| trend.rate * group.own)),
            Value::real(trend.map(|trend| trend.low * group.own)),
            Value::real(trend.map(|trend| trend.high * group.own)),
            Value::Text(verdict.name().to_owned()),
            Value::Text(format!("{}: no process alone grows by as much", sentence(group))),
        ];
        let emphasis = if verdict == Verdict::Leak { Emphasis::Alarm } else { Emphasis::Notice };
        let subject = Subject::Group { by: GroupBy::Comm, key: Some(name) };
        Row { subject, cells, emphasis, ..Row::default() }
    });
    Table::new("groups", columns, rows.collect())
}

/// The largest group, as a sentence of the headline.
pub(super) fn headline(groups: &[GrowingGroup<'_>]) -> Option<String> {
    let group = groups.first()?;
    Some(format!("Processes that start and stay: {}.", sentence(group)))
}

/// How many processes there are, and by how much they grew together.
pub(crate) fn sentence(group: &GrowingGroup<'_>) -> String {
    format!(
        "{} × {}, {} in {}",
        units::count(group.members as u64),
        printable(&group.program.0),
        units::change(group.growth),
        units::duration(group.seconds)
    )
}
