//! Checks labels: each program gets the load of several runs in less time, and its memory is sampled.
//!
//! Unbounded growth continues with the requests. A program with a bound, or without growth, stops growing after enough
//! requests. The check reads the memory of the process (`/proc/PID/status`), not the verdict. It cannot see a bound in
//! time that is longer than the interval between two samples.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    batch::{self, Places, Running},
    manifest::{Label, Run},
};

/// The rate of requests, relative to a run.
const FASTER: f64 = 16.0;
/// The first sample is after the requests of this many seconds of a run, each next one after four times as many.
const FIRST: f64 = 100.0;
/// The least number of samples. One more is taken if these contradict the label, because a cache may fill slowly, and a
/// heap may grow in large steps.
const SAMPLES: usize = 3;
/// The number of parallel programs.
const PARALLEL: usize = 100;
/// The time limit for one program, seconds: slow ones get fewer requests.
const TIME_LIMIT: f64 = 600.0;
const TICK: Duration = Duration::from_millis(50);
/// Changes that are no growth: bytes, and share of the memory before.
const NO_GROWTH: (f64, f64) = ((1 << 20) as f64, 0.05);

/// Memory at each sample, bytes: the lowest value in the quarter of requests before it, so that garbage counts little.
struct Samples {
    held: Vec<f64>,
}

/// The result of the samples.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TrialResult {
    Grows,
    Flat,
    Unclear,
}

impl Samples {
    /// The result of the last three samples.
    fn result(&self) -> TrialResult {
        let [.., first, middle, last] = self.held[..] else { return TrialResult::Unclear };
        let (early, late) = (middle - first, last - middle);
        if late <= NO_GROWTH.0.max(NO_GROWTH.1 * middle) {
            TrialResult::Flat
        } else if late >= 2.0 * early {
            // There are four times as many requests between the later two: at least half the growth per request.
            TrialResult::Grows
        } else {
            TrialResult::Unclear
        }
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held: Vec<String> =
            self.held.iter().map(|bytes| format!("{:.1}", bytes / f64::from(1 << 20))).collect();
        write!(formatter, "{} MiB", held.join(", "))
    }
}

struct Trial {
    running: Running,
    began: Instant,
    samples: Samples,
    /// The lowest value since the last sample.
    low: f64,
}

/// Checks the labels of `runs`; an error if any is not confirmed.
pub fn check(runs: &[Run], places: &Places<'_>) -> Result<()> {
    let folder = places.built.join("labels");
    let _ = fs::remove_dir_all(&folder);
    let mut waiting = runs.iter().enumerate();
    let mut trials: Vec<Trial> = Vec::new();
    let mut wrong = BTreeMap::new();
    let mut last = Instant::now();
    let mut more = true;
    while more || !trials.is_empty() {
        let now = Instant::now();
        if more && trials.len() < PARALLEL {
            match waiting.next() {
                Some((number, run)) => match batch::start(run, number, &folder, places) {
                    Ok(running) => {
                        let samples = Samples { held: Vec::new() };
                        trials.push(Trial { running, began: now, samples, low: f64::INFINITY });
                    }
                    Err(error) => drop(wrong.insert(run.name(), format!("{error:#}"))),
                },
                None => more = false,
            }
        }
        let seconds = (now - last).as_secs_f64();
        last = now;
        for trial in &mut trials {
            let Some(line) = trial.advance(now, seconds) else { continue };
            println!("{line}");
            if !line.starts_with("true") {
                wrong.insert(trial.running.run.name(), line);
            }
            trial.running.end();
        }
        trials.retain(|trial| !trial.running.ended());
        thread::sleep(TICK.saturating_sub(now.elapsed()));
    }
    let _ = fs::remove_dir_all(&folder);
    ensure!(
        wrong.is_empty(),
        "{} of {} labels are not confirmed: {:#?}",
        wrong.len(),
        runs.len(),
        wrong.keys()
    );
    Ok(())
}

impl Trial {
    /// Advances the trial; its result as a line, once it is over.
    fn advance(&mut self, now: Instant, seconds: f64) -> Option<String> {
        let rate = self.running.run.rate();
        self.running.send(now, rate * FASTER, seconds);
        let held = self.running.pid.and_then(held);
        let requests = self.running.sender.sent as f64;
        let next = FIRST * rate * 4f64.powi(self.samples.held.len() as i32);
        if requests >= 0.75 * next {
            self.low = self.low.min(held.unwrap_or(f64::INFINITY));
        }
        let over = (now - self.began).as_secs_f64() > TIME_LIMIT;
        if requests >= next {
            self.samples.held.push(std::mem::replace(&mut self.low, f64::INFINITY));
        }
        let count = self.samples.held.len();
        let result = self.samples.result();
        let run = &self.running.run;
        let is_confirmed = match run.workload.label {
            Label::Leak => result == TrialResult::Grows,
            Label::Bounded | Label::Stable | Label::Shrinking => result == TrialResult::Flat,
        };
        let enough = count > SAMPLES || count == SAMPLES && is_confirmed;
        let dead = self.running.pid.is_some() && held.is_none();
        if !(enough || over || dead) {
            return None;
        }
        let word = match (count >= SAMPLES, dead) {
            (_, true) => "dead",
            (false, _) => "slow",
            _ if is_confirmed => "true",
            _ if result == TrialResult::Unclear => "unclear",
            _ => "wrong",
        };
        Some(format!(
            "{word:<8} {:<32} {:<8} {} after {requests} requests",
            run.name(),
            format!("{:?}", run.workload.label).to_lowercase(),
            self.samples,
        ))
    }
}

/// Anonymous memory and swap of a process, bytes.
fn held(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<f64>().ok()
    };
    Some((field("RssAnon:")? + field("VmSwap:")?) * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(mebibytes: &[f64]) -> TrialResult {
        Samples { held: mebibytes.iter().map(|held| held * f64::from(1 << 20)).collect() }.result()
    }

    #[test]
    fn growth_with_every_request_is_no_bound() {
        assert!(result(&[10.0, 16.0, 40.0]) == TrialResult::Grows);
        assert!(result(&[10.0, 40.0, 40.5]) == TrialResult::Flat);
        // Slower growth: it may have a bound that is not reached yet.
        assert!(result(&[10.0, 40.0, 60.0]) == TrialResult::Unclear);
        // The last three samples count.
        assert!(result(&[10.0, 40.0, 60.0, 60.0]) == TrialResult::Flat);
        assert!(result(&[10.0, 40.0]) == TrialResult::Unclear);
    }
}
