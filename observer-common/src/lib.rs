//! What both sides of the kernel border share: the identity of a process, the records that cross the ring buffer,
//! the values that stay in maps, the loss counters, and the kernel fields that each domain reads.
//!
//! Every type that crosses the border is `#[repr(C)]`, has no padding, and states its size in an assertion, so that a
//! change of layout is seen when it is compiled and not when a record is misread.
#![no_std]

pub mod disk;
pub mod field;
pub mod loss;
pub mod mem;
pub mod names;
pub mod net;
pub mod record;
pub mod task;
