//! The head of every record in a ring buffer.
//!
//! A record announces: it has the totals so far, and the key of the map entry with the newest totals.
//! One record for each entry and epoch is enough, so many events make few records (see `emit.rs` on the
//! kernel side).

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First bytes of each ring-buffer record; `kind` is the domain's own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, KnownLayout, Immutable))]
pub struct RecordHeader {
    /// What follows: a constant of the domain's module.
    pub kind: u32,
    /// Size of the whole record in bytes, this header included: a check against a mismatch of versions.
    pub size: u32,
    /// `bpf_ktime_get_boot_ns` when it was written.
    pub at: u64,
}

const _: () = assert!(size_of::<RecordHeader>() == 16);
