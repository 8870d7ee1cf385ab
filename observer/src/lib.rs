//! observer: who eats the memory, what fills the disk, who hogs the network.
//!
//! Data flows one way: `source` (with `kernel`) → `observation` → `domains` (by `engine`) → `report` → `render`. What a
//! report still lacks goes back as [`wants::HostQueries`], a plain value; only [`run`] sees both sides.

pub mod cli;
pub mod doctor;
pub mod domains;
pub mod run;
