//! Builds the report of the disk domain from its state.

use super::state::DiskState;
use crate::views;
use observer_core::{context::Context, report::Report};

mod deleted;
pub(crate) mod filesystem;
mod holders;
pub(crate) mod limits;
pub(crate) mod patterns;
pub(crate) mod reclaim;
pub(crate) mod usage;
mod writing;

pub use deleted::inodes;

/// The report of the requested view.
pub fn report(state: &DiskState, context: &Context<'_>) -> Report {
    match context.request.view {
        views::DISK => usage::report(state, context),
        _ => deleted::report(state, context),
    }
}

/// The draft of the requested view, for its host queries.
pub fn draft(state: &DiskState, context: &Context<'_>) -> Report {
    match context.request.view {
        views::DISK => usage::draft(state, context),
        _ => deleted::report(state, context),
    }
}

#[cfg(test)]
pub(crate) mod tests;
