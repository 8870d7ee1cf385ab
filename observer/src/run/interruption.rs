//! Signals as what they mean: another size of the terminal, or the end.

use tokio::signal::unix::{Signal, SignalKind, signal};

use observer_core::error::Error;

/// What comes from outside while observer waits.
pub enum Interruption {
    /// The terminal has another size.
    Resized,
    /// The user, or the system, has seen enough.
    Ended,
}

/// The signals that mean something to observer.
pub struct Interruptions {
    resize: Signal,
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interruptions {
    /// From now on none of them ends the process by itself.
    ///
    /// # Errors
    /// When the process has no descriptor left to be told by.
    pub fn new() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|error| Error::failed("listening for signals", error));
        Ok(Self {
            resize: listen(SignalKind::window_change())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Interruption {
        tokio::select! {
            _ = self.resize.recv() => Interruption::Resized,
            _ = self.interrupt.recv() => Interruption::Ended,
            _ = self.terminate.recv() => Interruption::Ended,
            _ = self.hangup.recv() => Interruption::Ended,
        }
    }
}
