//! Who a process is: its names, where it belongs, whether it has ended.

pub mod process;
pub mod unit;
