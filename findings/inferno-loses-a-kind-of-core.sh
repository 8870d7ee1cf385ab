#!/usr/bin/env bash
# inferno leaves out all samples of one kind of core when perf recorded on a processor that has two.
#
# Versions:   inferno 0.12.8.
# Expected:   On a hybrid processor, `perf record` without an event opens cpu_core/cycles/ and cpu_atom/cycles/, and the
#             folded stacks of `perf script` have what ran on either.
# Seen:       Only the samples of the event that came first. Here 2 of 3 are lost, with all of a function that ran on
#             efficiency cores; which kind is lost depends on where the first sample was taken. The fold of two events
#             that were asked for (cycles and page faults) loses one likewise. There is no error; the log has a line of
#             level info, which neither the library nor its programs show by default.
# Output:     1 of 3 samples: worker;main;fast 1000
# Documented: At Options::event_filter: "it will be set to the first encountered event type".
# Remedy:     One pass for each event with event_filter, or replacing the names in the text by one name before.
# Needs:      cargo.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "cores"
version = "0.0.0"
edition = "2024"

[dependencies]
inferno = { version = "=0.12.8", default-features = false }
TOML
cat >"$folder/src/main.rs" <<'RUST'
use inferno::collapse::{Collapse, perf::Folder};

/// A sample as perf script writes it.
fn sample(cpu: u32, event: &str, function: &str) -> String {
    format!(
        "worker 10 [{cpu:03}] 1.000000: 1000 {event}: \n\
         \t          401000 {function}+0x10 (/usr/bin/worker)\n\
         \t          400000 main+0x20 (/usr/bin/worker)\n\n"
    )
}

fn main() {
    let script = [
        sample(0, "cpu_core/cycles/", "fast"),
        sample(8, "cpu_atom/cycles/", "slow"),
        sample(9, "cpu_atom/cycles/", "slow"),
    ];
    let mut folded = Vec::new();
    Folder::default().collapse(script.concat().as_bytes(), &mut folded).unwrap();
    let folded = String::from_utf8(folded).unwrap();
    println!("{} of {} samples: {}", folded.lines().count(), script.len(), folded.trim_end());
}
RUST
export CARGO_TARGET_DIR=$folder/target
cargo build --quiet --manifest-path "$folder/Cargo.toml" || exit 2

said=$("$folder/target/debug/cores")
echo "$said"
[[ $said == "1 of 3 samples: worker;main;fast 1000" ]]
