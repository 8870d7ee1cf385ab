//! Scenes: short recordings of workloads that know their own truth, checked live, and again wherever they are replayed.
//!
//! `tests/data/NAME.recording` is what was observed of a scene, without the rest of the machine it was played on, and
//! `tests/data/NAME.json` the truth that its workloads told. Both are made anew by the live test of the scenes with
//! `OBSERVER_KEEP_SCENES=1`; needed only where a recording of an earlier version can no longer say what is asked.

use std::{fs, path::Path};

use observer::{
    observation::Observation,
    source::{record::Recorder, replay::Replay},
};
use serde_json::Value;

use crate::{Observer, TempDir, place};

/// One scene.
#[derive(Clone, Copy)]
pub struct Scene {
    pub name: &'static str,
    /// The command that shows it.
    pub view: &'static [&'static str],
    /// Starts the workloads, lets them work while the observer looks on, and returns the truth: what [`Scene::check`]
    /// needs, and `pids`, the processes that took part. The folder is for files that must go with the scene.
    pub play: fn(observer: &mut Observer, folder: &Path) -> Value,
    /// Compares every report with the truth.
    pub check: fn(reports: &[Value], truth: &Value),
}

impl Scene {
    /// Plays it on the running kernel, checks the replay of its recording, and keeps both where that is asked for.
    ///
    /// # Panics
    /// When what was observed is not the truth.
    pub fn play(&self) {
        let folder = TempDir::new(self.name);
        let path = folder.file("recording");
        let file = path.to_str().expect("the name is ASCII");
        let live: &[&str] = &["--json", "--interval", "0.2", "--record", file];
        let mut observer = Observer::start(&[self.view, live].concat());
        observer.report();
        let truth = (self.play)(&mut observer, folder.path());
        observer.interrupt();
        let finished = observer.finish();
        assert_eq!(finished.code, Some(0), "{}: {}", self.name, finished.stderr);
        self.replay(&path, &truth);
        if std::env::var_os("OBSERVER_KEEP_SCENES").is_some() {
            let kept = data().join(self.name);
            keep(&path, &kept.with_extension("recording"), folder.path(), &truth);
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
        self.replay(&kept.with_extension("recording"), &truth);
    }

    fn replay(&self, recording: &Path, truth: &Value) {
        let file = recording.to_str().expect("the name is ASCII");
        let finished = Observer::run(&[&["replay", file], self.view, &["--json"]].concat());
        assert_eq!(finished.code, Some(0), "{}: {}", self.name, finished.stderr);
        (self.check)(&finished.reports, truth);
    }
}

fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

/// Copies a recording without what is nobody's business: other processes, and where this machine keeps its files.
fn keep(from: &Path, to: &Path, folder: &Path, truth: &Value) {
    let pids: Vec<u64> = truth["pids"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let target = place::profile_folder();
    let private = [(folder, "/scene"), (target.as_path(), "/usr/bin")];
    // A recording is not overwritten by anything else, but by another recording.
    let mut recorder = Recorder::create(to).expect("the recording can be written");
    for fact in Replay::open(from).expect("it was just written") {
        let mut fact =
            serde_json::to_value(fact.expect("it was just written")).expect("facts are plain data");
        if of_others(&fact, &pids) {
            continue;
        }
        for (path, public) in private {
            rename(&mut fact, &path.to_string_lossy(), public);
        }
        let mut fact: Observation = serde_json::from_value(fact).expect("facts are plain data");
        if let Observation::Session(session) = &mut fact {
            session.host = "scene".to_owned();
            session.kernel = "6.18".to_owned();
        }
        recorder.push(&fact);
    }
    recorder.finish().expect("the recording can be written");
}

/// Whether a fact names a process that took no part.
fn of_others(fact: &Value, pids: &[u64]) -> bool {
    match fact {
        Value::Object(members) => members.iter().any(|(name, value)| {
            (name == "tgid" && value.as_u64().is_some_and(|pid| pid > 0 && !pids.contains(&pid)))
                || of_others(value, pids)
        }),
        Value::Array(values) => values.iter().any(|value| of_others(value, pids)),
        _ => false,
    }
}

/// Replaces a path in every text and in every array of bytes.
fn rename(fact: &mut Value, from: &str, to: &str) {
    match fact {
        Value::String(text) => *text = text.replace(from, to),
        Value::Object(members) => members.values_mut().for_each(|value| rename(value, from, to)),
        Value::Array(values) => {
            let bytes: Option<Vec<u8>> =
                values.iter().map(|value| value.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            match text.filter(|text| text.contains(from)) {
                Some(text) => *values = text.replace(from, to).bytes().map(Value::from).collect(),
                None => values.iter_mut().for_each(|value| rename(value, from, to)),
            }
        }
        _ => {}
    }
}
