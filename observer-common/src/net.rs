//! The records, map values and kernel fields of the net domain.
//!
//! A TCP socket counts its own bytes, and records contain its counters. Bytes that the kernel does not count
//! (datagrams, the bytes of others than the owner of a shared TCP socket) are added up in `NET_FLOWS`.

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    record::RecordHeader,
    task::{TaskId, TaskRecord},
};

/// [`RecordHeader::kind`] of [`ClosedRecord`].
pub const KIND_CLOSED: u32 = 1;
/// [`RecordHeader::kind`] of [`FlowRecord`].
pub const KIND_FLOW: u32 = 2;

/// [`RecordHeader::kind`] of [`EndedRecord`].
pub const KIND_ENDED: u32 = 3;

/// [`RecordHeader::kind`] of [`OpenedRecord`].
pub const KIND_OPENED: u32 = 4;

/// [`RecordHeader::kind`] of [`LingersRecord`].
pub const KIND_LINGERS: u32 = 5;

/// [`RecordHeader::kind`] of [`FailureRecord`].
pub const KIND_FAILURE: u32 = 6;

/// `AF_INET` and `AF_INET6`.
pub const FAMILY_V4: u16 = 2;
pub const FAMILY_V6: u16 = 10;

/// Protocols, as `sock.sk_protocol` spells them.
pub const PROTOCOL_TCP: u16 = 6;
pub const PROTOCOL_UDP: u16 = 17;
pub const PROTOCOL_UDPLITE: u16 = 136;
pub const PROTOCOL_MPTCP: u16 = 262;

/// TCP states, as `include/net/tcp_states.h` numbers them.
pub const STATE_ESTABLISHED: u8 = 1;
pub const STATE_SYN_SENT: u8 = 2;
pub const STATE_SYN_RECV: u8 = 3;
pub const STATE_FIN_WAIT1: u8 = 4;
pub const STATE_FIN_WAIT2: u8 = 5;
pub const STATE_TIME_WAIT: u8 = 6;
pub const STATE_CLOSE: u8 = 7;
pub const STATE_CLOSE_WAIT: u8 = 8;
pub const STATE_LAST_ACK: u8 = 9;
pub const STATE_LISTEN: u8 = 10;
pub const STATE_CLOSING: u8 = 11;
pub const STATE_NEW_SYN_RECV: u8 = 12;

/// The peer opened the connection.
pub const SOCKET_PASSIVE: u32 = 1;
/// The connection's close has been reported.
pub const SOCKET_REPORTED: u32 = 2;
/// A scan has found the socket, so `seen_*` are valid.
pub const SOCKET_SEEN: u32 = 4;
/// Several processes hold the socket, and the bytes of each are added up since `shared_*`.
pub const SOCKET_SHARED: u32 = 16;
/// No descriptor refers to the socket, and yet it is in use: by an io_uring instance, or as an in-flight descriptor.
pub const SOCKET_HIDDEN: u32 = 32;
/// A process has accepted the connection, and none has acted on it.
pub const SOCKET_ACCEPTED: u32 = 64;
/// Several processes may have moved the bytes of a connection that no scan has found.
pub const SOCKET_SHARED_UNSEEN: u32 = 128;

/// Indexes of `CONTROL`. 1: the programs of send and receive are attached.
pub const CONTROL_WATCHED: u32 = 0;
/// 1: scans leave out TCP connections that have not changed since a scan reported them.
pub const CONTROL_CHANGES_ONLY: u32 = 1;
/// 1: some socket has [`SOCKET_SHARED`] or [`SOCKET_HIDDEN`].
pub const CONTROL_SHARING: u32 = 2;
/// The last scan that reported a TCP connection: each scan reports at least one, and with it the time.
pub const CONTROL_REPORTED: u32 = 3;
/// The process id of the reader of scans: it closes a socket for good if its owner closes it during the scan.
pub const CONTROL_READER: u32 = 4;
/// Number of indexes.
pub const CONTROL_VALUES: u32 = 5;

/// Entries for recent connections, a power of two: the cookie of a socket modulo this number is its entry.
pub const RECENT_ENTRIES: u32 = 1 << 14;

/// An open socket at one moment, as a scan reports it.
///
/// Byte counts are payload. Addresses are IPv6 in network order; IPv4 is in the first four bytes where `family` is
/// [`FAMILY_V4`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct SocketRecord {
    /// `sock_gen_cookie`: unique for one boot. Addresses and ports are used again, cookies are not.
    pub cookie: u64,
    /// The process that acted first; its `tgid` is 0 while none has.
    pub owner: TaskRecord,
    /// Boot-clock nanoseconds at which it was connected or its connection was established; 0 if that was not seen.
    pub opened: u64,
    /// TCP: `bytes_sent - bytes_retrans`.
    pub tx: u64,
    /// TCP: `bytes_received`, less the sequence number that a FIN takes.
    pub rx: u64,
    /// TCP: `bytes_retrans`.
    pub retransmitted: u64,
    /// `sk_pacing_rate`, bytes per second.
    pub pacing_rate: u64,
    pub local: [u8; 16],
    pub remote: [u8; 16],
    /// Inode number of its network namespace.
    pub netns: u32,
    /// Host order.
    pub local_port: u16,
    /// Host order; 0 where there is no peer.
    pub remote_port: u16,
    pub family: u16,
    pub protocol: u16,
    /// `skc_state`.
    pub state: u32,
    /// `SOCKET_…`
    pub flags: u32,
    /// Smoothed round-trip time in microseconds; 0 before the first sample.
    pub srtt: u32,
    /// Smallest round-trip time of the kernel's window in microseconds; `u32::MAX` before the first sample.
    pub rtt_min: u32,
    /// Maximum segment size in bytes.
    pub mss: u32,
    /// Congestion window in segments.
    pub cwnd: u32,
    /// Segments in flight.
    pub packets_out: u32,
    /// Segments delivered in the last rate sample, and its length in microseconds.
    pub rate_delivered: u32,
    pub rate_interval: u32,
    /// Segments that arrived since the beginning, wrapping.
    pub delivered: u32,
    /// Bytes written by the process and not yet sent.
    pub unsent: u32,
    /// Bytes sent and not yet acknowledged.
    pub unacked: u32,
    /// Bytes that the receiver allows in flight.
    pub window: u32,
    /// TCP: bytes received and not yet read by the process. UDP: memory of its receive queue. Listener: connections
    /// that wait to be accepted.
    pub queued: u32,
    /// Listener: the most connections that may wait.
    pub queue_limit: u32,
    /// `sk_drops`: datagrams that did not fit into the receive queue; on a listener, connections that did not.
    pub drops: u32,
    /// Jiffies spent busy and not limited, limited by the receiver's window, and limited by the send buffer, the
    /// current period included.
    pub chrono: [u32; 3],
    /// The kernel's clock in jiffies when `times` were read, wrapping.
    pub jiffies: u32,
    pub times: TcpTimes,
}

/// When TCP sent and received on a connection, and what was in its buffers. Times are jiffies, wrapping.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
pub struct TcpTimes {
    /// When data was last sent, and last received.
    pub last_sent: u32,
    pub last_received: u32,
    /// Slow start threshold in segments.
    pub ssthresh: u32,
    /// Segments considered lost since the beginning, wrapping.
    pub lost: u32,
    /// Not 0 while the latest rate samples contain too little data to fill the congestion window.
    pub app_limited: u32,
    /// Segments with data since the beginning, wrapping.
    pub segments_out: u32,
    pub segments_in: u32,
    /// Bytes of memory that the send queue may take, and takes.
    pub send_buffer: u32,
    pub send_queued: u32,
    /// Bytes of memory that the receive queue may take.
    pub receive_buffer: u32,
    /// Bytes that this side last allowed the peer to have in flight.
    pub receive_window: u32,
}

/// What `net_socket` and `net_tcp` write: one socket of one process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct HeldRecord {
    /// The process with a descriptor for it; `tgid` 0 for a socket without descriptor.
    pub holder: TaskRecord,
    pub socket: SocketRecord,
    /// Bytes written to it and read from it when it was marked with [`SOCKET_SHARED`].
    pub shared_tx: u64,
    pub shared_rx: u64,
}

/// A connection has closed: the part of a [`SocketRecord`] that still has a meaning then. A process waits while the
/// program writes it, so it is small.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct ClosedRecord {
    pub header: RecordHeader,
    pub cookie: u64,
    pub owner: TaskRecord,
    pub opened: u64,
    pub tx: u64,
    pub rx: u64,
    pub retransmitted: u64,
    /// The counters at the last scan that found it, valid with [`SOCKET_SEEN`].
    pub seen_tx: u64,
    pub seen_rx: u64,
    pub seen_retransmitted: u64,
    pub local: [u8; 16],
    pub remote: [u8; 16],
    pub netns: u32,
    pub local_port: u16,
    pub remote_port: u16,
    pub family: u32,
    pub state: u32,
    pub flags: u32,
    pub srtt: u32,
    pub rtt_min: u32,
    pub mss: u32,
    pub rate_delivered: u32,
    pub rate_interval: u32,
}

/// Key of `NET_FLOWS`: one process and one socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct FlowKey {
    pub task: TaskId,
    /// 0 for bytes that did not get an entry of their own because the map was full.
    pub cookie: u64,
}

/// Value of `NET_FLOWS`: cumulative payload bytes since `created`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct Flow {
    /// Boot-clock nanoseconds: an entry that was removed and created again counts from 0 and differs here.
    pub created: u64,
    pub tx: u64,
    pub rx: u64,
    pub remote: [u8; 16],
    pub netns: u32,
    /// Host order; 0 where the socket is not connected.
    pub remote_port: u16,
    pub family: u16,
    pub protocol: u32,
    /// The epoch in which it was last announced.
    pub epoch: u32,
}

/// Announces that an entry of `NET_FLOWS` has changed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct FlowRecord {
    pub header: RecordHeader,
    pub cookie: u64,
    pub task: TaskRecord,
}

/// The last thread of a process has ended. Its sockets are closed after that.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct EndedRecord {
    pub header: RecordHeader,
    pub task: TaskId,
}

/// A process has opened a socket whose bytes the kernel does not count, and the programs of send and receive are not
/// attached.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct OpenedRecord {
    pub header: RecordHeader,
    /// The process id in the initial pid namespace.
    pub tgid: u64,
}

/// A process has closed a connection before all of its data was sent: the socket goes on without descriptor.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct LingersRecord {
    pub header: RecordHeader,
}

/// Key of `NET_FAILED`: connections of one process to one peer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct FailureKey {
    pub task: TaskId,
    pub remote: [u8; 16],
    pub netns: u32,
    /// Host order.
    pub remote_port: u16,
    pub family: u16,
}

/// Value of `NET_FAILED`: connections that were not established, by reason, since the entry was created.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct Failures {
    /// The peer rejected them.
    pub refused: u64,
    /// The peer did not answer.
    pub timed_out: u64,
    /// The network reported that the peer cannot be reached.
    pub unreachable: u64,
    /// All local ports were in use.
    pub without_port: u64,
    /// The epoch in which it was last announced.
    pub epoch: u64,
}

/// Announces that an entry of `NET_FAILED` has changed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct FailureRecord {
    pub header: RecordHeader,
    pub key: FailureKey,
    pub task: TaskRecord,
}

/// Value of `NET_CLOSED`, keyed by [`TaskId`]: connections with a close that did not fit into the ring buffer. Bytes
/// are those that no scan had reported.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct ClosedTotals {
    pub task: TaskRecord,
    pub tx: u64,
    pub rx: u64,
    pub retransmitted: u64,
    pub connections: u64,
}

const _: () = assert!(size_of::<SocketRecord>() == 256);
const _: () = assert!(size_of::<HeldRecord>() == 312);
const _: () = assert!(size_of::<ClosedRecord>() == 192);
const _: () = assert!(size_of::<FlowKey>() == 24);
const _: () = assert!(size_of::<Flow>() == 56);
const _: () = assert!(size_of::<FlowRecord>() == 64);
const _: () = assert!(size_of::<EndedRecord>() == 32);
const _: () = assert!(size_of::<OpenedRecord>() == 24);
const _: () = assert!(size_of::<FailureKey>() == 40);
const _: () = assert!(size_of::<Failures>() == 40);
const _: () = assert!(size_of::<FailureRecord>() == 96);
const _: () = assert!(size_of::<LingersRecord>() == 16);
const _: () = assert!(size_of::<ClosedTotals>() == 72);

/// Names every kernel field of the domain once; `$with` makes a table of them (user space) or globals (kernel side).
#[macro_export]
macro_rules! net_fields {
    ($with:path) => {
        $with! {
            TASK_SIGNAL: "task_struct.signal", 8;
            TASK_MM: "task_struct.mm", 8;
            REGISTERS_CALL: "pt_regs.orig_ax", 8;
            SIGNAL_LIVE: "signal_struct.live", 4;
            SOCKET_SK: "socket.sk", 8;
            SOCKET_FILE: "socket.file", 8;
            FILE_INODE: "file.f_inode", 8;
            FILE_PRIVATE: "file.private_data", 8;
            INODE_SB: "inode.i_sb", 8;
            INODE_INO: "inode.i_ino", 8;
            SB_MAGIC: "super_block.s_magic", 8;
            SOCK_FAMILY: "sock.__sk_common.skc_family", 2;
            SOCK_STATE: "sock.__sk_common.skc_state", 1;
            SOCK_NUM: "sock.__sk_common.skc_num", 2;
            SOCK_DPORT: "sock.__sk_common.skc_dport", 2;
            SOCK_DADDR: "sock.__sk_common.skc_daddr", 4;
            SOCK_RCV_SADDR: "sock.__sk_common.skc_rcv_saddr", 4;
            SOCK_V6_DADDR: "sock.__sk_common.skc_v6_daddr", 16;
            SOCK_V6_RCV_SADDR: "sock.__sk_common.skc_v6_rcv_saddr", 16;
            SOCK_NET: "sock.__sk_common.skc_net.net", 8;
            SOCK_FLAGS: "sock.__sk_common.skc_flags", 8;
            SOCK_PROTOCOL: "sock.sk_protocol", 2;
            SOCK_SK_TYPE: "sock.sk_type", 2;
            SOCK_OWNED: "sock.sk_lock.owned", 4;
            SOCK_SOCKET: "sock.sk_socket", 8;
            SOCK_DROPS: "sock.sk_drops.counter", 4;
            SOCK_ACK_BACKLOG: "sock.sk_ack_backlog", 4;
            SOCK_MAX_ACK_BACKLOG: "sock.sk_max_ack_backlog", 4;
            SOCK_RMEM: "sock.sk_backlog.rmem_alloc.counter", 4;
            SOCK_PACING: "sock.sk_pacing_rate", 8;
            NET_INUM: "net.ns.inum", 4;
            INET_SPORT: "tcp_sock.inet_conn.icsk_inet.inet_sport", 2;
            TCP_BYTES_SENT: "tcp_sock.bytes_sent", 8;
            TCP_BYTES_RETRANS: "tcp_sock.bytes_retrans", 8;
            TCP_BYTES_RECEIVED: "tcp_sock.bytes_received", 8;
            TCP_SEGS_IN: "tcp_sock.segs_in", 4;
            TCP_SEGS_OUT: "tcp_sock.segs_out", 4;
            TCP_SRTT: "tcp_sock.srtt_us", 4;
            TCP_RTT_MIN: "tcp_sock.rtt_min.s.v", 4;
            TCP_MSS: "tcp_sock.mss_cache", 4;
            TCP_CWND: "tcp_sock.snd_cwnd", 4;
            TCP_PACKETS_OUT: "tcp_sock.packets_out", 4;
            TCP_RATE_DELIVERED: "tcp_sock.rate_delivered", 4;
            TCP_RATE_INTERVAL: "tcp_sock.rate_interval_us", 4;
            TCP_DELIVERED: "tcp_sock.delivered", 4;
            TCP_WRITE_SEQ: "tcp_sock.write_seq", 4;
            TCP_SND_NXT: "tcp_sock.snd_nxt", 4;
            TCP_SND_UNA: "tcp_sock.snd_una", 4;
            TCP_SND_WND: "tcp_sock.snd_wnd", 4;
            TCP_RCV_NXT: "tcp_sock.rcv_nxt", 4;
            TCP_COPIED_SEQ: "tcp_sock.copied_seq", 4;
            TCP_CHRONO: "tcp_sock.chrono_stat", 12;
            TCP_CHRONO_START: "tcp_sock.chrono_start", 4;
            TCP_CHRONO_TYPE: "tcp_sock.chrono_type", 1;
            TCP_LAST_SENT: "tcp_sock.lsndtime", 4;
            TCP_LAST_RECEIVED: "tcp_sock.inet_conn.icsk_ack.lrcvtime", 4;
            TCP_SSTHRESH: "tcp_sock.snd_ssthresh", 4;
            TCP_LOST: "tcp_sock.lost", 4;
            TCP_APP_LIMITED: "tcp_sock.app_limited", 4;
            TCP_SEGMENTS_OUT: "tcp_sock.data_segs_out", 4;
            TCP_SEGMENTS_IN: "tcp_sock.data_segs_in", 4;
            TCP_RCV_WND: "tcp_sock.rcv_wnd", 4;
            SOCK_SNDBUF: "sock.sk_sndbuf", 4;
            SOCK_RCVBUF: "sock.sk_rcvbuf", 4;
            SOCK_WMEM_QUEUED: "sock.sk_wmem_queued", 4;
            TCP_IS_MPTCP: "tcp_sock.is_mptcp", 1;
        }
    };
}

net_fields!(crate::fields_as_table);

/// Globals of fields that a kernel lacks if it is built without MPTCP.
pub const OPTIONAL_FIELDS: &[&str] = &["TCP_IS_MPTCP"];
