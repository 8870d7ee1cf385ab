//! What the kernel side could not deliver, counted per CPU in the map `LOSS` of each kernel object.

/// Index into the map `LOSS`. Each counter only grows while the object is loaded.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A record found no room in the ring buffer: its totals arrive later, from the map.
    Ring = 0,
    /// A map had no room for a new key.
    MapFull = 1,
    /// Bytes (or events where the signal has no bytes) that could be ascribed to nobody for that reason.
    Unattributed = 2,
    /// A record of a pass that its reader refused: what it held is older than it could be.
    Unread = 3,
}

/// Number of counters, the size of the map.
pub const LOSS_COUNTERS: u32 = 4;
