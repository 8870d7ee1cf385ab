//! Commands to the loop while it runs: from signals, and from the part of the program that reads keys.

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::UnboundedReceiver,
};

use observer_core::{error::Error, view::Request};

/// What the loop does next, beside waiting for the next report.
#[derive(Clone, Debug)]
pub enum Command {
    /// From the next report on, this is shown: another view of a domain that is observed, or the same one otherwise.
    Show(Box<Request>),
    /// The last report is drawn again: the terminal has another size.
    Redraw,
    /// The user, or the system, has seen enough.
    Stop,
}

/// Where commands come from.
pub struct Commands {
    resize: Signal,
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    sent: Option<UnboundedReceiver<Command>>,
}

impl Commands {
    /// Signals, and what is sent through a channel. From now on no signal that is a command ends the process by itself.
    ///
    /// # Errors
    /// When the process has no descriptor left to learn of signals by.
    pub fn new(sent: Option<UnboundedReceiver<Command>>) -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|error| Error::failed("listening for signals", error));
        Ok(Self {
            resize: listen(SignalKind::window_change())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            sent,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Command {
        tokio::select! {
            _ = self.resize.recv() => Command::Redraw,
            _ = self.interrupt.recv() => Command::Stop,
            _ = self.terminate.recv() => Command::Stop,
            _ = self.hangup.recv() => Command::Stop,
            command = next_sent(&mut self.sent) => command,
        }
    }
}

/// Never returns where there is no channel, or no sender any more.
async fn next_sent(sent: &mut Option<UnboundedReceiver<Command>>) -> Command {
    if let Some(channel) = sent
        && let Some(command) = channel.recv().await
    {
        return command;
    }
    *sent = None;
    std::future::pending().await
}
