//! The questions that the net domain answers.

use observer_core::view::View;

/// Each process's traffic, and each link's use.
pub const NET: View = View::new("net");

/// Each connection, and what limits it.
pub const CONNECTIONS: View = View::new("connections");

/// Each listening socket, its queue and its owner.
pub const LISTEN: View = View::new("listen");

/// All of them, the main one first.
pub const ALL: &[View] = &[NET, CONNECTIONS, LISTEN];
