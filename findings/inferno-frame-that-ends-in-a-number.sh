#!/usr/bin/env bash
# inferno takes a folded stack for a comparison of two profiles if its last frame ends in a space and a number.
#
# Versions:   inferno 0.12.8.
# Expected:   The folded line `main;worker 7 100` has the last frame "worker 7" and 100 samples: frames may contain
#             spaces (C++ signatures do), and each line ends in the count.
# Seen:       The frame is "worker", 7 is taken for the samples of an earlier profile, and its title has a difference.
#             Frames of threads "worker 7" and "worker 8" become one frame, and the colours of all frames are those of
#             a comparison. There is no warning. Names of threads are added as last or first frames by many profilers.
# Output:     worker (300 samples, 85.71%; +26.57%)
#             idle (50 samples, 14.29%)
# Documented: That a line may have two counts is documented for differential flame graphs; not that no option is
#             needed for it.
# Remedy:     Replacing spaces in names before folding.
# Needs:      cargo.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "folded"
version = "0.0.0"
edition = "2024"

[dependencies]
inferno = { version = "=0.12.8", default-features = false }
TOML
cat >"$folder/src/main.rs" <<'RUST'
use inferno::flamegraph::{Options, from_lines};

fn main() {
    let stacks = ["main;idle 50", "main;worker 7 100", "main;worker 8 200"];
    let mut svg = Vec::new();
    from_lines(&mut Options::default(), stacks, &mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    for title in svg.split("<title>").skip(1) {
        println!("{}", title.split("</title>").next().unwrap());
    }
}
RUST
export CARGO_TARGET_DIR=$folder/target
cargo build --quiet --manifest-path "$folder/Cargo.toml" || exit 2

said=$("$folder/target/debug/folded")
echo "$said"
[[ $said == *"worker (300 samples, "*"; +"* && $said != *"worker 7"* ]]
