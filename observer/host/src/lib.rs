//! What user space itself can read of the machine and several domains need: `/proc`, mounts, control groups, the
//! names of processes. Every reader takes the root of the file system as an argument, so that a test can use a
//! made-up one.
//!
//! ```
//! use std::path::Path;
//!
//! use observer_host::mounts::Mounts;
//!
//! let mounts = Mounts::of(Path::new("/proc/self")).expect("a process can read its own mounts");
//! let mount = mounts.at(b"/proc/self").expect("/proc is mounted");
//! assert_eq!(mount.fs, b"proc");
//! ```

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this crate reads the machine's own files"
)]

pub mod cgroup;
pub mod mounted;
pub mod mounts;
pub mod names;
pub mod netlink;
pub mod process;
pub mod text;
