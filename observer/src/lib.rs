//! observer: who eats the memory, what fills the disk, who hogs the network.
//!
//! Data flows in one direction: `source` (with `kernel`) → `observation` → `domains` (by `engine`) → `report` →
//! `render`. What a report still lacks goes back as [`queries::HostQueries`], a plain value; only [`run`] uses both ends.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the program: what the pure crates are given is got here"
)]

pub mod cli;
pub mod doctor;
pub mod domains;
pub mod run;
