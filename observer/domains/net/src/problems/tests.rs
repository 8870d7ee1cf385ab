//! Conditions from invented facts, one place for each kind.

use crate::{
    tests::{A, B, Scene, address, connection, flow, listed},
    views,
};
use observer_core::{
    facts::net::{
        CapacityFact, ConnectionFact, Descriptors, Endpoints, LinkFact, NetFact, Occupancy, Protocol,
        SocketFact, TcpMeasures, TcpTimes,
    },
    problem::condition::Condition,
    severity::Severity,
};

/// Kind, severity and whether it begins, of each condition.
fn brief(conditions: &[Condition]) -> Vec<(&'static str, Severity, bool)> {
    let brief = |condition: &Condition| (condition.kind.name, condition.problem.severity, condition.begins);
    conditions.iter().map(brief).collect()
}

#[test]
fn a_full_link_names_its_hog() {
    let found = |bytes: u64| {
        let mut scene = Scene::new(views::NET);
        let link = |tx| LinkFact { name: b"eth0".to_vec(), speed: Some(8_000_000), tx, rx: 0, drops: 0 };
        scene.say(NetFact::Links(vec![link(0)]));
        scene.report();
        scene.say(NetFact::Links(vec![link(bytes)]));
        scene.say(flow(B, 9, Protocol::Udp, bytes * 8 / 10, 0));
        scene.problems()
    };
    assert_eq!(brief(&found(300_000)), []);
    assert_eq!(brief(&found(650_000)), [("link-full", Severity::Watch, false)]);
    assert_eq!(brief(&found(750_000)), [("link-full", Severity::Watch, true)]);
    let conditions = found(950_000);
    assert_eq!(brief(&conditions), [("link-full", Severity::Soon, true)]);
    let problem = &conditions[0].problem;
    assert_eq!(
        problem.text,
        "eth0 sends 7.6 Mbit/s, 95 % of its 8 Mbit/s: 200 takes 80 % of it, most of it with 10.0.0.9:53."
    );
    assert_eq!(problem.next.as_deref(), Some("observer net --connections -p 200"));
}

fn listening(queued: u32, queue_limit: u32, drops: u32) -> NetFact {
    listed(SocketFact {
        cookie: 7,
        holders: [A].into(),
        protocol: Protocol::Tcp,
        listening: true,
        ends: Endpoints { netns: 1, local: address("0.0.0.0:80"), remote: None },
        queued,
        queue_limit: Some(queue_limit),
        drops,
    })
}

#[test]
fn a_service_that_does_not_accept_is_a_problem_now() {
    let found = |queued: u32, drops: u32| {
        let mut scene = Scene::new(views::NET);
        scene.say(listening(0, 16, 0));
        scene.report();
        scene.say(listening(queued, 16, drops));
        scene.problems()
    };
    assert_eq!(brief(&found(3, 0)), []);
    assert_eq!(brief(&found(14, 0)), [("accept-queue-full", Severity::Soon, true)]);
    assert_eq!(brief(&found(9, 2)), [("accept-queue-full", Severity::Now, true)], "connections were dropped");
    assert_eq!(
        brief(&found(0, 2)),
        [("accept-queue-full", Severity::Watch, true)],
        "in a burst that is over"
    );
    let conditions = found(17, 2);
    assert_eq!(brief(&conditions), [("accept-queue-full", Severity::Now, true)]);
    let problem = &conditions[0].problem;
    assert_eq!(
        problem.text,
        "100 does not accept connections at 0.0.0.0:80: its accept queue is full (17 connections wait, of at most 16); 2 connections found no room since the last report."
    );
    assert_eq!(problem.next.as_deref(), Some("observer net --listen -p 100"));
}

#[test]
fn a_process_that_does_not_read_is_a_problem_of_its_peers_when_no_room_is_left() {
    let found = |unread: u32, receive_window: u32| {
        let mut scene = Scene::new(views::NET);
        let fact = |unread, received| ConnectionFact {
            measures: TcpMeasures { unread, mss: 1460, ..TcpMeasures::default() },
            times: Some(TcpTimes { receive_window, last_received: received, ..TcpTimes::default() }),
            ..connection(1, 0, 0, 1_000_000)
        };
        for (jiffies, unread) in [(1000, unread), (1250, unread), (1500, unread)] {
            scene.say(NetFact::Jiffies(jiffies));
            scene.say(NetFact::Connection(fact(unread, 900).into()));
            scene.report();
        }
        scene.say(NetFact::Jiffies(1750));
        scene.problems()
    };
    assert_eq!(brief(&found(1000, 100_000)), []);
    assert_eq!(brief(&found(30_000, 100_000)), [("slow-reader", Severity::Watch, false)]);
    assert_eq!(brief(&found(200_000, 150_000)), [("slow-reader", Severity::Watch, true)]);
    let conditions = found(200_000, 0);
    assert_eq!(brief(&conditions), [("slow-reader", Severity::Soon, true)]);
    let problem = &conditions[0].problem;
    assert!(
        problem.text.starts_with("100 does not read what has arrived from 10.0.0.2:443"),
        "{}",
        problem.text
    );
    assert!(problem.evidence.contains("has read nothing for"), "{}", problem.evidence);
}

#[test]
fn tables_that_fill_are_problems_by_their_share() {
    let tracked = |used: u64| {
        let mut scene = Scene::new(views::NET);
        let tracked = Some(Occupancy { used, limit: 1000 });
        scene.say(NetFact::Room(CapacityFact { tracked, ..CapacityFact::default() }));
        brief(&scene.problems())
    };
    assert_eq!(tracked(700), []);
    assert_eq!(tracked(790), [("tracking-full", Severity::Watch, false)]);
    assert_eq!(tracked(850), [("tracking-full", Severity::Watch, true)]);
    assert_eq!(tracked(950), [("tracking-full", Severity::Soon, true)]);
    assert_eq!(tracked(1000), [("tracking-full", Severity::Now, true)]);
}

#[test]
fn a_process_without_descriptors_is_a_problem() {
    let mut scene = Scene::new(views::NET);
    scene.report();
    let open = Descriptors { used: Some(1020), limit: 1024 };
    scene.say(NetFact::Descriptors { id: A, open });
    let conditions = scene.problems();
    assert_eq!(brief(&conditions), [("descriptors-full", Severity::Now, true)]);
    assert_eq!(conditions[0].problem.next.as_deref(), Some("prlimit --nofile --pid 100"));
}
