//! A limit of a filesystem other than blocks and inodes: a quota, the room for btrfs's metadata, the filesystem that a
//! sparse image is on.

use super::{fullness::Bounded, writer::MainWriter};
use crate::{report::limits::BoundKind, state::DiskState};
use observer_core::{
    context::Context,
    facts::disk::LimitKind,
    problem::{ProblemKind, condition::Condition},
    text::quoted,
};

pub static KIND: ProblemKind = ProblemKind { name: "limit-full", confirm: 0, linger: 15 };

pub fn condition(bounded: &Bounded<'_>, state: &DiskState, context: &Context<'_>) -> Option<Condition> {
    let BoundKind::Other(kind) = bounded.bound.kind else { return None };
    let mut condition = bounded.condition(&KIND, context)?;
    if let Some(writer) = MainWriter::of(bounded.mount.dev, state) {
        let sentence = condition.problem.text.trim_end_matches('.').to_owned();
        condition.problem.text = format!("{sentence}: {}.", writer.words(state, context));
        condition = condition.by([writer.id]);
    }
    let point = quoted(&bounded.mount.point);
    Some(match (kind, point) {
        (LimitKind::Quota, Some(point)) => condition.next(format!("btrfs qgroup show -r {point}")),
        (LimitKind::Metadata, Some(point)) => condition.next(format!("btrfs filesystem usage {point}")),
        _ => condition.next("observer disk"),
    })
}
