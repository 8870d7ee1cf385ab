//! Types on both sides of the kernel boundary: the identity of a process, the records in the ring buffer, the values
//! of maps, the loss counters, and the kernel fields that each domain reads.
//!
//! Every type that crosses the boundary is `#[repr(C)]`, has no padding, and asserts its size, so that a change of
//! layout is a compile error and not a record that is misread.
#![no_std]

pub mod disk;
pub mod field;
pub mod loss;
pub mod mem;
pub mod names;
pub mod net;
pub mod record;
pub mod sites;
pub mod task;
