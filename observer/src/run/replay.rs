//! Replays a recording in place of the kernel: the same facts, through the same pipeline.

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    commands::{Command, Commands},
    pipeline::{Pipeline, warn},
};
use crate::cli::Timing;
use observer_core::{error::Error, facts::StreamItem, text::printable};
use observer_sources::replay::Replay;

/// Replays until the end of the recording, the limit, a command to stop, or the end of the output's reader. `sent` has
/// commands from sources other than signals.
///
/// # Errors
/// When the file is no recording that this version can read, or the pipeline fails.
pub async fn replay(
    path: &Path,
    timing: Timing,
    sent: Option<UnboundedReceiver<Command>>,
    pipeline: &mut Pipeline,
) -> Result<(), Error> {
    let mut commands = Commands::new(sent)?;
    let unreadable =
        |error| Error::failed(format!("replaying {}", printable(path.as_os_str().as_bytes())), error);
    let count = if timing.once { Some(1) } else { timing.count };
    let mut reported = 0;
    let mut replay = Replay::open(path).map_err(unreadable)?;
    while let Some(item) = replay.next() {
        match item {
            Ok(StreamItem::Fact(fact)) => pipeline.extend([fact]),
            Ok(StreamItem::Tick(now)) => pipeline.tick(now)?,
            // The reports before the loss are valid; the others are missing, which sets the exit code.
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
        // Commands are checked once a report, because there are thousands of facts between two reports.
        if pipeline.reported() > reported {
            reported = pipeline.reported();
            tokio::select! {
                biased;
                command = commands.next() => match command {
                    Command::Show(request) => pipeline.show(*request, replay.values())?,
                    // The next report comes immediately.
                    Command::Redraw => {}
                    Command::Stop => break,
                },
                () = tokio::task::yield_now() => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, io, path::PathBuf, rc::Rc};

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::domains;
    use observer_core::{
        report::Report,
        view::{Request, View},
    };
    use observer_faces::Output;

    /// Keeps the view and the number of rows of each report.
    struct Kept(Rc<RefCell<Vec<(&'static str, usize)>>>);

    impl Output for Kept {
        fn write(&mut self, report: &Report) -> io::Result<()> {
            self.0.borrow_mut().push((report.view, report.tables[0].rows.len()));
            Ok(())
        }
    }

    /// Replays a minute with `views` observed, and with one command after each report.
    fn replayed(
        views: &[View],
        commands: impl IntoIterator<Item = Command>,
    ) -> (Result<(), Error>, Vec<(&'static str, usize)>) {
        let engines = views.iter().map(|view| domains::engine(Request::new(*view)));
        let kept = Rc::default();
        let mut pipeline = Pipeline::new(engines.collect(), Some(Box::new(Kept(Rc::clone(&kept)))));
        let (sender, sent) = unbounded_channel();
        commands.into_iter().for_each(|command| sender.send(command).unwrap());
        let path: PathBuf =
            [env!("CARGO_MANIFEST_DIR"), "..", "tests", "data", "minute.recording"].iter().collect();
        let timing =
            Timing { interval: std::time::Duration::from_secs(1), once: false, count: None, duration: None };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let done = runtime.block_on(replay(&path, timing, Some(sent), &mut pipeline));
        drop(pipeline);
        (done, Rc::into_inner(kept).unwrap().into_inner())
    }

    fn show(request: Request) -> Command {
        Command::Show(Box::new(request))
    }

    #[test]
    fn views_of_all_domains_are_shown_in_turn_from_one_stream() {
        let first = |view| Request { top: Some(3), ..Request::new(view) };
        let commands = [
            show(Request::new(observer_net::views::NET)),
            show(first(observer_mem::views::MEM)),
            show(Request { window: 30.0, ..first(observer_mem::views::MEM) }),
            Command::Redraw,
            show(Request::new(observer_net::views::CONNECTIONS)),
            Command::Stop,
        ];
        let (done, reports) = replayed(
            &[observer_mem::views::MEM, observer_disk::views::DISK, observer_net::views::NET],
            commands,
        );
        assert!(done.is_ok(), "{done:?}");
        let views: Vec<_> = reports.iter().map(|(view, _)| *view).collect();
        assert_eq!(views, ["mem", "net", "mem", "mem", "mem", "connections"]);
        assert!(reports[0].1 > 3 && reports[2].1 == 3, "the request has changed: {reports:?}");
        assert_eq!(reports[3].1, 3, "a state that begins now knows every process: {reports:?}");
        assert!(reports[5].1 > 0, "{reports:?}");
    }

    #[test]
    fn what_is_not_observed_cannot_be_shown() {
        let (done, reports) =
            replayed(&[observer_mem::views::MEM], [show(Request::new(observer_net::views::NET))]);
        assert!(done.unwrap_err().to_string().contains("`net` is not observed"));
        assert_eq!(reports.len(), 1);
    }
}
