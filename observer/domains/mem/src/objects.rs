//! Memory objects that are not in processes, each with its series.

use std::collections::BTreeMap;

use observer_core::{
    facts::{
        mem::{MemoryObject, ObjectId, ObjectKind},
        session::Timestamp,
    },
    trend::series::Series,
};
use observer_host::cgroup::is_within;

/// All objects.
#[derive(Debug, Default)]
pub(super) struct MemoryObjects {
    known: BTreeMap<ObjectId, ObjectState>,
    /// The time of the last sample, nanoseconds of the boot clock.
    sampled: Option<u64>,
}

/// One object with its series.
#[derive(Debug)]
pub(super) struct ObjectState {
    pub object: MemoryObject,
    pub series: Series,
}

impl MemoryObjects {
    /// Takes in the result of a scan: the object, with 0 bytes if it is gone.
    pub(super) fn take(&mut self, object: &MemoryObject, window: f64) {
        if object.bytes == 0 {
            self.known.remove(&object.id);
        } else if let Some(known) = self.known.get_mut(&object.id) {
            // The control group to which an object is charged stays the same when its processes exit.
            let cgroup = known.object.cgroup.take();
            known.object.clone_from(object);
            known.object.cgroup = known.object.cgroup.take().or(cgroup);
        } else {
            let mut series = Series::new(window);
            // The previous scan did not find the object, so all of its bytes are growth.
            if let Some(before) = self.sampled.filter(|_| object.appeared) {
                series.push(before, 0.0, 0.0);
            }
            self.known.insert(object.id, ObjectState { object: object.clone(), series });
        }
    }

    pub(super) fn sample(&mut self, now: Timestamp) {
        self.sampled = Some(now.boot);
        for known in self.known.values_mut() {
            let bytes = known.object.bytes as f64;
            known.series.push(now.boot, bytes, bytes);
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &ObjectState> {
        self.known.values()
    }

    /// The largest object of shared memory that is charged to the control group `group`. If there is none, the
    /// object without a known group that has grown most.
    pub(super) fn of_group(&self, group: &[u8]) -> Option<&MemoryObject> {
        use ObjectKind::{Memfd, SharedMapping, SysV, TmpfsFile};
        let now = self.sampled.unwrap_or(0);
        let shared = || {
            self.all()
                .filter(|known| matches!(known.object.id.kind, Memfd | SharedMapping | SysV | TmpfsFile))
        };
        let is_own = |known: &&ObjectState| {
            known.object.cgroup.as_deref().is_some_and(|cgroup| is_within(cgroup, group))
        };
        let grown = |known: &ObjectState| known.series.window.growth(now).unwrap_or(0.0);
        let of_none = |known: &&ObjectState| known.object.cgroup.is_none() && grown(known) > 0.0;
        let most_grown = || shared().filter(of_none).max_by(|one, other| grown(one).total_cmp(&grown(other)));
        let own = shared().filter(is_own).max_by_key(|known| known.object.bytes);
        own.or_else(most_grown).map(|known| &known.object)
    }

    /// Bytes of unread data and rings. No account of the kernel contains them.
    pub(super) fn unread(&self) -> u64 {
        use ObjectKind::{PacketRing, Pipe, UdpSocket, UnixSocket};
        let unread = self.all().map(|known| &known.object);
        let unread =
            unread.filter(|object| matches!(object.id.kind, PacketRing | Pipe | UdpSocket | UnixSocket));
        let pages = |object: &MemoryObject| match object.id.kind {
            // The header of a full 32 KiB buffer takes 768 bytes, which are in a slab.
            UnixSocket | UdpSocket => object.bytes / 131 * 128,
            _ => object.bytes,
        };
        unread.map(pages).fold(0, u64::saturating_add)
    }
}

/// The JSON name of `kind`.
pub(super) const fn kind_name(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::TmpfsFile => "tmpfs_file",
        ObjectKind::Memfd => "memfd",
        ObjectKind::SysV => "sysv",
        ObjectKind::InFlight => "in_flight",
        ObjectKind::UnixSocket => "unix_socket",
        ObjectKind::UdpSocket => "udp_socket",
        ObjectKind::Pipe => "pipe",
        ObjectKind::PacketRing => "packet_ring",
        ObjectKind::BpfMap => "bpf_map",
        ObjectKind::SharedMapping => "shared_mapping",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(bytes: u64, appeared: bool) -> MemoryObject {
        MemoryObject {
            id: ObjectId { kind: ObjectKind::Pipe, device: 0, number: 7 },
            bytes,
            name: Vec::new(),
            mount: None,
            holder: None,
            writer: None,
            uid: None,
            cgroup: None,
            appeared,
        }
    }

    #[test]
    fn an_object_that_appears_has_grown_from_nothing_and_one_that_was_there_has_not() {
        let at = |seconds: u64| Timestamp { boot: seconds * 1_000_000_000, ..Timestamp::default() };
        for (appeared, growth) in [(true, Some(50.0)), (false, None)] {
            let mut objects = MemoryObjects::default();
            objects.sample(at(1));
            objects.take(&object(50, appeared), 60.0);
            objects.sample(at(2));
            let grew = objects.all().next().and_then(|known| known.series.window.growth(at(2).boot));
            assert_eq!(grew.filter(|grew| *grew > 0.0), growth);
            assert_eq!(objects.unread(), 50);
            objects.take(&object(0, false), 60.0);
            assert_eq!(objects.all().count(), 0);
        }
    }
}
