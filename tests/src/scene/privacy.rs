//! Removes private data from a recording: other processes, their files, and the layout of this machine.

use std::{collections::HashSet, path::Path};

use observer_core::facts::{Fact, StreamItem, disk::DiskFact, mem::MemFact, process::ProcessFact};
use observer_sources::{record::Recorder, replay::Replay};
use serde_json::Value;

use crate::place;

/// Copies the recording of a scene that was played in `folder`; `truth` names its processes.
pub fn copy(from: &Path, to: &Path, folder: &Path, truth: &Value) {
    let pids: HashSet<u64> =
        truth["pids"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let items: Vec<StreamItem> =
        Replay::open(from).expect("it was just written").map(|item| item.expect("it is whole")).collect();
    let (ours, groups) = held(&items, &pids);
    let mut names = vec![
        (folder.to_string_lossy().into_owned(), "/scene"),
        (place::profile_folder().to_string_lossy().into_owned(), "/usr/bin"),
    ];
    for group in &groups {
        let path = String::from_utf8_lossy(group.strip_prefix(b"memory:").unwrap_or(group)).into_owned();
        if path != "/" {
            names.push((path, "/scene.slice/workload.service"));
        }
    }
    // The longest first: a folder may be within another.
    names.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
    let mut recorder = Recorder::create(to).expect("the recording can be written");
    for item in items {
        let mut fact = match item {
            StreamItem::Fact(fact) => fact,
            StreamItem::Tick(now) => {
                recorder.tick(now);
                continue;
            }
        };
        match &mut fact {
            Fact::Session(session) => {
                session.host = "scene".to_owned();
                session.kernel = "6.18".to_owned();
            }
            Fact::Mem(MemFact::Limit { cgroup, nearest }) => {
                if !groups.contains(cgroup) {
                    continue;
                }
                // A limit of a parent group would show the layout of this machine.
                if nearest.as_ref().is_some_and(|nearest| !cgroup.ends_with(&nearest.group)) {
                    *nearest = None;
                }
            }
            Fact::Disk(DiskFact::Mounts(mounts)) => {
                mounts.retain(|mount| ours.iter().any(|inode| inode["dev"] == mount.dev));
                mounts.retain(|mount| mount.root == b"/" && mount.point == b"/");
            }
            _ => {}
        }
        let mut fact = serde_json::to_value(fact).expect("facts are plain data");
        if of_others(&fact, &pids, &ours) {
            continue;
        }
        names.iter().for_each(|(from, to)| rename(&mut fact, from, to));
        recorder.push(&serde_json::from_value(fact).expect("facts are plain data"));
    }
    recorder.finish().expect("the recording can be written");
}

/// The inodes that the processes hold, and the control groups that they are in.
fn held(items: &[StreamItem], pids: &HashSet<u64>) -> (Vec<Value>, HashSet<Vec<u8>>) {
    let mut inodes = Vec::new();
    let mut groups = HashSet::new();
    for item in items {
        let StreamItem::Fact(fact) = item else { continue };
        match fact {
            Fact::Disk(DiskFact::Holder { inode, id, .. }) if pids.contains(&id.tgid) => {
                inodes.push(serde_json::to_value(inode).expect("an inode is two numbers"));
            }
            Fact::Mem(MemFact::Place { id, cgroup }) if pids.contains(&id.tgid) => {
                groups.insert(cgroup.clone());
            }
            Fact::Process(ProcessFact::Named { id, cgroup: Some(cgroup), .. }) if pids.contains(&id.tgid) => {
                groups.insert(cgroup.clone());
            }
            _ => {}
        }
    }
    (inodes, groups)
}

/// Whether a fact contains another process, or an inode that no process of the scene holds.
fn of_others(fact: &Value, pids: &HashSet<u64>, ours: &[Value]) -> bool {
    match fact {
        Value::Object(members) => members.iter().any(|(name, value)| {
            (name == "tgid" && value.as_u64().is_some_and(|pid| pid > 0 && !pids.contains(&pid)))
                || (name == "inode" && value.is_object() && !ours.contains(value))
                || of_others(value, pids, ours)
        }),
        Value::Array(values) => values.iter().any(|value| of_others(value, pids, ours)),
        _ => false,
    }
}

/// Replaces a path in every text and in every array of bytes.
fn rename(fact: &mut Value, from: &str, to: &str) {
    match fact {
        Value::String(text) => *text = text.replace(from, to),
        Value::Object(members) => members.values_mut().for_each(|value| rename(value, from, to)),
        Value::Array(values) => {
            let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
            let bytes: Option<Vec<u8>> = values.iter().map(byte).collect();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            match text.filter(|text| text.contains(from)) {
                Some(text) => *values = text.replace(from, to).bytes().map(Value::from).collect(),
                None => values.iter_mut().for_each(|value| rename(value, from, to)),
            }
        }
        _ => {}
    }
}
