//! Heaps of managed runtimes, read by a thread of its own.
//!
//! A page of another process can be backed by a file system or a `userfaultfd` that never answers. The thread then waits
//! for as long as that process lives, and no other thread waits for it. Answers arrive with a later report.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel},
    thread,
    time::{Duration, Instant},
};

use super::processor_time;
use observer_core::facts::{
    Fact, TaskId,
    mem::{MemFact, RuntimeHeap},
};
use observer_host::process::Clock;
use observer_runtimes::{Basis, Finder, Heap, Kind, Reason, Runtime};

/// The pause before the next reading of a heap, as a multiple of the processor time of the last one.
const PAUSE: u32 = 400;
/// This many processes without runtime are known at most; then all that are not requested are forgotten.
const MOST_KNOWN: usize = 4096;
/// A process without runtime may load one while it is younger than this.
const YOUNG: Duration = Duration::from_secs(60);
/// The pause before the next search in a young process, and the one after an error.
const SOON: Duration = Duration::from_secs(2);
const LATER: Duration = Duration::from_secs(30);

/// The thread, as the reader sees it.
#[derive(Debug, Default)]
pub(super) struct Runtimes {
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    requests: SyncSender<Vec<TaskId>>,
    results: Receiver<(TaskId, Option<RuntimeHeap>)>,
}

impl Runtimes {
    /// Requests the heaps of `processes`. If the thread is still busy with an earlier request, this one is dropped.
    pub(super) fn request(&mut self, root: &Path, clock: Clock, processes: &BTreeSet<TaskId>) {
        if processes.is_empty() {
            return;
        }
        if self.thread.is_none() {
            self.thread = start(root, clock);
        }
        let Some(thread) = &self.thread else { return };
        if let Err(TrySendError::Disconnected(_)) =
            thread.requests.try_send(processes.iter().copied().collect())
        {
            self.thread = None;
        }
    }

    /// Adds the heaps that the thread has read since the last call.
    pub(super) fn take(&self, out: &mut Vec<Fact>) {
        let results = self.thread.iter().flat_map(|thread| thread.results.try_iter());
        out.extend(
            results.map(|(id, heap)| Fact::Mem(MemFact::RuntimeHeap { id, heap: heap.map(Box::new) })),
        );
    }
}

fn start(root: &Path, clock: Clock) -> Option<Thread> {
    let (requests, requested) = sync_channel(1);
    let (found, results) = channel();
    let readings = Readings {
        root: root.to_owned(),
        clock,
        finder: Finder::new(root.to_owned()),
        known: HashMap::new(),
    };
    let name = "heaps".to_owned();
    thread::Builder::new().name(name).spawn(move || readings.run(&requested, &found)).ok()?;
    Some(Thread { requests, results })
}

/// The state of the thread.
struct Readings {
    root: PathBuf,
    clock: Clock,
    finder: Finder,
    known: HashMap<TaskId, Known>,
}

/// What is known of a process.
struct Known {
    /// Device and inode of its executable.
    executable: (u64, u64),
    runtime: Option<Runtime>,
    /// The next reading; the next search if there is no runtime. `None`: never.
    due: Option<Instant>,
    /// Whether a heap was reported.
    reported: bool,
}

impl Readings {
    fn run(mut self, requested: &Receiver<Vec<TaskId>>, found: &Sender<(TaskId, Option<RuntimeHeap>)>) {
        while let Ok(processes) = requested.recv() {
            // An open runtime takes a descriptor. Processes without one stay known: to search them again is slow.
            let many = self.known.len() > MOST_KNOWN;
            let requested = |id: &TaskId| processes.binary_search(id).is_ok();
            self.known.retain(|id, known| requested(id) || (known.runtime.is_none() && !many));
            for id in processes {
                if let Some(heap) = self.read(id)
                    && found.send((id, heap)).is_err()
                {
                    return;
                }
            }
        }
    }

    /// Reads one process. `None` if there is nothing to report; the inner `None` if it has a runtime no longer.
    fn read(&mut self, id: TaskId) -> Option<Option<RuntimeHeap>> {
        let folder = self.root.join("proc").join(id.pid().to_string());
        // A process whose main thread has ended has no `exe`.
        let executable = fs::metadata(folder.join("exe")).map_or((0, 0), |file| (file.dev(), file.ino()));
        let known = self.known.get(&id).filter(|known| known.executable == executable);
        let reported = self.known.get(&id).is_some_and(|known| known.reported);
        if known.is_some_and(|known| known.due.is_none_or(|due| Instant::now() < due)) {
            return None;
        }
        if known.is_none_or(|known| known.runtime.is_none()) {
            let found = self.finder.find(id.pid());
            if !self.clock.is(&folder, id) {
                return None;
            }
            let young = self.clock.age(id) < YOUNG;
            let due = match &found {
                Ok(Some(_)) => Some(Instant::now()),
                Ok(None) => young.then(|| Instant::now() + SOON),
                Err(_) => Some(Instant::now() + LATER),
            };
            let runtime = found.ok().flatten();
            self.known.insert(id, Known { executable, runtime, due, reported });
        }
        let known = self.known.get_mut(&id)?;
        let Some(runtime) = &known.runtime else {
            return std::mem::take(&mut known.reported).then_some(None);
        };
        let began = processor_time();
        let heap = runtime.heap();
        let took = Duration::from_nanos(processor_time().saturating_sub(began));
        known.due = Some(Instant::now() + took * PAUSE);
        let heap = match heap {
            Err(Reason::Ended) => {
                self.known.remove(&id);
                return None;
            }
            Err(reason) => {
                // A JVM creates its counters a while after its start.
                let heap = RuntimeHeap {
                    runtime: name(runtime),
                    reason: Some(reason.to_string()),
                    ..RuntimeHeap::default()
                };
                let pause = if self.clock.age(id) < YOUNG { SOON } else { LATER };
                (known.runtime, known.due) = (None, Some(Instant::now() + pause));
                heap
            }
            Ok(heap) => reading(runtime, heap),
        };
        known.reported = true;
        Some(Some(heap))
    }
}

/// The runtime with its version.
fn name(runtime: &Runtime) -> String {
    let kind = match runtime.kind() {
        Kind::HotSpot => "HotSpot",
        Kind::Go => "Go",
        Kind::CPython => "CPython",
    };
    runtime.version().map_or_else(|| kind.to_owned(), |version| format!("{kind} {version}"))
}

fn reading(runtime: &Runtime, heap: Heap) -> RuntimeHeap {
    let (live, reason) = match heap.live {
        Ok(bytes) => (Some(bytes), None),
        Err(reason) => (None, Some(reason.to_string())),
    };
    RuntimeHeap {
        runtime: name(runtime),
        live,
        reason,
        garbage: heap.basis == Basis::YoungGeneration,
        in_use: heap.basis == Basis::InUse,
        collections: heap.collections.ok(),
        full_collections: heap.full_collections.ok(),
        limit: heap.limit,
    }
}
