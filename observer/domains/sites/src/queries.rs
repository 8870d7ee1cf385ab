//! The host queries of the sites domain's report.

use std::collections::BTreeSet;

use observer_core::{facts::TaskId, queries::DomainQueries};

/// Which processes to watch, and which addresses to name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SitesQueries {
    /// Processes to watch, by their ids.
    pub pids: BTreeSet<u32>,
    /// How many of the processes that grow most to watch as well.
    pub growers: usize,
    /// Addresses to name, those that matter most first.
    pub addresses: Vec<(TaskId, u64)>,
}

impl DomainQueries for SitesQueries {
    fn extend(&mut self, other: Self) {
        self.pids.extend(other.pids);
        self.growers = self.growers.max(other.growers);
        self.addresses.extend(other.addresses);
    }
}
