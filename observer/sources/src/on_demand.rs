//! Decides when on-demand hooks are attached: they cost something only while there is something for them to see.

/// Nanoseconds that programs stay attached after they last had something to see: it often comes back.
const LINGER: u64 = 600_000_000_000;

/// How long the on-demand hooks of one object are needed.
#[derive(Debug, Default)]
pub struct OnDemandHooks {
    /// Nanoseconds of the boot clock.
    until: u64,
}

impl OnDemandHooks {
    /// There is something to see at `now`, boot-clock nanoseconds.
    pub fn extend(&mut self, now: u64) {
        self.until = now.saturating_add(LINGER);
    }

    /// Whether they are needed at `now`, boot-clock nanoseconds.
    #[must_use]
    pub const fn are_needed(&self, now: u64) -> bool {
        now < self.until
    }
}
