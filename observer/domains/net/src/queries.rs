//! The host queries of the net domain.

use std::{collections::BTreeSet, net::IpAddr};

use observer_core::{facts::TaskId, queries::DomainQueries};

/// Queries for addresses, processes and namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetQueries {
    /// Processes with descriptors to count, against their limit.
    pub descriptors: BTreeSet<TaskId>,
    /// Peer addresses to resolve. Their names arrive once they are resolved.
    pub remotes: BTreeSet<IpAddr>,
    /// Inode numbers of network namespaces, to find their owners.
    pub namespaces: BTreeSet<u32>,
    /// Inode numbers of network namespaces, to read the queues of their listeners and datagram sockets.
    pub queues: BTreeSet<u32>,
}

impl DomainQueries for NetQueries {
    fn extend(&mut self, other: Self) {
        self.descriptors.extend(other.descriptors);
        self.remotes.extend(other.remotes);
        self.namespaces.extend(other.namespaces);
        self.queues.extend(other.queues);
    }
}
