//! The programs of the net domain: which process owns a socket, what it moved, when it was closed.
//!
//! A TCP socket counts its own bytes, so nothing is added up per event. Scans read the counters of open connections,
//! and the close of a connection delivers the last ones. Send and receive only identify the process that acts. The
//! first process to act owns the socket. Bytes that other processes move through it are added up separately, as are
//! datagrams, which no socket counts.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_ktime_get_boot_ns},
    macros::{btf_tracepoint, cgroup_sock, cgroup_sock_addr, fexit, map},
    maps::{HashMap, PerCpuArray},
    programs::{BtfTracePointContext, FExitContext, SockAddrContext, SockContext},
};
use observer_common::{
    loss::Loss,
    net::{
        CONTROL_WATCHED, EndedRecord, HeldRecord, KIND_ENDED, KIND_OPENED, OpenedRecord, PROTOCOL_MPTCP,
        PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_UDPLITE,
    },
    task::TaskId,
};
use observer_ebpf::{emit, iterator, lost, read, task};

use crate::{
    access, actor, control,
    fields::{SIGNAL_LIVE, SOCKET_SK, TASK_MM, TASK_SIGNAL},
    flow, lifecycle,
    scan::scan_tcp,
    share, socket, store,
};

/// `MSG_PEEK` of `recv`: what is only looked at is received later.
const MSG_PEEK: i32 = 2;

/// The record of a scan, which is larger than half the stack of a program. The programs of a scan run one at a time.
#[map]
static HELD: PerCpuArray<HeldRecord> = PerCpuArray::with_max_entries(1, 0);

/// What a program of a control group returns: it only watches.
const ALLOWED: i32 = 1;

const ENDED_ENTRIES: u32 = 1 << 14;

/// Exits that did not fit into the ring buffer, with the boot-clock nanoseconds of each. User space removes them once
/// read.
#[map]
pub static NET_ENDED: HashMap<TaskId, u64> = HashMap::with_max_entries(ENDED_ENTRIES, 1);

/// Every socket that a descriptor holds, with the process that holds it, in all network namespaces.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub extern "C" fn net_socket(context: *mut iterator::TaskFile) -> i32 {
    // SAFETY: the context is the kernel's own; null at the end of the scan.
    unsafe {
        let (task, file) = ((*context).task, (*context).file);
        if task.is_null() || file.is_null() {
            return 0;
        }
        actor::read_by_current();
        let sk = access::socket_of(file);
        if sk.is_null() || !socket::is_internet(sk) {
            return 0;
        }
        let Some(held) = HELD.get_ptr_mut(0) else { return 0 };
        match socket::protocol(sk) {
            PROTOCOL_TCP => {
                let tcp = access::tcp_sock(sk);
                if !tcp.is_null() {
                    scan_tcp((*context).meta, held, tcp, task);
                }
            }
            PROTOCOL_UDP | PROTOCOL_UDPLITE | PROTOCOL_MPTCP => {
                (*held).holder = task::record(task);
                socket::fill_any(&raw mut (*held).socket, sk);
                iterator::write((*context).meta, &*held);
            }
            _ => {}
        }
    }
    0
}

/// TCP sockets of the opener's network namespace that no descriptor holds: those that only io_uring holds, and those
/// that their process has closed and that still send. Runs after [`net_socket`], and leaves out the sockets that it
/// has found.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
pub extern "C" fn net_tcp(context: *mut iterator::Tcp) -> i32 {
    // SAFETY: the context is the kernel's own; null at the end of the scan.
    unsafe {
        let sk = access::met_socket(context);
        if sk.is_null() {
            return 0;
        }
        let tcp = access::tcp_sock(sk);
        let Some(held) = HELD.get_ptr_mut(0) else { return 0 };
        if !tcp.is_null() {
            scan_tcp((*context).meta, held, tcp, core::ptr::null());
        }
    }
    0
}

/// `inet_sock_set_state(struct sock *sk, int old, int new)`: openings, owners, and the last counters of a connection.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn net_state(context: BtfTracePointContext) -> i32 {
    let (old, new): (i32, i32) = (context.arg(1), context.arg(2));
    // SAFETY: a BTF-typed argument of the tracepoint.
    unsafe { lifecycle::changed(access::first_argument(context.as_ptr()), old as u8, new as u8) };
    0
}

/// `tcp_destroy_sock(struct sock *sk)`: after a reset by the peer, the first that happens in the owner's context.
#[btf_tracepoint(function = "tcp_destroy_sock")]
pub fn net_destroy(context: BtfTracePointContext) -> i32 {
    // SAFETY: a BTF-typed argument of the tracepoint.
    unsafe { lifecycle::destroyed(access::first_argument(context.as_ptr())) };
    0
}

/// `sched_process_exit(struct task_struct *task)`: its totals are final, except for what its sockets still send.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn net_exit(context: BtfTracePointContext) -> i32 {
    let task: *const u8 = context.arg(0);
    // SAFETY: a BTF-typed argument of the tracepoint; its signal structure outlives it.
    unsafe {
        let signal = read::pointer(task, &TASK_SIGNAL);
        // The count is already lowered for this thread. Two last threads can both find 0: the second repeats the
        // record.
        if !signal.is_null() && read::load::<i32>(signal, &SIGNAL_LIVE) == 0 {
            let header = emit::header::<EndedRecord>(KIND_ENDED);
            let record = EndedRecord { header, task: task::id(task) };
            // No later record would make up for a lost one.
            if !emit::emit(&record) && NET_ENDED.insert(&record.task, &record.header.at, 0).is_err() {
                lost!(Loss::MapFull, 1);
            }
        }
    }
    0
}

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`: a child that inherits the sockets. A
/// child in the memory of its parent is a thread, or executes another program at once.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn net_fork(context: BtfTracePointContext) -> i32 {
    let (parent, child): (*const u8, *const u8) = (context.arg(0), context.arg(1));
    // SAFETY: BTF-typed arguments of the tracepoint.
    unsafe {
        if read::load::<u64>(parent, &TASK_MM) != read::load::<u64>(child, &TASK_MM) {
            actor::forks(bpf_ktime_get_boot_ns());
        }
    }
    0
}

/// `getpeername4` of a control group: a process accepts a connection and asks for the address of the peer.
#[cgroup_sock_addr(getpeername4)]
pub fn net_accepted_v4(context: SockAddrContext) -> i32 {
    accepted(&context)
}

/// As [`net_accepted_v4`].
#[cgroup_sock_addr(getpeername6)]
pub fn net_accepted_v6(context: SockAddrContext) -> i32 {
    accepted(&context)
}

#[inline(always)]
fn accepted(context: &SockAddrContext) -> i32 {
    // SAFETY: the program's own context.
    unsafe { actor::accepts(store::find_by(context.as_ptr().cast())) };
    ALLOWED
}

/// `sock_create` of a control group: a process opens a socket. If the kernel does not count the bytes of such a socket,
/// and the programs that do are not attached, user space is woken to attach them.
#[cgroup_sock(sock_create)]
pub fn net_opened(context: SockContext) -> i32 {
    // SAFETY: the context is the kernel's own.
    let protocol = unsafe { (*context.sock).protocol } as u16;
    if matches!(protocol, PROTOCOL_UDP | PROTOCOL_UDPLITE | PROTOCOL_MPTCP)
        && control::get(CONTROL_WATCHED) == 0
    {
        let header = emit::header::<OpenedRecord>(KIND_OPENED);
        emit::emit_now(&OpenedRecord { header, tgid: bpf_get_current_pid_tgid() >> 32 });
    }
    ALLOWED
}

/// `sock_send_length(struct sock *sk, int ret, int flags)`
#[btf_tracepoint(function = "sock_send_length")]
pub fn net_sent(context: BtfTracePointContext) -> i32 {
    let length: i32 = context.arg(1);
    if length > 0 {
        // SAFETY: a BTF-typed argument of the tracepoint.
        unsafe { moved(access::first_argument(context.as_ptr()), length as u64, 0) }
    }
    0
}

/// `sock_recv_length(struct sock *sk, int ret, int flags)`
#[btf_tracepoint(function = "sock_recv_length")]
pub fn net_received(context: BtfTracePointContext) -> i32 {
    let (length, flags): (i32, i32) = (context.arg(1), context.arg(2));
    if length > 0 && flags & MSG_PEEK == 0 {
        // SAFETY: a BTF-typed argument of the tracepoint.
        unsafe { moved(access::first_argument(context.as_ptr()), 0, length as u64) }
    }
    0
}

/// `inet_sendmsg(struct socket *sock, struct msghdr *msg, size_t size)`, and its result.
#[fexit(function = "inet_sendmsg")]
pub fn net_sent_v4(context: FExitContext) -> i32 {
    returned_from_send(&context)
}

/// As [`net_sent_v4`].
#[fexit(function = "inet6_sendmsg")]
pub fn net_sent_v6(context: FExitContext) -> i32 {
    returned_from_send(&context)
}

/// `inet_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags)`, and its result.
#[fexit(function = "inet_recvmsg")]
pub fn net_received_v4(context: FExitContext) -> i32 {
    returned_from_receive(&context)
}

/// As [`net_received_v4`].
#[fexit(function = "inet6_recvmsg")]
pub fn net_received_v6(context: FExitContext) -> i32 {
    returned_from_receive(&context)
}

#[inline(always)]
fn returned_from_send(context: &FExitContext) -> i32 {
    let length: i32 = context.arg(3);
    if length > 0 {
        // SAFETY: a BTF-typed argument of the function.
        unsafe {
            moved(access::pointer(access::first_argument(context.as_ptr()), &SOCKET_SK), length as u64, 0)
        }
    }
    0
}

#[inline(always)]
fn returned_from_receive(context: &FExitContext) -> i32 {
    let (flags, length): (i32, i32) = (context.arg(3), context.arg(4));
    if length > 0 && flags & MSG_PEEK == 0 {
        // SAFETY: a BTF-typed argument of the function.
        unsafe {
            moved(access::pointer(access::first_argument(context.as_ptr()), &SOCKET_SK), 0, length as u64)
        }
    }
    0
}

/// The current process moved `tx` and `rx` payload bytes through `sk`.
///
/// # Safety
/// `sk` must be a BTF-typed pointer to a `sock`.
#[inline(always)]
unsafe fn moved(sk: *const u8, tx: u64, rx: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        if sk.is_null() {
            return;
        }
        // Most payload is TCP, which counts itself: return before any look-up.
        let uncounted = match socket::protocol(sk) {
            PROTOCOL_TCP => share::exists() && share::is_others(sk),
            PROTOCOL_UDP | PROTOCOL_UDPLITE | PROTOCOL_MPTCP => socket::is_internet(sk),
            _ => false,
        };
        if uncounted {
            flow::add(sk, tx, rx);
        }
    }
}

/// Every program and map that user space names is in this object.
mod names {
    use observer_common::{net_maps, net_programs, symbols_exist};

    use super::*;
    use crate::{closed::NET_CLOSED, control::CONTROL, failed::NET_FAILED, flow::NET_FLOWS};

    net_programs!(symbols_exist);
    net_maps!(symbols_exist);
    symbols_exist! { CONTROL: CONTROL; }
}
