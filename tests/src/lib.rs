//! Shared code of the tests: running observer, starting workloads that count their own truth, reading reports.
//!
//! No test sleeps. It waits for a line of its workload, or for a report that satisfies a condition, and fails after
//! [`deadline`], which is far above the time of a good run.

use std::{net::UdpSocket, path::PathBuf, time::Duration};

pub mod attached;
pub mod emulation;
pub mod observer;
pub mod place;
pub mod report;
pub mod reset;
pub mod scene;
pub mod tool;
pub mod workload;

mod child;

pub use observer::{Finished, Observer};
pub use place::TempDir;
pub use report::{note, number, row_of, rows};
pub use workload::Workload;

/// How long a test waits for an expected event; longer on an emulated machine.
#[must_use]
pub fn deadline() -> Duration {
    let emulated = std::env::var_os("OBSERVER_GUEST").is_some();
    Duration::from_secs(if emulated { 180 } else { 60 })
}

/// The binary under test.
#[must_use]
pub fn observer_path() -> PathBuf {
    binary("observer")
}

/// The binary of the workloads.
#[must_use]
pub fn workload_path() -> PathBuf {
    binary("workload")
}

/// Fails a test that runs without root, because a live test must not pass without running.
///
/// # Panics
/// Without root.
pub fn require_root() {
    // SAFETY: geteuid has no arguments and cannot fail.
    let user = unsafe { libc::geteuid() };
    assert!(user == 0, "live tests need root: `cargo xtask test` as root, or `--no-root` to leave them out");
}

/// A UDP socket. While it is open, observer keeps its on-demand hooks attached, so that datagrams of other processes do
/// not pass unseen, which would change the exit code.
///
/// # Panics
/// Without a loopback address.
#[must_use]
pub fn keep_datagrams_watched() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").expect("a socket on the loopback address")
}

/// A binary of this workspace, next to the folder of the running test.
fn binary(name: &str) -> PathBuf {
    let path = place::profile_folder().join(name);
    assert!(path.is_file(), "{} is missing: build it first with `cargo build --bins`", path.display());
    path
}
