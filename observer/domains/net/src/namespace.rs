//! The containers of the network namespaces of sockets. They can differ from the container of the process that holds a
//! socket.
//!
//! A namespace belongs to the container of the oldest process in it. If several containers share the namespace, this is
//! the one that it was created for.

use std::collections::{BTreeSet, HashMap};

use observer_core::identity::unit;

/// Nanoseconds after which a namespace is asked for again: inode numbers are reused, and a process moves to the control
/// group of its container only after its start.
const LASTS: u64 = 60_000_000_000;

/// The network namespaces of all sockets, with their containers.
#[derive(Debug, Default)]
pub struct Namespaces {
    known: HashMap<u32, Namespace>,
    /// When the namespaces in use were last determined: nanoseconds on the boot clock.
    looked: u64,
}

#[derive(Clone, Debug, Default)]
struct Namespace {
    answered: bool,
    container: Option<Vec<u8>>,
}

impl Namespaces {
    /// A socket is in this namespace.
    pub fn met(&mut self, netns: u32) {
        self.known.entry(netns).or_default();
    }

    /// The control group of the oldest process in the namespace.
    pub fn answer(&mut self, netns: u32, cgroup: Option<&[u8]>) {
        let container = cgroup.and_then(|cgroup| unit::membership(cgroup).container);
        self.known.insert(netns, Namespace { answered: true, container });
    }

    /// The container of the namespace.
    pub fn container(&self, netns: u32) -> Option<&[u8]> {
        self.known.get(&netns)?.container.as_deref()
    }

    /// Namespaces without an answer.
    pub fn lacking(&self) -> BTreeSet<u32> {
        let lacking = self.known.iter().filter(|(_, namespace)| !namespace.answered);
        lacking.map(|(netns, _)| *netns).collect()
    }

    /// The report of `now` has been delivered. Once a minute, namespaces without sockets are removed, and the others
    /// are asked for again.
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
