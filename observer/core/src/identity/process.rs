//! What is known of each process, by its identity: its names, its unit and container, its end.
//!
//! An ended process stays known until the report of its end has been delivered. An exec is noticed by its other
//! `comm`; an exec into a program with the same `comm` is not, and the executable read before it stays.

use hashbrown::HashMap;

use super::unit;
use crate::{
    facts::{
        TaskId,
        process::{Comm, ProcessFact},
    },
    text::printable,
};

/// Every process of which a fact has arrived.
#[derive(Debug, Default)]
pub struct Processes {
    known: HashMap<TaskId, Process>,
    /// The latest process of each process id.
    latest: HashMap<u32, TaskId>,
    names_lost: u64,
    /// Whether one of them may have ended.
    ending: bool,
}

/// What is known of one process. Bytes are as the kernel gave them; outputs pass them through `text::printable`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Empty while `uid` is `None`: the kernel side has not reported it yet.
    pub comm: Comm,
    pub uid: Option<u32>,
    pub kernel_thread: bool,
    pub names: NamesState,
    /// When it ended, nanoseconds of the boot clock.
    pub ended: Option<u64>,
}

/// The state of the names that only `/proc` has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamesState {
    /// Not queried yet, or outdated by an exec.
    #[default]
    Unread,
    /// The process ended before they were read.
    Gone,
    /// Boxed, because most processes are never shown and never queried.
    Read(Box<ReadNames>),
}

/// The names in `/proc`; a `None` is missing there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadNames {
    pub exe: Option<Vec<u8>>,
    pub unit: Option<Vec<u8>>,
    pub container: Option<Vec<u8>>,
    pub cgroup: Option<Vec<u8>>,
    pub cmdline: Option<Vec<u8>>,
}

impl Process {
    /// The kernel's name of the program, printable; `None` while it is not known.
    pub fn comm(&self) -> Option<String> {
        self.uid.map(|_| printable(&self.comm))
    }

    /// `comm` as humans know it, a kernel thread's in brackets; `None` while it is not known.
    pub fn command(&self) -> Option<String> {
        let comm = self.comm()?;
        Some(if self.kernel_thread { format!("[{comm}]") } else { comm })
    }

    /// The names in `/proc`, once they were read.
    pub fn read_names(&self) -> Option<&ReadNames> {
        if let NamesState::Read(names) = &self.names { Some(names) } else { None }
    }
}

impl Processes {
    /// What is known of `id`.
    pub fn get(&self, id: TaskId) -> Option<&Process> {
        self.known.get(&id)
    }

    /// The latest process with the process id `pid`.
    pub fn latest(&self, pid: u32) -> Option<TaskId> {
        self.latest.get(&pid).copied()
    }

    /// Every process that is known, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (TaskId, &Process)> {
        self.known.iter().map(|(id, process)| (*id, process))
    }

    /// Whether the names of `id` have to be queried: never queried, or outdated by an exec.
    pub fn unread(&self, id: TaskId) -> bool {
        self.get(id).is_none_or(|process| process.names == NamesState::Unread)
    }

    /// Whether `id` is known to have ended.
    pub fn has_ended(&self, id: TaskId) -> bool {
        self.get(id).is_some_and(|process| process.ended.is_some())
    }

    /// The kernel's name of the program, printable; `None` while it is not known.
    pub fn comm(&self, id: TaskId) -> Option<String> {
        self.get(id)?.comm()
    }

    /// The systemd unit, printable.
    pub fn unit(&self, id: TaskId) -> Option<String> {
        self.get(id)?.read_names()?.unit.as_deref().map(printable)
    }

    /// The container's id or name, printable.
    pub fn container(&self, id: TaskId) -> Option<String> {
        self.get(id)?.read_names()?.container.as_deref().map(printable)
    }

    /// `PID COMMAND`, as humans name a process in a sentence or a list: `1204 legacyd`.
    pub fn label(&self, id: TaskId) -> String {
        match self.get(id).and_then(Process::command) {
            Some(command) => format!("{} {command}", id.pid()),
            None => id.pid().to_string(),
        }
    }

    /// The same with its systemd unit, if that is known: `1204 legacyd (legacy.service)`.
    pub fn introduced(&self, id: TaskId) -> String {
        match self.unit(id) {
            Some(unit) => format!("{} ({unit})", self.label(id)),
            None => self.label(id),
        }
    }

    /// Processes that ended before their names were read, since observation began.
    pub const fn names_lost(&self) -> u64 {
        self.names_lost
    }

    /// Applies a fact.
    pub fn apply(&mut self, fact: &ProcessFact) {
        let id = fact.id();
        self.supersede(id);
        let process = self.known.entry(id).or_default();
        match fact {
            ProcessFact::Met { comm, uid, kernel_thread, .. } => {
                // The names of an ended process cannot be read again, even if its `comm` changed at the end.
                if process.uid.is_some() && process.comm != *comm && process.names != NamesState::Gone {
                    process.names = NamesState::Unread;
                }
                process.comm.clone_from(comm);
                process.uid = Some(*uid);
                process.kernel_thread = *kernel_thread;
            }
            ProcessFact::Named { exe, cgroup, cmdline, .. } => {
                let membership = cgroup.as_deref().map(unit::membership).unwrap_or_default();
                process.names = NamesState::Read(Box::new(ReadNames {
                    exe: exe.clone(),
                    unit: membership.unit,
                    container: membership.container,
                    cgroup: cgroup.clone(),
                    cmdline: cmdline.clone(),
                }));
            }
            ProcessFact::Unnamed { .. } => {
                if process.names != NamesState::Gone {
                    process.names = NamesState::Gone;
                    self.names_lost += 1;
                }
            }
            ProcessFact::Ended { at, .. } => {
                process.ended = process.ended.or(Some(*at));
                self.ending = true;
            }
        }
    }

    /// Forgets processes that ended before `before` (nanoseconds of the boot clock) and are not `needed` by a row. To
    /// be called with the time of a report after that report was delivered.
    pub fn forget_ended(&mut self, before: u64, mut needed: impl FnMut(TaskId) -> bool) {
        // Usually none has ended, and the search is long.
        if !std::mem::take(&mut self.ending) {
            return;
        }
        let Self { latest, ending, .. } = self;
        self.known.retain(|id, process| {
            let Some(at) = process.ended else { return true };
            let keep = at >= before || needed(*id);
            *ending |= keep;
            if !keep && latest.get(&id.pid()) == Some(id) {
                latest.remove(&id.pid());
            }
            keep
        });
    }

    /// A process id is reused only after its process has ended, even if that end was not reported: it ended at the
    /// start of the next one at the latest.
    fn supersede(&mut self, id: TaskId) {
        let latest = self.latest.entry(id.pid()).or_insert(id);
        let (earlier, later) = if *latest < id { (*latest, id) } else { (id, *latest) };
        if earlier == later {
            return;
        }
        *latest = later;
        let process = self.known.entry(earlier).or_default();
        process.ended = process.ended.or(Some(later.start));
        self.ending = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TaskId = TaskId { start: 5, tgid: 42 };

    fn met(id: TaskId, comm: &str) -> ProcessFact {
        ProcessFact::Met { id, comm: comm.as_bytes().into(), uid: 1000, kernel_thread: false }
    }

    fn named(id: TaskId, exe: &str) -> ProcessFact {
        ProcessFact::Named {
            id,
            exe: Some(exe.into()),
            cgroup: Some(b"/system.slice/cron.service".to_vec()),
            cmdline: None,
        }
    }

    fn after(facts: &[ProcessFact]) -> Processes {
        let mut processes = Processes::default();
        for fact in facts {
            processes.apply(fact);
        }
        processes
    }

    #[test]
    fn names_are_read_once_and_again_after_an_exec() {
        let mut processes = after(&[met(ID, "sh")]);
        assert!(processes.unread(ID));
        processes.apply(&named(ID, "/bin/sh"));
        processes.apply(&met(ID, "sh"));
        assert!(!processes.unread(ID));
        processes.apply(&met(ID, "sleep"));
        assert!(processes.unread(ID));
        assert_eq!(processes.get(ID).unwrap().comm[..], *b"sleep");
    }

    #[test]
    fn the_first_fact_of_the_kernel_side_does_not_outdate_earlier_names() {
        let processes = after(&[named(ID, "/bin/sh"), met(ID, "sh")]);
        let NamesState::Read(names) = &processes.get(ID).unwrap().names else { panic!() };
        assert_eq!(names.exe.as_deref(), Some(&b"/bin/sh"[..]));
        assert_eq!(names.unit.as_deref(), Some(&b"cron.service"[..]));
    }

    #[test]
    fn each_process_without_names_is_lost_once() {
        let gone = ProcessFact::Unnamed { id: ID };
        let other = ProcessFact::Unnamed { id: TaskId { start: 6, tgid: 43 } };
        let processes = after(&[met(ID, "sh"), gone.clone(), met(ID, "sleep"), gone, other]);
        assert_eq!(processes.names_lost(), 2);
        assert!(!processes.unread(ID), "an ended process is not queried again");
    }

    #[test]
    fn an_ended_process_is_known_until_its_last_report_was_delivered() {
        let mut processes = after(&[met(ID, "sh"), ProcessFact::Ended { id: ID, at: 100 }]);
        processes.forget_ended(100, |_| false);
        assert_eq!(processes.get(ID).unwrap().ended, Some(100), "the report of 100 was made before it ended");
        processes.forget_ended(101, |id| id == ID);
        assert!(processes.get(ID).is_some(), "a row still shows it");
        processes.forget_ended(101, |_| false);
        assert!(processes.get(ID).is_none());
        assert_eq!(processes.latest(42), None);
    }

    #[test]
    fn a_late_fact_does_not_bring_an_ended_process_back_to_life() {
        let processes = after(&[met(ID, "sh"), ProcessFact::Ended { id: ID, at: 100 }, met(ID, "sh")]);
        assert_eq!(processes.get(ID).unwrap().ended, Some(100));
    }

    #[test]
    fn a_reused_process_id_is_another_process_and_ends_the_first() {
        let next = TaskId { start: 900, tgid: 42 };
        let mut processes = after(&[met(ID, "sh"), named(ID, "/bin/sh"), met(next, "sleep")]);
        assert_eq!(processes.get(ID).unwrap().comm[..], *b"sh");
        assert_eq!(processes.get(ID).unwrap().ended, Some(900));
        assert_eq!(processes.get(next).unwrap().comm[..], *b"sleep");
        assert!(processes.unread(next));
        assert_eq!(processes.latest(42), Some(next));
        processes.apply(&met(ID, "sh"));
        assert_eq!(processes.latest(42), Some(next), "a late fact about the first changes nothing");
        assert_eq!(processes.get(next).unwrap().ended, None);
    }
}
