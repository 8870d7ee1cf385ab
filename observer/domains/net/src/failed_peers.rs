//! Numbers of connections that processes began and that were not established.

use hashbrown::HashMap;

use observer_core::facts::{
    TaskId,
    net::{Endpoint, Failures},
};

/// Failures since observation began, by process, network namespace and peer.
pub type FailedPeers = HashMap<(TaskId, u32, Endpoint), Failures>;

/// Adds up failures.
pub const fn add(to: &mut Failures, more: Failures) {
    to.refused = to.refused.saturating_add(more.refused);
    to.timed_out = to.timed_out.saturating_add(more.timed_out);
    to.unreachable = to.unreachable.saturating_add(more.unreachable);
    to.without_port = to.without_port.saturating_add(more.without_port);
}

/// The number of failures of every kind.
pub const fn sum(failures: Failures) -> u64 {
    let Failures { refused, timed_out, unreachable, without_port } = failures;
    refused.saturating_add(timed_out).saturating_add(unreachable).saturating_add(without_port)
}
