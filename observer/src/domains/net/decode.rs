//! From the bytes of the net object to facts.
//!
//! A socket that several descriptors or several processes hold is one fact; one that any descriptor holds is not told
//! again by the pass over what none does.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use observer_common::{
    net::{
        ClosedRecord, ClosedTotals, EndedRecord, Flow, FlowKey, FlowRecord, HeldRecord, KIND_CLOSED,
        KIND_ENDED, KIND_FLOW,
    },
    record::RecordHeader,
    task::{TaskId, TaskRecord},
};

use super::bytes::{Meaning as _, Reader, address, flow_key, protocol, task_key};
use crate::{
    domains::{Decode, Decoded, Malformed},
    observation::{
        Observation,
        net::{ClosedFact, ClosedTotalsFact, Counters, FlowFact, FlowSlot, NetFact},
        process::ProcessFact,
    },
};

/// The map of what no socket counts.
const FLOWS: &str = "NET_FLOWS";
/// The map of connections whose end found no room in the ring.
const CLOSED: &str = "NET_CLOSED";
/// The map of ends of processes that found no room in the ring.
const ENDED: &str = "NET_ENDED";
/// The pass over descriptors.
const HELD: &str = "net_socket";
/// The pass over what no descriptor holds.
const UNHELD: &str = "net_tcp";
/// Passes that must find neither a socket nor an announcement before its flow's entry is removed: one may have been
/// under way while the last bytes were counted.
const IDLE_PASSES: u64 = 2;
/// Passes for which the end of a process is remembered, beside those that still find a socket of it, if it was told of:
/// what its sockets send last is told after it.
const LINGERING_PASSES: u64 = 64;

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
        let header = Reader::new(bytes).header()?;
        let expected = match header.kind {
            KIND_CLOSED => size_of::<ClosedRecord>(),
            KIND_FLOW => size_of::<FlowRecord>(),
            KIND_ENDED => size_of::<EndedRecord>(),
            kind => return Err(Malformed { text: format!("net record of unknown kind {kind}") }),
        };
        if bytes.len() != expected {
            let text = format!("net record {} of {} bytes, not {expected}", header.kind, bytes.len());
            return Err(Malformed { text });
        }
        let mut reader = Reader::new(&bytes[size_of::<RecordHeader>()..]);
        match header.kind {
            KIND_CLOSED => self.closed(header, &mut reader, out),
            KIND_FLOW => self.announced(&mut reader, out),
            _ => self.ended(header, &mut reader, out),
        }
    }

    fn pass(&mut self, program: &str, bytes: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        const SIZE: usize = size_of::<HeldRecord>();
        if !matches!(program, HELD | UNHELD) || !bytes.len().is_multiple_of(SIZE) {
            let text = format!("{} bytes of {program}, not whole records of {SIZE}", bytes.len());
            return Err(Malformed { text });
        }
        let mut places: HashMap<u64, usize> = HashMap::with_capacity(bytes.len() / SIZE);
        let mut sockets = Vec::with_capacity(bytes.len() / SIZE);
        for record in bytes.chunks_exact(SIZE) {
            let mut reader = Reader::new(record);
            let holder = reader.task()?;
            let socket = reader.socket()?;
            self.meet(&holder, out);
            let place = match places.entry(socket.cookie) {
                Entry::Occupied(place) => *place.get(),
                Entry::Vacant(place) => {
                    sockets.push((socket, Vec::new()));
                    *place.insert(sockets.len() - 1)
                }
            };
            let holders: &mut Vec<TaskId> = &mut sockets[place].1;
            if holder.id.tgid != 0 && !holders.contains(&holder.id) {
                holders.push(holder.id);
            }
        }
        for (socket, _) in &sockets {
            self.find_owner(&socket.owner, out);
        }
        if program == HELD {
            self.passes += 1;
            self.retire_flows(&places, out);
            self.retire_processes(out);
        }
        for (socket, holders) in sockets {
            out.facts.extend(socket.fact(holders).map(Observation::Net));
        }
        Ok(())
    }

    fn entry(&mut self, map: &str, key: &[u8], value: &[u8], out: &mut Decoded) -> Result<(), Malformed> {
        let expected = match map {
            FLOWS => (size_of::<FlowKey>(), size_of::<Flow>()),
            CLOSED => (size_of::<TaskId>(), size_of::<ClosedTotals>()),
            ENDED => (size_of::<TaskId>(), size_of::<u64>()),
            _ => return Err(Malformed { text: format!("an entry of a map called {map}") }),
        };
        if (key.len(), value.len()) != expected {
            let text = format!("an entry of {map} of {} and {} bytes", key.len(), value.len());
            return Err(Malformed { text });
        }
        let (mut key, mut value) = (Reader::new(key), Reader::new(value));
        match map {
            FLOWS => self.flow(&mut key, &mut value, out),
            CLOSED => self.totals_of(&mut value, out),
            _ => {
                let id = key.task_id()?;
                self.end(id, value.u64()?, out);
                out.remove.push((ENDED, task_key(id)));
                Ok(())
            }
        }
    }

    fn tells_ends(&self) -> bool {
        true
    }

    fn totals(&self) -> &'static [&'static str] {
        &[FLOWS, CLOSED, ENDED]
    }
}

impl NetDecoder {
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
            out.facts.push(Observation::Process(ProcessFact::Ended { id: task.id, at: end.at }));
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
            out.facts.push(Observation::Process(ProcessFact::Ended { id, at }));
        }
        self.ended.entry(id).or_insert(End { at, told, heard: self.passes });
    }

    fn closed(
        &mut self,
        header: RecordHeader,
        from: &mut Reader<'_>,
        out: &mut Decoded,
    ) -> Result<(), Malformed> {
        let socket = from.socket()?;
        let seen = Counters { tx: from.u64()?, rx: from.u64()?, retransmitted: from.u64()? };
        self.introduce(&socket.owner, out);
        let seen = socket.was_seen().then_some(seen);
        let connection = socket.connection(Vec::new());
        out.facts.push(Observation::Net(NetFact::Closed(ClosedFact { connection, seen, at: header.at })));
        Ok(())
    }

    fn announced(&mut self, from: &mut Reader<'_>, out: &mut Decoded) -> Result<(), Malformed> {
        let cookie = from.u64()?;
        let task = from.task()?;
        self.meet(&task, out);
        out.read.push((FLOWS, flow_key(task.id, cookie)));
        Ok(())
    }

    fn ended(
        &mut self,
        header: RecordHeader,
        from: &mut Reader<'_>,
        out: &mut Decoded,
    ) -> Result<(), Malformed> {
        self.end(from.task_id()?, header.at, out);
        Ok(())
    }

    fn flow(
        &mut self,
        key: &mut Reader<'_>,
        value: &mut Reader<'_>,
        out: &mut Decoded,
    ) -> Result<(), Malformed> {
        let task = key.task_id()?;
        let cookie = key.u64()?;
        let created = value.u64()?;
        let (tx, rx) = (value.u64()?, value.u64()?);
        let remote = value.bytes::<16>()?;
        let _netns = value.u32()?;
        let (port, family) = (value.u16()?, value.u16()?);
        let number = value.u32()?;
        let protocol = protocol(number)
            .ok_or_else(|| Malformed { text: format!("a flow of the unknown protocol {number}") })?;
        // Its last bytes are read after its end.
        if let Some(told) = self.ended.get(&task).and_then(|end| end.told) {
            self.meet(&told, out);
        }
        let key = FlowSlot { task, cookie, created };
        self.flows.insert(key, self.passes);
        let remote = (port != 0 && cookie != 0).then(|| address(family, remote, port));
        out.facts.push(Observation::Net(NetFact::Flow(FlowFact { key, protocol, remote, tx, rx })));
        Ok(())
    }

    fn totals_of(&mut self, value: &mut Reader<'_>, out: &mut Decoded) -> Result<(), Malformed> {
        let task = value.task()?;
        let counters = Counters { tx: value.u64()?, rx: value.u64()?, retransmitted: value.u64()? };
        let connections = value.u64()?;
        let fact = ClosedTotalsFact { owner: task.id, counters, connections };
        match self.closed.get(&task.id) {
            Some((known, read)) if *known == fact => {
                if !self.met.contains_key(&task.id) && *read + IDLE_PASSES < self.passes {
                    self.closed.remove(&task.id);
                    out.remove.push((CLOSED, task_key(task.id)));
                    let none =
                        ClosedTotalsFact { owner: task.id, counters: Counters::default(), connections: 0 };
                    out.facts.push(Observation::Net(NetFact::ClosedTotals(none)));
                }
            }
            _ => {
                self.introduce(&task, out);
                self.closed.insert(task.id, (fact, self.passes));
                out.facts.push(Observation::Net(NetFact::ClosedTotals(fact)));
            }
        }
        Ok(())
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
            closed.iter().filter(|(id, (_, read))| !met.contains_key(id) && *read + IDLE_PASSES < passes);
        out.read.extend(quiet.map(|(id, _)| (CLOSED, task_key(*id))));
    }

    /// Removes the entries of flows whose socket nobody holds any more and that have been quiet: their values were read
    /// after their last announcement, and are final.
    fn retire_flows(&mut self, open: &HashMap<u64, usize>, out: &mut Decoded) {
        let (passes, mut quiet) = (self.passes, HashSet::new());
        self.flows.retain(|key, announced| {
            let keep = open.contains_key(&key.cookie) || *announced + IDLE_PASSES >= passes;
            if !keep {
                quiet.insert(*key);
            }
            keep
        });
        for key in quiet {
            out.remove.push((FLOWS, flow_key(key.task, key.cookie)));
            out.facts.push(Observation::Net(NetFact::FlowEnded { key }));
        }
    }
}

fn met(task: &TaskRecord) -> Observation {
    let end = task.comm.iter().position(|byte| *byte == 0).unwrap_or(task.comm.len());
    Observation::Process(ProcessFact::Met {
        id: task.id,
        comm: task.comm[..end].to_vec(),
        uid: task.uid,
        kernel_thread: task.kernel_thread != 0,
    })
}

#[cfg(test)]
mod tests {
    use observer_common::net::{FAMILY_V6, PROTOCOL_TCP, SOCKET_SEEN, SocketRecord};

    use super::*;

    /// The bytes of a record as the kernel side writes it.
    fn bytes<T: Copy>(record: &T) -> Vec<u8> {
        // SAFETY: records have no padding (their sizes are asserted), so each of their bytes is initialised.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast(), size_of::<T>()) }.to_vec()
    }

    fn task(tgid: u64) -> TaskRecord {
        let mut task = TaskRecord { id: TaskId { start: 3, tgid }, uid: 7, ..TaskRecord::default() };
        task.comm[..3].copy_from_slice(b"abc");
        task
    }

    fn socket(cookie: u64) -> SocketRecord {
        let mut local = [0; 16];
        local[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
        SocketRecord {
            cookie,
            opened: 11,
            tx: 1,
            rx: 2,
            retransmitted: 3,
            pacing_rate: 4,
            local,
            remote: local,
            netns: 5,
            local_port: 80,
            remote_port: 81,
            family: FAMILY_V6,
            protocol: PROTOCOL_TCP,
            state: 1,
            srtt: 6,
            rtt_min: u32::MAX,
            chrono: [21, 22, 23],
            drops: 24,
            ..SocketRecord::default()
        }
    }

    fn net(decoded: &Decoded) -> Vec<&NetFact> {
        let facts = decoded.facts.iter();
        facts.filter_map(|fact| if let Observation::Net(fact) = fact { Some(fact) } else { None }).collect()
    }

    #[test]
    fn a_socket_of_several_holders_is_one_fact_and_ipv4_stays_ipv4() {
        let held = |tgid, cookie| bytes(&HeldRecord { holder: task(tgid), socket: socket(cookie) });
        let pass = [held(1, 9), held(2, 9), held(1, 9), held(1, 10)].concat();
        let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
        decoder.pass(HELD, &pass, &mut decoded).unwrap();
        let facts = net(&decoded);
        let [NetFact::Connection(first), NetFact::Connection(second)] = facts[..] else {
            panic!("{facts:?}")
        };
        assert_eq!(first.holders, [task(1).id, task(2).id]);
        assert_eq!(second.holders, [task(1).id]);
        assert_eq!(first.ends.local.to_string(), "10.0.0.1:80");
        assert_eq!(first.owner, None);
        assert_eq!(first.measures.rtt_min, None);
        assert_eq!(first.measures.chrono, [21, 22, 23]);
        assert_eq!(first.counters, Counters { tx: 1, rx: 2, retransmitted: 3 });
        let met = decoded.facts.iter().filter(|fact| matches!(fact, Observation::Process(_))).count();
        assert_eq!(met, 2, "each process is told of once");
    }

    #[test]
    fn what_a_process_was_called_when_it_acted_first_is_not_news_later() {
        let mut before = task(1);
        before.comm[..3].copy_from_slice(b"old");
        let held = HeldRecord { holder: task(1), socket: SocketRecord { owner: before, ..socket(9) } };
        let mut decoder = NetDecoder::default();
        let mut met = Vec::new();
        for _ in 0..2 {
            let mut decoded = Decoded::default();
            decoder.pass(HELD, &bytes(&held), &mut decoded).unwrap();
            met.extend(decoded.facts.into_iter().filter(|fact| matches!(fact, Observation::Process(_))));
        }
        let [Observation::Process(ProcessFact::Met { comm, .. })] = &met[..] else { panic!("{met:?}") };
        assert_eq!(comm, b"abc");
    }

    #[test]
    fn an_end_tells_its_owner_and_what_was_seen_only_where_something_was() {
        let header = |kind, size| RecordHeader { kind, size: size as u32, at: 99 };
        for (flags, expected) in [(0, None), (SOCKET_SEEN, Some(Counters { tx: 7, rx: 8, retransmitted: 9 }))]
        {
            let record = ClosedRecord {
                header: header(KIND_CLOSED, size_of::<ClosedRecord>()),
                socket: SocketRecord { owner: task(5), flags, ..socket(9) },
                seen_tx: 7,
                seen_rx: 8,
                seen_retransmitted: 9,
            };
            let mut decoded = Decoded::default();
            NetDecoder::default().record(&bytes(&record), &mut decoded).unwrap();
            let Observation::Process(ProcessFact::Met { id, comm, uid, .. }) = &decoded.facts[0] else {
                panic!()
            };
            assert_eq!((*id, comm.as_slice(), *uid), (task(5).id, &b"abc"[..], 7));
            let [NetFact::Closed(closed)] = net(&decoded)[..] else { panic!() };
            assert_eq!((closed.seen, closed.at, closed.connection.owner), (expected, 99, Some(task(5).id)));
        }
    }

    #[test]
    fn a_flow_is_read_after_its_announcement_and_removed_once_nobody_can_add_to_it() {
        let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
        let announcement = FlowRecord {
            header: RecordHeader { kind: KIND_FLOW, size: size_of::<FlowRecord>() as u32, at: 1 },
            cookie: 9,
            task: task(5),
        };
        decoder.record(&bytes(&announcement), &mut decoded).unwrap();
        let key = bytes(&FlowKey { task: task(5).id, cookie: 9 });
        assert_eq!(decoded.read, [(FLOWS, key.clone())]);
        let flow = Flow { created: 4, tx: 30, rx: 40, family: 2, protocol: 17, ..Flow::default() };
        decoder.entry(FLOWS, &key, &bytes(&flow), &mut decoded).unwrap();
        let [NetFact::Flow(fact)] = net(&decoded)[..] else { panic!() };
        assert_eq!((fact.tx, fact.rx, fact.remote), (30, 40, None));
        let open = bytes(&HeldRecord { holder: task(5), socket: socket(9) });
        for pass in [open.as_slice(), &[], &[], &[]] {
            decoder.pass(HELD, pass, &mut decoded).unwrap();
            decoder.entry(FLOWS, &key, &bytes(&flow), &mut decoded).unwrap();
        }
        assert_eq!(decoded.remove, [], "it is in use");
        for _ in 0..4 {
            decoder.pass(HELD, &[], &mut decoded).unwrap();
        }
        assert_eq!(decoded.remove, [(FLOWS, key)]);
    }

    #[test]
    fn the_end_of_a_process_is_told_only_if_it_was() {
        let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
        let held = HeldRecord { holder: task(1), socket: socket(9) };
        decoder.pass(HELD, &bytes(&held), &mut decoded).unwrap();
        for tgid in [1, 2, 1] {
            let header = RecordHeader { kind: KIND_ENDED, size: 32, at: 50 };
            let record = EndedRecord { header, task: task(tgid).id };
            decoder.record(&bytes(&record), &mut decoded).unwrap();
        }
        let ended = |fact: &&Observation| matches!(fact, Observation::Process(ProcessFact::Ended { .. }));
        assert_eq!(decoded.facts.iter().filter(ended).count(), 1);
    }

    fn end(decoder: &mut NetDecoder, tgid: u64, decoded: &mut Decoded) {
        let header = RecordHeader { kind: KIND_ENDED, size: 32, at: 50 };
        decoder.record(&bytes(&EndedRecord { header, task: task(tgid).id }), decoded).unwrap();
    }

    fn close(decoder: &mut NetDecoder, owner: u64, decoded: &mut Decoded) {
        let header = RecordHeader { kind: KIND_CLOSED, size: size_of::<ClosedRecord>() as u32, at: 60 };
        let socket = SocketRecord { owner: task(owner), ..socket(9) };
        let record = ClosedRecord { header, socket, ..ClosedRecord::default() };
        decoder.record(&bytes(&record), decoded).unwrap();
    }

    /// Processes as the facts leave them: met, and whether ended.
    fn living(decoded: &Decoded) -> Vec<(TaskId, bool)> {
        let mut processes = crate::identity::process::Processes::default();
        for fact in &decoded.facts {
            if let Observation::Process(fact) = fact {
                processes.apply(fact);
            }
        }
        processes.iter().map(|(id, process)| (id, process.ended.is_none())).collect()
    }

    #[test]
    fn what_is_told_after_the_end_of_a_process_does_not_bring_it_to_life() {
        for met_before in [false, true] {
            let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
            if met_before {
                close(&mut decoder, 5, &mut decoded);
                assert_eq!(living(&decoded), [(task(5).id, true)]);
            }
            end(&mut decoder, 5, &mut decoded);
            // Whoever listens has forgotten it by now.
            decoded = Decoded::default();
            close(&mut decoder, 5, &mut decoded);
            assert_eq!(living(&decoded), [(task(5).id, false)]);
            decoded = Decoded::default();
            let lingering = bytes(&HeldRecord {
                socket: SocketRecord { owner: task(5), ..socket(9) },
                ..HeldRecord::default()
            });
            for _ in 0..2 * LINGERING_PASSES {
                decoder.pass(HELD, &[], &mut decoded).unwrap();
                decoder.pass(UNHELD, &lingering, &mut decoded).unwrap();
            }
            assert_eq!(living(&decoded), [], "told of already");
            close(&mut decoder, 5, &mut decoded);
            assert_eq!(living(&decoded), [(task(5).id, false)]);
            for _ in 0..2 * LINGERING_PASSES {
                decoder.pass(HELD, &[], &mut decoded).unwrap();
            }
            assert!(decoder.ended.is_empty() && decoder.met.is_empty(), "{decoder:?}");
        }
    }

    #[test]
    fn an_end_without_room_in_the_ring_is_taken_from_its_map() {
        let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
        assert!(decoder.totals().contains(&ENDED), "swept after a loss");
        close(&mut decoder, 5, &mut decoded);
        let key = task_key(task(5).id);
        decoder.entry(ENDED, &key, &50_u64.to_ne_bytes(), &mut decoded).unwrap();
        assert_eq!(living(&decoded), [(task(5).id, false)]);
        assert_eq!(decoded.remove, [(ENDED, key)]);
    }

    #[test]
    fn totals_of_a_process_that_ended_are_removed_once_they_are_final() {
        let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
        let key = task_key(task(5).id);
        let totals =
            |tx| bytes(&ClosedTotals { task: task(5), tx, connections: 1, ..ClosedTotals::default() });
        decoder.entry(CLOSED, &key, &totals(10), &mut decoded).unwrap();
        for _ in 0..9 {
            decoder.pass(HELD, &[], &mut decoded).unwrap();
        }
        assert_eq!((&decoded.read[..], &decoded.remove[..]), (&[][..], &[][..]), "it lives");
        end(&mut decoder, 5, &mut decoded);
        decoder.pass(HELD, &[], &mut decoded).unwrap();
        assert_eq!(decoded.read, [(CLOSED, key.clone())]);
        decoder.entry(CLOSED, &key, &totals(11), &mut decoded).unwrap();
        assert_eq!(decoded.remove, [], "more had come");
        for _ in 0..9 {
            decoder.pass(HELD, &[], &mut decoded).unwrap();
        }
        decoder.entry(CLOSED, &key, &totals(11), &mut decoded).unwrap();
        assert_eq!(decoded.remove, [(CLOSED, key)]);
        let said: Vec<u64> = net(&decoded)
            .iter()
            .filter_map(
                |fact| if let NetFact::ClosedTotals(fact) = fact { Some(fact.counters.tx) } else { None },
            )
            .collect();
        assert_eq!(said, [10, 11, 0], "what follows counts from 0");
        assert!(decoder.closed.is_empty());
    }

    #[test]
    fn what_is_not_a_record_is_refused() {
        let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
        let record = |kind| bytes(&RecordHeader { kind, size: 16, at: 0 });
        for bytes in [&[][..], &[1, 2, 3], &record(KIND_CLOSED), &record(77)] {
            assert!(decoder.record(bytes, &mut decoded).is_err());
        }
        assert!(decoder.pass(HELD, &[0; 7], &mut decoded).is_err());
        assert!(decoder.pass("another", &[], &mut decoded).is_err());
        assert!(decoder.entry(FLOWS, &[0; 24], &[0; 3], &mut decoded).is_err());
        assert!(decoder.entry("another", &[], &[], &mut decoded).is_err());
        assert!(decoded.facts.is_empty());
    }
}
