//! The thread that unwinds faults and looks at memory. It ends when the reader does.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fs::File,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use observer_common::sites::PythonFrame;
use observer_core::facts::{
    Fact, TaskId,
    sites::{FaultFact, InterpretedFrame, ModuleFact, SitesFact},
};
use observer_symbols::{Mapping, ProcessFiles, Registers, Unwinder, build_id};

use super::{
    looks::{self, Content, Looks},
    python::Python,
};
use crate::decode::RawFault;

/// Processes that are unwound at once; the one that was met first is forgotten for another one.
const MOST: usize = 40;

/// The reader's end.
pub struct Sampler {
    faults: Sender<RawFault>,
    facts: Receiver<Fact>,
}

impl Sampler {
    /// Starts the thread.
    pub fn start(root: &Path, page_size: u64) -> Self {
        let ((faults, raw), (sender, facts)) = (channel(), channel());
        let mut work = Work {
            root: root.to_owned(),
            page_size,
            processes: HashMap::new(),
            order: VecDeque::new(),
            looks: Looks::default(),
            facts: sender,
        };
        // Without the thread there are no samples, and the report has no rows.
        let _ = thread::Builder::new().name("sampler".to_owned()).spawn(move || work.run(&raw));
        Self { faults, facts }
    }

    /// Hands over a fault.
    pub fn take(&self, fault: RawFault) {
        let _ = self.faults.send(fault);
    }

    /// Everything that has been found since the last call.
    pub fn facts(&self) -> impl Iterator<Item = Fact> {
        self.facts.try_iter()
    }
}

struct Work {
    root: PathBuf,
    page_size: u64,
    processes: HashMap<TaskId, Process>,
    order: VecDeque<TaskId>,
    looks: Looks,
    facts: Sender<Fact>,
}

struct Process {
    files: ProcessFiles,
    unwinder: Unwinder,
    /// `None` if it may not be read.
    memory: Option<File>,
    python: Option<Python>,
    /// Starts of the mappings that are known as facts.
    modules: BTreeSet<u64>,
    faults: u64,
}

impl Work {
    fn run(&mut self, raw: &Receiver<RawFault>) {
        loop {
            let wait = match self.looks.next() {
                Some(due) => Duration::from_nanos(due.saturating_sub(now())),
                None => Duration::from_secs(60),
            };
            match raw.recv_timeout(wait) {
                Ok(fault) => self.fault(&fault),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let processes = &self.processes;
            let found = self.looks.look(now(), |process, address| {
                let memory = processes.get(&process).and_then(|process| process.memory.as_ref());
                memory.map_or(Content::Unreadable, |memory| looks::read(memory, address))
            });
            for fact in found {
                let _ = self.facts.send(Fact::Sites(fact));
            }
        }
    }

    fn fault(&mut self, fault: &RawFault) {
        let head = &fault.head;
        let page_size = self.page_size;
        let process = self.process(head.id);
        let registers = Registers { ip: head.ip, sp: head.sp, bp: head.bp };
        let unwound = process.unwinder.unwind(registers, &fault.stack);
        // Memory of a file is no growth. Where nothing is known of an address, it is newer than what is known.
        if process.unwinder.mapping(head.address).is_some_and(Mapping::has_file) {
            return;
        }
        process.faults += 1;
        let number = process.faults;
        let mut facts = Vec::new();
        for address in &unwound.addresses {
            facts.extend(process.module(head.id, *address));
        }
        facts.push(SitesFact::Fault(Box::new(FaultFact {
            number,
            process: head.id,
            at: head.header.at,
            address: head.address,
            weight: u64::from(head.period).saturating_mul(page_size),
            path: unwound.addresses.into(),
            complete: unwound.complete,
            by_kernel: head.by_kernel != 0,
            interpreted: process.interpreted(&fault.python),
        })));
        self.looks.add(head.id, number, head.address, head.header.at);
        for fact in facts {
            let _ = self.facts.send(Fact::Sites(fact));
        }
    }

    fn process(&mut self, id: TaskId) -> &mut Process {
        if !self.processes.contains_key(&id) {
            if self.processes.len() >= MOST
                && let Some(first) = self.order.pop_front()
            {
                self.processes.remove(&first);
            }
            self.order.push_back(id);
        }
        let root = &self.root;
        self.processes.entry(id).or_insert_with(|| {
            let files = ProcessFiles::of(root, id.pid());
            let memory = File::open(root.join(format!("proc/{}/mem", id.pid()))).ok();
            Process {
                unwinder: Unwinder::new(files.clone()),
                files,
                python: memory.as_ref().and_then(|memory| Python::of(root, id.pid(), memory)),
                memory,
                modules: BTreeSet::new(),
                faults: 0,
            }
        })
    }
}

impl Process {
    /// The functions of frames of Python.
    fn interpreted(&mut self, frames: &[PythonFrame]) -> Box<[InterpretedFrame]> {
        match (&mut self.python, &self.memory) {
            (Some(python), Some(memory)) => python.frames(memory, frames),
            _ => Box::default(),
        }
    }

    /// The fact about the file at an address, if it is not known yet.
    fn module(&mut self, process: TaskId, address: u64) -> Option<SitesFact> {
        let mapping = self.unwinder.mapping(address)?;
        if mapping.path.is_empty() || !self.modules.insert(mapping.start) {
            return None;
        }
        let file = self.files.open(mapping).ok();
        Some(SitesFact::Module(Box::new(ModuleFact {
            process,
            start: mapping.start,
            end: mapping.end,
            offset: mapping.offset,
            path: mapping.path.as_slice().into(),
            build_id: file.and_then(|(file, _)| build_id(&file)).map(Into::into),
        })))
    }
}

/// Nanoseconds of the boot clock.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}
