//! What was read of the map of failed connections: its counts grow, and a fact has what is new.

use hashbrown::HashMap;
use observer_common::net::{FailureKey, Failures};

use super::meaning;
use observer_core::facts::net;

/// An entry is removed after this many scans without announcement.
const IDLE_SCANS: u64 = 64;

/// The entries of the map, with their last value and the number of scans before it was read.
#[derive(Debug, Default)]
pub(super) struct KnownFailures {
    entries: HashMap<FailureKey, (Failures, u64)>,
}

impl KnownFailures {
    /// An entry was read. Returns what has failed since the last reading, if anything has.
    pub fn read(&mut self, key: FailureKey, now: &Failures, scans: u64) -> Option<net::NetFact> {
        let known =
            self.entries.insert(key, (*now, scans)).map_or_else(Failures::default, |(known, _)| known);
        let failures = net::Failures {
            refused: now.refused.saturating_sub(known.refused),
            timed_out: now.timed_out.saturating_sub(known.timed_out),
            unreachable: now.unreachable.saturating_sub(known.unreachable),
            without_port: now.without_port.saturating_sub(known.without_port),
        };
        let remote = meaning::address(key.family, key.remote, key.remote_port);
        let fact = net::NetFact::Failed { id: key.task, netns: key.netns, remote, failures };
        (failures != net::Failures::default()).then_some(fact)
    }

    /// Forgets entries that nothing was added to for long, and returns them.
    pub fn retire(&mut self, scans: u64) -> impl Iterator<Item = FailureKey> + '_ {
        self.entries.extract_if(move |_, (_, read)| *read + IDLE_SCANS < scans).map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_has_what_is_new_and_an_idle_entry_goes() {
        let mut known = KnownFailures::default();
        let key = FailureKey { family: 2, remote_port: 9, ..FailureKey::default() };
        let refused = |refused| Failures { refused, ..Failures::default() };
        let fact = |fact: Option<net::NetFact>| match fact {
            Some(net::NetFact::Failed { failures, remote, .. }) => Some((failures.refused, remote.port())),
            _ => None,
        };
        assert_eq!(fact(known.read(key, &refused(5), 1)), Some((5, 9)));
        assert_eq!(fact(known.read(key, &refused(5), 1)), None);
        assert_eq!(fact(known.read(key, &refused(8), 2)), Some((3, 9)));
        assert_eq!(known.retire(2 + IDLE_SCANS).count(), 0);
        assert_eq!(known.retire(3 + IDLE_SCANS).collect::<Vec<_>>(), [key]);
        assert_eq!(fact(known.read(key, &refused(1), 90)), Some((1, 9)));
    }
}
