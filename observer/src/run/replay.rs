//! A recording in place of the kernel: the same facts through the same pipeline.

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use super::{
    interruption::{Interruption, Interruptions},
    pipeline::{Pipeline, warn},
};
use crate::cli::Timing;
use observer_core::{error::Error, facts::StreamItem, text::printable};
use observer_sources::replay::Replay;

/// Replays until the recording's end, the limit, a signal, or the end of whoever reads the output.
///
/// # Errors
/// When the file is no recording that this version can read, or the pipeline fails.
pub async fn replay(path: &Path, timing: Timing, pipeline: &mut Pipeline) -> Result<(), Error> {
    let mut interruptions = Interruptions::new()?;
    let unreadable =
        |error| Error::failed(format!("replaying {}", printable(path.as_os_str().as_bytes())), error);
    let count = if timing.once { Some(1) } else { timing.count };
    let mut reported = 0;
    for item in Replay::open(path).map_err(unreadable)? {
        match item {
            Ok(StreamItem::Fact(fact)) => pipeline.extend([fact]),
            Ok(StreamItem::Tick(now)) => pipeline.tick(now)?,
            // What was delivered stands; the rest is missing, and the exit code says so.
            Err(error) if error.is_loss() => {
                warn(&error);
                pipeline.incomplete();
            }
            Err(error) => return Err(unreadable(error)),
        }
        let elapsed = timing.duration.is_some_and(|duration| pipeline.observed() >= duration.as_secs_f64());
        if elapsed || count.is_some_and(|count| pipeline.reported() >= count) || pipeline.closed() {
            break;
        }
        // A signal is looked for once a report: facts come by the thousand.
        if pipeline.reported() > reported {
            reported = pipeline.reported();
            tokio::select! {
                biased;
                Interruption::Ended = interruptions.next() => break,
                () = tokio::task::yield_now() => {}
            }
        }
    }
    Ok(())
}
