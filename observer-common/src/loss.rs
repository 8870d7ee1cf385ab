//! Losses of the kernel side, counted per CPU in the map `LOSS` of each kernel object.

/// Index into the map `LOSS`. Each counter only grows while the object is loaded.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The ring buffer was full: the totals of the record arrive later, from the map.
    Ring = 0,
    /// A map was full.
    MapFull = 1,
    /// Bytes (or events, if the signal has no bytes) that could not be attributed for that reason.
    Unattributed = 2,
    /// A record of a scan that its reader rejected: user space has older values.
    Unread = 3,
}

/// Number of counters, the size of the map.
pub const LOSS_COUNTERS: u32 = 4;
