//! The views of the net domain.

use observer_core::view::View;

/// The traffic of each process, and the use of each link.
pub const NET: View = View {
    help: "Each process's traffic and each link's use; connections; listening sockets",
    remotes: true,
    ..View::new("net")
};

/// Each connection and its bottleneck.
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

/// All views, the main one first.
pub const ALL: &[View] = &[NET, CONNECTIONS, LISTEN];
