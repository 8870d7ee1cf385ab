#!/usr/bin/env bash
# blazesym cannot read the perf map that a Java virtual machine writes, and then symbolises nothing of the process.
#
# Versions:   blazesym 0.2.7; OpenJDK 17.0.15 (-XX:+UnlockDiagnosticVMOptions -XX:+DumpPerfMapAtExit).
# Expected:   /tmp/perf-PID.map of a Java process names its compiled methods, as that of any other runtime does.
# Seen:       An error for the whole batch of addresses, also for those of native code that need no perf map:
#             "encountered malformed start address in perf map line". One line with 0x among others is enough.
# Output:     without 0x: jitted, perf_map::main
#             with 0x: failed to parse perf map …: encountered malformed start address in perf map line: 0x00007ffa…
# Reason:     HotSpot writes `0x00007f4d94ec71c0 0x0000000000000270 name`. The format has hex numbers without 0x (Linux,
#             tools/perf/Documentation/jit-interface.txt), and blazesym parses strictly. This script writes the map as
#             HotSpot does, so that it needs no Java.
# Documented: Not by blazesym.
# Remedy:     Removing 0x from the map, or reading it apart from blazesym.
# Needs:      cargo with Rust 1.88.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "perf-map"
version = "0.0.0"
edition = "2024"

[dependencies]
blazesym = "=0.2.7"
memmap2 = "=0.9.9"
TOML
cat >"$folder/src/main.rs" <<'RUST'
use blazesym::{
    Pid,
    symbolize::{Input, Symbolizer, source::{Process, Source}},
};

fn main() {
    let pid = std::process::id();
    let map = format!("/tmp/perf-{pid}.map");
    let code = memmap2::MmapMut::map_anon(4096).unwrap().make_exec().unwrap();
    let start = code.as_ptr() as u64;
    for (case, prefix) in [("without 0x", ""), ("with 0x", "0x")] {
        // As HotSpot writes it, but for the prefix in the first case.
        std::fs::write(&map, format!("{prefix}{start:016x} {prefix}{:016x} jitted\n", 256)).unwrap();
        let source = Source::Process(Process::new(Pid::from(pid)));
        let symbolizer = Symbolizer::new();
        match symbolizer.symbolize(&source, Input::AbsAddr(&[start + 16, main as *const () as u64])) {
            Ok(symbols) => {
                let names = symbols.iter().map(|symbol| symbol.as_sym().map_or("?", |found| &found.name));
                println!("{case}: {}", names.collect::<Vec<_>>().join(", "));
            }
            Err(error) => println!("{case}: {error:#}"),
        }
    }
    std::fs::remove_file(map).unwrap();
}
RUST
export CARGO_TARGET_DIR=$folder/target
cargo build --quiet --manifest-path "$folder/Cargo.toml" || exit 2

said=$("$folder/target/debug/perf-map")
echo "$said"
[[ $said == *"without 0x: jitted, perf_map::main"* ]]
[[ $said == *"with 0x: failed to parse perf map"*"malformed start address"* ]]
