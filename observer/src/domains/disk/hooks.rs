//! What the disk domain attaches, alternatives in order.

use crate::hook::Hook;

/// The domain's hooks.
pub const HOOKS: &[Hook] = &[];
