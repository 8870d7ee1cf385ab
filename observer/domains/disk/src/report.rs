//! From the state of the disk domain to rows and columns.

use super::state::DiskState;
use crate::views;
use observer_core::{domain::Context, report::Report};

mod deleted;
mod filesystem;
mod holders;
mod limits;
mod patterns;
mod reclaim;
mod usage;
mod writing;

pub use deleted::inodes;

/// The report of the requested view.
pub fn report(state: &DiskState, context: &Context<'_>) -> Report {
    match context.request.view {
        views::DISK => usage::report(state, context),
        _ => deleted::report(state, context),
    }
}

/// As much of it as shows what it lacks.
pub fn draft(state: &DiskState, context: &Context<'_>) -> Report {
    match context.request.view {
        views::DISK => usage::draft(state, context),
        _ => deleted::report(state, context),
    }
}

#[cfg(test)]
mod tests;
