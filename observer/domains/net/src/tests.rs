//! Tests of the net domain, with facts as input.

use crate::views;
use std::{net::IpAddr, sync::Arc};

use super::{queries::NetQueries, state::NetState};
use observer_core::{
    context::Context,
    domain::State as _,
    facts::{
        Fact, TaskId,
        net::{
            ClosedFact, ClosedTotalsFact, ConnectionFact, ConnectionHandle, Counters, Endpoint, Endpoints,
            FlowFact, FlowSlot, Holders, LinkFact, NetFact, Packer, Protocol, QueueFact, SaturationFact,
            SocketFact, StreamBytes, TcpMeasures, TcpTimes,
        },
        process::ProcessFact,
        session::{SessionFact, Timestamp},
    },
    identity::process::Processes,
    problem::condition::Condition,
    report::{CommonNote, Report, Row, Value, shape},
    view::{GroupBy, Request, View},
};

pub(crate) const A: TaskId = TaskId { start: 1, tgid: 100 };
pub(crate) const B: TaskId = TaskId { start: 2, tgid: 200 };
const SECOND: u64 = 1_000_000_000;

/// Takes facts, and makes a report each second.
pub(crate) struct Scene {
    state: NetState,
    processes: Processes,
    request: Request,
    session: SessionFact,
    now: u64,
    reports: u32,
}

impl Scene {
    pub(crate) fn new(view: View) -> Self {
        Self::of(Request::new(view))
    }

    fn of(request: Request) -> Self {
        let session = SessionFact::default();
        let mut state = NetState::new(&request);
        state.apply(&Fact::Session(session.clone().into()));
        Self { state, processes: Processes::default(), request, session, now: 0, reports: 0 }
    }

    pub(crate) fn say(&mut self, fact: NetFact) {
        self.state.apply(&Fact::Net(fact));
    }

    fn process(&mut self, fact: ProcessFact) {
        self.processes.apply(&fact);
        self.state.apply(&Fact::Process(fact));
    }

    /// The report of the next second. The first one is the baseline.
    pub(crate) fn report(&mut self) -> Report {
        let previous = Timestamp { boot: self.now, wall: 0 };
        self.now += SECOND;
        let now = Timestamp { boot: self.now, wall: 0 };
        self.state.tick(now);
        let context = Context {
            session: &self.session,
            processes: &self.processes,
            request: &self.request,
            now,
            previous,
            first: self.reports == 0,
        };
        let report = self.state.report(&context);
        self.state.delivered(now);
        self.reports += 1;
        report
    }

    /// The conditions in the next second.
    pub(crate) fn problems(&mut self) -> Vec<Condition> {
        let previous = Timestamp { boot: self.now, wall: 0 };
        let now = Timestamp { boot: self.now + SECOND, wall: 0 };
        self.state.tick(now);
        let (session, processes, request) = (&self.session, &self.processes, &self.request);
        let context = Context { session, processes, request, now, previous, first: false };
        self.state.outlook(&context).conditions
    }

    /// The cell of a column in the row of `id` in the next report.
    fn next(&mut self, id: TaskId, column: &str) -> Value {
        let report = self.report();
        cell(&report, id, column).unwrap_or_else(|| panic!("no row of {id:?}"))
    }
}

fn row(report: &Report, id: TaskId) -> Option<&Row> {
    report.tables[0].rows.iter().find(|row| row.processes.contains(&id))
}

fn cell(report: &Report, id: TaskId, column: &str) -> Option<Value> {
    let place = report.tables[0].position(column).expect(column);
    row(report, id).map(|row| row.cells[place].clone())
}

pub(crate) fn address(text: &str) -> Endpoint {
    text.parse().unwrap()
}

pub(crate) fn connection(cookie: u64, opened: u64, tx: u64, rx: u64) -> ConnectionFact {
    ConnectionFact {
        cookie,
        opened,
        passive: false,
        owner: Some(A),
        holders: [A].into(),
        ends: Endpoints { netns: 1, local: address("10.0.0.1:4000"), remote: Some(address("10.0.0.2:443")) },
        state: 1,
        counters: Counters { tx, rx, retransmitted: 0 },
        measures: TcpMeasures { srtt: 2000, ..TcpMeasures::default() },
        times: None,
    }
}

fn untimed(connection: ConnectionFact) -> NetFact {
    NetFact::UntimedConnection(connection.into())
}

pub(crate) fn listed(socket: SocketFact) -> NetFact {
    NetFact::Socket(Arc::new(socket))
}

fn closed(connection: ConnectionFact, seen: Option<Counters>) -> NetFact {
    let connection = Arc::new(ConnectionFact { holders: Holders::new(), ..connection });
    NetFact::Closed(Box::new(ClosedFact { connection, seen, at: 0 }))
}

pub(crate) fn flow(task: TaskId, cookie: u64, protocol: Protocol, tx: u64, rx: u64) -> NetFact {
    let key = FlowSlot { task, cookie, created: 5 };
    NetFact::Flow(FlowFact { key, protocol, remote: Some(address("10.0.0.9:53")), tx, rx })
}

#[test]
fn a_remote_is_asked_for_once_and_people_see_its_name() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    scene.say(untimed(connection(1, 5, 1000, 500)));
    let wanted = |scene: &Scene, report: &Report| {
        let (session, processes, request) = (&scene.session, &scene.processes, &scene.request);
        let now = Timestamp { boot: scene.now, wall: 0 };
        let context = Context { session, processes, request, now, previous: now, first: false };
        scene.state.queries(report, &context).own::<NetQueries>().unwrap().remotes.clone()
    };
    let report = scene.report();
    assert_eq!(cell(&report, A, "to_name"), Some(Value::Text("10.0.0.2:443".to_owned())));
    let address: IpAddr = [10, 0, 0, 2].into();
    assert_eq!(wanted(&scene, &report).into_iter().collect::<Vec<_>>(), [address]);
    scene.say(NetFact::RemoteName { address, name: Some(b"s3.example\x1b".to_vec()) });
    let report = scene.report();
    assert_eq!(cell(&report, A, "to_name"), Some(Value::Text("s3.example\\x1b:443".to_owned())));
    assert_eq!(
        cell(&report, A, "to"),
        Some(Value::Text("10.0.0.2:443".to_owned())),
        "scripts see the address"
    );
    assert!(wanted(&scene, &report).is_empty());
    scene.request.resolve = false;
    let report = scene.report();
    assert_eq!(cell(&report, A, "to_name"), Some(Value::Text("10.0.0.2:443".to_owned())));
}

#[test]
fn bytes_from_before_observation_are_not_counted() {
    let mut scene = Scene::new(views::NET);
    scene.say(untimed(connection(1, 0, 1000, 500)));
    assert_eq!(scene.next(A, "tx"), Value::Unsigned(0));
    scene.say(untimed(connection(1, 0, 1600, 500)));
    assert_eq!(scene.next(A, "tx"), Value::Unsigned(600));
    scene.say(closed(connection(1, 0, 1700, 501), Some(Counters { tx: 1600, rx: 500, retransmitted: 0 })));
    let report = scene.report();
    assert_eq!(cell(&report, A, "tx"), Some(Value::Unsigned(700)));
    assert_eq!(cell(&report, A, "rx"), Some(Value::Unsigned(1)));
}

#[test]
fn a_connection_from_before_that_ends_before_the_first_pass_counts_nothing() {
    let mut scene = Scene::new(views::NET);
    scene.say(closed(connection(1, 0, 1000, 500), None));
    assert_eq!(scene.next(A, "tx"), Value::Unsigned(0));
}

#[test]
fn a_connection_without_open_event_that_no_scan_has_found_is_counted_whole() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    scene.say(closed(connection(1, 0, 1000, 500), None));
    let report = scene.report();
    assert_eq!(cell(&report, A, "tx"), Some(Value::Unsigned(1000)));
    assert_eq!(cell(&report, A, "rx"), Some(Value::Unsigned(500)));
}

#[test]
fn a_connection_closed_by_its_process_before_observation_is_not_counted() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    scene.say(closed(ConnectionFact { owner: None, ..connection(1, 0, 1000, 500) }, None));
    scene.report();
    scene.report();
    assert_eq!(scene.report().loss.unattributed, 0);
}

#[test]
fn a_connection_between_two_scans_is_counted_whole() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    scene.say(closed(connection(1, 7, 1000, 500), None));
    let report = scene.report();
    assert_eq!(cell(&report, A, "tx"), Some(Value::Unsigned(1000)));
    assert_eq!(cell(&report, A, "tx_rate"), Some(Value::Real(1000.0)));
    assert_eq!(cell(&report, A, "connections"), Some(Value::Unsigned(1)));
    assert_eq!(scene.next(A, "connections"), Value::Unsigned(0));
}

#[test]
fn a_connection_that_was_met_and_ended_is_counted_once() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    scene.say(untimed(connection(1, 7, 400, 0)));
    scene.report();
    scene.say(closed(connection(1, 7, 1000, 0), Some(Counters { tx: 400, rx: 0, retransmitted: 0 })));
    scene.say(NetFact::Vanished { cookie: 1 });
    assert_eq!(scene.next(A, "tx"), Value::Unsigned(1000));
    assert_eq!(scene.next(A, "tx"), Value::Unsigned(1000));
}

#[test]
fn the_same_socket_connected_again_is_another_connection() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    scene.say(untimed(connection(1, 7, 1000, 0)));
    scene.say(untimed(connection(1, 8, 300, 0)));
    assert_eq!(scene.next(A, "tx"), Value::Unsigned(1300));
}

#[test]
fn a_close_reported_after_the_connection_was_forgotten_adds_the_new_bytes() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    scene.say(untimed(connection(1, 7, 400, 0)));
    scene.say(NetFact::Vanished { cookie: 1 });
    for _ in 0..100 {
        scene.report();
    }
    scene.say(closed(connection(1, 7, 1000, 0), Some(Counters { tx: 400, rx: 0, retransmitted: 0 })));
    assert_eq!(scene.next(A, "tx"), Value::Unsigned(1000));
}

#[test]
fn a_counter_that_was_read_a_byte_too_high_is_corrected() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    scene.say(untimed(connection(1, 7, 0, 101)));
    assert_eq!(scene.next(A, "rx"), Value::Unsigned(101));
    scene.say(closed(connection(1, 7, 0, 100), Some(Counters { tx: 0, rx: 101, retransmitted: 0 })));
    assert_eq!(scene.next(A, "rx"), Value::Unsigned(100));
}

#[test]
fn a_shared_socket_is_split_whichever_is_known_first() {
    for flow_first in [true, false] {
        let mut scene = Scene::new(views::NET);
        scene.report();
        let facts = [flow(B, 1, Protocol::Tcp, 300, 20), untimed(connection(1, 7, 1000, 100))];
        let mut order = Vec::from(facts);
        if !flow_first {
            order.reverse();
        }
        for fact in order {
            scene.say(fact);
        }
        let report = scene.report();
        assert_eq!(cell(&report, A, "tx"), Some(Value::Unsigned(700)));
        assert_eq!(cell(&report, A, "rx"), Some(Value::Unsigned(80)));
        assert_eq!(cell(&report, B, "tx"), Some(Value::Unsigned(300)));
        // The last bytes of the other holder may be read after the end.
        scene.say(closed(connection(1, 7, 1000, 100), None));
        scene.report();
        scene.say(flow(B, 1, Protocol::Tcp, 500, 20));
        let report = scene.report();
        assert_eq!(cell(&report, A, "tx"), Some(Value::Unsigned(500)));
        assert_eq!(cell(&report, B, "tx"), Some(Value::Unsigned(500)));
    }
}

#[test]
fn a_connection_without_owner_belongs_to_its_only_holder_and_not_to_one_of_several() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    let nobodys = |cookie, holders: &[TaskId], rx| {
        let fact = connection(cookie, 7, 0, rx);
        ConnectionFact { owner: None, holders: holders.into(), ..fact }
    };
    scene.say(untimed(nobodys(1, &[A], 10)));
    scene.say(untimed(nobodys(2, &[A, B], 1000)));
    assert_eq!(scene.next(A, "rx"), Value::Unsigned(10));
    scene.say(closed(nobodys(2, &[], 1000), None));
    scene.report();
    scene.report();
    let report = scene.report();
    assert_eq!(report.loss.unattributed, 1000);
    assert_eq!(cell(&report, A, "rx"), Some(Value::Unsigned(10)));
}

#[test]
fn an_ended_process_is_reported_until_its_connections_are_closed() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    scene.say(untimed(connection(1, 7, 400, 0)));
    scene.report();
    scene.process(ProcessFact::Ended { id: A, at: scene.now });
    let report = scene.report();
    assert!(row(&report, A).unwrap().ended);
    assert!(row(&scene.report(), A).unwrap().ended, "its connection still sends");
    scene.say(closed(connection(1, 7, 1000, 0), None));
    let report = scene.report();
    assert!(row(&report, A).unwrap().ended);
    assert_eq!(cell(&report, A, "tx"), Some(Value::Unsigned(1000)));
    assert!(row(&scene.report(), A).is_none());
}

#[test]
fn a_short_lived_process_is_reported_once_as_ended_and_stays_in_the_totals() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    let lives: Vec<TaskId> = (0..150).map(|tgid| TaskId { start: 7, tgid: 1000 + tgid }).collect();
    for (cookie, &id) in lives.iter().enumerate() {
        scene.process(ProcessFact::Met { id, comm: b"short"[..].into(), uid: 0, kernel_thread: false });
        scene.process(ProcessFact::Ended { id, at: scene.now });
        scene.say(flow(id, cookie as u64 + 1, Protocol::Udp, 10, 0));
    }
    let report = scene.report();
    assert!(lives.iter().all(|id| row(&report, *id).is_some_and(|row| row.ended)));
    assert_eq!(report.total("tx"), Some(&Value::Unsigned(1500)));
    // An entry that was announced twice is read twice.
    scene.say(flow(lives[0], 1, Protocol::Udp, 10, 0));
    let report = scene.report();
    assert_eq!(report.tables[0].rows.len(), 0);
    assert_eq!(report.total("tx"), Some(&Value::Unsigned(1500)));
    scene.say(flow(lives[0], 1, Protocol::Udp, 12, 0));
    scene.process(ProcessFact::Ended { id: lives[0], at: scene.now });
    let report = scene.report();
    assert!(row(&report, lives[0]).unwrap().ended);
    assert_eq!(report.total("tx"), Some(&Value::Unsigned(1502)));
    for _ in 0..3 {
        let report = scene.report();
        assert_eq!((report.tables[0].rows.len(), report.total("tx")), (0, Some(&Value::Unsigned(1502))));
    }
    assert!(scene.state.ended.is_empty() && scene.state.processes.is_empty());
}

#[test]
fn totals_of_closes_add_their_new_bytes() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    let totals = |tx, connections| {
        let counters = Counters { tx, rx: 1, retransmitted: 2 };
        NetFact::ClosedTotals(ClosedTotalsFact { owner: A, counters, connections })
    };
    scene.say(totals(100, 3));
    scene.say(totals(250, 5));
    let report = scene.report();
    assert_eq!(cell(&report, A, "tx"), Some(Value::Unsigned(250)));
    assert_eq!(cell(&report, A, "rx"), Some(Value::Unsigned(1)));
    assert_eq!(cell(&report, A, "retransmitted"), Some(Value::Unsigned(2)));
    assert_eq!(cell(&report, A, "connections"), Some(Value::Unsigned(5)));
    scene.say(totals(0, 0));
    scene.say(totals(30, 1));
    assert_eq!(scene.next(A, "tx"), Value::Unsigned(280));
}

#[test]
fn facts_in_another_order_give_the_same_rows() {
    let shown = |view: View, order: &dyn Fn(&mut Vec<NetFact>)| {
        let mut scene = Scene::new(view);
        scene.report();
        let mut facts: Vec<NetFact> = (1..20)
            .map(|cookie| {
                listed(SocketFact {
                    cookie,
                    holders: [A].into(),
                    protocol: Protocol::Tcp,
                    listening: true,
                    ends: Endpoints { netns: 1, local: address("10.0.0.1:4000"), remote: None },
                    queued: 0,
                    queue_limit: Some(4),
                    drops: 0,
                })
            })
            .collect();
        facts.extend((21..40).map(|cookie| {
            let mut fact = ConnectionFact { passive: true, ..connection(cookie, 7, 10, 10) };
            fact.ends.remote = Some(Endpoint::new([10, 0, 0, 2].into(), cookie as u16));
            untimed(fact)
        }));
        order(&mut facts);
        facts.into_iter().for_each(|fact| scene.say(fact));
        let rows = scene.report().tables.swap_remove(0).rows;
        rows.into_iter().map(|row| row.cells).collect::<Vec<_>>()
    };
    for view in [views::LISTEN, views::CONNECTIONS] {
        assert_eq!(shown(view, &|_| {}), shown(view, &|facts| facts.reverse()), "{view:?}");
    }
}

#[test]
fn datagrams_are_kept_apart_from_tcp_and_counted_anew_without_loss() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    scene.say(flow(B, 9, Protocol::Udp, 100, 40));
    let report = scene.report();
    let both = |tx, rx| Value::Object(vec![("tx", Value::Unsigned(tx)), ("rx", Value::Unsigned(rx))]);
    assert_eq!(cell(&report, B, "udp"), Some(both(100, 40)));
    assert_eq!(cell(&report, B, "tcp"), Some(both(0, 0)));
    assert_eq!(cell(&report, B, "to"), Some(Value::Text("10.0.0.9:53".to_owned())));
    let again = FlowSlot { task: B, cookie: 9, created: 6 };
    scene.say(NetFact::FlowEnded { key: FlowSlot { created: 5, ..again } });
    let fact = FlowFact { key: again, protocol: Protocol::Udp, remote: None, tx: 7, rx: 0 };
    scene.say(NetFact::Flow(fact));
    assert_eq!(scene.next(B, "udp"), both(107, 40));
}

#[test]
fn rates_and_shares_are_unknown_before_the_first_interval() {
    let mut scene = Scene::new(views::NET);
    scene.say(untimed(connection(1, 0, 1000, 500)));
    let report = scene.report();
    for column in ["tx_rate", "rx_rate", "share"] {
        assert_eq!(cell(&report, A, column), Some(Value::Missing), "{column}");
    }
    scene.say(untimed(connection(1, 0, 1300, 500)));
    scene.say(flow(B, 9, Protocol::Udp, 100, 0));
    let report = scene.report();
    assert_eq!(cell(&report, A, "share"), Some(Value::Real(0.75)));
    assert_eq!(cell(&report, B, "share"), Some(Value::Real(0.25)));
    assert_eq!(cell(&report, A, "rtt"), Some(Value::Real(0.002)));
    assert_eq!(report.tables[0].rows[0].processes, [A], "the biggest first");
}

#[test]
fn rows_of_remotes_add_up_to_the_process() {
    let mut scene = Scene::of(Request { by: GroupBy::Remote, ..Request::new(views::NET) });
    scene.report();
    scene.say(untimed(connection(1, 7, 1000, 0)));
    let mut other = connection(2, 7, 50, 0);
    other.ends.remote = Some(address("10.0.0.3:80"));
    scene.say(untimed(other));
    scene.say(flow(A, 9, Protocol::Udp, 5, 0));
    let report = scene.report();
    let table = &report.tables[0];
    let place = |column: &str| table.position(column).unwrap();
    let mut rows: Vec<(Value, Value)> = table
        .rows
        .iter()
        .map(|row| (row.cells[place("remote")].clone(), row.cells[place("tx")].clone()))
        .collect();
    rows.sort_by_key(|(remote, _)| format!("{remote:?}"));
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(
        rows,
        [
            (text("10.0.0.2"), Value::Unsigned(1000)),
            (text("10.0.0.3"), Value::Unsigned(50)),
            (text("10.0.0.9"), Value::Unsigned(5)),
        ]
    );
}

/// The reports about four connections over half a minute, with or without the kernel's clock. `form` sets the form of
/// each fact about a connection.
fn reports_of_a_life(
    view: View,
    clock: bool,
    mut form: impl FnMut(ConnectionHandle) -> ConnectionHandle,
) -> (Vec<Report>, usize) {
    let mut scene = Scene::new(view);
    let mut rested = 0;
    let mut timed = |scene: &mut Scene, connection: ConnectionFact| {
        let times = TcpTimes { segments_out: connection.counters.tx as u32, ..TcpTimes::default() };
        let connection = ConnectionFact { times: Some(times), ..connection };
        scene.say(NetFact::Connection(form(connection.into())));
    };
    let with = |holders: &[TaskId], connection: ConnectionFact| ConnectionFact {
        holders: Holders::from_slice(holders),
        ..connection
    };
    let mut reports = Vec::new();
    let mut report = |scene: &mut Scene, seconds: u64| {
        for _ in 0..seconds {
            if clock {
                scene.say(NetFact::Jiffies((scene.now / 4_000_000) as u32));
            }
            reports.push(scene.report());
            rested = rested.max(scene.state.connections.idle().count());
        }
    };
    // From before observation: one with an owner, one with two holders, one without holder.
    timed(&mut scene, connection(1, 0, 1000, 500));
    timed(&mut scene, with(&[A, B], connection(2, 0, 70, 7)));
    timed(&mut scene, ConnectionFact { owner: None, ..with(&[], connection(3, 0, 9, 9)) });
    report(&mut scene, 2);
    timed(&mut scene, connection(1, 0, 1600, 500));
    timed(&mut scene, connection(4, 8, 300, 30));
    timed(&mut scene, with(&[A, B], connection(2, 0, 80, 7)));
    scene.say(flow(B, 1, Protocol::Tcp, 5, 0));
    timed(&mut scene, ConnectionFact { owner: None, ..with(&[], connection(3, 0, 10, 9)) });
    // Longer than readings are kept: without changes there is nothing to judge a connection by.
    report(&mut scene, 12);
    timed(&mut scene, connection(1, 0, 1700, 520));
    scene.say(NetFact::Shared { cookie: 2, since: StreamBytes { tx: 85, rx: 7 } });
    scene.say(flow(B, 2, Protocol::Tcp, 5, 0));
    timed(&mut scene, with(&[A, B], connection(2, 0, 90, 7)));
    report(&mut scene, 12);
    scene.say(closed(connection(4, 8, 400, 30), None));
    scene.say(closed(ConnectionFact { owner: None, ..connection(3, 0, 20, 9) }, None));
    scene.say(NetFact::Vanished { cookie: 1 });
    scene.process(ProcessFact::Ended { id: A, at: scene.now });
    report(&mut scene, 4);
    (reports, rested)
}

#[test]
fn an_idle_connection_is_reported_as_if_it_were_active() {
    for (view, clock) in [(views::NET, true), (views::NET, false), (views::CONNECTIONS, true)] {
        let (whole, never) = reports_of_a_life(view, clock, |fact| fact);
        let mut packer = Packer::default();
        let (packed, rested) = reports_of_a_life(view, clock, |mut fact| {
            fact.pack(&mut packer);
            fact
        });
        assert_eq!((never, rested), (0, 2), "not that of nobody, nor what others moved through");
        for (second, (whole, packed)) in whole.iter().zip(&packed).enumerate() {
            assert_eq!(whole, packed, "{second} s");
        }
    }
}

#[test]
fn a_link_is_used_by_its_busier_direction_and_has_no_use_without_a_speed() {
    let mut scene = Scene::new(views::NET);
    let link = |name: &str, speed, tx, rx| LinkFact { name: name.into(), speed, tx, rx, drops: 3 };
    scene.say(NetFact::Links(vec![link("eth0", Some(8_000_000), 0, 0), link("lo", None, 0, 0)]));
    scene.report();
    scene.say(NetFact::Links(vec![link("eth0", Some(8_000_000), 900_000, 10), link("lo", None, 4, 4)]));
    scene.say(flow(B, 9, Protocol::Udp, 900_000, 0));
    let report = scene.report();
    let links = &report.tables[1];
    let of = |row: usize, column: &str| links.rows[row].cells[links.position(column).unwrap()].clone();
    assert_eq!(of(0, "interface"), Value::Text("eth0".to_owned()));
    assert_eq!(of(0, "use"), Value::Real(0.9));
    assert_eq!(of(0, "tx_rate"), Value::Real(900_000.0));
    assert_eq!(of(0, "drops"), Value::Unsigned(0), "dropped before observation");
    assert_eq!(of(1, "use"), Value::Missing);
    assert_eq!(of(0, "queued"), Value::Missing, "nobody told of its queue");
    let notes: Vec<_> = report.notes.iter().map(|note| (note.kind.code, note.text.as_str())).collect();
    assert_eq!(notes[0], ("near-limit", "eth0: uses 90 % of its 8 Mbit/s."));
    assert_eq!((notes[1].0, notes.len()), ("link-queues-unknown", 2));
    assert_eq!(
        report.headline,
        ["eth0 sends 7.2 Mbit/s of 8 Mbit/s (90 %): 200 takes 100 % of it, most of it with 10.0.0.9:53."]
    );
}

#[test]
fn a_link_shows_what_waits_and_what_was_lost_while_observed() {
    let mut scene = Scene::new(views::NET);
    let link = |drops| LinkFact { name: b"eth0".to_vec(), speed: None, tx: 0, rx: 0, drops };
    let saturation = |errors, packets, drops| {
        let queue = Some(QueueFact { packets, bytes: packets * 1000, drops });
        NetFact::Saturation(vec![SaturationFact { name: b"eth0".to_vec(), errors, queue }])
    };
    let shown = |scene: &mut Scene| {
        let report = scene.report();
        let links = &report.tables[1];
        let number = |column: &str| links.rows[0].cells[links.position(column).unwrap()].number();
        let columns = ["queued", "queued_packets", "drops", "queue_drops", "dropped", "errors"];
        let notes: Vec<String> = report.notes.into_iter().map(|note| note.text).collect();
        (columns.map(|column| number(column).unwrap()), notes.join(" "))
    };
    scene.say(NetFact::Links(vec![link(3)]));
    scene.say(saturation(5, 0, u32::MAX - 1));
    assert_eq!(shown(&mut scene), ([0.0; 6], String::new()), "all of that was before");
    scene.say(NetFact::Links(vec![link(4)]));
    scene.say(saturation(7, 2, 8));
    let notes = "eth0: 13 packets were dropped or damaged since the last report; 2 packets wait in its queue, 2.0 KiB.";
    assert_eq!(shown(&mut scene), ([2000.0, 2.0, 1.0, 10.0, 11.0, 2.0], notes.to_owned()));
    // Another discipline takes its place and counts from 0.
    scene.say(saturation(7, 0, 1));
    assert_eq!(shown(&mut scene), ([0.0, 0.0, 1.0, 10.0, 11.0, 2.0], String::new()));
    scene.say(saturation(7, 0, 4));
    let notes = "eth0: 3 packets were dropped or damaged since the last report.";
    assert_eq!(shown(&mut scene), ([0.0, 0.0, 1.0, 13.0, 14.0, 2.0], notes.to_owned()));
}

#[test]
fn a_connection_is_counted_at_the_most_specific_listener_that_can_have_accepted_it() {
    let mut scene = Scene::new(views::LISTEN);
    let listener = |cookie, local: &str| {
        listed(SocketFact {
            cookie,
            holders: [A].into(),
            protocol: Protocol::Tcp,
            listening: true,
            ends: Endpoints { netns: 1, local: address(local), remote: None },
            queued: 4,
            queue_limit: Some(4),
            drops: 2,
        })
    };
    let accepted = |cookie, opened, owner: Option<TaskId>| {
        let fact = connection(cookie, opened, 0, 0);
        ConnectionFact { passive: true, owner, holders: owner.into_iter().collect(), ..fact }
    };
    scene.say(listener(50, "0.0.0.0:4000"));
    scene.say(listener(51, "10.0.0.1:4000"));
    scene.say(untimed(accepted(1, 7, None)));
    scene.report();
    scene.say(untimed(accepted(1, 7, Some(A))));
    scene.say(closed(accepted(2, 8, Some(A)), None));
    scene.say(untimed(accepted(3, 0, Some(A))));
    let report = scene.report();
    let table = &report.tables[0];
    let of = |row: usize, column: &str| table.rows[row].cells[table.position(column).unwrap()].clone();
    assert_eq!((of(0, "local"), of(0, "accepted")), (Value::Text("0.0.0.0:4000".into()), Value::Unsigned(0)));
    assert_eq!(
        (of(1, "local"), of(1, "accepted")),
        (Value::Text("10.0.0.1:4000".into()), Value::Unsigned(2))
    );
    assert!(report.headline[0].contains("10.0.0.1:4000 is full"), "{:?}", report.headline);
}

#[test]
fn a_queue_without_a_known_limit_is_reported_without_one() {
    let mut scene = Scene::new(views::LISTEN);
    let listener = |queue_limit, drops| {
        listed(SocketFact {
            cookie: 50,
            holders: [A].into(),
            protocol: Protocol::Tcp,
            listening: true,
            ends: Endpoints { netns: 1, local: address("10.0.0.1:4000"), remote: None },
            queued: 4,
            queue_limit,
            drops,
        })
    };
    let mut notes = |queue_limit, drops| {
        scene.say(listener(queue_limit, drops));
        let notes = scene.report().notes.into_iter().filter(|note| note.kind == CommonNote::NearLimit.kind());
        notes.map(|note| note.text).collect::<Vec<_>>()
    };
    assert_eq!(notes(None, 2), [""; 0], "nothing was dropped while observed, and no limit is near");
    let waiting = "4 connections wait at 10.0.0.1:4000 for 100";
    assert_eq!(notes(None, 3), [format!("{waiting}; 1 connection found no room since the last report.")]);
    assert_eq!(notes(Some(4), 3), [format!("{waiting}, of at most 4.")]);
}

#[test]
fn a_socket_is_in_the_container_of_its_network_namespace() {
    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let mut scene = Scene::new(views::CONNECTIONS);
    scene.say(untimed(connection(1, 7, 0, 0)));
    let wanted = |scene: &Scene, report: &Report| {
        let (session, processes, request) = (&scene.session, &scene.processes, &scene.request);
        let now = Timestamp { boot: scene.now, wall: 0 };
        let context = Context { session, processes, request, now, previous: now, first: false };
        let queries = scene.state.queries(report, &context);
        queries.own::<NetQueries>().unwrap().namespaces.iter().copied().collect::<Vec<_>>()
    };
    let report = scene.report();
    assert_eq!(cell(&report, A, "netns"), Some(Value::Unsigned(1)));
    assert_eq!(cell(&report, A, "netns_container"), Some(Value::Missing));
    assert_eq!(wanted(&scene, &report), [1]);
    let cgroup = format!("/system.slice/docker-{ID}.scope");
    scene.say(NetFact::Namespace { netns: 1, cgroup: Some(cgroup.into_bytes()) });
    let mut report = scene.report();
    assert_eq!(cell(&report, A, "netns_container"), Some(Value::Text(ID.to_owned())));
    assert_eq!(wanted(&scene, &report), [0; 0], "asked for once");
    // Its process is in no container: the socket counts for the container of its namespace.
    let request = Request { by: GroupBy::Container, ..Request::new(views::CONNECTIONS) };
    shape::shape(&mut report, &request, &scene.processes).unwrap();
    assert_eq!(report.tables[0].rows[0].cells[0], Value::Text(ID.to_owned()));
    (0..61).for_each(|_| drop(scene.report()));
    let report = scene.report();
    assert_eq!(wanted(&scene, &report), [1], "and again after a minute");
    assert_eq!(cell(&report, A, "netns_container"), Some(Value::Text(ID.to_owned())));
    scene.say(closed(connection(1, 7, 0, 0), None));
    (0..61).for_each(|_| drop(scene.report()));
    let report = scene.report();
    assert_eq!(wanted(&scene, &report), [0; 0], "nothing is there any more");
}

#[test]
fn of_many_full_queues_the_worst_are_named_and_the_others_counted() {
    let mut scene = Scene::new(views::NET);
    let listener = |cookie: u64, drops: u32| {
        listed(SocketFact {
            cookie,
            holders: [A].into(),
            protocol: Protocol::Tcp,
            listening: true,
            ends: Endpoints {
                netns: 1,
                local: Endpoint::new([10, 0, 0, 1].into(), 8000 + cookie as u16),
                remote: None,
            },
            queued: 4,
            queue_limit: Some(4),
            drops,
        })
    };
    (0..40).for_each(|cookie| scene.say(listener(cookie, 1)));
    scene.report();
    (0..40).for_each(|cookie| scene.say(listener(cookie, 1 + cookie as u32)));
    let notes = scene.report().notes;
    let texts: Vec<&str> = notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(texts.len(), 6, "{texts:#?}");
    for (cookie, text) in (35..40).rev().zip(&texts) {
        assert!(text.contains(&format!("10.0.0.1:80{cookie} ")), "{text}");
        assert!(text.contains(&format!("; {cookie} connections found no room")), "{text}");
    }
    let others: u32 = (0..35).sum();
    assert_eq!(
        texts[5],
        format!(
            "35 more accept queues are nearly full too, or had no room for a connection; {others} connections found \
             none there since the last report."
        )
    );
}

#[test]
fn a_closed_connection_is_not_among_the_open_ones_of_the_first_answer() {
    let mut scene = Scene::new(views::NET);
    for cookie in 1..=3 {
        scene.say(untimed(connection(cookie, 7, 0, 0)));
    }
    // A connection without a known holder is open too.
    scene.say(untimed(ConnectionFact { owner: None, holders: Holders::new(), ..connection(4, 7, 0, 0) }));
    scene.say(closed(connection(2, 7, 0, 0), None));
    scene.say(NetFact::Vanished { cookie: 3 });
    let headline = scene.report().headline;
    assert_eq!(headline, ["2 connections are open; their traffic is known after the first interval."]);
}
