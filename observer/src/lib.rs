//! observer: which processes take the memory, fill the disk and use the network.
//!
//! Data flows in one direction: `source` (with `kernel`) → `observation` → `domains` (by `engine`) → `report` →
//! `render`. What a report still lacks goes back as [`queries::HostQueries`], a plain value; only [`run`] uses both ends.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the program reads the clock, files and environment for the pure crates"
)]

pub mod cli;
pub mod config;
pub mod doctor;
pub mod domains;
pub mod run;
