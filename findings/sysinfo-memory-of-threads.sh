#!/usr/bin/env bash
# sysinfo lists each thread as a process of its own, with the memory of the whole process.
#
# Versions:   sysinfo 0.40.4 on Linux.
# Expected:   System::processes(), refreshed by refresh_processes(All), has one entry for a process, and the sum of
#             memory() over the entries of one name is what the processes of that name hold.
# Seen:       A process with 7 more threads has 8 entries of one name, each with the full RSS: the sum is 8 times too
#             large. processes_by_name() has the same entries. Only thread_kind() distinguishes them: it is None for
#             the process.
# Output:     8 entries, sum 8.0 times the RSS, 1 without thread_kind
# Reason:     refresh_processes() includes tasks, and /proc/PID/task/TID/statm shows the memory map that they share.
# Documented: At ProcessRefreshKind ("tasks are considered processes on their own in linux"), not at processes(),
#             processes_by_name() or memory().
# Needs:      cargo with Rust 1.95.
#
# Exit: 0 as described, 1 different, 2 cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "many-threads"
version = "0.0.0"
edition = "2024"

[dependencies]
sysinfo = { version = "=0.40.4", default-features = false, features = ["system"] }
TOML
cat >"$folder/src/main.rs" <<'RUST'
use sysinfo::{Pid, ProcessesToUpdate, System};

fn main() {
    let memory = vec![1_u8; 64 << 20];
    for _ in 0..7 {
        std::thread::spawn(std::thread::park);
    }
    let mut system = System::new().unwrap();
    system.refresh_processes(ProcessesToUpdate::All, true);
    let own = system.process(Pid::from_u32(std::process::id())).unwrap();
    let same_name: Vec<_> = system.processes_by_name(own.name()).collect();
    let sum: u64 = same_name.iter().map(|process| process.memory()).sum();
    println!(
        "{} entries, sum {:.1} times the RSS, {} without thread_kind",
        same_name.len(),
        sum as f64 / own.memory() as f64,
        same_name.iter().filter(|process| process.thread_kind().is_none()).count()
    );
    std::hint::black_box(memory);
}
RUST
export CARGO_TARGET_DIR=$folder/target
cargo build --quiet --manifest-path "$folder/Cargo.toml" || exit 2

said=$("$folder/target/debug/many-threads")
echo "$said"
[[ $said == "8 entries, sum 8.0 times the RSS, 1 without thread_kind" ]]
