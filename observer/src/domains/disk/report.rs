//! From the state of the disk domain to rows and columns.

use super::state::DiskState;
use crate::{domains::Context, report::Report, view::View};

mod deleted;
mod holders;
pub(super) mod mounted;
mod reclaim;
mod usage;

pub use deleted::inodes;

/// The report of the view that was asked for.
pub fn report(state: &DiskState, context: &Context<'_>) -> Report {
    match context.request.view {
        View::Disk => usage::report(state, context),
        _ => deleted::report(state, context),
    }
}

#[cfg(test)]
mod tests;
