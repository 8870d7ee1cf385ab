//! Scenes: short recordings of workloads that know their own truth, checked live, and again wherever they are replayed.
//!
//! `tests/data/NAME.recording` is what was observed of a scene, without the rest of the machine it was played on, and
//! `tests/data/NAME.json` the truth that its workloads told. Both are made anew by the live test of the scenes with
//! `OBSERVER_KEEP_SCENES=1`; needed only where a recording of an earlier version can no longer say what is asked.

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
    /// The command that shows it.
    pub view: &'static [&'static str],
    /// Starts the workloads and, with the function given, an observer that has reported once; lets them work until
    /// the observer has seen it all, and ends it before them. Returns what it left, and the truth: what [`Scene::check`]
    /// needs, and `pids`, the processes that took part. The folder is for files.
    pub play: fn(observe: &dyn Fn() -> Observer, folder: &Path) -> (Finished, Value),
    /// Compares every report with the truth.
    pub check: fn(reports: &[Value], truth: &Value),
}

impl Scene {
    /// Plays it on the running kernel, checks that its recording replays to the truth and to what was said live, byte
    /// for byte, and keeps recording and truth where that is asked for.
    ///
    /// # Panics
    /// When what was observed is not the truth.
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

    /// Replays the recording that was kept, and checks it.
    ///
    /// # Panics
    /// When it is not there, or not the truth.
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

/// What an observer leaves that is interrupted.
fn end(observer: Observer) -> Finished {
    observer.interrupt();
    observer.finish()
}

/// The exit code of what was played. Of what the kernel skipped, because the program was running on that CPU already, the
/// scene may need nothing; it is counted, and in the exit code.
fn expected(finished: &Finished) -> i32 {
    let last = finished.stdout.lines().last().expect("there are reports");
    let last: Value = serde_json::from_str(last).expect("a report is JSON");
    if last["loss"]["skipped"] == 0 { 0 } else { 3 }
}

fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}
