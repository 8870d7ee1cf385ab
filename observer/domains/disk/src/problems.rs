//! The problems that the disk domain finds: full filesystems, deleted files that still take space, programs that are
//! started over and over.

use crate::{
    report::{filesystem, limits, usage},
    space::Filesystem,
    state::DiskState,
};
use observer_core::{
    context::Context,
    facts::disk::Mount,
    problem::{
        ProblemKind,
        condition::{Capacity, Outlook},
    },
};

mod deleted_files;
mod filesystem_full;
mod fullness;
mod inodes_full;
mod other_limits;
mod restarted_writer;
mod writer;

/// Every kind.
pub const KINDS: &[&ProblemKind] = &[
    &filesystem_full::KIND,
    &inodes_full::KIND,
    &other_limits::KIND,
    &deleted_files::KIND,
    &restarted_writer::KIND,
];

/// The conditions that hold now, and how full each filesystem is.
pub fn outlook(state: &DiskState, context: &Context<'_>) -> Outlook {
    let mut outlook = Outlook { totals: usage::totals(state), ..Outlook::default() };
    let now = context.now.boot;
    let mounts: Vec<(&Mount, &Filesystem)> =
        filesystem::mounts(state).filter_map(|mount| Some((mount, state.spaces.get(mount.dev)?))).collect();
    for (mount, filesystem) in &mounts {
        if is_shown_below(mount, filesystem, &mounts) {
            continue;
        }
        let bounds = limits::bounds(filesystem, now);
        let known = filesystem.used.known(now);
        for bound in &bounds {
            let filesystem = fullness::Bounded { mount, filesystem, bound, known };
            outlook.conditions.extend(filesystem_full::condition(&filesystem, state, context));
            outlook.conditions.extend(inodes_full::condition(&filesystem, state, context));
            outlook.conditions.extend(other_limits::condition(&filesystem, state, context));
        }
        outlook.capacities.extend(bounds.first().map(|bound| Capacity {
            text: bound.sentence(mount, 0).trim_end_matches('.').to_owned(),
            used: bound.full(),
            full_in: bound.full_in.expected.filter(|seconds| *seconds <= fullness::TRUSTED * known),
        }));
    }
    outlook.conditions.extend(deleted_files::conditions(state, context));
    outlook.conditions.extend(restarted_writer::conditions(state, context));
    outlook
}

/// Whether the space of this overlay is that of another filesystem in the list, which is where its files are.
fn is_shown_below(mount: &Mount, filesystem: &Filesystem, all: &[(&Mount, &Filesystem)]) -> bool {
    let is_same = |(other, below): &(&Mount, &Filesystem)| {
        other.fs != b"overlay"
            && (below.space.size, below.space.used) == (filesystem.space.size, filesystem.space.used)
    };
    mount.fs == b"overlay" && all.iter().any(is_same)
}

#[cfg(test)]
mod tests;
