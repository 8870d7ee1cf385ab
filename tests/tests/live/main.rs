//! Live tests, as root on the kernel that is running: workloads that know their own truth, and what observer says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod days;
mod disk;
mod growth;
mod holders;
mod leak;
mod limits;
mod mem;
mod mem_machine;
mod net;
mod patience;
mod recording;
mod room;
mod runtimes;
mod scenes;
mod walk;
mod ways;
mod young;
mod zoo;
