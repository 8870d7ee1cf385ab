//! The net decoder, with records, scans and map entries as input.

use observer_common::{
    net::{FAMILY_V6, PROTOCOL_TCP, SOCKET_SEEN, SocketRecord, TcpTimes},
    record::RecordHeader,
};

use super::{bytes::key as bytes, *};

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
        jiffies: 99,
        times: TcpTimes { last_sent: 98, receive_window: 97, ..TcpTimes::default() },
        ..SocketRecord::default()
    }
}

fn net(decoded: &Decoded) -> Vec<&NetFact> {
    let facts = decoded.facts.iter();
    facts.filter_map(|fact| if let Fact::Net(fact) = fact { Some(fact) } else { None }).collect()
}

#[test]
fn a_socket_of_several_holders_is_one_fact_and_ipv4_stays_ipv4() {
    let held = |tgid, cookie| {
        bytes(&HeldRecord { holder: task(tgid), socket: socket(cookie), ..HeldRecord::default() })
    };
    let pass = [held(1, 9), held(2, 9), held(1, 9), held(1, 10)].concat();
    let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
    decoder.scan(names::SOCKET, &pass, &mut decoded).unwrap();
    let facts: Vec<Fact> = decoded.take_facts().collect();
    let net = facts.iter().filter_map(|fact| if let Fact::Net(fact) = fact { Some(fact) } else { None });
    let net: Vec<&NetFact> = net.collect();
    let [NetFact::Jiffies(99), NetFact::Connection(first), NetFact::Connection(second)] = net[..] else {
        panic!("{facts:?}")
    };
    let [first, second] = [first, second].map(|fact| fact.shared());
    let times = first.times.unwrap();
    assert_eq!(first.holders[..], [task(1).id, task(2).id]);
    assert_eq!(second.holders[..], [task(1).id]);
    assert_eq!(first.ends.local.to_string(), "10.0.0.1:80");
    assert_eq!(first.owner, None);
    assert_eq!(first.measures.rtt_min, None);
    assert_eq!(first.measures.chrono, [21, 22, 23]);
    assert_eq!((times.last_sent, times.receive_window), (98, 97));
    assert_eq!(first.counters, Counters { tx: 1, rx: 2, retransmitted: 3 });
    let met = facts.iter().filter(|fact| matches!(fact, Fact::Process(_))).count();
    assert_eq!(met, 2, "each process is told of once");
}

#[test]
fn a_later_holder_does_not_change_a_fact_that_is_shared() {
    let held = |tgid| bytes(&HeldRecord { holder: task(tgid), socket: socket(9), ..HeldRecord::default() });
    let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
    decoder.scan_part(names::SOCKET, &held(1), &mut decoded).unwrap();
    let kept = decoder.fresh().to_vec();
    assert!(decoder.fresh().is_empty(), "asked once, told once");
    decoder.scan_part(names::SOCKET, &held(2), &mut decoded).unwrap();
    assert!(decoder.fresh().is_empty(), "it was met before");
    decoder.scan(names::SOCKET, &[], &mut decoded).unwrap();
    let held = |socket: &SocketHandle| [1, 2].map(|tgid| socket.is_held_by(task(tgid).id));
    assert_eq!(held(&kept[0]), [true, false]);
    assert_eq!(held(&decoded.sockets[0]), [true, true]);
}

#[test]
fn the_name_of_a_process_at_its_first_action_does_not_replace_its_name_now() {
    let mut before = task(1);
    before.comm[..3].copy_from_slice(b"old");
    let held = HeldRecord {
        holder: task(1),
        socket: SocketRecord { owner: before, ..socket(9) },
        ..HeldRecord::default()
    };
    let mut decoder = NetDecoder::default();
    let mut met = Vec::new();
    for _ in 0..2 {
        let mut decoded = Decoded::default();
        decoder.scan(names::SOCKET, &bytes(&held), &mut decoded).unwrap();
        met.extend(decoded.facts.into_iter().filter(|fact| matches!(fact, Fact::Process(_))));
    }
    let [Fact::Process(ProcessFact::Met { comm, .. })] = &met[..] else { panic!("{met:?}") };
    assert_eq!(comm[..], *b"abc");
}

#[test]
fn a_close_names_its_owner_and_has_seen_counters_only_if_a_scan_found_it() {
    let header = |kind, size| RecordHeader { kind, size: size as u32, at: 99 };
    for (flags, expected) in [(0, None), (SOCKET_SEEN, Some(Counters { tx: 7, rx: 8, retransmitted: 9 }))] {
        let record = ClosedRecord {
            header: header(KIND_CLOSED, size_of::<ClosedRecord>()),
            cookie: 9,
            owner: task(5),
            flags,
            seen_tx: 7,
            seen_rx: 8,
            seen_retransmitted: 9,
            ..ClosedRecord::default()
        };
        let mut decoded = Decoded::default();
        NetDecoder::default().record(&bytes(&record), &mut decoded).unwrap();
        let Fact::Process(ProcessFact::Met { id, comm, uid, .. }) = &decoded.facts[0] else { panic!() };
        assert_eq!((*id, comm.as_slice(), *uid), (task(5).id, &b"abc"[..], 7));
        let [NetFact::Closed(closed)] = net(&decoded)[..] else { panic!() };
        assert_eq!((closed.seen, closed.at, closed.connection.owner), (expected, 99, Some(task(5).id)));
    }
}

#[test]
fn a_flow_is_read_after_its_announcement_and_removed_once_no_process_can_add_to_it() {
    let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
    let announcement = FlowRecord {
        header: RecordHeader { kind: KIND_FLOW, size: size_of::<FlowRecord>() as u32, at: 1 },
        cookie: 9,
        task: task(5),
    };
    decoder.record(&bytes(&announcement), &mut decoded).unwrap();
    let key = bytes(&FlowKey { task: task(5).id, cookie: 9 });
    assert_eq!(decoded.read, [(names::FLOWS, key.clone())]);
    let flow = Flow { created: 4, tx: 30, rx: 40, family: 2, protocol: 17, ..Flow::default() };
    decoder.entry(names::FLOWS, &key, &bytes(&flow), &mut decoded).unwrap();
    let [NetFact::Flow(fact)] = net(&decoded)[..] else { panic!() };
    assert_eq!((fact.tx, fact.rx, fact.remote), (30, 40, None));
    let open = bytes(&HeldRecord { holder: task(5), socket: socket(9), ..HeldRecord::default() });
    for pass in [open.as_slice(), &[], &[], &[]] {
        decoder.scan(names::SOCKET, pass, &mut decoded).unwrap();
        decoder.entry(names::FLOWS, &key, &bytes(&flow), &mut decoded).unwrap();
    }
    assert_eq!(decoded.remove, [], "it is in use");
    for _ in 0..4 {
        decoder.scan(names::SOCKET, &[], &mut decoded).unwrap();
    }
    assert_eq!(decoded.remove, [(names::FLOWS, key)]);
}

#[test]
fn the_end_of_a_process_is_reported_only_if_the_process_was() {
    let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
    let held = HeldRecord { holder: task(1), socket: socket(9), ..HeldRecord::default() };
    decoder.scan(names::SOCKET, &bytes(&held), &mut decoded).unwrap();
    for tgid in [1, 2, 1] {
        let header = RecordHeader { kind: KIND_ENDED, size: 32, at: 50 };
        let record = EndedRecord { header, task: task(tgid).id };
        decoder.record(&bytes(&record), &mut decoded).unwrap();
    }
    let ended = |fact: &&Fact| matches!(fact, Fact::Process(ProcessFact::Ended { .. }));
    assert_eq!(decoded.facts.iter().filter(ended).count(), 1);
}

fn end(decoder: &mut NetDecoder, tgid: u64, decoded: &mut Decoded) {
    let header = RecordHeader { kind: KIND_ENDED, size: 32, at: 50 };
    decoder.record(&bytes(&EndedRecord { header, task: task(tgid).id }), decoded).unwrap();
}

fn close(decoder: &mut NetDecoder, owner: u64, decoded: &mut Decoded) {
    let header = RecordHeader { kind: KIND_CLOSED, size: size_of::<ClosedRecord>() as u32, at: 60 };
    let record = ClosedRecord { header, cookie: 9, owner: task(owner), ..ClosedRecord::default() };
    decoder.record(&bytes(&record), decoded).unwrap();
}

/// The reported processes, with whether each has ended.
fn living(decoded: &Decoded) -> Vec<(TaskId, bool)> {
    let mut processes = observer_core::identity::process::Processes::default();
    for fact in &decoded.facts {
        if let Fact::Process(fact) = fact {
            processes.apply(fact);
        }
    }
    processes.iter().map(|(id, process)| (id, process.ended.is_none())).collect()
}

#[test]
fn a_record_after_the_end_of_a_process_does_not_bring_it_to_life() {
    for met_before in [false, true] {
        let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
        if met_before {
            close(&mut decoder, 5, &mut decoded);
            assert_eq!(living(&decoded), [(task(5).id, true)]);
        }
        end(&mut decoder, 5, &mut decoded);
        // The engine has removed the process by now.
        decoded = Decoded::default();
        close(&mut decoder, 5, &mut decoded);
        assert_eq!(living(&decoded), [(task(5).id, false)]);
        decoded = Decoded::default();
        let lingering = bytes(&HeldRecord {
            socket: SocketRecord { owner: task(5), ..socket(9) },
            ..HeldRecord::default()
        });
        for _ in 0..2 * LINGERING_SCANS {
            decoder.scan(names::SOCKET, &[], &mut decoded).unwrap();
            decoder.scan(names::TCP, &lingering, &mut decoded).unwrap();
        }
        assert_eq!(living(&decoded), [], "told of already");
        close(&mut decoder, 5, &mut decoded);
        assert_eq!(living(&decoded), [(task(5).id, false)]);
        for _ in 0..2 * LINGERING_SCANS {
            decoder.scan(names::SOCKET, &[], &mut decoded).unwrap();
        }
        assert!(decoder.ended.is_empty() && decoder.met.is_empty(), "{decoder:?}");
    }
}

#[test]
fn an_end_without_room_in_the_ring_is_taken_from_its_map() {
    let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
    assert!(crate::DECLARATION.totals.contains(&names::ENDED), "swept after a loss");
    close(&mut decoder, 5, &mut decoded);
    let key = bytes(&task(5).id);
    decoder.entry(names::ENDED, &key, &50_u64.to_ne_bytes(), &mut decoded).unwrap();
    assert_eq!(living(&decoded), [(task(5).id, false)]);
    assert_eq!(decoded.remove, [(names::ENDED, key)]);
}

#[test]
fn totals_of_a_process_that_ended_are_removed_once_they_are_final() {
    let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
    let key = bytes(&task(5).id);
    let totals = |tx| bytes(&ClosedTotals { task: task(5), tx, connections: 1, ..ClosedTotals::default() });
    decoder.entry(names::CLOSED, &key, &totals(10), &mut decoded).unwrap();
    for _ in 0..9 {
        decoder.scan(names::SOCKET, &[], &mut decoded).unwrap();
    }
    assert_eq!((&decoded.read[..], &decoded.remove[..]), (&[][..], &[][..]), "it lives");
    end(&mut decoder, 5, &mut decoded);
    decoder.scan(names::SOCKET, &[], &mut decoded).unwrap();
    assert_eq!(decoded.read, [(names::CLOSED, key.clone())]);
    decoder.entry(names::CLOSED, &key, &totals(11), &mut decoded).unwrap();
    assert_eq!(decoded.remove, [], "more had come");
    for _ in 0..9 {
        decoder.scan(names::SOCKET, &[], &mut decoded).unwrap();
    }
    decoder.entry(names::CLOSED, &key, &totals(11), &mut decoded).unwrap();
    assert_eq!(decoded.remove, [(names::CLOSED, key)]);
    let said: Vec<u64> = net(&decoded)
        .iter()
        .filter_map(|fact| if let NetFact::ClosedTotals(fact) = fact { Some(fact.counters.tx) } else { None })
        .collect();
    assert_eq!(said, [10, 11, 0], "what follows counts from 0");
    assert!(decoder.closed.is_empty());
}

#[test]
fn bytes_that_are_no_record_are_rejected() {
    let (mut decoder, mut decoded) = (NetDecoder::default(), Decoded::default());
    let record = |kind| bytes(&RecordHeader { kind, size: 16, at: 0 });
    for bytes in [&[][..], &[1, 2, 3], &record(KIND_CLOSED), &record(77)] {
        assert!(decoder.record(bytes, &mut decoded).is_err());
    }
    assert!(decoder.scan(names::SOCKET, &[0; 7], &mut decoded).is_err());
    assert!(decoder.scan(ProgramName::new("another"), &[], &mut decoded).is_err());
    assert!(decoder.entry(names::FLOWS, &[0; 24], &[0; 3], &mut decoded).is_err());
    assert!(decoder.entry(MapName::new("another"), &[], &[], &mut decoded).is_err());
    assert!(decoded.facts.is_empty());
}
