//! The close of a connection, delivered once.

use aya_ebpf::{bindings::BPF_NOEXIST, macros::map, maps::HashMap};
use observer_common::{
    loss::Loss,
    net::{ClosedRecord, ClosedTotals, KIND_CLOSED, SOCKET_REPORTED, SOCKET_SEEN, SOCKET_SHARED_UNSEEN},
    task::{TaskId, TaskRecord},
};
use observer_ebpf::{atomic, emit, lost};

use crate::{memory::ConnectionOrigin, socket, storage, store};

const ENTRIES: u32 = 1 << 14;

/// Closes that did not fit into the ring buffer, added up by owner.
#[map]
pub static NET_CLOSED: HashMap<TaskId, ClosedTotals> = HashMap::with_max_entries(ENTRIES, 1);

/// Delivers the last counters of the connection.
///
/// # Safety
/// `tcp` must point to a `tcp_sock`, as [`crate::access`] demands it, and `origin` be what is known of it.
#[inline(always)]
pub unsafe fn deliver(origin: *mut ConnectionOrigin, tcp: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        (*origin).flags |= SOCKET_REPORTED;
        let mut flags = (*origin).flags;
        let mut seen = [0; 3];
        // Nothing is stored of a connection that no scan has found.
        let storage = store::get(tcp);
        if !storage.is_null() {
            flags |= (*storage).flags;
            seen = [(*storage).seen_tx, (*storage).seen_rx, (*storage).seen_retransmitted];
        }
        let delivered = emit::emit_with::<ClosedRecord>(|record| {
            (*record).header = emit::header::<ClosedRecord>(KIND_CLOSED);
            (*record).owner =
                if storage::is_claimed(origin) { (*origin).owner } else { TaskRecord::default() };
            (*record).opened = (*origin).opened;
            (*record).flags = flags;
            [(*record).seen_tx, (*record).seen_rx, (*record).seen_retransmitted] = seen;
            socket::fill_closed(record, tcp);
        });
        if !delivered {
            add_up(origin, flags, seen, tcp);
        }
    }
}

/// Adds the bytes that no scan has reported to the totals of the owner.
#[inline(always)]
unsafe fn add_up(origin: *mut ConnectionOrigin, flags: u32, seen: [u64; 3], tcp: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        // Opened before observation and never found by a scan: how much of its counters is new is unknown.
        if (*origin).opened == 0 && flags & SOCKET_SEEN == 0 {
            return;
        }
        let [tx, rx, retransmitted] = socket::counters(tcp);
        let [seen_tx, seen_rx, seen_retransmitted] = seen;
        let tx = tx.wrapping_sub(seen_tx);
        let rx = rx.wrapping_sub(seen_rx);
        let retransmitted = retransmitted.wrapping_sub(seen_retransmitted);
        let shared = flags & (SOCKET_SHARED_UNSEEN | SOCKET_SEEN) == SOCKET_SHARED_UNSEEN;
        if shared || !storage::is_claimed(origin) {
            lost!(Loss::Unattributed, tx.wrapping_add(rx));
            return;
        }
        let owner = (*origin).owner;
        let mut totals = NET_CLOSED.get_ptr_mut(&owner.id);
        if totals.is_none() {
            let fresh = ClosedTotals { task: owner, tx: 0, rx: 0, retransmitted: 0, connections: 0 };
            // Fails if another CPU was faster: then the entry exists.
            let _ = NET_CLOSED.insert(&owner.id, &fresh, u64::from(BPF_NOEXIST));
            totals = NET_CLOSED.get_ptr_mut(&owner.id);
        }
        let Some(totals) = totals else {
            lost!(Loss::MapFull, 1);
            lost!(Loss::Unattributed, tx.wrapping_add(rx));
            return;
        };
        atomic::add(&raw mut (*totals).tx, tx);
        atomic::add(&raw mut (*totals).rx, rx);
        atomic::add(&raw mut (*totals).retransmitted, retransmitted);
        atomic::add(&raw mut (*totals).connections, 1);
    }
}
