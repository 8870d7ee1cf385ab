//! What user space itself can read of the machine, as far as several domains need it: `/proc`, mounts, control groups, the
//! names of processes. Every reader takes the root of its filesystem as an argument, so that a test can give it a made-up one.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what is asked of the machine beside its kernel's programs is asked here"
)]

pub mod cgroup;
pub mod mounted;
pub mod mounts;
pub mod names;
pub mod process;
pub mod text;
