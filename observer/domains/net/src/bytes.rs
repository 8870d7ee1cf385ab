//! Payload bytes in both directions.

/// Bytes in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    pub tx: u64,
    pub rx: u64,
}

impl Bytes {
    /// Adds `other` in both directions.
    pub const fn add(&mut self, other: Self) {
        self.tx = self.tx.saturating_add(other.tx);
        self.rx = self.rx.saturating_add(other.rx);
    }

    /// Both directions together.
    pub const fn both(self) -> u64 {
        self.tx.saturating_add(self.rx)
    }
}

/// Bytes to add to the totals of a process. A counter that is read while the kernel changes it can be one byte too high
/// (a FIN that is not recognized yet), so corrections can be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteCorrection {
    pub tx: i64,
    pub rx: i64,
    pub retransmitted: i64,
}
