//! The reader of the net domain: `/proc`, `/sys`, the kernel's routing socket and the resolver.

use std::{
    any::Any,
    path::{Path, PathBuf},
};

use crate::{decode::Watching, queries::NetQueries};
use observer_core::{
    domain::{Decoded, ReadHost},
    facts::Fact,
    queries::HostQueries,
};
use observer_host::process::Clock;

mod netns;
mod network;
mod peer_names;
mod queues;
mod socket_queues;
mod unseen;

/// The reader, with what it keeps between two reports.
pub(crate) struct NetReader {
    root: PathBuf,
    clock: Clock,
    network: network::Network,
    queues: socket_queues::SocketQueues,
    unseen: unseen::UnseenDatagrams,
    /// Started with the first query for a name.
    remotes: Option<peer_names::Remotes>,
}

impl NetReader {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            clock: Clock::of(root),
            network: network::Network::new(root),
            queues: socket_queues::SocketQueues::default(),
            unseen: unseen::UnseenDatagrams::new(root),
            remotes: None,
        }
    }
}

impl ReadHost for NetReader {
    fn tick(&mut self, _now: u64, out: &mut Vec<Fact>) {
        self.network.tick(out);
    }

    fn answer(&mut self, queries: &HostQueries, out: &mut Vec<Fact>) {
        if let Some(queries) = queries.own::<NetQueries>() {
            network::answer(&self.root, self.clock, queries, out);
            netns::answer(&self.root, queries, out);
            self.queues.answer(&self.root, queries, out);
            if self.remotes.is_none() && !queries.remotes.is_empty() {
                self.remotes = peer_names::Remotes::start();
            }
            if let Some(remotes) = &mut self.remotes {
                remotes.ask(queries.remotes.iter().copied());
            }
        }
        if let Some(remotes) = &mut self.remotes {
            out.extend(remotes.answered());
        }
    }

    fn take(&mut self, left: Box<dyn Any>, decoded: &mut Decoded) {
        if let Ok(watching) = left.downcast::<Watching>() {
            self.unseen.take(*watching, decoded);
        }
    }
}
