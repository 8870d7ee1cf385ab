//! The containers of the network namespaces of sockets: a process in another container, or in none, can hold a socket.
//!
//! A namespace counts as that of the container of the process that has been in it the longest: the one that it was made
//! for, if several containers share it.

use std::collections::{BTreeSet, HashMap};

use observer_core::identity::unit;

/// Nanoseconds after which it is asked again: a number is used again, and a process moves to its container's control group
/// after it was started.
const LASTS: u64 = 60_000_000_000;

/// Every network namespace that a socket was met in, and its container.
#[derive(Debug, Default)]
pub struct Namespaces {
    known: HashMap<u32, Namespace>,
    /// When it was last seen which of them are still in use, nanoseconds of the boot clock.
    looked: u64,
}

#[derive(Clone, Debug, Default)]
struct Namespace {
    answered: bool,
    container: Option<Vec<u8>>,
}

impl Namespaces {
    /// A socket is in this one.
    pub fn met(&mut self, netns: u32) {
        self.known.entry(netns).or_default();
    }

    /// The control group of the process that has been in it the longest.
    pub fn answer(&mut self, netns: u32, cgroup: Option<&[u8]>) {
        let container = cgroup.and_then(|cgroup| unit::place(cgroup).container);
        self.known.insert(netns, Namespace { answered: true, container });
    }

    /// The container that it is.
    pub fn container(&self, netns: u32) -> Option<&[u8]> {
        self.known.get(&netns)?.container.as_deref()
    }

    /// Those without an answer.
    pub fn lacking(&self) -> BTreeSet<u32> {
        let lacking = self.known.iter().filter(|(_, namespace)| !namespace.answered);
        lacking.map(|(netns, _)| *netns).collect()
    }

    /// The report of `now` was delivered. Once a minute namespaces without sockets are forgotten, and the others are asked
    /// for again.
    pub fn delivered(&mut self, now: u64, in_use: impl FnOnce() -> BTreeSet<u32>) {
        if now.saturating_sub(self.looked) < LASTS {
            return;
        }
        self.looked = now;
        let in_use = in_use();
        self.known.retain(|netns, namespace| {
            namespace.answered = false;
            in_use.contains(netns)
        });
    }
}
