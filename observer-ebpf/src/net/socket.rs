//! From a socket to the record that describes it.

use aya_ebpf::helpers::generated::bpf_jiffies64;
use observer_common::net::{ClosedRecord, FAMILY_V4, FAMILY_V6, SocketRecord};
use observer_ebpf::read::exists;

use crate::{
    access::{load, pointer},
    fields::*,
    memory::Activity,
    store,
};

/// `SOCK_DONE` of `skc_flags`: a FIN was received (`tcp_fin`), and it took a sequence number that `bytes_received`
/// counts.
const SOCK_DONE: u64 = 1 << 1;

/// The protocol, as `IPPROTO_…` numbers it.
///
/// # Safety
/// `sk` must point to a `sock`, as [`crate::access`] demands it; so in every function here.
#[inline(always)]
pub unsafe fn protocol(sk: *const u8) -> u16 {
    // SAFETY: the caller's promise.
    unsafe { load(sk, &SOCK_PROTOCOL) }
}

/// `TCP_…` state, which other protocols use too.
#[inline(always)]
pub unsafe fn state(sk: *const u8) -> u8 {
    // SAFETY: the caller's promise.
    unsafe { load(sk, &SOCK_STATE) }
}

/// Port of the peer in host order; 0 without one.
#[inline(always)]
pub unsafe fn remote_port(sk: *const u8) -> u16 {
    // SAFETY: the caller's promise.
    unsafe { u16::from_be(load(sk, &SOCK_DPORT)) }
}

/// Whether its family is IPv4 or IPv6.
#[inline(always)]
pub unsafe fn is_internet(sk: *const u8) -> bool {
    // SAFETY: the caller's promise.
    let family: u16 = unsafe { load(sk, &SOCK_FAMILY) };
    family == FAMILY_V4 || family == FAMILY_V6
}

/// Whether a process has locked it. Then the current process is the one that acts, also when it processes packets
/// that arrived meanwhile; interrupts do their work only on an unlocked socket.
#[inline(always)]
pub unsafe fn is_owned(sk: *const u8) -> bool {
    // SAFETY: the caller's promise.
    unsafe { load::<u32>(sk, &SOCK_OWNED) != 0 }
}

/// Whether it is a subflow of an MPTCP connection, which has a socket of its own.
#[inline(always)]
pub unsafe fn is_subflow(tcp: *const u8) -> bool {
    // SAFETY: the caller's promise.
    exists(&TCP_IS_MPTCP) && unsafe { load::<u8>(tcp, &TCP_IS_MPTCP) != 0 }
}

/// The activity of `tcp`, which is in `state`.
#[inline(always)]
pub unsafe fn activity(tcp: *const u8, state: u32, claimed: bool) -> Activity {
    // SAFETY: the caller's promise.
    unsafe {
        [
            load(tcp, &TCP_SEGS_IN),
            load(tcp, &TCP_SEGS_OUT),
            load(tcp, &TCP_COPIED_SEQ),
            load(tcp, &TCP_WRITE_SEQ),
            state | u32::from(claimed) << 8,
        ]
    }
}

/// Bytes written by the process and not yet sent.
#[inline(always)]
pub unsafe fn unsent(tcp: *const u8) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { load::<u32>(tcp, &TCP_WRITE_SEQ).wrapping_sub(load(tcp, &TCP_SND_NXT)) }
}

/// Whether the kernel counts time that it spends sending, or waiting to send: that changes without any event.
#[inline(always)]
pub unsafe fn is_busy(tcp: *const u8) -> bool {
    // SAFETY: the caller's promise. The two low bits: the type shares its byte with flags up to 6.17.
    unsafe { load::<u8>(tcp, &TCP_CHRONO_TYPE) & 3 != 0 }
}

/// Whether it has a `struct socket`: not before it is accepted, and not after it is closed.
#[inline(always)]
pub unsafe fn is_open(sk: *const u8) -> bool {
    // SAFETY: the caller's promise.
    unsafe { !pointer(sk, &SOCK_SOCKET).is_null() }
}

/// Payload bytes of a TCP socket: sent, received, retransmitted.
#[inline(always)]
pub unsafe fn counters(tcp: *const u8) -> [u64; 3] {
    // SAFETY: the caller's promise.
    unsafe {
        let sent: u64 = load(tcp, &TCP_BYTES_SENT);
        let retransmitted: u64 = load(tcp, &TCP_BYTES_RETRANS);
        let received: u64 = load(tcp, &TCP_BYTES_RECEIVED);
        let flags: u64 = load(tcp, &SOCK_FLAGS);
        let fin = u64::from(flags & SOCK_DONE != 0 && received > 0);
        // Some kernels add to retransmitted before they add to sent: read in between, the difference would be
        // negative.
        let tx = if sent > retransmitted { sent - retransmitted } else { 0 };
        [tx, received - fin, retransmitted]
    }
}

/// Fills in what sockets of any protocol have, and nothing else.
#[inline(always)]
pub unsafe fn fill_any(record: *mut SocketRecord, sk: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        clear(record);
        (*record).cookie = store::cookie(sk);
        (*record).netns = load(pointer(sk, &SOCK_NET), &NET_INUM);
        (*record).protocol = protocol(sk);
        (*record).state = u32::from(state(sk));
        (*record).local_port = load(sk, &SOCK_NUM);
        (*record).queued = load(sk, &SOCK_RMEM);
        (*record).drops = load(sk, &SOCK_DROPS);
        let family: u16 = load(sk, &SOCK_FAMILY);
        let local = (&raw mut (*record).local).cast::<u64>();
        (*record).family = family;
        (*record).remote_port = peer(sk, (&raw mut (*record).remote).cast());
        if family == FAMILY_V4 {
            local.cast::<u32>().write_unaligned(load(sk, &SOCK_RCV_SADDR));
        } else {
            copy_address(local, load(sk, &SOCK_V6_RCV_SADDR));
        }
    }
}

/// Writes the address of the peer to `to`, which is zeroed, and returns its port in host order.
#[inline(always)]
pub unsafe fn peer(sk: *const u8, to: *mut u64) -> u16 {
    // SAFETY: the caller's promise.
    unsafe {
        let port = remote_port(sk);
        if port != 0 {
            if load::<u16>(sk, &SOCK_FAMILY) == FAMILY_V4 {
                to.cast::<u32>().write_unaligned(load(sk, &SOCK_DADDR));
            } else {
                copy_address(to, load(sk, &SOCK_V6_DADDR));
            }
        }
        port
    }
}

/// The inode number of the network namespace of `sk`.
#[inline(always)]
pub unsafe fn namespace(sk: *const u8) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { load(pointer(sk, &SOCK_NET), &NET_INUM) }
}

/// Fills in what a listener has.
#[inline(always)]
pub unsafe fn fill_listener(record: *mut SocketRecord, tcp: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        fill_any(record, tcp);
        (*record).queued = load(tcp, &SOCK_ACK_BACKLOG);
        (*record).queue_limit = load(tcp, &SOCK_MAX_ACK_BACKLOG);
    }
}

/// Adds what TCP connections have to a record that [`fill_any`] has filled.
#[inline(always)]
pub unsafe fn fill_tcp(record: *mut SocketRecord, tcp: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        let [tx, rx, retransmitted] = counters(tcp);
        (*record).tx = tx;
        (*record).rx = rx;
        (*record).retransmitted = retransmitted;
        // The port that the socket is bound to becomes 0 when the binding ends; this one stays.
        (*record).local_port = u16::from_be(load(tcp, &INET_SPORT));
        (*record).pacing_rate = load(tcp, &SOCK_PACING);
        (*record).srtt = load::<u32>(tcp, &TCP_SRTT) >> 3;
        (*record).rtt_min = load(tcp, &TCP_RTT_MIN);
        (*record).mss = load(tcp, &TCP_MSS);
        (*record).cwnd = load(tcp, &TCP_CWND);
        (*record).packets_out = load(tcp, &TCP_PACKETS_OUT);
        (*record).rate_delivered = load(tcp, &TCP_RATE_DELIVERED);
        (*record).rate_interval = load(tcp, &TCP_RATE_INTERVAL);
        (*record).delivered = load(tcp, &TCP_DELIVERED);
        let next: u32 = load(tcp, &TCP_SND_NXT);
        (*record).unsent = load::<u32>(tcp, &TCP_WRITE_SEQ).wrapping_sub(next);
        (*record).unacked = next.wrapping_sub(load(tcp, &TCP_SND_UNA));
        (*record).window = load(tcp, &TCP_SND_WND);
        (*record).queued = load::<u32>(tcp, &TCP_RCV_NXT).wrapping_sub(load(tcp, &TCP_COPIED_SEQ));
        fill_times(record, tcp);
    }
}

/// Fills in a closed connection, except what is stored of it.
#[inline(always)]
pub unsafe fn fill_closed(record: *mut ClosedRecord, tcp: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        let [tx, rx, retransmitted] = counters(tcp);
        (*record).cookie = store::cookie(tcp);
        (*record).tx = tx;
        (*record).rx = rx;
        (*record).retransmitted = retransmitted;
        (*record).netns = namespace(tcp);
        (*record).state = u32::from(state(tcp));
        let family: u16 = load(tcp, &SOCK_FAMILY);
        (*record).family = u32::from(family);
        let (local, remote) =
            ((&raw mut (*record).local).cast::<u64>(), (&raw mut (*record).remote).cast::<u64>());
        if family == FAMILY_V4 {
            copy_address(local, [u64::from(load::<u32>(tcp, &SOCK_RCV_SADDR)), 0]);
            copy_address(remote, [u64::from(load::<u32>(tcp, &SOCK_DADDR)), 0]);
        } else {
            copy_address(local, load(tcp, &SOCK_V6_RCV_SADDR));
            copy_address(remote, load(tcp, &SOCK_V6_DADDR));
        }
        // The port that the socket is bound to becomes 0 when the binding ends; this one stays.
        (*record).local_port = u16::from_be(load(tcp, &INET_SPORT));
        (*record).remote_port = remote_port(tcp);
        (*record).srtt = load::<u32>(tcp, &TCP_SRTT) >> 3;
        (*record).rtt_min = load(tcp, &TCP_RTT_MIN);
        (*record).mss = load(tcp, &TCP_MSS);
        (*record).rate_delivered = load(tcp, &TCP_RATE_DELIVERED);
        (*record).rate_interval = load(tcp, &TCP_RATE_INTERVAL);
    }
}

/// Adds how the connection spends its time.
#[inline(always)]
unsafe fn fill_times(record: *mut SocketRecord, tcp: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        let now = bpf_jiffies64() as u32;
        let mut spent: [u32; 3] = load(tcp, &TCP_CHRONO);
        // The kernel adds a period to its counter only at the end of the period. The two low bits: the type shares
        // its byte with flags up to 6.17. Read without the socket's lock, the start can belong to the next period.
        let running = now.wrapping_sub(load(tcp, &TCP_CHRONO_START));
        let running = if running > i32::MAX as u32 { 0 } else { running };
        match load::<u8>(tcp, &TCP_CHRONO_TYPE) & 3 {
            1 => spent[0] = spent[0].wrapping_add(running),
            2 => spent[1] = spent[1].wrapping_add(running),
            3 => spent[2] = spent[2].wrapping_add(running),
            _ => {}
        }
        (*record).chrono = spent;
        (*record).jiffies = now;
        (*record).times.last_sent = load(tcp, &TCP_LAST_SENT);
        (*record).times.last_received = load(tcp, &TCP_LAST_RECEIVED);
        (*record).times.ssthresh = load(tcp, &TCP_SSTHRESH);
        (*record).times.lost = load(tcp, &TCP_LOST);
        (*record).times.app_limited = load(tcp, &TCP_APP_LIMITED);
        (*record).times.segments_out = load(tcp, &TCP_SEGMENTS_OUT);
        (*record).times.segments_in = load(tcp, &TCP_SEGMENTS_IN);
        (*record).times.send_buffer = load(tcp, &SOCK_SNDBUF);
        (*record).times.send_queued = load(tcp, &SOCK_WMEM_QUEUED);
        (*record).times.receive_buffer = load(tcp, &SOCK_RCVBUF);
        (*record).times.receive_window = load(tcp, &TCP_RCV_WND);
    }
}

#[inline(always)]
unsafe fn copy_address(to: *mut u64, [first, second]: [u64; 2]) {
    // SAFETY: the caller's promise: there is room for two words.
    unsafe {
        to.write_unaligned(first);
        to.add(1).write_unaligned(second);
    }
}

#[inline(always)]
unsafe fn clear(record: *mut SocketRecord) {
    // SAFETY: the caller's promise. Word by word, because a call to `memset` is no call that a program can make.
    unsafe {
        let words = record.cast::<u64>();
        let mut word = 0;
        while word < size_of::<SocketRecord>() / size_of::<u64>() {
            words.add(word).write_volatile(0);
            word += 1;
        }
    }
}
