//! A deleted file that still takes much space: no name leads to it, so `du` does not find it.

use std::cmp::Reverse;

use crate::{file::HeldFile, mounted, report::reclaim, state::DiskState};
use observer_core::{
    context::Context,
    facts::disk::InodeId,
    problem::{ProblemKind, condition::Condition},
    report::{Subject, Value},
    severity::Severity,
    text::printable,
    units,
};

/// Temporary files without a name are usual. Only a file that stays is a problem.
pub static KIND: ProblemKind = ProblemKind { name: "deleted-file", confirm: 5, linger: 5 };

/// A file of this many bytes is worth freeing on any filesystem.
const LARGE: u64 = 1 << 30;
/// A file is worth freeing if it takes this part of its filesystem, and at least this many bytes.
const PART: f64 = 0.05;
const SMALL: u64 = 16 << 20;
/// The same part for a file that grows.
const GROWING_PART: f64 = 0.01;
/// The used part of a filesystem at which its space is needed.
const NEEDED: f64 = 0.9;
/// An existing condition ends only below this part of its threshold.
const SLACK: f64 = 0.8;
/// The most files that are reported.
const FEW: usize = 5;

pub fn conditions(state: &DiskState, context: &Context<'_>) -> Vec<Condition> {
    let mut files: Vec<(u64, InodeId, &HeldFile)> = state
        .held()
        .filter(|(_, file)| !file.magic().in_ram())
        .filter_map(|(inode, file)| Some((file.reclaimable().or(file.allocated())?, inode, file)))
        .filter(|(bytes, _, _)| *bytes >= (SLACK * SMALL as f64) as u64)
        .collect();
    files.sort_by_key(|(bytes, inode, _)| (Reverse(*bytes), *inode));
    let found =
        files.into_iter().filter_map(|(bytes, inode, file)| condition(bytes, inode, file, state, context));
    found.take(FEW).collect()
}

fn condition(
    bytes: u64,
    inode: InodeId,
    file: &HeldFile,
    state: &DiskState,
    context: &Context<'_>,
) -> Option<Condition> {
    let now = context.now.boot;
    let space = state.spaces.get(inode.dev).map(|filesystem| filesystem.space);
    let size = space.map_or(u64::MAX, |space| space.size);
    let growth = file.growth(now).unwrap_or(0);
    let part = if growth > 0 { GROWING_PART } else { PART };
    let worth = |slack: f64| {
        let large = bytes as f64 >= slack * LARGE as f64;
        large || bytes as f64 >= slack * f64::max(SMALL as f64, part * size as f64)
    };
    if !worth(SLACK) {
        return None;
    }
    let needed = space.is_some_and(|space| {
        let usable = space.used.saturating_add(space.available);
        usable > 0 && space.used as f64 >= NEEDED * usable as f64
    });
    let severity = if needed { Severity::Soon } else { Severity::Watch };
    let path = state.path(inode, file);
    let mount = mounted::of(&state.mounts, inode.dev, path.as_deref());
    let path = path.as_deref().map(printable);
    let name = path.clone().unwrap_or_else(|| format!("inode {} (path unknown)", inode.ino));
    let title = mounted::title(mount, inode.dev);
    let holders = file.processes();
    let held = match (holders.as_slice(), state.kernel_holder(inode, file)) {
        ([], Some(_)) => "the kernel holds it".to_owned(),
        ([], None) => "its holder is unknown".to_owned(),
        ([one], _) => format!("{} holds it", context.processes.introduced(*one)),
        ([first, rest @ ..], _) => format!(
            "{} and {} hold it",
            context.processes.introduced(*first),
            units::counted(rest.len() as u64, "other", "others")
        ),
    };
    let rate = file.rate(context.previous.boot, now).filter(|rate| *rate > 0.0 && growth > 0);
    let grows = rate.map_or_else(String::new, |rate| format!(" and grows {}", units::byte_rate(rate)));
    let ago = file.deleted.map_or_else(String::new, |deletion| {
        let seconds = (now.saturating_sub(deletion.at) as f64 / 1e9).floor();
        format!(" {} ago", units::duration(seconds))
    });
    let text =
        format!("{name}, deleted{ago}, still takes {} of {title}{grows}: {held}.", units::bytes(bytes));
    let evidence = reclaim::sentence(inode, file, state, context);
    let about = vec![
        ("path", Value::text(path)),
        ("mount", Value::text(mount.map(|mount| printable(&mount.point)))),
        ("dev", Value::Text(mounted::device(inode.dev))),
        ("inode", Value::Unsigned(inode.ino)),
    ];
    let command = reclaim::command(file).unwrap_or_else(|| "observer disk --deleted-open".to_owned());
    let condition =
        Condition::new(&KIND, severity, Subject::Inode(inode), text, context.now.boot).clear(worth(1.0));
    let since = file.deleted.map_or(now, |deletion| deletion.at);
    Some(condition.about(about).because(evidence).by(holders).next(command).since(since))
}
