//! A filesystem without free blocks, now or soon, and the process that writes to it.

use super::{fullness::Bounded, writer::MainWriter};
use crate::{report::limits::BoundKind, state::DiskState};
use observer_core::{
    context::Context,
    problem::{ProblemKind, condition::Condition},
    text::{printable, quoted},
    units,
};

/// A trend has its own confirmation: it needs ten seconds, and an interval above zero.
pub static KIND: ProblemKind = ProblemKind { name: "filesystem-full", confirm: 0, linger: 15 };

/// Deleted files are named as a reason if they take at least this part of the filesystem.
const NOTABLE: f64 = 0.05;

pub fn condition(bounded: &Bounded<'_>, state: &DiskState, context: &Context<'_>) -> Option<Condition> {
    if bounded.bound.kind != BoundKind::Space {
        return None;
    }
    let mut condition = bounded.condition(&KIND, context)?;
    let mount = bounded.mount;
    let writer = MainWriter::of(mount.dev, state);
    let deleted: u64 = state
        .held()
        .filter(|(inode, _)| inode.dev == mount.dev)
        .filter_map(|(_, file)| file.allocated())
        .fold(0, u64::saturating_add);
    let problem = &mut condition.problem;
    if deleted as f64 >= NOTABLE * bounded.filesystem.space.size as f64 {
        problem.evidence.push_str(&format!("; {} of it are deleted files", units::bytes(deleted)));
    }
    if let Some(writer) = writer {
        let sentence = problem.text.trim_end_matches('.').to_owned();
        problem.text = format!("{sentence}: {}.", writer.words(state, context));
        let command = writer.command(state);
        return Some(condition.by([writer.id]).next(command));
    }
    if deleted as f64 >= NOTABLE * bounded.filesystem.space.size as f64 {
        return Some(condition.next("observer disk --deleted-open"));
    }
    let point = quoted(&mount.point).filter(|_| printable(&mount.point).as_bytes() == mount.point);
    Some(match point {
        Some(point) => condition.next(format!("du -xd2 -- {point} | sort -n | tail")),
        None => condition.next("observer disk"),
    })
}
