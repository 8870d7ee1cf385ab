//! Many scenarios, some at the same time, under one observer: the verdict on each, compared with the truth.

use std::collections::BTreeMap;

use serde_json::Value;

use super::scenario::{LIMITS, Limit, Range};
use crate::{Observer, Workload, rows};

/// The verdict on one scenario.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub limit: Limit,
    pub seed: u64,
    /// The drawn values.
    pub scenario: Value,
    /// The row of the connection at the client.
    pub row: Value,
    /// The row at the server.
    pub server: Value,
    /// The counters of the link in the last interval.
    pub link: Value,
}

impl Outcome {
    /// Whether the verdict is right.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.row["limited_by"] == self.limit.verdict()
    }

    /// One line with all details.
    #[must_use]
    pub fn line(&self) -> String {
        let verdict = |row: &Value| row["limited_by"].as_str().unwrap_or("-").to_owned();
        let milliseconds = |value: &Value| value.as_f64().map_or(-1.0, |seconds| seconds * 1e3);
        let drawn = &self.scenario;
        format!(
            "{} {:<13} seed {:<4} found {} (server {}) | {:.1} ms {:.1} Mbit/s queue {} mtu {} {} loss {:.4} {} snd {} rcv {} | link {:.1} Mbit/s waits {:.1} ms dropped {} lost {} | queue {:.1} ms; {}",
            if self.is_right() { "right" } else { "WRONG" },
            self.limit.name(),
            self.seed,
            verdict(&self.row),
            verdict(&self.server),
            milliseconds(&drawn["rtt"]),
            drawn["rate"].as_f64().unwrap_or(0.0) / 1e6,
            drawn["queue"],
            drawn["mtu"],
            drawn["congestion_control"].as_str().unwrap_or("-"),
            drawn["loss"].as_f64().unwrap_or(0.0),
            drawn["exchange"].as_str().unwrap_or("-"),
            drawn["send_buffer"],
            drawn["receive_buffer"],
            self.link["rate"].as_f64().unwrap_or(0.0) / 1e6,
            milliseconds(&self.link["queue"]),
            self.link["dropped"],
            self.link["lost"],
            milliseconds(&self.row["queue"]),
            self.row["evidence"].as_str().unwrap_or("-"),
        )
    }
}

/// `runs` scenarios with equally many of each limit, with seeds from `seed` on.
#[must_use]
pub fn draws(runs: usize, seed: u64) -> Vec<(Limit, u64)> {
    (0..runs).map(|run| (LIMITS[run % LIMITS.len()], seed + run as u64)).collect()
}

/// Runs the scenarios, `parallel` at a time, and calls `each` with every outcome.
pub fn play(
    draws: &[(Limit, u64)],
    range: Range,
    parallel: usize,
    more: &[&str],
    mut each: impl FnMut(&Outcome),
) -> (Vec<Outcome>, Observer) {
    let view: [&str; 5] = ["net", "--connections", "--json", "--interval", "1"];
    let mut observer = Observer::start(&[&view[..], more].concat());
    // Connections opened after the first report have an age.
    observer.report();
    let mut waiting = draws.iter();
    let mut playing: Vec<Playing> = Vec::new();
    let mut outcomes = Vec::new();
    loop {
        while playing.len() < parallel
            && let Some((limit, seed)) = waiting.next()
        {
            playing.push(Playing::start(*limit, *seed, range));
        }
        if playing.is_empty() {
            return (outcomes, observer);
        }
        let report = observer.report();
        playing.retain_mut(|playing| {
            let Some(outcome) = playing.judged(&report) else { return true };
            each(&outcome);
            outcomes.push(outcome);
            false
        });
    }
}

/// A table of right and wrong verdicts, and the share of right ones.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> (String, f64) {
    let mut text = String::from("| scenario | runs | right | other verdicts |\n| --- | --- | --- | --- |\n");
    let mut right = 0;
    for limit in LIMITS {
        let of: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.limit == limit).collect();
        let good = of.iter().filter(|outcome| outcome.is_right()).count();
        right += good;
        let mut wrong: BTreeMap<&str, usize> = BTreeMap::new();
        for outcome in of.iter().filter(|outcome| !outcome.is_right()) {
            *wrong.entry(outcome.row["limited_by"].as_str().unwrap_or("nothing")).or_default() += 1;
        }
        let wrong: Vec<String> =
            wrong.iter().map(|(verdict, times)| format!("`{verdict}` {times}")).collect();
        text += &format!("| {} | {} | {good} | {} |\n", limit.name(), of.len(), wrong.join(", "));
    }
    let share = right as f64 / outcomes.len().max(1) as f64;
    text += &format!("| all | {} | {right} ({:.1} %) | |\n", outcomes.len(), 100.0 * share);
    (text, share)
}

/// A running scenario with its workload.
struct Playing {
    limit: Limit,
    seed: u64,
    workload: Workload,
    client: u64,
    server: u64,
}

impl Playing {
    fn start(limit: Limit, seed: u64, range: Range) -> Self {
        let drawn = seed.to_string();
        let mut workload = Workload::start(&["net", "scenario", limit.name(), &drawn, range.name]);
        let pids = workload.ask("step")["conversations"][0].clone();
        let pid = |at: usize| pids[at].as_u64().expect("a process has a number");
        Self { limit, seed, client: pid(0), server: pid(1), workload }
    }

    /// The outcome, once the scenario is stable.
    fn judged(&mut self, report: &Value) -> Option<Outcome> {
        let link = self.workload.ask("link");
        let of =
            |pid: u64| rows(report).iter().find(|row| row["pid"] == pid && row["state"] == "established");
        let row = of(self.client)?;
        let scenario = &self.workload.ready["scenario"];
        if row["age"].as_f64()? < scenario["settles"].as_f64()? {
            return None;
        }
        Some(Outcome {
            limit: self.limit,
            seed: self.seed,
            scenario: scenario.clone(),
            row: row.clone(),
            server: of(self.server).cloned().unwrap_or_default(),
            link,
        })
    }
}
