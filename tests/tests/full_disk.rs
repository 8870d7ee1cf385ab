//! A recording on a full disk. It has its own test binary, because it limits the file size of the whole process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use observer_core::facts::{Fact, StreamItem, session::Timestamp};
use observer_sources::{
    record::Recorder,
    replay::{Replay, ReplayError},
};
use observer_tests::TempDir;

fn due(second: u64) -> Timestamp {
    // A wall clock that does not compress, so that the file grows.
    Timestamp { boot: second * 1_000_000_000, wall: second.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
}

#[test]
fn a_full_disk_ends_the_recording_with_an_error() {
    let folder = TempDir::new("recording");
    let path = folder.file("r");
    let mut recorder = Recorder::create(&path).unwrap();
    let session = Fact::Session(Box::default());
    recorder.push(&session);
    recorder.tick(due(1));
    let whole = fs::metadata(&path).unwrap().len();
    // A limit on file size acts like a full disk: both fail a write in its middle.
    let before = limit_file_size(whole + 100);
    (2..2000).for_each(|second| recorder.tick(due(second)));
    limit_file_size(before);
    assert!(recorder.failure().is_some());
    let error = recorder.finish().unwrap_err().to_string();
    assert!(error.contains(&format!("first {whole} bytes")), "{error}");
    let replayed: Vec<_> = Replay::open(&path).unwrap().collect();
    let [Ok(first), Ok(second), Err(ReplayError::Truncated { .. })] = &replayed[..] else {
        panic!("{replayed:?}");
    };
    assert_eq!(
        [first, second],
        [&session.into(), &StreamItem::Tick(due(1))],
        "what was whole before is whole after"
    );
}

/// Sets the file size limit of this process and returns the old one. The signal is ignored, so that a write fails.
fn limit_file_size(bytes: u64) -> u64 {
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid limit, and a signal that is ignored runs no handler.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut before);
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: before.rlim_max };
        libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit);
    }
    before.rlim_cur
}
