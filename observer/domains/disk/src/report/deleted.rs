//! The view `deleted-open`: one row per inode.

use std::collections::{BTreeMap, BTreeSet};

use super::{holders, reclaim};
use crate::{
    file::HeldFile, kernel_holder::KernelHolder, magic::Magic, mounted, notes::DiskNote, state::DiskState,
};
use observer_core::{
    context::Context,
    facts::disk::InodeId,
    report::{Column, Emphasis, Notation, Note, Report, Row, Subject, Table, Total, Unit, Value, process},
    text::printable,
    units,
};

/// The smallest file, in bytes, that gets a line about freeing it if it does not grow.
const WORTH_A_LINE: u64 = 1 << 20;

/// The limit of filesystems in the headline.
const NAMED: usize = 3;

/// The report of the view.
pub fn report(state: &DiskState, context: &Context<'_>) -> Report {
    let mut files: Vec<_> = state.held().collect();
    files.sort_by_key(|(inode, file)| (std::cmp::Reverse(file.allocated()), *inode));
    let rows = files.iter().map(|(inode, file)| row(*inode, file, state, context)).collect();
    let differs =
        files.iter().any(|(_, file)| file.reclaimable().is_some_and(|bytes| Some(bytes) != file.allocated()));
    let mut report = context.report(vec![Table::of_processes("rows", columns(differs), rows)]);
    report.headline = headline(&files, state, context);
    report.totals = totals(&files);
    report.notes = notes(&files, state, context);
    report
}

/// The inodes of the rows of a report.
pub fn inodes(report: &Report) -> Vec<InodeId> {
    let rows = report.tables.iter().flat_map(|table| &table.rows);
    rows.filter_map(|row| if let Subject::Inode(inode) = row.subject { Some(inode) } else { None }).collect()
}

/// The columns. `differs`: whether tables show the bytes that a deletion frees, because they differ from the blocks.
fn columns(differs: bool) -> Vec<Column> {
    let reclaimable = Column::gauge("reclaimable", Unit::Bytes).adding();
    let reclaimable = if differs { reclaimable.shown("FREES", 2) } else { reclaimable };
    vec![
        Column::label("dev"),
        Column::label("inode"),
        Column::label("fs"),
        Column::label("mount").same(),
        Column::label("path"),
        Column::label("medium").same(),
        Column::gauge("size", Unit::Bytes).adding(),
        Column::gauge("allocated", Unit::Bytes).shown("ALLOCATED", 0).adding(),
        reclaimable,
        Column::gauge("growth", Unit::Bytes).adding(),
        Column::gauge("rate", Unit::BytesPerSecond).shown("GROWS", 3).noted(Notation::Signed).adding(),
        Column::text("growing"),
        Column::text("deleted_by"),
        Column::gauge("deleted_at", Unit::Seconds),
        Column::text("holders"),
        Column::text("reclaim"),
        Column::label("file").human("FILE", 0),
        Column::label("held_by").human("HELD BY", 1),
        Column::text("deleted").human("DELETED", 6),
    ]
}

fn row(inode: InodeId, file: &HeldFile, state: &DiskState, context: &Context<'_>) -> Row {
    let (magic, now) = (file.magic(), context.now.boot);
    let known = state.path(inode, file);
    let mount = mounted::of(&state.mounts, inode.dev, known.as_deref());
    let fs = mount.map(|mount| printable(&mount.fs)).or_else(|| magic.name().map(str::to_owned));
    let path = known.as_deref().map(printable);
    let allocated = file.allocated();
    let growth = file.growth(now);
    // The growth of a file that is known from inode lists only is that between their last two readings.
    let (from, to) = match state.lists.readings().filter(|_| file.is_listed_alone()) {
        Some(readings) => readings,
        None => (context.previous.boot, now),
    };
    let reclaim = reclaim::sentence(inode, file, state, context);
    let deleted_by = file
        .deleted
        .map_or(Value::Missing, |deletion| process::object(deletion.by, context.processes, context.request));
    let cells = vec![
        Value::Text(mounted::device(inode.dev)),
        Value::Unsigned(inode.ino),
        Value::text(fs),
        Value::text(mount.map(|mount| printable(&mount.point))),
        Value::text(path.clone()),
        Value::Text(if magic.in_ram() { "ram" } else { "disk" }.to_owned()),
        Value::unsigned(file.size()),
        Value::unsigned(allocated),
        Value::unsigned(file.reclaimable()),
        Value::signed(growth),
        Value::real(file.rate(from, to)),
        growth.map_or(Value::Missing, |growth| Value::Flag(growth > 0)),
        deleted_by,
        Value::real(file.deleted.map(|deletion| wall(deletion.at, context))),
        holders::list(inode, file, state, context),
        Value::Text(reclaim.clone()),
        Value::Text(path.unwrap_or_else(|| format!("inode {} (path unknown)", inode.ino))),
        Value::Text(holders::named(inode, file, state, context)),
        Value::Text(deleted(file, context)),
    ];
    let grows = growth.is_some_and(|growth| growth > 0);
    let worth = allocated.unwrap_or(0) >= WORTH_A_LINE;
    Row {
        subject: Subject::Inode(inode),
        processes: file.processes(),
        cells,
        emphasis: emphasis(grows, worth, magic),
        details: if grows || worth { vec![reclaim] } else { Vec::new() },
        ended: false,
    }
}

fn emphasis(grows: bool, worth: bool, magic: Magic) -> Emphasis {
    match (grows, worth) {
        (true, _) if !magic.in_ram() => Emphasis::Alarm,
        (true, _) => Emphasis::Notice,
        (false, true) => Emphasis::Plain,
        (false, false) => Emphasis::Faint,
    }
}

/// Seconds of the Unix epoch for the boot-clock time `at`, to the millisecond.
fn wall(at: u64, context: &Context<'_>) -> f64 {
    let ago = context.now.boot.saturating_sub(at);
    (context.now.wall.saturating_sub(ago) / 1_000_000) as f64 / 1e3
}

fn deleted(file: &HeldFile, context: &Context<'_>) -> String {
    match file.deleted {
        Some(deletion) => {
            let ago = context.now.boot.saturating_sub(deletion.at) as f64 / 1e9;
            let by = context.processes.label(deletion.by);
            format!("{} ago by {by}", units::duration(ago.floor()))
        }
        None if file.early => "before start".to_owned(),
        None => units::NOTHING.to_owned(),
    }
}

/// The bytes that the deleted files of one filesystem take.
#[derive(Default)]
struct Share {
    files: u64,
    allocated: u64,
    in_ram: bool,
    services: BTreeSet<String>,
}

fn headline(files: &[(InodeId, &HeldFile)], state: &DiskState, context: &Context<'_>) -> Vec<String> {
    if files.is_empty() {
        return vec!["No deleted file is held open: nothing takes space that `du` cannot find.".to_owned()];
    }
    let mut shares: BTreeMap<u32, Share> = BTreeMap::new();
    for (inode, file) in files {
        let share = shares.entry(inode.dev).or_default();
        share.files += 1;
        share.allocated = share.allocated.saturating_add(file.allocated().unwrap_or(0));
        share.in_ram = file.magic().in_ram();
        let allocated = file.allocated().unwrap_or(0);
        let frees = allocated >= WORTH_A_LINE && file.reclaimable() != Some(0);
        let holders = file.holders.keys().filter(|_| frees);
        share.services.extend(holders.filter_map(|id| reclaim::service(*id, context)));
    }
    let mut shares: Vec<_> = shares.into_iter().collect();
    shares.sort_by_key(|(_, share)| std::cmp::Reverse(share.allocated));
    let mut lines: Vec<String> =
        shares.iter().take(NAMED).map(|(dev, share)| sentence(*dev, share, state)).collect();
    if shares.len() > NAMED {
        let rest = shares.iter().skip(NAMED).map(|(_, share)| share.allocated).fold(0, u64::saturating_add);
        let others = units::counted((shares.len() - NAMED) as u64, "other filesystem", "other filesystems");
        lines.push(format!("{others} hold {} in deleted files.", units::bytes(rest)));
    }
    lines
}

fn sentence(dev: u32, share: &Share, state: &DiskState) -> String {
    let mount = mounted::of(&state.mounts, dev, None);
    let size = state.spaces.get(dev).map(|filesystem| units::bytes(filesystem.space.size));
    let about: Vec<String> = mount.map(|mount| printable(&mount.fs)).into_iter().chain(size).collect();
    let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
    let medium = if share.in_ram { " of memory" } else { "" };
    let services: Vec<String> = share.services.iter().cloned().collect();
    let advice = match services.as_slice() {
        [] => String::new(),
        services => format!(" Freeing them: restart {}, or see below.", reclaim::listed(services)),
    };
    format!(
        "{}{about} holds {}{medium} in {}.{advice}",
        mounted::title(mount, dev),
        units::bytes(share.allocated),
        units::counted(share.files, "deleted file", "deleted files"),
    )
}

fn totals(files: &[(InodeId, &HeldFile)]) -> Vec<Total> {
    let sum = |in_ram: bool| {
        let files = files.iter().filter(|(_, file)| file.magic().in_ram() == in_ram);
        files.filter_map(|(_, file)| file.allocated()).fold(0, u64::saturating_add)
    };
    let bytes = |name, bytes| Total::new(Column::gauge(name, Unit::Bytes), Value::Unsigned(bytes));
    vec![
        Total::new(Column::gauge("files", Unit::Count), Value::Unsigned(files.len() as u64)),
        bytes("allocated", sum(false).saturating_add(sum(true))),
        bytes("disk", sum(false)),
        bytes("ram", sum(true)),
    ]
}

/// Notes that explain missing values.
fn notes(files: &[(InodeId, &HeldFile)], state: &DiskState, context: &Context<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    let pathless: BTreeSet<InodeId> = files
        .iter()
        .filter(|(inode, file)| state.path(*inode, file).is_none())
        .map(|(inode, _)| *inode)
        .collect();
    let mut note = |kind: DiskNote, is_missing: &dyn Fn(InodeId, &HeldFile) -> bool, text: &str| {
        let count = files.iter().filter(|(inode, file)| is_missing(*inode, file)).count() as u64;
        if count > 0 {
            let files = units::counted(count, "file", "files");
            notes.push(Note::new(kind, format!("{files}: {text}")));
        }
    };
    note(
        DiskNote::DeletedBefore,
        &|_, file| file.early && file.deleted.is_none(),
        "deleted before observation began: the deleter and the time are unknown.",
    );
    note(
        DiskNote::DeleterUnknown,
        &|_, file| !file.early && file.deleted.is_none(),
        "the deleter is unknown, because no event reported it. A file that was created without a name \
         (`O_TMPFILE`) was never deleted.",
    );
    note(
        DiskNote::PathUnknown,
        &|inode, _| pathless.contains(&inode),
        "the last path could not be read: the holder ended, it may not be inspected, or no /proc leads to the file.",
    );
    note(
        DiskNote::AllocatedUnknown,
        &|_, file| file.allocated().is_none(),
        "its blocks are unknown: its filesystem was not asked, did not answer, or is a module without types in \
         the kernel's type information.",
    );
    note(
        DiskNote::BlocksShared,
        &|_, file| file.allocated().is_some() && file.reclaimable().is_none(),
        "its filesystem may share blocks between files. Which blocks are shared could not be read, so the space \
         that freeing it returns is unknown.",
    );
    note(
        DiskNote::GrowthUnknown,
        &|_, file| file.growth(context.now.boot).is_none(),
        "seen for the first time: growth is known from the next report.",
    );
    note(
        DiskNote::WrittenUnknown,
        &|_, file| file.holders.keys().any(|id| file.written(*id, state.growth_by_event).is_none()),
        "had several holders, and no event on this kernel reports which of them wrote.",
    );
    note(
        DiskNote::KeptByKernel,
        &|inode, file| state.kernel_holder(inode, file) == Some(KernelHolder::Unknown),
        "held by no process, loop device or swap: the kernel itself holds it (a file server, process accounting, \
         a descriptor inside an in-flight descriptor), or it was released during the scan.",
    );
    if let Some((_, read)) = state.lists.readings().filter(|(_, read)| *read < context.now.boot) {
        let ago = units::duration((context.now.boot - read) as f64 / 1e9);
        note(
            DiskNote::InodesReadBefore,
            &|_, file| file.is_listed_alone(),
            &format!("as the kernel's inode lists showed it {ago} ago, when they were last read."),
        );
    }
    if !state.holders_by_scan {
        note(
            DiskNote::HoldersUnknown,
            &|_, _| true,
            "known only from its writers: other holders, its size and the time of its release are unknown.",
        );
    }
    let unread = match state.lists.walk {
        _ if !state.lists_by_scan => None,
        None => Some("they are still being read"),
        Some(walk) => (!walk.complete).then_some("they changed while they were read"),
    };
    notes.extend(unread.map(|why| {
        let text = format!(
            "Files that no process holds may be missing: the kernel's inode lists were not read to their end, {why}."
        );
        Note::new(DiskNote::InodesUnread, text)
    }));
    notes
}
