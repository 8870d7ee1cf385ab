//! The questions that the net domain answers.

use observer_core::view::View;

/// Each process's traffic, and each link's use.
pub const NET: View = View {
    help: "Each process's traffic and each link's use; connections; listening sockets",
    remotes: true,
    ..View::new("net")
};

/// Each connection, and what limits it.
pub const CONNECTIONS: View = View {
    flag: Some("connections"),
    help: "Each connection: bytes, rates, round-trip time, retransmits, what limits it",
    by: Some("connection"),
    remotes: true,
    ..View::new("connections")
};

/// Each listening socket, its queue and its owner.
pub const LISTEN: View = View {
    flag: Some("listen"),
    help: "Each listening socket: owner, queue, limit, overflows",
    remotes: true,
    ..View::new("listen")
};

/// All of them, the main one first.
pub const ALL: &[View] = &[NET, CONNECTIONS, LISTEN];
