//! observer: who eats the memory, what fills the disk, who hogs the network.
//!
//! Data flows one way: `source` (with `kernel`) → `observation` → `domains` (by `engine`) → `report` → `render`. What a
//! report still lacks goes back as [`wants::Wants`], a plain value; only [`run`] sees both sides.

pub mod cli;
pub mod doctor;
pub mod domains;
pub mod engine;
pub mod error;
pub mod hook;
pub mod identity;
pub mod kernel;
pub mod observation;
pub mod render;
pub mod report;
pub mod run;
pub mod source;
pub mod text;
pub mod trend;
pub mod units;
pub mod view;
pub mod wants;
