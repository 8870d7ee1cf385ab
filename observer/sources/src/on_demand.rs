//! Decides when on-demand hooks are attached: they cost something only while there is something for them to see.
//!
//! The scans of a report find out whether there is, so earlier events are missed. The missed amount is known where
//! the kernel counts it.

use observer_core::domain::{Decode, ReadHost};
use observer_kernel::load::LoadedObject;

/// Nanoseconds that programs stay attached after they last had something to see: it often comes back.
const LINGER: u64 = 600_000_000_000;

/// Attaches and detaches the programs of one object.
#[derive(Debug, Default)]
pub struct OnDemandHooks {
    /// Nanoseconds of the boot clock until which they stay attached.
    until: u64,
    /// The kernel's count of what they would see, at the last reading.
    counted: Option<u64>,
    /// How much of it they have missed.
    missed: u64,
}

impl OnDemandHooks {
    /// After the scans of a report at `now`, boot-clock nanoseconds: attaches or detaches. Returns whether it has
    /// attached.
    pub fn update(
        &mut self,
        object: &mut LoadedObject,
        decoder: &dyn Decode,
        reader: &mut dyn ReadHost,
        now: u64,
    ) -> bool {
        let was_attached = object.has_attached_on_demand();
        if !was_attached {
            let before = self.counted;
            self.read_count(reader);
            if before.zip(self.counted).is_some_and(|(before, counted)| counted > before) {
                self.until = now.saturating_add(LINGER);
            }
        }
        if decoder.needs_on_demand_hooks() || object.scans.is_empty() {
            self.until = now.saturating_add(LINGER);
        }
        let needed = now < self.until;
        if was_attached && !needed {
            // Before they are detached: what comes meanwhile is seen, counted, or both, but never neither.
            self.counted = None;
            self.read_count(reader);
        }
        object.set_on_demand(needed);
        let begins = !was_attached && object.has_attached_on_demand();
        if begins {
            // What came between the last reading and now; again both rather than neither.
            self.read_count(reader);
        }
        begins
    }

    /// How much was missed, as far as the kernel counts it.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    fn read_count(&mut self, reader: &mut dyn ReadHost) {
        let counted = reader.counted();
        if let (Some(before), Some(counted)) = (self.counted, counted) {
            self.missed = self.missed.saturating_add(counted.saturating_sub(before));
        }
        self.counted = counted;
    }
}
