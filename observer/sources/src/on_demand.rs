//! When programs that are attached on demand are attached: what they cost is paid only while they have something to tell.
//!
//! That something is there is found by the passes of a report, so what happens before is not seen. It is counted where
//! the kernel counts it.

use observer_core::domain::{Decode, ReadHost};
use observer_kernel::load::LoadedObject;

/// Nanoseconds that programs stay attached after they last had something to tell: what was there once comes again.
const LINGER: u64 = 600_000_000_000;

/// Attaches and detaches the programs of one object.
#[derive(Debug, Default)]
pub struct OnDemandHooks {
    /// Boot-clock nanoseconds up to which they stay attached.
    until: u64,
    /// What the kernel had counted of what they tell, when that was looked at last.
    counted: Option<u64>,
    /// How much of it they have not seen.
    missed: u64,
}

impl OnDemandHooks {
    /// After the passes of a report at `now`, boot-clock nanoseconds: attaches or detaches. Whether it has attached.
    pub fn judge(
        &mut self,
        object: &mut LoadedObject,
        decoder: &dyn Decode,
        reader: &mut dyn ReadHost,
        now: u64,
    ) -> bool {
        let attended = object.attends();
        if !attended {
            let before = self.counted;
            self.look(reader);
            if before.zip(self.counted).is_some_and(|(before, counted)| counted > before) {
                self.until = now.saturating_add(LINGER);
            }
        }
        if decoder.needs_on_demand_hooks() || object.passes.is_empty() {
            self.until = now.saturating_add(LINGER);
        }
        let needed = now < self.until;
        if attended && !needed {
            // Before they are detached: what comes meanwhile is seen, counted, or both, and never neither.
            self.counted = None;
            self.look(reader);
        }
        object.attend(needed);
        let begins = !attended && object.attends();
        if begins {
            // What came between the last look and now; again rather both than neither.
            self.look(reader);
        }
        begins
    }

    /// How much has gone by unseen, as far as the kernel counts it.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    fn look(&mut self, reader: &mut dyn ReadHost) {
        let counted = reader.counted();
        if let (Some(before), Some(counted)) = (self.counted, counted) {
            self.missed = self.missed.saturating_add(counted.saturating_sub(before));
        }
        self.counted = counted;
    }
}
