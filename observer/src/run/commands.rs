//! Commands to the loop while it runs: from signals, and from the part of the program that reads keys.

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::UnboundedReceiver,
};

use observer_core::{error::Error, view::Request};

/// What the loop does next, instead of waiting for the next report.
#[derive(Clone, Debug)]
pub enum Command {
    /// From the next report on, show this request: another view of an observed domain, or the same view with other
    /// options.
    Show(Box<Request>),
    /// Draw the last report again, because the size of the terminal has changed.
    Redraw,
    /// The user or the system ends the observation.
    Stop,
}

/// The sources of commands.
pub struct Commands {
    resize: Signal,
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    sent: Option<UnboundedReceiver<Command>>,
}

impl Commands {
    /// Signals, and commands sent through a channel. From now on, signals that are commands no longer end the process
    /// by themselves.
    ///
    /// # Errors
    /// When the process has no descriptor left for signals.
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

    /// Waits for the next command.
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

/// Never returns without a channel, or after its last sender is gone.
async fn next_sent(sent: &mut Option<UnboundedReceiver<Command>>) -> Command {
    if let Some(channel) = sent
        && let Some(command) = channel.recv().await
    {
        return command;
    }
    *sent = None;
    std::future::pending().await
}
