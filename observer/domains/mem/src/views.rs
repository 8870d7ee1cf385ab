//! The views of the mem domain.

use observer_core::view::View;

/// Which processes grow, how fast, and whether it is a leak.
pub const MEM: View =
    View { help: "Which processes grow, how fast, and whether it is a leak", ..View::new("mem") };

/// All views, the main one first.
pub const ALL: &[View] = &[MEM];
