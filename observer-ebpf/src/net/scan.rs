//! What a scan writes of a TCP socket: everything, or nothing if nothing has changed.

use observer_common::{
    net::{
        CONTROL_CHANGES_ONLY, CONTROL_REPORTED, HeldRecord, SOCKET_HIDDEN, SOCKET_REPORTED, SOCKET_SEEN,
        SOCKET_SHARED, STATE_LISTEN,
    },
    task::TaskRecord,
};
use observer_ebpf::{emit, iterator, task as process};

use crate::{control, share, socket, storage, store};

/// Writes the current socket of a scan, unless this scan has written it for the same holder before, or an earlier one
/// has and nothing has happened since.
///
/// # Safety
/// `tcp` must point to a `tcp_sock`, as [`crate::access`] demands it, `task` be a BTF-typed pointer to the
/// `task_struct` that holds it, or null, and `held` valid.
#[inline(always)]
pub unsafe fn scan_tcp(meta: *mut iterator::Meta, held: *mut HeldRecord, tcp: *const u8, task: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        let state = u32::from(socket::state(tcp));
        let holder = if task.is_null() { 0 } else { process::tgid(task) };
        if state == u32::from(STATE_LISTEN) {
            if holder != 0 {
                fill_holder(held, task);
                socket::fill_listener(&raw mut (*held).socket, tcp);
                iterator::write(meta, &*held);
            }
            return;
        }
        // A socket that was never connected has no peer.
        if socket::remote_port(tcp) == 0 || socket::is_subflow(tcp) {
            return;
        }
        let storage = store::get_or_create(tcp);
        let origin = store::find(tcp);
        if storage.is_null() || origin.is_null() {
            fill_holder(held, task);
            // It is reported without storage too: then its owner and its earlier counters are unknown.
            socket::fill_any(&raw mut (*held).socket, tcp);
            socket::fill_tcp(&raw mut (*held).socket, tcp);
            iterator::write(meta, &*held);
            return;
        }
        if (*origin).flags & SOCKET_REPORTED != 0 {
            return;
        }
        // Epochs and storage begin at 0: 0 must mean that no scan has found it.
        let pass = emit::epoch() + 1;
        let met = (*storage).pass == pass;
        if met && (holder == 0 || (*storage).holder == holder) {
            return;
        }
        if holder == 0 && socket::is_open(tcp) {
            share::hide(storage);
        } else if (*storage).flags & SOCKET_HIDDEN != 0 {
            (*storage).flags &= !SOCKET_HIDDEN;
        }
        // Its holder is not its owner, or not the only one: its counters no longer show which process moves the bytes.
        let foreign =
            holder != 0 && ((met && (*storage).holder != 0) || storage::is_anothers(origin, holder));
        let activity = socket::activity(tcp, state, storage::is_claimed(origin));
        // All holders of a shared socket are reported each time: which one is the last is known only afterwards.
        let quiet = control::get(CONTROL_CHANGES_ONLY) != 0
            && (*storage).flags & (SOCKET_SEEN | SOCKET_SHARED | SOCKET_HIDDEN) == SOCKET_SEEN
            && !met
            && !foreign
            && control::get(CONTROL_REPORTED) == pass
            && !socket::is_busy(tcp)
            && (*storage).holder == holder
            && (*storage).activity == activity;
        if quiet {
            (*storage).pass = pass;
            return;
        }
        fill_holder(held, task);
        socket::fill_any(&raw mut (*held).socket, tcp);
        socket::fill_tcp(&raw mut (*held).socket, tcp);
        if foreign {
            share::mark(storage, &raw mut (*held).socket);
        }
        storage::describe(origin, storage, &raw mut (*held).socket);
        (*held).shared_tx = (*storage).shared_tx;
        (*held).shared_rx = (*storage).shared_rx;
        if iterator::write(meta, &*held) {
            (*storage).pass = pass;
            (*storage).holder = holder;
            (*storage).activity = activity;
            storage::see(storage, &(*held).socket);
            control::set(CONTROL_REPORTED, pass);
        }
    }
}

/// Fills in the holder: late, because most sockets are left out before.
#[inline(always)]
unsafe fn fill_holder(held: *mut HeldRecord, task: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        (*held).holder = if task.is_null() { TaskRecord::default() } else { process::record(task) };
    }
}
