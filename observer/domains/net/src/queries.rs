//! What the net domain's report asks its own reader.

use std::{collections::BTreeSet, net::IpAddr};

use observer_core::{facts::TaskId, wants::DomainQueries};

/// Questions about addresses, processes and namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetQueries {
    /// Processes whose descriptors should be counted, against their limit.
    pub descriptors: BTreeSet<TaskId>,
    /// Remote addresses whose names are wanted; they come when they are known.
    pub remotes: BTreeSet<IpAddr>,
    /// Network namespaces, by their inode numbers, whose owner is wanted.
    pub namespaces: BTreeSet<u32>,
    /// Network namespaces of which the queues of listeners and datagram sockets are wanted.
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
