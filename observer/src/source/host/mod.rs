//! What user space itself can read of the machine: `/proc`, `/sys`, `statx`. Every reader takes the root of its file
//! system as an argument, so that a test can give it a made-up one.

pub mod disk;
pub mod mem;
pub mod names;
pub mod net;
