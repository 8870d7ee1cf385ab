//! What is stored of a TCP socket between events and scans: plain values. `storage` changes them, [`crate::store`]
//! keeps them.

use observer_common::task::TaskRecord;

/// States of [`ConnectionOrigin::claim`]: no process has acted yet; one is being written; `owner` is valid.
pub const UNCLAIMED: u64 = 0;
pub const CLAIMING: u64 = 1;
pub const CLAIMED: u64 = 2;

/// Numbers that change with every event of a TCP socket: segments in and out, bytes that a process read and wrote, the
/// state, and whether it has an owner.
pub type Activity = [u32; 5];

/// What events report of a connection: everything that is needed of one that opens and closes between two scans.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ConnectionOrigin {
    /// The process that acted first, valid while `claim` is [`CLAIMED`]; before, with `SOCKET_ACCEPTED`, the one that
    /// accepted it.
    pub owner: TaskRecord,
    /// Nanoseconds of the boot clock; 0 if the beginning was not seen.
    pub opened: u64,
    /// `SOCKET_PASSIVE`, `SOCKET_REPORTED`, `SOCKET_ACCEPTED`, `SOCKET_SHARED_UNSEEN`.
    pub flags: u32,
    pub _padding: u32,
    /// One of the three states above: two processes can act on a new socket at the same time, and one of them writes.
    pub claim: u64,
}

/// What a scan stores of a socket for the next one.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ScanMemory {
    /// Used if [`crate::store`] has no other memory for it. It is the first member, so a pointer to the whole is one
    /// to it.
    pub origin: ConnectionOrigin,
    /// The counters in the last scan.
    pub seen_tx: u64,
    pub seen_rx: u64,
    pub seen_retransmitted: u64,
    /// The counters when the socket was marked as shared.
    pub shared_tx: u64,
    pub shared_rx: u64,
    /// The process for which the last scan wrote it.
    pub holder: u64,
    /// The last scan that wrote it: its epoch plus one; 0 for none.
    pub pass: u32,
    /// `SOCKET_SEEN`, `SOCKET_SHARED`, `SOCKET_HIDDEN`
    pub flags: u32,
    /// The activity when the last scan wrote it.
    pub activity: Activity,
    pub _padding: u32,
}
