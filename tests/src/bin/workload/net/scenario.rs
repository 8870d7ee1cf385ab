//! Scenarios over an emulated link: started by `step`. Each later line is answered with the counters of the link since
//! the last one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use observer_tests::{
    emulation::{
        play::{Play, congestion_controls},
        random::Random,
        scenario::{Exchange, LIMITS, Limit, MODEST, Scenario, WIDE},
    },
    workload::{hear, tell},
};
use serde_json::json;

/// The scenario with the bottleneck `limit`, drawn from this range by `seed`.
pub fn run(limit: &str, seed: &str, range: &str) -> Result<()> {
    let limit = LIMITS.into_iter().find(|known| known.name() == limit).context("no such limit")?;
    let seed: u64 = seed.parse().context("a seed is a number")?;
    let range = [WIDE, MODEST].into_iter().find(|known| known.name == range).context("no such range")?;
    let (controls, _) = congestion_controls()?;
    play(&Scenario::draw(limit, range, &controls, &mut Random::new(seed)), &[], seed)
}

/// One sender that fills the queue of its link, and small requests that wait in the queue.
pub fn bloat(seed: &str) -> Result<()> {
    let seed: u64 = seed.parse().context("a seed is a number")?;
    let scenario = Scenario::draw(Limit::Bloat, MODEST, &["cubic"], &mut Random::new(seed));
    let small = Exchange::RequestResponse {
        request: 100,
        response: 100,
        client_waits: Duration::ZERO,
        server_waits: Duration::ZERO,
    };
    play(&scenario, &[small], seed)
}

fn play(scenario: &Scenario, others: &[Exchange], seed: u64) -> Result<()> {
    tell(json!({"ready": true, "scenario": scenario.describe()}));
    if hear().is_none() {
        return Ok(());
    }
    let play = Play::start(scenario, others, seed)?;
    let (mut before, mut at) = (play.link(), Instant::now());
    tell(json!({"conversations": play.pids}));
    while hear().is_some() {
        let (now, seconds) = (play.link(), at.elapsed().as_secs_f64());
        let packets = now.packets - before.packets;
        let waited = (now.waited - before.waited).as_secs_f64();
        tell(json!({
            "seconds": seconds,
            "rate": (now.bytes - before.bytes) as f64 * 8.0 / seconds,
            "packets": packets,
            "queue": (packets > 0).then(|| waited / packets as f64),
            "dropped": now.dropped - before.dropped,
            "lost": now.lost - before.lost,
        }));
        (before, at) = (now, Instant::now());
    }
    Ok(())
}
