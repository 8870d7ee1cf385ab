//! Shared by the tests: running observer, starting workloads that count their own truth, reading reports.
//!
//! Nothing here waits for a time to pass: a test waits for a line of its workload, or for a report that satisfies a
//! condition, and gives up after [`deadline`], which no sound run comes near.

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

/// How long a test waits for something that must come; an emulated machine is slower by far.
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

/// Fails a test that needs root and does not have it: a live test that passes without having looked is worth nothing.
///
/// # Panics
/// Without root.
pub fn require_root() {
    // SAFETY: geteuid has no arguments and cannot fail.
    let user = unsafe { libc::geteuid() };
    assert!(user == 0, "live tests need root: `cargo xtask test` as root, or `--no-root` to leave them out");
}

/// A socket for datagrams: while it is open, observer looks at who sends and receives some, so that none that others on
/// the machine move go by unseen, which would be in the exit code.
///
/// # Panics
/// Without a loopback address.
#[must_use]
pub fn keep_datagrams_watched() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").expect("a socket on the loopback address")
}

/// A binary of this workspace, beside the folder of the test that is running.
fn binary(name: &str) -> PathBuf {
    let path = place::profile_folder().join(name);
    assert!(path.is_file(), "{} is missing: build it first with `cargo build --bins`", path.display());
    path
}
