//! Live tests, as root on the running kernel: the reports of observer are compared with workloads that count their own
//! truth.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod capacity;
mod datagrams;
mod disk;
mod failed_connections;
mod fullness;
mod growth;
mod holder_kinds;
mod holders;
mod hostile;
mod leak;
mod limits;
mod links;
mod long_scans;
mod mem;
mod mem_groups;
mod mem_heaps;
mod mem_kinds;
mod mem_machine;
mod mem_objects;
mod mem_sums;
mod net;
mod owners;
mod pinned;
mod problems;
mod queues;
mod recent;
mod recording;
mod runtimes;
mod scenes;
mod short_writers;
mod sites;
mod turns;
mod walk;
mod write_paths;
