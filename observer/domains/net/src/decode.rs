//! From the bytes of the net object to facts.
//!
//! A socket that several descriptors or several processes hold is one fact; one that any descriptor holds is not told
//! again by the pass over what none does.

use hashbrown::{HashMap, HashSet};
use observer_common::{
    names::{CONTROL, MapName, ProgramName, net as names},
    net::{
        CONTROL_CHANGES_ONLY, CONTROL_WATCHED, ClosedRecord, ClosedTotals, EndedRecord, Flow, FlowKey,
        FlowRecord, HeldRecord, KIND_CLOSED, KIND_ENDED, KIND_FLOW,
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

mod meaning;
mod partial_scan;

/// Records, in errors.
const NAME: &str = "net record";
/// Passes that must find neither a socket nor an announcement before its flow's entry is removed: one may have been
/// under way while the last bytes were counted.
const IDLE_PASSES: u64 = 2;
/// Passes for which the end of a process is remembered, beside those that still find a socket of it, if it was told of:
/// what its sockets send last is told after it.
const LINGERING_PASSES: u64 = 64;
/// Reports between two looks at what no descriptor holds, while nothing is known to be hidden there.
const LOOK_EVERY: u64 = 5;
/// Bytes of what a pass writes of one socket.
const RECORD: usize = size_of::<HeldRecord>();

/// Decodes what the net object writes.
#[derive(Debug, Default)]
pub struct NetDecoder {
    /// Processes that were told of, until they end.
    met: HashMap<TaskId, TaskRecord>,
    /// Processes that ended, for as long as they may have to be told of again.
    ended: HashMap<TaskId, End>,
    /// Entries of the map of connections whose end found no room, with their last value and the pass before which it
    /// was read.
    closed: HashMap<TaskId, (ClosedTotalsFact, u64)>,
    /// Entries of the map of flows, with the pass before which each was announced last.
    flows: HashMap<FlowSlot, u64>,
    passes: u64,
    /// Whether the last pass over descriptors met what only send and receive tell of: datagrams, shared sockets.
    uncounted: bool,
    /// Whether the last pass over what no descriptor holds met a socket that something else does, and one of those whose
    /// owner nobody knows.
    hidden: bool,
    unowned: bool,
    /// Passes before that one.
    looked: u64,
    under_way: PartialScan,
}

/// A process that has ended.
#[derive(Clone, Copy, Debug)]
struct End {
    /// Boot-clock nanoseconds.
    at: u64,
    /// What it was told of as, if it was.
    told: Option<TaskRecord>,
    /// The pass before which it was last heard of.
    heard: u64,
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
            kind => return Err(Malformed { text: format!("{NAME} of unknown kind {kind}") }),
        }
        Ok(())
    }

    fn part(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<usize, Malformed> {
        let whole = bytes.len() - bytes.len() % RECORD;
        self.take(program, &bytes[..whole], out)?;
        Ok(whole)
    }

    fn fresh(&mut self) -> &mut [SocketHandle] {
        self.under_way.fresh()
    }

    fn pass(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        if !matches!(program, names::SOCKET | names::TCP) {
            return Err(Malformed { text: format!("a pass of {program}, which is no iterator of net") });
        }
        let taken = self.take(program, bytes, out);
        let next = PartialScan::expecting(self.under_way.next_expected());
        let met = std::mem::replace(&mut self.under_way, next);
        taken?;
        for owner in &met.owners {
            self.find_owner(owner, out);
        }
        if program == names::SOCKET {
            self.passes += 1;
            self.uncounted = met.uncounted;
            // Only TCP connections tell the time.
            let jiffies = (met.jiffies != 0).then_some(NetFact::Jiffies(met.jiffies));
            out.facts.extend(jiffies.map(Fact::Net));
            self.retire_flows(&met, out);
            self.retire_processes(out);
        } else {
            (self.unowned, self.hidden) = (met.unowned, met.hidden);
            self.looked = self.passes;
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
            names::ENDED => {
                let id = read(map.as_str(), key)?;
                self.end(id, read(map.as_str(), value)?, out);
                out.remove.push((names::ENDED, bytes::key(&id)));
                Ok(())
            }
            _ => Err(Malformed { text: format!("an entry of a map called {map}") }),
        }
    }

    fn needs_on_demand_hooks(&self) -> bool {
        self.uncounted || self.unowned
    }

    fn control_entries(&mut self, kind: HookKind, plan: ScanPlan<'_>) -> Vec<(MapName, Vec<u8>, Vec<u8>)> {
        if kind != HookKind::Scan {
            return Vec::new();
        }
        let entry =
            |place: u32, number: u32| (CONTROL, place.to_ne_bytes().to_vec(), number.to_ne_bytes().to_vec());
        vec![entry(CONTROL_WATCHED, plan.attended.into()), entry(CONTROL_CHANGES_ONLY, (!plan.whole).into())]
    }

    /// The kernel locks each socket for the second scan, which makes it as dear as the first; what it finds is rarely
    /// more than what is about to end.
    fn needs_scan(&self, kind: HookKind, program: ProgramName, plan: ScanPlan<'_>) -> bool {
        let hidden = plan.whole || self.hidden || self.passes >= self.looked + LOOK_EVERY;
        plan.usual(kind) && (program != names::TCP || hidden)
    }
}

impl NetDecoder {
    /// Takes whole records of a pass: each socket once, with all its holders.
    fn take(&mut self, program: ProgramName, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        for record in records::<HeldRecord>(program.as_str(), bytes)? {
            self.meet(&record.holder, out);
            self.under_way.meet(&record);
        }
        Ok(())
    }

    /// Tells of a process once, and again when it has become another program; of one that has ended, that it was and
    /// has ended: it may have been forgotten with its end, and nothing else would end it.
    fn meet(&mut self, task: &TaskRecord, out: &mut Decoded) {
        if task.id.tgid == 0 {
            return;
        }
        if let Some(end) = self.ended.get_mut(&task.id) {
            let task = end.told.get_or_insert(*task);
            end.heard = self.passes;
            out.facts.push(met(task));
            out.facts.push(Fact::Process(ProcessFact::Ended { id: task.id, at: end.at }));
        } else if self.met.insert(task.id, *task) != Some(*task) {
            out.facts.push(met(task));
        }
    }

    /// Tells of a process from what it was called when it acted first: only where nothing newer is known.
    fn introduce(&mut self, task: &TaskRecord, out: &mut Decoded) {
        if !self.met.contains_key(&task.id) {
            self.meet(task, out);
        }
    }

    /// A pass found the socket of a process: as [`Self::introduce`], but nothing about one whose end was told.
    fn find_owner(&mut self, task: &TaskRecord, out: &mut Decoded) {
        match self.ended.get_mut(&task.id) {
            Some(end) if end.told.is_some() => end.heard = self.passes,
            _ => self.introduce(task, out),
        }
    }

    /// A process has ended, which is told of if it was.
    fn end(&mut self, id: TaskId, at: u64, out: &mut Decoded) {
        let told = self.met.remove(&id);
        if told.is_some() {
            out.facts.push(Fact::Process(ProcessFact::Ended { id, at }));
        }
        self.ended.entry(id).or_insert(End { at, told, heard: self.passes });
    }

    fn closed(&mut self, record: &ClosedRecord, out: &mut Decoded) {
        self.introduce(&record.owner, out);
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
        // Its last bytes are read after its end.
        if let Some(told) = self.ended.get(&task).and_then(|end| end.told) {
            self.meet(&told, out);
        }
        let key = FlowSlot { task, cookie, created };
        self.flows.insert(key, self.passes);
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
                if !self.met.contains_key(&task.id) && *read + IDLE_PASSES < self.passes {
                    self.closed.remove(&task.id);
                    out.remove.push((names::CLOSED, bytes::key(&task.id)));
                    let none =
                        ClosedTotalsFact { owner: task.id, counters: Counters::default(), connections: 0 };
                    out.facts.push(Fact::Net(NetFact::ClosedTotals(none)));
                }
            }
            _ => {
                self.introduce(&task, out);
                self.closed.insert(task.id, (fact, self.passes));
                out.facts.push(Fact::Net(NetFact::ClosedTotals(fact)));
            }
        }
    }

    /// Forgets ends of which nothing more is expected, and has the last totals of processes that ended read again:
    /// where they have not changed, they are final.
    fn retire_processes(&mut self, out: &mut Decoded) {
        let passes = self.passes;
        self.ended.retain(|_, end| {
            let lasting = if end.told.is_some() { LINGERING_PASSES } else { IDLE_PASSES };
            end.heard + lasting >= passes
        });
        let (met, closed) = (&self.met, &self.closed);
        let quiet =
            closed.iter().filter(|(id, (_, read))| !met.contains_key(*id) && *read + IDLE_PASSES < passes);
        out.read.extend(quiet.map(|(id, _)| (names::CLOSED, bytes::key(id))));
    }

    /// Removes the entries of flows whose socket nobody holds any more and that have been quiet: their values were read
    /// after their last announcement, and are final.
    fn retire_flows(&mut self, open: &PartialScan, out: &mut Decoded) {
        let (passes, mut quiet) = (self.passes, HashSet::new());
        self.flows.retain(|key, announced| {
            let keep = open.has(key.cookie) || *announced + IDLE_PASSES >= passes;
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
