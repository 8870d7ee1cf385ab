//! Scenes: short recordings of workloads that count their own truth, checked live and in replays.
//!
//! `tests/data/NAME.recording` is the recording of a scene, without the rest of its machine. `tests/data/NAME.json` is
//! the truth of its workloads. The live test of the scenes writes both again with `OBSERVER_KEEP_SCENES=1`, which is
//! needed only if a recording of an earlier version lacks a fact.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{Finished, Observer, TempDir};

mod disk;
mod mem;
mod net;
mod privacy;

pub use self::{disk::SCENE as DISK, mem::SCENE as MEM, net::SCENE as NET};

/// Every scene.
pub const SCENES: &[Scene] = &[MEM, DISK, NET];

/// One scene.
#[derive(Clone, Copy)]
pub struct Scene {
    pub name: &'static str,
    /// The arguments of observer.
    pub view: &'static [&'static str],
    /// Starts the workloads and, with `observe`, an observer after its first report. Runs them until the observer has
    /// seen everything, and ends it before them. Returns its result and the truth: the values for [`Scene::check`], and
    /// `pids`, the processes of the scene. `folder` is for files.
    pub play: fn(observe: &dyn Fn() -> Observer, folder: &Path) -> (Finished, Value),
    /// Compares every report with the truth.
    pub check: fn(reports: &[Value], truth: &Value),
}

impl Scene {
    /// Plays it on the running kernel, and checks that its recording replays to the truth and to the live output, byte
    /// for byte. Writes recording and truth to `tests/data` if requested.
    ///
    /// # Panics
    /// When a report differs from the truth.
    pub fn play(&self) {
        let folder = TempDir::new(self.name);
        let path = folder.file("recording");
        let file = path.to_str().expect("the name is ASCII");
        let live: &[&str] = &["--json", "--interval", "0.2", "--record", file];
        let observe = || {
            let mut observer = Observer::start(&[self.view, live].concat());
            observer.report();
            observer
        };
        let (finished, truth) = (self.play)(&observe, folder.path());
        let code = expected(&finished);
        assert_eq!(finished.code, Some(code), "{}: {}\n{:#?}", self.name, finished.stderr, finished.reports);
        let replayed = self.replay(&path, &truth, code);
        for (live, replayed) in finished.stdout.lines().zip(replayed.lines()) {
            assert_eq!(live, replayed, "{}", self.name);
        }
        assert_eq!(finished.stdout.len(), replayed.len(), "{}: as many reports", self.name);
        if std::env::var_os("OBSERVER_KEEP_SCENES").is_some() {
            fs::create_dir_all(data()).expect("tests/data can be made");
            let kept = data().join(self.name);
            privacy::copy(&path, &kept.with_extension("recording"), folder.path(), &truth);
            let text = format!("{truth:#}\n");
            fs::write(kept.with_extension("json"), text).expect("tests/data can be written");
        }
    }

    /// Replays the committed recording, and checks it.
    ///
    /// # Panics
    /// When it is missing, or differs from the truth.
    pub fn replay_kept(&self) {
        let kept = data().join(self.name);
        let truth = fs::read(kept.with_extension("json")).expect("the truth of the scene was kept");
        let truth = serde_json::from_slice(&truth).expect("the truth is JSON");
        self.replay(&kept.with_extension("recording"), &truth, 0);
    }

    fn replay(&self, recording: &Path, truth: &Value, code: i32) -> String {
        let file = recording.to_str().expect("the name is ASCII");
        let finished = Observer::run(&[&["replay", file], self.view, &["--json"]].concat());
        assert_eq!(finished.code, Some(code), "{}: {}", self.name, finished.stderr);
        (self.check)(&finished.reports, truth);
        finished.stdout
    }
}

/// Interrupts an observer, and returns its result.
fn end(observer: Observer) -> Finished {
    observer.interrupt();
    observer.finish()
}

/// The expected exit code. Events that the kernel skipped, because the program was already running on that CPU, change
/// it, even if the scene does not need them.
fn expected(finished: &Finished) -> i32 {
    let last = finished.stdout.lines().last().expect("there are reports");
    let last: Value = serde_json::from_str(last).expect("a report is JSON");
    if last["loss"]["skipped"] == 0 { 0 } else { 3 }
}

fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}
