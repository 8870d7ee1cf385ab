//! Cuts a recording of a whole machine to the processes of the corpus, without anything else of the machine.
//!
//! A process gets the name of its run, so a cut recording describes itself, and replays like any other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context as _, Result, anyhow};
use observer_core::facts::{
    Fact, StreamItem, TaskId, mem::MemFact, process::ProcessFact, session::SessionFact,
};
use observer_sources::{record::Recorder, replay::Replay};

/// Copies the facts about the processes in `names` (name of the run, process id) from `from` to `to`.
pub fn cut(from: &Path, names: &BTreeMap<String, u32>, to: &Path) -> Result<u64> {
    let by_pid: BTreeMap<u32, &String> = names.iter().map(|(name, pid)| (*pid, name)).collect();
    let named = |id: &TaskId| by_pid.get(&id.pid()).copied();
    let mut recorder = Recorder::create(to).map_err(|error| anyhow!("{}: {error}", to.display()))?;
    let mut met = BTreeSet::new();
    for fact in Replay::open(from).map_err(|error| anyhow!("{}: {error}", from.display()))? {
        let fact = match fact {
            Ok(StreamItem::Fact(fact)) => fact,
            Ok(StreamItem::Tick(now)) => {
                recorder.tick(now);
                continue;
            }
            Err(error) if error.is_loss() => continue,
            Err(error) => return Err(anyhow!("{}: {error}", from.display())),
        };
        let kept = match fact {
            Fact::Session(session) => Fact::Session(Box::new(anonymous(*session))),
            Fact::Mem(MemFact::Machine(_)) => fact,
            Fact::Mem(
                MemFact::Counters { id, .. }
                | MemFact::Gone { id }
                | MemFact::Totals { id, .. }
                | MemFact::Exact { id, .. },
            ) => {
                let Some(name) = named(&id) else { continue };
                if met.insert(id) {
                    let comm = name.as_bytes().into();
                    recorder.push(&Fact::Process(ProcessFact::Met {
                        id,
                        comm,
                        uid: 0,
                        kernel_thread: false,
                    }));
                    recorder.push(&Fact::Process(ProcessFact::Named {
                        id,
                        exe: None,
                        cgroup: None,
                        cmdline: None,
                    }));
                }
                fact
            }
            Fact::Process(ProcessFact::Ended { id, .. }) if met.contains(&id) => fact,
            _ => continue,
        };
        recorder.push(&kept);
    }
    recorder.finish().map_err(|error| anyhow!("{error}")).with_context(|| to.display().to_string())
}

/// The session without data about the machine.
fn anonymous(session: SessionFact) -> SessionFact {
    let kernel = session.kernel.split('-').next().unwrap_or_default().to_owned();
    SessionFact {
        host: "corpus".to_owned(),
        kernel,
        observer: 0,
        missing: Vec::new(),
        limitations: Vec::new(),
        ..session
    }
}
