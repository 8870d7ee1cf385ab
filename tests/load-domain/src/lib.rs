//! A fourth domain, to show that one plugs in: how much processor time each process takes. It is not shipped.
//!
//! An iterator reads at each report how long each thread has run, as the scheduler counts it: `/proc/PID/stat` shows the
//! same, in clock ticks.
//!
//! Not visible: the processor time of a process that begins and ends between two reports; of a running thread, what it
//! ran since the last timer tick; the division between user and system, which the kernel only estimates. A thread that
//! ends during a scan can be missing from it until the next one.

#![cfg_attr(target_arch = "bpf", no_std)]

/// What both sides of the kernel boundary share.
pub mod ebpf {
    pub mod record;
}

#[cfg(not(target_arch = "bpf"))]
mod decode;
#[cfg(not(target_arch = "bpf"))]
mod domain;
#[cfg(not(target_arch = "bpf"))]
mod report;
#[cfg(not(target_arch = "bpf"))]
mod state;
#[cfg(not(target_arch = "bpf"))]
mod time;

#[cfg(not(target_arch = "bpf"))]
pub use domain::{LOAD, Load};
