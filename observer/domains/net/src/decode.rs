//! Decodes the bytes of the net object to facts.
//!
//! A socket with several descriptors or holders is one fact. The scan of sockets without descriptor leaves out sockets
//! that have a descriptor.

use std::any::Any;

use hashbrown::{HashMap, HashSet};
use observer_common::{
    names::{CONTROL, MapName, ProgramName, net as names},
    net::{
        CONTROL_CHANGES_ONLY, CONTROL_WATCHED, ClosedRecord, ClosedTotals, EndedRecord, FailureKey,
        FailureRecord, Flow, FlowKey, FlowRecord, HeldRecord, KIND_CLOSED, KIND_ENDED, KIND_FAILURE,
        KIND_FLOW, KIND_LINGERS, KIND_OPENED, OpenedRecord, SOCKET_SEEN, SOCKET_SHARED_UNSEEN,
    },
    task::{TaskId, TaskRecord},
};

use partial_scan::PartialScan;

use observer_core::{
    bytes::{self, header, met, read, records},
    domain::{Decode, Decoded, Malformed, ScanPlan},
    facts::{
        Fact,
        net::{ClosedTotalsFact, Counters, FlowFact, FlowSlot, NetFact, SocketHandle},
        process::ProcessFact,
    },
    hook::HookKind,
};

mod failures;
mod meaning;
mod partial_scan;

/// The name of a record in errors.
const NAME: &str = "net record";
/// The entry of a flow is removed after this many scans that found no holder of its socket, and without announcement.
/// One scan may have been running while the last bytes were counted.
const IDLE_SCANS: u64 = 2;
/// The end of a reported process is remembered for this many scans after the last scan that found one of its sockets,
/// because the last bytes of its sockets are reported after its end.
const LINGERING_SCANS: u64 = 64;
/// Scans of descriptors between two scans of sockets without descriptor, while none of these is known to be in use.
const LOOK_EVERY: u64 = 5;
/// Bytes of one record of a scan.
const RECORD: usize = size_of::<HeldRecord>();

/// Decodes what the net object writes.
#[derive(Debug, Default)]
pub struct NetDecoder {
    /// Reported processes that have not ended.
    met: HashMap<TaskId, TaskRecord>,
    /// Ended processes, as long as they may have to be reported again.
    ended: HashMap<TaskId, End>,
    /// Entries of [`CLOSED`], with their last value and the number of scans before it was read.
    closed: HashMap<TaskId, (ClosedTotalsFact, u64)>,
    /// Entries of [`FLOWS`], with the number of scans before the last announcement of each.
    flows: HashMap<FlowSlot, u64>,
    scans: u64,
    /// Whether the last scan of sockets without descriptor found one that is in use or still sends, or a process has
    /// closed one with data to send since.
    hidden: bool,
    /// The number of scans before that scan.
    looked: u64,
    failures: failures::KnownFailures,
    partial_scan: PartialScan,
}

/// What the decoder knows of the programs of send and receive, for the reader of the kernel's own counts.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    /// Whether they are attached, and stay so; `None` if nothing is new.
    pub attached: Option<bool>,
    /// Processes that have opened a datagram socket while they were not, as their ids.
    pub opened: Vec<u32>,
}

/// What is left to the reader, created if necessary.
fn watching(left: &mut Option<Box<dyn Any>>) -> &mut Watching {
    let left = left.get_or_insert_with(|| Box::new(Watching::default()));
    left.downcast_mut().expect("the decoder leaves nothing else")
}

/// A process that has ended.
#[derive(Clone, Copy, Debug)]
struct End {
    /// Boot-clock nanoseconds.
    at: u64,
    /// The record that reported the process, if it was reported.
    reported: Option<TaskRecord>,
    /// The number of the last scan at which something of it was found.
    last_seen: u64,
}

impl Decode for NetDecoder {
    fn record(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        match header(NAME, bytes)?.kind {
            KIND_CLOSED => self.closed(&read(NAME, bytes)?, out),
            KIND_FLOW => self.announced(&read(NAME, bytes)?, out),
            KIND_ENDED => {
                let EndedRecord { header, task } = read(NAME, bytes)?;
                self.end(task, header.at, out);
            }
            KIND_FAILURE => {
                let record: FailureRecord = read(NAME, bytes)?;
                self.meet(&record.task, out);
                out.read.push((names::FAILED, bytes::key(&record.key)));
            }
            KIND_LINGERS => self.hidden = true,
            KIND_OPENED => {
                let OpenedRecord { tgid, .. } = read(NAME, bytes)?;
                out.watch = true;
                watching(&mut out.left).opened.push(tgid as u32);
            }
            kind => return Err(Malformed { text: format!("{NAME} of unknown kind {kind}") }),
        }
        Ok(())
    }

    fn scan_part(
        &mut self,
        program: ProgramName,
        bytes: &[u8],
        out: &mut Decoded,
    ) -> Result<usize, Malformed> {
        let whole = bytes.len() - bytes.len() % RECORD;
        self.take(program, &bytes[..whole], out)?;
        Ok(whole)
    }

    fn fresh(&mut self) -> &mut [SocketHandle] {
        self.partial_scan.fresh()
    }

    fn scan(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        if !matches!(program, names::SOCKET | names::TCP) {
            return Err(Malformed { text: format!("a scan of {program}, which is no iterator of net") });
        }
        let taken = self.take(program, bytes, out);
        let next = PartialScan::expecting(self.partial_scan.next_expected());
        let met = std::mem::replace(&mut self.partial_scan, next);
        taken?;
        for owner in &met.owners {
            self.find_owner(owner, out);
        }
        out.watch = met.uncounted || met.unowned;
        if program == names::SOCKET {
            self.scans += 1;
            // Only records of TCP connections contain the kernel's clock.
            let jiffies = (met.jiffies != 0).then_some(NetFact::Jiffies(met.jiffies));
            out.facts.extend(jiffies.map(Fact::Net));
            self.retire_flows(&met, out);
            let idle = self.failures.retire(self.scans);
            out.remove.extend(idle.map(|key| (names::FAILED, bytes::key(&key))));
            self.retire_processes(out);
        } else {
            self.hidden = met.hidden;
            self.looked = self.scans;
        }
        out.sockets = met.sockets;
        let shared = met.shared.into_iter().map(|(cookie, since)| NetFact::Shared { cookie, since });
        out.after_sockets = shared.map(Fact::Net).collect();
        Ok(())
    }

    fn entry(&mut self, map: MapName, key: &[u8], value: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        match map {
            names::FLOWS => self.flow(read(map.as_str(), key)?, &read(map.as_str(), value)?, out),
            names::CLOSED => {
                let totals: ClosedTotals = read(map.as_str(), value)?;
                self.totals_of(&totals, out);
                Ok(())
            }
            names::FAILED => {
                let key: FailureKey = read(map.as_str(), key)?;
                let fact = self.failures.read(key, &read(map.as_str(), value)?, self.scans);
                out.facts.extend(fact.map(Fact::Net));
                Ok(())
            }
            names::ENDED => {
                let id = read(map.as_str(), key)?;
                self.end(id, read(map.as_str(), value)?, out);
                out.remove.push((names::ENDED, bytes::key(&id)));
                Ok(())
            }
            _ => Err(Malformed { text: format!("an entry of a map called {map}") }),
        }
    }

    fn prepare(&mut self, kind: HookKind, plan: ScanPlan<'_>, out: &mut Decoded) {
        if kind != HookKind::Scan {
            return;
        }
        let entry =
            |place: u32, number: u32| (CONTROL, place.to_ne_bytes().to_vec(), number.to_ne_bytes().to_vec());
        out.write = vec![
            entry(CONTROL_WATCHED, plan.on_demand_attached.into()),
            entry(CONTROL_CHANGES_ONLY, (!plan.whole).into()),
        ];
        watching(&mut out.left).attached = Some(plan.on_demand_attached);
    }

    /// The kernel locks each socket for the second scan, so it costs as much as the first. It rarely finds more than
    /// sockets that are about to close.
    fn needs_scan(&self, kind: HookKind, program: ProgramName, plan: ScanPlan<'_>) -> bool {
        let hidden = plan.whole || self.hidden || self.scans >= self.looked + LOOK_EVERY;
        plan.usual(kind) && (program != names::TCP || hidden)
    }
}

impl NetDecoder {
    /// Takes whole records of a scan. Each socket becomes one fact, with all its holders.
    fn take(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        for record in records::<HeldRecord>(program.as_str(), bytes)? {
            self.meet(&record.holder, out);
            self.partial_scan.meet(&record);
        }
        Ok(())
    }

    /// Reports a process once, and again after an exec. If the process has ended, its end is also reported again: the
    /// engine may have removed the process at its end, and nothing else would end it.
    fn meet(&mut self, task: &TaskRecord, out: &mut Decoded) {
        if task.id.tgid == 0 {
            return;
        }
        if let Some(end) = self.ended.get_mut(&task.id) {
            let task = end.reported.get_or_insert(*task);
            end.last_seen = self.scans;
            out.facts.push(met(task));
            out.facts.push(Fact::Process(ProcessFact::Ended { id: task.id, at: end.at }));
        } else if self.met.insert(task.id, *task) != Some(*task) {
            out.facts.push(met(task));
        }
    }

    /// Reports a process under the name that it had at its first action, unless a newer record of it is known.
    fn introduce(&mut self, task: &TaskRecord, out: &mut Decoded) {
        if !self.met.contains_key(&task.id) {
            self.meet(task, out);
        }
    }

    /// A scan found a socket of the process: the same as [`Self::introduce`], unless the end of the process was
    /// reported.
    fn find_owner(&mut self, task: &TaskRecord, out: &mut Decoded) {
        match self.ended.get_mut(&task.id) {
            Some(end) if end.reported.is_some() => end.last_seen = self.scans,
            _ => self.introduce(task, out),
        }
    }

    /// A process has ended. Its end is reported if the process was reported.
    fn end(&mut self, id: TaskId, at: u64, out: &mut Decoded) {
        let reported = self.met.remove(&id);
        if reported.is_some() {
            out.facts.push(Fact::Process(ProcessFact::Ended { id, at }));
        }
        self.ended.entry(id).or_insert(End { at, reported, last_seen: self.scans });
    }

    fn closed(&mut self, record: &ClosedRecord, out: &mut Decoded) {
        self.introduce(&record.owner, out);
        if record.flags & (SOCKET_SHARED_UNSEEN | SOCKET_SEEN) == SOCKET_SHARED_UNSEEN {
            out.facts.push(Fact::Net(NetFact::SharedUnseen { cookie: record.cookie }));
        }
        out.facts.push(Fact::Net(NetFact::Closed(Box::new(meaning::closed(record)))));
    }

    fn announced(&mut self, record: &FlowRecord, out: &mut Decoded) {
        self.meet(&record.task, out);
        out.read.push((names::FLOWS, bytes::key(&FlowKey { task: record.task.id, cookie: record.cookie })));
    }

    fn flow(&mut self, key: FlowKey, flow: &Flow, out: &mut Decoded) -> Result<(), Malformed> {
        let FlowKey { task, cookie } = key;
        let Flow { created, tx, rx, remote, remote_port, family, .. } = *flow;
        let protocol = meaning::protocol(flow.protocol)
            .ok_or_else(|| Malformed { text: format!("a flow of the unknown protocol {}", flow.protocol) })?;
        // The last bytes of the process are read after its end.
        if let Some(task) = self.ended.get(&task).and_then(|end| end.reported) {
            self.meet(&task, out);
        }
        let key = FlowSlot { task, cookie, created };
        self.flows.insert(key, self.scans);
        let remote = (remote_port != 0 && cookie != 0).then(|| meaning::address(family, remote, remote_port));
        out.facts.push(Fact::Net(NetFact::Flow(FlowFact { key, protocol, remote, tx, rx })));
        Ok(())
    }

    fn totals_of(&mut self, totals: &ClosedTotals, out: &mut Decoded) {
        let ClosedTotals { task, tx, rx, retransmitted, connections } = *totals;
        let counters = Counters { tx, rx, retransmitted };
        let fact = ClosedTotalsFact { owner: task.id, counters, connections };
        match self.closed.get(&task.id) {
            Some((known, read)) if *known == fact => {
                if !self.met.contains_key(&task.id) && *read + IDLE_SCANS < self.scans {
                    self.closed.remove(&task.id);
                    out.remove.push((names::CLOSED, bytes::key(&task.id)));
                    let none =
                        ClosedTotalsFact { owner: task.id, counters: Counters::default(), connections: 0 };
                    out.facts.push(Fact::Net(NetFact::ClosedTotals(none)));
                }
            }
            _ => {
                self.introduce(&task, out);
                self.closed.insert(task.id, (fact, self.scans));
                out.facts.push(Fact::Net(NetFact::ClosedTotals(fact)));
            }
        }
    }

    /// Removes old ends. Reads the last totals of ended processes again: they are final if they have not changed.
    fn retire_processes(&mut self, out: &mut Decoded) {
        let scans = self.scans;
        self.ended.retain(|_, end| {
            let lasting = if end.reported.is_some() { LINGERING_SCANS } else { IDLE_SCANS };
            end.last_seen + lasting >= scans
        });
        let (met, closed) = (&self.met, &self.closed);
        let quiet =
            closed.iter().filter(|(id, (_, read))| !met.contains_key(*id) && *read + IDLE_SCANS < scans);
        out.read.extend(quiet.map(|(id, _)| (names::CLOSED, bytes::key(id))));
    }

    /// Removes the entries of flows without announcement and without a holder of their socket. Their values were read
    /// after the last announcement, so they are final.
    fn retire_flows(&mut self, open: &PartialScan, out: &mut Decoded) {
        let (scans, mut quiet) = (self.scans, HashSet::new());
        self.flows.retain(|key, announced| {
            let keep = open.has(key.cookie) || *announced + IDLE_SCANS >= scans;
            if !keep {
                quiet.insert(*key);
            }
            keep
        });
        for key in quiet {
            out.remove.push((names::FLOWS, bytes::key(&FlowKey { task: key.task, cookie: key.cookie })));
            out.facts.push(Fact::Net(NetFact::FlowEnded { key }));
        }
    }
}

#[cfg(test)]
mod tests;
