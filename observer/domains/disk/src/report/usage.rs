//! The view `disk`: filesystems, and writing processes.

use super::{filesystem, patterns, writing};
use crate::{
    notes::DiskNote,
    state::{DiskState, FILES_A_REPORT},
};
use observer_core::{
    context::Context,
    report::{Column, Note, Report, Table, Total, Unit, Value},
    text::printable,
    trend::slope::SECONDS,
    units,
};

/// The key of the table of filesystems.
const FILESYSTEMS: &str = "filesystems";

/// The report of the view.
pub fn report(state: &DiskState, context: &Context<'_>) -> Report {
    let mut filesystems: Vec<filesystem::FilesystemRow> =
        filesystem::mounts(state).map(|mount| filesystem::row(mount, state, context)).collect();
    filesystems.sort_by(|left, right| right.full.total_cmp(&left.full));
    // The fullest filesystem, and the next one if it fills.
    let next = filesystems.iter().skip(1).take(1).filter(|next| next.fills);
    let headline =
        filesystems.iter().take(1).chain(next).map(|filesystem| filesystem.sentence.clone()).collect();
    let (writers, pathless) = writing::table(state, context, false);
    let unattributed = state.growth.unattributed();
    let mut notes = Vec::new();
    let mut note = |kind: DiskNote, text: &str| notes.push(Note::new(kind, text));
    if !state.growth_by_event && !state.work_by_event {
        note(
            DiskNote::FilesUnknown,
            "`files` is null: no event on this kernel reports which files a process writes to.",
        );
    }
    if filesystems.iter().any(|filesystem| filesystem.unaccounted) {
        note(
            DiskNote::UnexplainedUnknown,
            "`unexplained` is null for filesystems on which no event reports writes.",
        );
    }
    if filesystems.iter().any(|filesystem| filesystem.stacked) {
        let text = "`unexplained` is null for an overlay: writes to it count for the filesystem below it.";
        note(DiskNote::UnexplainedOverlay, text);
    }
    if filesystems.iter().any(|filesystem| filesystem.late) {
        let text = format!(
            "`unexplained` is null where more than {FILES_A_REPORT} files grew: their sizes are asked for in \
             turn, {FILES_A_REPORT} a report, so `growth_files` lags behind until all were asked and `--window` \
             has passed."
        );
        note(DiskNote::GrowthLate, &text);
    }
    if filesystems.iter().any(|filesystem| filesystem.promised) {
        let text = "`unexplained` is null for btrfs while its files take blocks that it counts as used only when \
            they are written to disk.";
        note(DiskNote::UnexplainedPromised, text);
    }
    if filesystems.iter().any(|filesystem| filesystem.early) {
        let text = format!(
            "`rate` is that of the last interval and `full_in` null: a trend needs {SECONDS:.0} seconds, or half of \
             `--window`."
        );
        note(DiskNote::Trend, &text);
    }
    if state.other_mounts.unread > 0 {
        let text = format!(
            "{} not read: filesystems that only they contain are missing.",
            units::counted(state.other_mounts.unread, "mount namespace was", "mount namespaces were")
        );
        note(DiskNote::NamespacesUnread, &text);
    }
    if pathless {
        note(DiskNote::PathUnknown, "some `path` is null: the file was closed, or is not visible from here.");
    }
    if unattributed > 0 {
        let text = format!(
            "{} went into files with several writers{}; no event reports the share of each.",
            units::bytes(unattributed),
            state
                .growth
                .least_attributed()
                .map(|path| format!(", most into {}", printable(path)))
                .unwrap_or_default(),
        );
        note(DiskNote::WritersUnknown, &text);
    }
    let rows = filesystems.into_iter().map(|filesystem| filesystem.row).collect();
    let mut report = context.report(vec![Table::new(FILESYSTEMS, filesystem::columns(), rows), writers]);
    report.headline = headline;
    report.totals = totals(state);
    notes.extend(patterns::notes(state, context));
    report.notes = notes;
    report
}

/// The totals of the view.
pub fn totals(state: &DiskState) -> Vec<Total> {
    let unattributed = state.growth.unattributed();
    vec![Total::new(Column::counter("unattributed", Unit::Bytes), Value::Unsigned(unattributed))]
}

/// The draft: rows of processes, without cells unless rows must be merged.
pub fn draft(state: &DiskState, context: &Context<'_>) -> Report {
    let (writers, _) = writing::table(state, context, true);
    context.report(vec![Table::new(FILESYSTEMS, filesystem::columns(), Vec::new()), writers])
}
