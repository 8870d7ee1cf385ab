//! The identity of a process: its names, its unit and container, its end.

pub mod process;
pub mod unit;
