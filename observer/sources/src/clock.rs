//! The clocks of the machine: only a live source reads them.

use observer_core::facts::session::Timestamp;

/// The current time on both clocks.
#[must_use]
pub fn now() -> Timestamp {
    let read = |clock| {
        let time = rustix::time::clock_gettime(clock);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    };
    Timestamp { boot: read(rustix::time::ClockId::Boottime), wall: read(rustix::time::ClockId::Realtime) }
}
