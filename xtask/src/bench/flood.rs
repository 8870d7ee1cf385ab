//! Events at the highest rate that the machine can make: whether the truth equals the report plus the counted loss.

use std::{thread::sleep, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    child::LineChild,
    environment::BenchEnvironment,
    table::{Cell, Table, Unit},
};

/// A flood, the command that observes it, and the column of the load's row that must equal the truth.
struct Flood {
    name: &'static str,
    kind: &'static str,
    view: &'static [&'static str],
    /// Bytes that the report shows for the process `pid`.
    reported: fn(&Value, u32) -> Option<u64>,
    /// What the truth counts.
    unit: &'static str,
}

const FLOODS: [Flood; 4] = [
    Flood {
        name: "heap calls",
        kind: "mem",
        view: &["mem"],
        reported: |report, pid| row(report, pid)?["mapped"].as_u64(),
        unit: "bytes mapped",
    },
    Flood {
        name: "writes of 1 byte to a deleted file",
        kind: "disk",
        view: &["disk", "--deleted-open"],
        reported: |report, pid| {
            let rows = report["rows"].as_array()?.iter();
            let mut holders = rows.flat_map(|row| row["holders"].as_array().into_iter().flatten());
            holders.find(|holder| holder["pid"] == pid)?["written"].as_u64()
        },
        unit: "bytes written",
    },
    Flood {
        name: "datagrams of 64 bytes",
        kind: "net",
        view: &["net"],
        reported: |report, pid| row(report, pid)?["udp"]["tx"].as_u64(),
        unit: "bytes sent",
    },
    Flood {
        name: "connections, each of 100 bytes",
        kind: "connections",
        view: &["net"],
        reported: |report, pid| row(report, pid)?["tcp"]["tx"].as_u64(),
        unit: "bytes sent",
    },
];

fn row(report: &Value, pid: u32) -> Option<&Value> {
    report["rows"].as_array()?.iter().find(|row| row["pid"] == pid)
}

/// Floods each command for some seconds.
pub fn run(environment: &BenchEnvironment) -> Result<Table> {
    let seconds = if environment.is_quick() { 5 } else { 60 };
    let mut table = Table::new(
        "flood",
        "Floods",
        &format!(
            "One process makes events as fast as it can for {seconds} s while observer runs with its defaults. Then the events \
             are compared with the report. Not reported: the difference from the truth. Lost: what observer counts as lost, \
             including ring buffer records, whose loss does not affect totals."
        ),
        &["events", "per second", "truth", "reported", "not reported", "lost: ring, map, unattributed"],
    );
    for flood in &FLOODS {
        let mut load = environment.load(&["flood", flood.kind, "0", &environment.folder_name()])?;
        let mut observer = start(environment, flood.view)?;
        load.send("go")?;
        sleep(Duration::from_secs(seconds));
        let truth = load.ask("stop")?;
        let (events, bytes) = (number(&truth, "events")?, number(&truth, "bytes")?);
        let pid = load.pid();
        // The report after the one in which the flood ended contains all of it. More are read in case the machine is
        // slow.
        let mut reported = 0;
        let mut last = Value::Null;
        observer.pending();
        for _ in 0..4 {
            last = observer.value()?;
            reported = (flood.reported)(&last, pid).unwrap_or(reported);
            if reported == bytes {
                break;
            }
        }
        observer.end()?;
        let loss = |what: &str| last["loss"][what].as_u64().unwrap_or(0);
        let lost = loss("unattributed");
        let missing = bytes as i128 - i128::from(reported);
        let rate = events as f64 / truth["seconds"].as_f64().unwrap_or(f64::NAN);
        table.row(
            flood.name,
            vec![
                Cell::exact(rate, Unit::PerSecond),
                Cell::words(format!("{bytes} {}", flood.unit)),
                Cell::words(reported.to_string()),
                Cell::words(missing.to_string()),
                Cell::words(format!("{}, {}, {lost}", loss("ring"), loss("map_full"))),
            ],
        );
        table.goal(
            format!("{}: truth = reported + counted as lost", flood.name),
            format!("{missing} missing, {lost} counted as lost"),
            missing == i128::from(lost),
        );
        drop(load);
    }
    Ok(table)
}

fn start(environment: &BenchEnvironment, view: &[&str]) -> Result<LineChild> {
    let mut command = environment.program("observer");
    let mut observer = LineChild::start(command.args(view).args(["--json", "-n", "--interval", "0.5"]))?;
    observer.value()?;
    Ok(observer)
}

fn number(truth: &Value, name: &str) -> Result<u64> {
    truth[name].as_u64().with_context(|| format!("no {name} in {truth}"))
}
