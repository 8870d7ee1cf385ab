//! Connections that a process began and that were not established, by process, peer and reason.

use aya_ebpf::{
    bindings::BPF_NOEXIST, helpers::generated::bpf_ktime_get_boot_ns, macros::map, maps::HashMap,
};
use observer_common::{
    loss::Loss,
    net::{FailureKey, FailureRecord, Failures, KIND_FAILURE},
};
use observer_ebpf::{atomic, emit, lost};

use crate::{
    access::load,
    fields::{INET_SPORT, SOCK_FAMILY, TCP_SEGS_IN},
    memory::ConnectionOrigin,
    socket, storage,
};

const ENTRIES: u32 = 1 << 12;
/// No epoch: an entry that was never announced.
const NEVER: u64 = u64::MAX;
/// The kernel repeats the first segment after a second: without an answer, it does not give up earlier.
const SHORTEST_TIMEOUT: u64 = 1_000_000_000;

#[map]
pub static NET_FAILED: HashMap<FailureKey, Failures> = HashMap::with_max_entries(ENTRIES, 1);

/// Why a connection was not established.
enum Reason {
    Refused,
    TimedOut,
    Unreachable,
    WithoutPort,
}

/// Counts a connection that goes from its first segment to its close.
///
/// # Safety
/// `tcp` must point to a `tcp_sock`, as [`crate::access`] demands it, and `origin` be what is known of it.
#[inline(always)]
pub unsafe fn count(origin: *mut ConnectionOrigin, tcp: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        if !storage::is_claimed(origin) {
            return;
        }
        let Some(reason) = reason(origin, tcp) else { return };
        let task = (*origin).owner;
        let mut key = FailureKey {
            task: task.id,
            remote: [0; 16],
            netns: socket::namespace(tcp),
            remote_port: 0,
            family: load(tcp, &SOCK_FAMILY),
        };
        key.remote_port = socket::peer(tcp, (&raw mut key.remote).cast());
        let fresh = Failures { epoch: NEVER, ..Failures::default() };
        let mut entry = NET_FAILED.get_ptr_mut(&key);
        if entry.is_none() {
            // Fails if another CPU was faster, or if the map is full.
            let _ = NET_FAILED.insert(&key, &fresh, u64::from(BPF_NOEXIST));
            entry = NET_FAILED.get_ptr_mut(&key);
        }
        let Some(failures) = entry else {
            lost!(Loss::MapFull, 1);
            return;
        };
        let counter = match reason {
            Reason::Refused => &raw mut (*failures).refused,
            Reason::TimedOut => &raw mut (*failures).timed_out,
            Reason::Unreachable => &raw mut (*failures).unreachable,
            Reason::WithoutPort => &raw mut (*failures).without_port,
        };
        atomic::add(counter, 1);
        let epoch = u64::from(emit::epoch());
        if (*failures).epoch != epoch {
            (*failures).epoch = epoch;
            let header = emit::header::<FailureRecord>(KIND_FAILURE);
            // A lost announcement is made up for by a sweep of the map.
            emit::emit(&FailureRecord { header, key, task });
        }
    }
}

/// The reason; `None` if the process itself gave up.
#[inline(always)]
unsafe fn reason(origin: *mut ConnectionOrigin, tcp: *const u8) -> Option<Reason> {
    // SAFETY: the caller's promise.
    unsafe {
        if load::<u16>(tcp, &INET_SPORT) == 0 {
            return Some(Reason::WithoutPort);
        }
        // The answer to the first segment was a reset.
        if load::<u32>(tcp, &TCP_SEGS_IN) > 0 {
            return Some(Reason::Refused);
        }
        if socket::is_owned(tcp) {
            return None;
        }
        let waited = bpf_ktime_get_boot_ns().wrapping_sub((*origin).opened);
        Some(if waited < SHORTEST_TIMEOUT { Reason::Unreachable } else { Reason::TimedOut })
    }
}
