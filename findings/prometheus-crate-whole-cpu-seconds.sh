#!/usr/bin/env bash
# process_cpu_seconds_total of Rust programs counts whole seconds only.
#
# Versions:   prometheus 0.14.0 (feature process); metrics-process 2.4.3 with metrics 0.24.6.
# Expected:   0.95 after 0.95 s of processor time: the kernel counts hundredths, and the exporters of Go and Python have
#             fractions.
# Seen:       0 until a full second is used, in both libraries. A service that uses 1 % of a processor is at rest for 100
#             s, and then for one scrape interval uses 1 s: with one scrape each 15 s, rate() over a minute says either 0
#             or four times too much. Averages over an hour are right, so that it looks like a service with bursts.
# Output:     0.95 s used: prometheus 0, metrics-process 0; 1.05 s used: prometheus 1, metrics-process 1
# Reason:     Both count in integers: prometheus has an IntCounter of ticks / ticks a second, and counters of the
#             metrics facade are u64, to which metrics-process casts.
# Documented: Not by prometheus; metrics-process names no precision.
# Remedy:     A gauge or a counter of floating point with the times of one's own, as of getrusage().
# Needs:      cargo with Rust 1.88.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "whole-seconds"
version = "0.0.0"
edition = "2024"

[dependencies]
metrics = "=0.24.6"
metrics-process = "=2.4.3"
prometheus = { version = "=0.14.0", default-features = false, features = ["process"] }
TOML
cat >"$folder/src/main.rs" <<'RUST'
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::sync::{Arc, atomic::{AtomicU64, Ordering}};

/// User and system time in ticks of a hundredth, for the whole process.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn value(text: &str) -> &str {
    let line = text.lines().find(|line| line.starts_with("process_cpu_seconds_total ")).unwrap();
    line.rsplit(' ').next().unwrap()
}

/// The least that a recorder of the facade must do: it keeps the value of one counter.
struct Seconds(Arc<AtomicU64>);

impl Recorder for Seconds {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() == "process_cpu_seconds_total" { Counter::from_arc(self.0.clone()) } else { Counter::noop() }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn main() {
    let seconds = Arc::new(AtomicU64::new(0));
    metrics::set_global_recorder(Seconds(seconds.clone())).unwrap();
    let collector = metrics_process::Collector::default();
    let mut said = vec![];
    for until in [95, 105] {
        while ticks() < until {
            std::hint::black_box((0..1_000_u64).sum::<u64>());
        }
        let text = prometheus::TextEncoder::new().encode_to_string(&prometheus::gather()).unwrap();
        collector.collect();
        let (one, other) = (value(&text), seconds.load(Ordering::Relaxed));
        said.push(format!("{:.2} s used: prometheus {one}, metrics-process {other}", until as f64 / 100.0));
    }
    println!("{}", said.join("; "));
}
RUST
export CARGO_TARGET_DIR=$folder/target
cargo build --quiet --manifest-path "$folder/Cargo.toml" || exit 2

said=$("$folder/target/debug/whole-seconds")
echo "$said"
[[ $said == "0.95 s used: prometheus 0, metrics-process 0; 1.05 s used: prometheus 1, metrics-process 1" ]]
