//! A filesystem without free inodes, now or soon: no file can be created, although there is space.

use super::{fullness::Bounded, writer::MainWriter};
use crate::{report::limits::BoundKind, state::DiskState};
use observer_core::{
    context::Context,
    problem::{ProblemKind, condition::Condition},
    text::quoted,
};

pub static KIND: ProblemKind = ProblemKind { name: "inodes-full", confirm: 0, linger: 15 };

pub fn condition(bounded: &Bounded<'_>, state: &DiskState, context: &Context<'_>) -> Option<Condition> {
    if bounded.bound.kind != BoundKind::Inodes {
        return None;
    }
    let condition = bounded.condition(&KIND, context)?;
    // Events report growth, not creation: who creates files usually writes to them.
    let writer = MainWriter::of(bounded.mount.dev, state).map(|writer| writer.id);
    let condition = condition.by(writer);
    Some(match quoted(&bounded.mount.point) {
        Some(point) => condition.next(format!("du --inodes -xd2 -- {point} | sort -n | tail")),
        None => condition.next("observer disk"),
    })
}
