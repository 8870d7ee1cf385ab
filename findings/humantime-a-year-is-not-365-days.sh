#!/usr/bin/env bash
# humantime writes 365 days as "11months 30days 3h 50m 24s", and 31 days as "1month 13h 26m 24s".
#
# Versions:   humantime 2.4.0.
# Expected:   A time that something has run is written in units that are exact: 31 days as "31days" (or "4weeks 3days"),
#             and a duration of whole days has no hours, minutes and seconds.
# Seen:       From 31 days on, months of 30.44 days and years of 365.25 days are split off, and the remainder appears as
#             hours, minutes and seconds that were not in the duration. An uptime of exactly a year looks like one of 11
#             months and some hours; who reads it as months of the calendar is off by up to 3 days. Reading gives the
#             same duration again, but only in humantime: "1y" is 365 days in Prometheus.
# Output:     30d: 30days; 31d: 1month 13h 26m 24s; 365d: 11months 30days 3h 50m 24s; 730d: 1year 11months 29days 21h
#             50m 24s
# Documented: At parse_duration(), that a month is 30.44 days and a year 365.25 days; format_duration() does not say that
#             it uses them.
# Remedy:     Days as the largest unit, by one's own division.
# Needs:      cargo.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "days"
version = "0.0.0"
edition = "2024"

[dependencies]
humantime = "=2.4.0"
TOML
cat >"$folder/src/main.rs" <<'RUST'
use std::time::Duration;

fn main() {
    let written = [30, 31, 365, 730].map(|days| {
        let duration = Duration::from_secs(days * 24 * 60 * 60);
        format!("{days}d: {}", humantime::format_duration(duration))
    });
    println!("{}", written.join("; "));
}
RUST
export CARGO_TARGET_DIR=$folder/target
cargo build --quiet --manifest-path "$folder/Cargo.toml" || exit 2

said=$("$folder/target/debug/days")
echo "$said"
[[ $said == *"30d: 30days; 31d: 1month 13h 26m 24s; 365d: 11months 30days 3h 50m 24s; 730d: 1year 11months "* ]]
