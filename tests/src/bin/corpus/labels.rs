//! Whether labels are true: each program is given the load of several runs in a part of the time, and looked at.
//!
//! What grows without bound keeps growing with its requests; what has a bound, or nothing to grow by, does not once it has
//! had more of them than its bound takes. Read is what the process holds (`/proc/PID/status`), nothing of the verdict.
//! Cannot be seen: a bound in seconds that is longer than the time between two looks.

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

/// Requests come so many times as fast as in a run.
const FASTER: f64 = 16.0;
/// The first look is after the requests of so many seconds of a run, each next one after four times as many.
const FIRST: f64 = 100.0;
/// Looks that are always taken; one more where these do not bear the label out: a cache may take long to fill, and a heap
/// may grow in large steps.
const LOOKS: usize = 3;
/// Programs side by side.
const BESIDE: usize = 100;
/// Seconds for one program, at most: slow ones are not given more requests than they take.
const PATIENCE: f64 = 600.0;
const TICK: Duration = Duration::from_millis(50);
/// Bytes that are no growth, and the share of what was held before that is none either.
const NOTHING: (f64, f64) = ((1 << 20) as f64, 0.05);

/// What was held at each look: the lowest value of the quarter of requests before it, so that a collector's garbage
/// counts little; bytes.
struct Looked {
    held: Vec<f64>,
}

/// What the looks tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Grows,
    Rests,
    Neither,
}

impl Looked {
    /// From the last three looks.
    fn told(&self) -> Told {
        let [.., first, middle, last] = self.held[..] else { return Told::Neither };
        let (early, late) = (middle - first, last - middle);
        if late <= NOTHING.0.max(NOTHING.1 * middle) {
            Told::Rests
        } else if late >= 2.0 * early {
            // Four times as many requests lie between the later two: at least half as much with each of them.
            Told::Grows
        } else {
            Told::Neither
        }
    }
}

impl fmt::Display for Looked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held: Vec<String> =
            self.held.iter().map(|bytes| format!("{:.1}", bytes / f64::from(1 << 20))).collect();
        write!(formatter, "{} MiB", held.join(", "))
    }
}

struct Trial {
    running: Running,
    began: Instant,
    looked: Looked,
    /// Since the last look.
    low: f64,
}

/// Tries these; fails if any label is not borne out.
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
        if more && trials.len() < BESIDE {
            match waiting.next() {
                Some((number, run)) => match batch::start(run, number, &folder, places) {
                    Ok(running) => {
                        let looked = Looked { held: Vec::new() };
                        trials.push(Trial { running, began: now, looked, low: f64::INFINITY });
                    }
                    Err(error) => drop(wrong.insert(run.name(), format!("{error:#}"))),
                },
                None => more = false,
            }
        }
        let seconds = (now - last).as_secs_f64();
        last = now;
        for trial in &mut trials {
            let Some(said) = trial.go_on(now, seconds) else { continue };
            println!("{said}");
            if !said.starts_with("true") {
                wrong.insert(trial.running.run.name(), said);
            }
            trial.running.end();
        }
        trials.retain(|trial| !trial.running.ended());
        thread::sleep(TICK.saturating_sub(now.elapsed()));
    }
    let _ = fs::remove_dir_all(&folder);
    ensure!(
        wrong.is_empty(),
        "{} of {} labels are not borne out: {:#?}",
        wrong.len(),
        runs.len(),
        wrong.keys()
    );
    Ok(())
}

impl Trial {
    /// What is to be said, once it is over.
    fn go_on(&mut self, now: Instant, seconds: f64) -> Option<String> {
        let rate = self.running.run.rate();
        self.running.send(now, rate * FASTER, seconds);
        let held = self.running.pid.and_then(held);
        let requests = self.running.sender.sent as f64;
        let next = FIRST * rate * 4f64.powi(self.looked.held.len() as i32);
        if requests >= 0.75 * next {
            self.low = self.low.min(held.unwrap_or(f64::INFINITY));
        }
        let over = (now - self.began).as_secs_f64() > PATIENCE;
        if requests >= next {
            self.looked.held.push(std::mem::replace(&mut self.low, f64::INFINITY));
        }
        let looks = self.looked.held.len();
        let told = self.looked.told();
        let run = &self.running.run;
        let borne_out = match run.workload.label {
            Label::Leak => told == Told::Grows,
            Label::Bounded | Label::Stable | Label::Shrinking => told == Told::Rests,
        };
        let enough = looks > LOOKS || looks == LOOKS && borne_out;
        let dead = self.running.pid.is_some() && held.is_none();
        if !(enough || over || dead) {
            return None;
        }
        let word = match (looks >= LOOKS, dead) {
            (_, true) => "dead",
            (false, _) => "slow",
            _ if borne_out => "true",
            _ if told == Told::Neither => "unclear",
            _ => "wrong",
        };
        Some(format!(
            "{word:<8} {:<32} {:<8} {} after {requests} requests",
            run.name(),
            format!("{:?}", run.workload.label).to_lowercase(),
            self.looked,
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

    fn told(mebibytes: &[f64]) -> Told {
        Looked { held: mebibytes.iter().map(|held| held * f64::from(1 << 20)).collect() }.told()
    }

    #[test]
    fn growth_with_every_request_is_told_from_a_bound() {
        assert!(told(&[10.0, 16.0, 40.0]) == Told::Grows);
        assert!(told(&[10.0, 40.0, 40.5]) == Told::Rests);
        // Slower and slower: it may have a bound, and has not reached it.
        assert!(told(&[10.0, 40.0, 60.0]) == Told::Neither);
        // The last three looks count.
        assert!(told(&[10.0, 40.0, 60.0, 60.0]) == Told::Rests);
        assert!(told(&[10.0, 40.0]) == Told::Neither);
    }
}
