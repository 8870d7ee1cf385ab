//! The lifecycle of a TCP connection: its opening, its owner, its close.

use observer_common::net::{
    KIND_LINGERS, LingersRecord, PROTOCOL_TCP, SOCKET_PASSIVE, SOCKET_REPORTED, SOCKET_SHARED_UNSEEN,
    STATE_CLOSE, STATE_CLOSE_WAIT, STATE_CLOSING, STATE_ESTABLISHED, STATE_FIN_WAIT1, STATE_FIN_WAIT2,
    STATE_LAST_ACK, STATE_LISTEN, STATE_SYN_RECV, STATE_SYN_SENT, STATE_TIME_WAIT,
};
use observer_ebpf::emit;

use crate::{access, actor, closed, failed, memory::ConnectionOrigin, socket, storage, store};

/// The socket goes from one state to another.
///
/// # Safety
/// `sk` must point to a `sock`, as [`access`] demands it.
#[inline(always)]
pub unsafe fn changed(sk: *const u8, old: u8, new: u8) {
    // No process acts and nothing new is known when the peer closes or a closed socket waits.
    if matches!(
        new,
        STATE_FIN_WAIT2 | STATE_TIME_WAIT | STATE_CLOSE_WAIT | STATE_CLOSING | STATE_SYN_RECV | STATE_LISTEN
    ) {
        return;
    }
    // The connecting process was recorded before the answer.
    if old == STATE_SYN_SENT && new != STATE_CLOSE {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe {
        if socket::protocol(sk) != PROTOCOL_TCP {
            return;
        }
        let tcp = access::tcp_sock(sk);
        if tcp.is_null() || socket::remote_port(tcp) == 0 || socket::is_subflow(tcp) {
            return;
        }
        let origin = store::find_or_begin(tcp);
        if origin.is_null() {
            return;
        }
        if old == STATE_SYN_SENT {
            failed::count(origin, tcp);
            return;
        }
        if new == STATE_SYN_SENT {
            storage::open(origin, 0);
            let storage = store::get(tcp);
            if !storage.is_null() {
                storage::unsee(storage);
            }
        } else if new == STATE_ESTABLISHED && old == STATE_SYN_RECV && (*origin).opened == 0 {
            storage::open(origin, SOCKET_PASSIVE);
        }
        if new == STATE_SYN_SENT {
            storage::claim(origin);
        } else if socket::is_owned(tcp) {
            act(origin);
        }
        if matches!(new, STATE_FIN_WAIT1 | STATE_LAST_ACK) && socket::unsent(tcp) > 0 {
            emit::emit(&LingersRecord { header: emit::header::<LingersRecord>(KIND_LINGERS) });
        }
        // An owner that is not known yet can still act on the socket, or destroy it.
        if new == STATE_CLOSE && (*origin).flags & SOCKET_REPORTED == 0 && storage::is_claimed(origin) {
            closed::deliver(origin, tcp);
        }
    }
}

/// The socket is about to be destroyed.
///
/// # Safety
/// As for [`changed`].
#[inline(always)]
pub unsafe fn destroyed(sk: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        let tcp = access::tcp_sock(sk);
        if tcp.is_null() {
            return;
        }
        if socket::remote_port(tcp) != 0 && !socket::is_subflow(tcp) {
            ended(tcp);
        }
        store::forget(tcp);
    }
}

/// The current process ends the connection, or releases what another one has closed.
#[inline(always)]
unsafe fn act(origin: *mut ConnectionOrigin) {
    // SAFETY: the caller's promise.
    unsafe {
        if actor::reads() {
            actor::settle(origin);
        } else if actor::ends(origin) {
            (*origin).flags |= SOCKET_SHARED_UNSEEN;
        }
    }
}

/// Delivers the last counters of a connection, unless they have been delivered.
#[inline(always)]
unsafe fn ended(tcp: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        let origin = store::find(tcp);
        // Neither a scan nor an event has found it: opened before observation, closed before the first scan.
        if origin.is_null() || (*origin).flags & SOCKET_REPORTED != 0 {
            return;
        }
        if socket::is_owned(tcp) {
            act(origin);
        }
        actor::settle(origin);
        closed::deliver(origin, tcp);
    }
}
