#!/usr/bin/env bash
# A ByteSize that is written as JSON and read again is another size.
#
# Versions:   bytesize 2.7.0 with its feature serde.
# Expected:   A value that serde writes and reads is the same value: a limit in a configuration that a program saves, or
#             a size in a record of measurements.
# Seen:       In formats for people (JSON, TOML, YAML) it is written as text of one decimal, "1.2 MiB", and read from
#             that. A size that is saved and loaded once is off by up to 5 %; below 10 GiB and above 1 GiB by up to 54
#             MB. And of two sizes that differ by 4 % the JSON is equal. Binary formats have the exact number.
# Output:     1234567 -> "1.2 MiB" -> 1258291; 1099511627776 + 50000000000 -> "1.0 TiB" -> 1099511627776
# Documented: "Serde support for binary and human-readable deserializers like JSON."
# Remedy:     A u64 in what is saved, or #[serde(with = "…")] with the number of bytes; text of bytes ("1234567 B") is
#             read exactly.
# Needs:      cargo with Rust 1.88.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "rounds"
version = "0.0.0"
edition = "2024"

[dependencies]
bytesize = { version = "=2.7.0", features = ["serde"] }
serde_json = "=1.0.154"
TOML
cat >"$folder/src/main.rs" <<'RUST'
use bytesize::ByteSize;

fn there_and_back(bytes: u64) -> (String, u64) {
    let json = serde_json::to_string(&ByteSize(bytes)).unwrap();
    let read: ByteSize = serde_json::from_str(&json).unwrap();
    (json, read.as_u64())
}

fn main() {
    let (small, read) = there_and_back(1_234_567);
    let (large, other) = there_and_back(1_099_511_627_776 + 50_000_000_000);
    println!("1234567 -> {small} -> {read}; 1099511627776 + 50000000000 -> {large} -> {other}");
}
RUST
export CARGO_TARGET_DIR=$folder/target
cargo build --quiet --manifest-path "$folder/Cargo.toml" || exit 2

said=$("$folder/target/debug/rounds")
echo "$said"
[[ $said == '1234567 -> "1.2 MiB" -> 1258291; 1099511627776 + 50000000000 -> "1.0 TiB" -> 1099511627776' ]]
