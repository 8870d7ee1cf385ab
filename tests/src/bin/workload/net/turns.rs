//! Connections over the loopback interface with known bottlenecks: requests and answers in which one side takes its
//! time, and readers that stop.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use observer_tests::{
    emulation::{
        ends::{client, server},
        random::Random,
        scenario::Exchange,
    },
    workload::{hear, tell},
};
use serde_json::{Value, json};

/// Starts on the command `step`, then reports the bottleneck of each end of each connection, until the end.
pub fn run(seed: &str, count: &str, longest: &str) -> Result<()> {
    let mut numbers = Random::new(seed.parse().context("a seed is a number")?);
    let count: usize = count.parse().context("how many there are is a number")?;
    let longest: f64 = longest.parse().context("the longest answer is a number of bytes")?;
    tell(json!({"ready": true}));
    if hear().is_none() {
        return Ok(());
    }
    let ends: Vec<Value> =
        (0..count).map(|kind| one(kind % 5, longest, &mut numbers)).collect::<Result<_>>()?;
    tell(json!({ "connections": ends }));
    while hear().is_some() {}
    Ok(())
}

fn one(kind: usize, longest: f64, numbers: &mut Random) -> Result<Value> {
    let takes = numbers.magnitude(0.0001, 0.02);
    let response = numbers.magnitude(50.0, longest) as usize;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    let [asks, answers] = [near.local_addr()?, far.local_addr()?].map(|end| end.to_string());
    let waits = Duration::from_secs_f64(takes);
    let (client_waits, server_waits, verdicts) = match kind {
        0 | 2 => (Duration::ZERO, waits, ["peer", "application"]),
        1 | 3 => (waits, Duration::ZERO, ["application", "peer"]),
        _ => {
            // Only the end that does not read is checked.
            thread::spawn(move || stop_reading(near, far));
            return Ok(json!({"ends": [[answers, asks, "reader"]], "what": "stops reading"}));
        }
    };
    let talk = Exchange::RequestResponse { request: 100, response, client_waits, server_waits };
    thread::spawn(move || server(far, talk));
    thread::spawn(move || client(near, talk));
    let [asker, answerer] = verdicts;
    Ok(json!({
        "ends": [[asks, answers, asker], [answers, asks, answerer]],
        "what": format!("{talk:?}"),
    }))
}

/// Repeatedly writes a little to an end that does not read it.
fn stop_reading(mut near: TcpStream, far: TcpStream) -> Result<()> {
    loop {
        near.write_all(&[7; 100])?;
        thread::sleep(Duration::from_millis(100));
        let _held = &far;
    }
}
