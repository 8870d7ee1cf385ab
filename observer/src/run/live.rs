//! The live loop: waits for the first event (a report is due, a ring buffer fills, the terminal changes, the user
//! stops), collects, answers host queries, and feeds the pipeline.

use std::{
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc::UnboundedReceiver,
    time::{Instant, sleep_until},
};

use super::{
    allocation,
    attach::{attach, decide},
    commands::{Command, Commands},
    pace::IntervalControl,
    pipeline::{Pipeline, warn},
};
use crate::{
    cli::{self, Timing},
    domains,
};
use observer_core::{domain::Domain, error::Error, facts::Fact, queries::HostQueries, text::printable};
use observer_kernel::activity;
use observer_sources::{clock::now, live::LiveSource, record::Recorder, session::session};

/// Observes until the limit, a command to stop, or the end of the output's reader. `record` is the path of a recording;
/// `sent` has commands from sources other than signals.
///
/// # Errors
/// When nothing can be attached, the recording cannot be started, or the pipeline fails.
pub async fn observe(
    domains: &[&'static dyn Domain],
    options: &cli::LiveOptions,
    timing: Timing,
    record: Option<&Path>,
    sent: Option<UnboundedReceiver<Command>>,
    pipeline: &mut Pipeline,
) -> Result<(), Error> {
    let began = Instant::now();
    // Before anything is attached: by default, a signal would end the process at once.
    let mut commands = Commands::new(sent)?;
    let plan = decide(&domains::declarations(domains), options)?;
    // The kernel counts the runs and the time of programs only while this descriptor is open.
    let counting = (options.verbose > 0).then(|| aya::sys::enable_stats(aya::sys::Stats::RunTime));
    let loaded = attach(&plan, options)?;
    if loaded.outcomes.iter().all(|outcome| outcome.alternative.is_none()) {
        return Err(Error::unable("observing", "no alternative of any hook works on this kernel")
            .advise("`observer doctor` lists them with the reasons."));
    }
    let attached = began.elapsed();
    if loaded.outcomes.iter().any(|outcome| outcome.faults().next().is_some()) {
        pipeline.incomplete();
    }
    // Not before: if the start fails, an earlier recording stays unchanged.
    if let Some(path) = record {
        let doing = || format!("recording to {}", printable(path.as_os_str().as_bytes()));
        pipeline.record(Recorder::create(path).map_err(|error| Error::failed(doing(), error))?);
    }
    pipeline.extend([Fact::Session(Box::new(session(&loaded.outcomes, &plan.facts)))]);
    let mut live = LiveSource::new(loaded.objects, domains, PathBuf::from("/"));
    if options.verbose > 1 {
        live.log_to(warn);
    }
    let enough = until_enough(timing, options.budget, &mut live, &mut commands, pipeline).await;
    if options.verbose > 0 {
        let activity = activity::table(&live.activity());
        warn(&format_args!("all was attached after {:.1} ms\n{activity}", attached.as_secs_f64() * 1e3));
    }
    drop(counting);
    enough
}

async fn until_enough(
    timing: Timing,
    budget: f64,
    live: &mut LiveSource,
    commands: &mut Commands,
    pipeline: &mut Pipeline,
) -> Result<(), Error> {
    let count = if timing.once { Some(1) } else { timing.count };
    let began = Instant::now();
    let end = timing.duration.map(|duration| began + duration);
    // A terminal shows the baseline at once; a script has time until its first report.
    let mut queries = HostQueries::default();
    queries.thorough = !pipeline.shows_baseline();
    report(live, &mut queries, pipeline)?;
    allocation::from_now_on();
    // The start is not part of the budget, because it happens once.
    let mut pace = IntervalControl::new(timing.interval, budget, processor_time());
    let mut due = began + timing.interval;
    let rings = rings(live)?;
    while !pipeline.closed() {
        let next = end.map_or(due, |end| due.min(end));
        tokio::select! {
            () = sleep_until(next) => {
                report(live, &mut queries, pipeline)?;
                if let Some(changed) = pace.after_report(processor_time()) {
                    pipeline.extend([Fact::Pace(changed)]);
                }
                // Computed from the plan and not from the clock, so that delays do not add up; but never in the past.
                due = (due + pace.interval()).max(Instant::now());
                let counted = count.is_some_and(|count| pipeline.reported() >= count);
                if counted || end.is_some_and(|end| Instant::now() >= end) {
                    break;
                }
            }
            () = readable(&rings) => live.drain(),
            command = commands.next() => match command {
                Command::Show(request) => pipeline.show(*request, live.keyframe())?,
                Command::Redraw => pipeline.redraw()?,
                Command::Stop => break,
            },
        }
    }
    Ok(())
}

fn report(live: &mut LiveSource, queries: &mut HostQueries, pipeline: &mut Pipeline) -> Result<(), Error> {
    live.collect(queries, pipeline);
    let moment = now();
    *queries = pipeline.queries(moment)?;
    live.answer(queries, pipeline);
    pipeline.tick(moment)?;
    live.tick(moment, pipeline);
    if let Some(recorder) = pipeline.recorder()
        && recorder.wants_key()
    {
        recorder.key(live.keyframe());
    }
    if let Some(mut recent) = pipeline.recent()
        && recent.wants_key()
    {
        recent.key(live.keyframe());
    }
    Ok(())
}

type Ring = AsyncFd<OwnedFd>;

fn rings(live: &LiveSource) -> Result<Vec<Ring>, Error> {
    let failed = |error| Error::failed("waiting for the ring buffers", error);
    let descriptors = live.rings().map_err(failed)?;
    let register = |descriptor: OwnedFd| {
        // SAFETY: an `OwnedFd` stays open, and is the same descriptor, until the `AsyncFd` that holds it is dropped.
        unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }
    };
    let rings: Result<Vec<Ring>, _> = descriptors.into_iter().map(register).collect();
    rings.map_err(|error| failed(error.into()))
}

/// Returns when one of the ring buffers should be read.
async fn readable(rings: &[Ring]) {
    std::future::poll_fn(|context| {
        let mut asks = false;
        for ring in rings {
            while let std::task::Poll::Ready(ready) = ring.poll_read_ready(context) {
                asks = true;
                match ready {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(_) => break,
                }
            }
        }
        if asks { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
