//! Bytes that no socket counts: datagrams, and the part of a shared TCP socket that does not belong to its owner.

use aya_ebpf::{
    bindings::BPF_NOEXIST, helpers::generated::bpf_ktime_get_boot_ns, macros::map, maps::HashMap,
};
use observer_common::{
    loss::Loss,
    net::{Flow, FlowKey, FlowRecord, KIND_FLOW},
};
use observer_ebpf::{atomic, emit, lost};

use crate::{
    access::{self, load},
    fields::SOCK_FAMILY,
    socket, store,
};

const ENTRIES: u32 = 1 << 16;
/// No epoch: an entry that was never announced.
const NEVER: u32 = u32::MAX;

#[map]
pub static NET_FLOWS: HashMap<FlowKey, Flow> = HashMap::with_max_entries(ENTRIES, 1);

/// Adds to the bytes that the current process moved through `sk`, and announces the entry once an epoch.
///
/// # Safety
/// `sk` must point to a `sock`, as [`access`] demands it.
#[inline(always)]
pub unsafe fn add(sk: *const u8, tx: u64, rx: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        let leader = access::leader();
        let mut key = FlowKey { task: access::acting_id(leader), cookie: store::cookie(sk) };
        let mut flow = NET_FLOWS.get_ptr_mut(&key);
        if flow.is_none() {
            let mut fresh = Flow {
                created: bpf_ktime_get_boot_ns(),
                tx: 0,
                rx: 0,
                remote: [0; 16],
                netns: socket::namespace(sk),
                remote_port: 0,
                family: load(sk, &SOCK_FAMILY),
                protocol: u32::from(socket::protocol(sk)),
                epoch: NEVER,
            };
            fresh.remote_port = socket::peer(sk, (&raw mut fresh.remote).cast());
            if NET_FLOWS.insert(&key, &fresh, u64::from(BPF_NOEXIST)).is_err() {
                flow = NET_FLOWS.get_ptr_mut(&key);
                if flow.is_none() {
                    // The map has no space for the socket: at least the process's total stays exact.
                    lost!(Loss::MapFull, 1);
                    key.cookie = 0;
                    // Fails if the entry exists already, as wanted.
                    let _ = NET_FLOWS.insert(&key, &fresh, u64::from(BPF_NOEXIST));
                }
            }
            if flow.is_none() {
                flow = NET_FLOWS.get_ptr_mut(&key);
            }
        }
        let Some(flow) = flow else {
            lost!(Loss::Unattributed, tx + rx);
            return;
        };
        if tx > 0 {
            atomic::add(&raw mut (*flow).tx, tx);
        }
        if rx > 0 {
            atomic::add(&raw mut (*flow).rx, rx);
        }
        let epoch = emit::epoch();
        if (*flow).epoch != epoch {
            (*flow).epoch = epoch;
            let record = FlowRecord {
                header: emit::header::<FlowRecord>(KIND_FLOW),
                cookie: key.cookie,
                task: access::acting(leader),
            };
            // A lost announcement is made up for by a sweep of the map.
            emit::emit(&record);
        }
    }
}
