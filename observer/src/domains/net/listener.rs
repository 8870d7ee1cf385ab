//! A socket that connections arrive at.

use std::sync::Arc;

use crate::observation::{
    TaskId,
    net::{Endpoint, SocketFact},
};

/// A listener, and what arrived at it while observed.
#[derive(Clone, Debug, Default)]
pub struct Listener {
    /// `None` only while it is being made.
    pub fact: Option<Arc<SocketFact>>,
    /// Connections that a process took over since observation began.
    pub accepted: u64,
    /// What had found no room when a report told of it last.
    reported: Option<u32>,
}

/// A connection that somebody accepted.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub netns: u32,
    pub local: Endpoint,
    pub owner: TaskId,
}

impl Listener {
    /// A pass has met it.
    pub fn update(&mut self, fact: &Arc<SocketFact>) {
        self.fact = Some(Arc::clone(fact));
    }

    /// Connections that found no room since the last report.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let now = self.fact.as_ref().map_or(0, |fact| fact.drops);
        self.reported.map_or(0, |before| now.wrapping_sub(before).into())
    }

    /// A report has told of it.
    pub fn delivered(&mut self) {
        self.reported = self.fact.as_ref().map(|fact| fact.drops);
    }

    /// Whether the connection can have arrived here.
    #[must_use]
    pub fn fits(&self, arrival: &Arrival) -> bool {
        self.fact.as_ref().is_some_and(|fact| {
            let here = fact.ends.local;
            fact.ends.netns == arrival.netns
                && here.port() == arrival.local.port()
                && (here.ip().is_unspecified() || here.ip() == arrival.local.ip())
        })
    }

    /// How likely it arrived here and not at another that fits: several can share a port, and the most specific address
    /// wins in the kernel too.
    #[must_use]
    pub fn nearness(&self, arrival: &Arrival) -> (bool, bool) {
        self.fact.as_ref().map_or((false, false), |fact| {
            (!fact.ends.local.ip().is_unspecified(), fact.holders.contains(&arrival.owner))
        })
    }
}
