//! From the state of the disk domain to rows and columns.

use super::state::DiskState;
use observer_core::{domain::Context, facts::disk::Mount, report::Report, view::View};

mod deleted;
mod filesystem;
mod holders;
pub(super) mod mounted;
mod patterns;
mod reclaim;
mod usage;
mod writing;

pub use deleted::inodes;

/// The mount by which the filesystem of `dev` is reached.
pub fn mount_of(state: &DiskState, dev: u32) -> Option<&Mount> {
    mounted::of(&state.mounts, dev, None)
}

/// The report of the view that was asked for.
pub fn report(state: &DiskState, context: &Context<'_>) -> Report {
    match context.request.view {
        View::Disk => usage::report(state, context),
        _ => deleted::report(state, context),
    }
}

/// What of it is looked at to know what it lacks.
pub fn draft(state: &DiskState, context: &Context<'_>) -> Report {
    match context.request.view {
        View::Disk => usage::draft(state, context),
        _ => deleted::report(state, context),
    }
}

#[cfg(test)]
mod tests;
