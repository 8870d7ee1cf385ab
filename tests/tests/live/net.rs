//! What `net` says of workloads that know their own truth: every payload byte, each with its process.

use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::FromRawFd as _,
    process::Command,
};

use observer_tests::{Observer, TempDir, Workload, number, require_root, row_of, rows};
use serde_json::Value;

/// What observer runs with; the tests add to it.
const NET: [&str; 4] = ["net", "--json", "--interval", "0.2"];

fn observe(more: &[&str]) -> Observer {
    require_root();
    let mut observer = Observer::start(&[&NET[..], more].concat());
    observer.report();
    observer
}

/// Runs the workload to its end and waits until observer has said what it says itself.
fn exact(workload: &[&str]) {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&[&["net"], workload].concat());
    let truth = workload.ask("step");
    agree(&mut observer, &truth);
}

/// Waits for a report that has each process's truth in both protocols and directions, and sees that the next one has
/// not gone beyond it.
fn agree(observer: &mut Observer, truth: &Value) {
    assert_eq!(agree_but_for_the_ring(observer, truth), 0);
}

/// As [`agree`]; returns how many records found no room.
fn agree_but_for_the_ring(observer: &mut Observer, truth: &Value) -> u64 {
    let processes = truth["processes"].as_array().unwrap();
    assert!(!processes.is_empty());
    let said = |report: &Value| {
        let same = |process: &Value| {
            let pid = process["pid"].as_u64().unwrap() as u32;
            row_of(report, pid)
                .is_some_and(|row| row["tcp"] == process["tcp"] && row["udp"] == process["udp"])
        };
        processes.iter().all(same)
    };
    let mut last = Value::Null;
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        observer.wait_for(|report| {
            last = report.clone();
            said(report).then_some(())
        });
    }));
    assert!(result.is_ok(), "the truth is\n{truth:#}\nand the last report was\n{last:#}");
    let next = observer.report();
    assert!(said(&next), "went beyond the truth: {next:#}");
    assert_eq!(next["loss"]["unattributed"], 0);
    next["loss"]["ring"].as_u64().unwrap()
}

macro_rules! exact {
    ($($test:ident: $($word:literal),+;)*) => {
        $(
            #[test]
            fn $test() {
                exact(&[$($word),+]);
            }
        )*
    };
}

exact! {
    what_one_flow_sends_is_exact: "upload";
    what_one_flow_receives_is_exact: "download";
    two_thousand_connections_are_exact: "short";
    connections_of_one_byte_are_exact: "tiny";
    small_messages_both_ways_are_exact: "pingpong";
    sendfile_is_exact: "sendfile";
    splice_to_a_socket_is_exact: "splice_to";
    splice_from_a_socket_is_exact: "splice_from";
    io_uring_is_exact: "io_uring";
    a_socket_that_only_io_uring_holds_is_exact: "io_uring_only";
    multipath_connections_are_counted_once: "mptcp";
    what_is_looked_at_is_not_received_twice: "peek";
    writes_that_take_a_part_are_exact: "partial";
    ipv6_is_exact: "v6";
    ipv4_mapped_into_ipv6_is_exact: "mapped";
    a_server_that_closes_first_is_exact: "server_first";
    a_reset_loses_nothing: "reset";
    half_closed_connections_are_exact: "half_close";
    workers_that_accept_have_what_they_received: "accepting_workers";
    workers_that_share_a_socket_have_their_own_parts: "sharing_workers";
    datagrams_are_exact: "udp";
    datagrams_of_connected_sockets_are_exact: "udp_connected";
    datagrams_over_ipv6_are_exact: "udp_v6";
    sendmmsg_is_exact: "udp_sendmmsg";
    another_network_namespace_is_exact: "namespace", "upload";
    short_connections_in_another_namespace_are_exact: "namespace", "tiny";
    datagrams_in_another_namespace_are_exact: "namespace", "udp";
}

#[test]
fn what_flowed_before_observer_started_is_not_counted() {
    require_root();
    let mut workload = Workload::start(&["net", "own"]);
    let before = workload.ready["moved"].as_u64().unwrap();
    let mut observer = observe(&[]);
    let after = workload.ask("step")["moved"].as_u64().unwrap();
    assert!(after > before);
    let moved = after - before;
    let pid = workload.pid();
    let said = move |report: &Value| {
        row_of(report, pid).is_some_and(|row| {
            number(row, "tx") == Some(moved as f64) && number(row, "rx") == Some(moved as f64)
        })
    };
    observer.wait_for(|report| said(report).then_some(()));
    assert!(said(&observer.report()));
}

#[test]
fn a_connection_shows_its_lifetime_and_both_its_ends() {
    require_root();
    let mut workload = Workload::start(&["net", "own"]);
    let mut observer = observe(&["--connections"]);
    let moved = workload.ask("step")["moved"].as_u64().unwrap();
    let ends = observer.wait_for(|report| {
        let ours = rows(report).iter().filter(|row| row["pid"] == workload.pid());
        let ours: Vec<Value> = ours.cloned().collect();
        let sent: f64 = ours.iter().filter_map(|row| number(row, "tx")).sum();
        (ours.len() == 2 && sent == moved as f64).then_some(ours)
    });
    assert_eq!(ends[0]["local"], ends[1]["remote"]);
    assert_eq!(ends[0]["remote"], ends[1]["local"]);
    for end in ends {
        assert_eq!(end["state"], "established");
        assert!(number(&end, "rtt").unwrap() > 0.0);
    }
}

#[test]
fn what_a_process_left_to_the_kernel_is_still_its_own() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["net", "ending_early"]);
    let truth = workload.ask("step");
    let client = &truth["processes"][0];
    let (pid, sent) = (client["pid"].as_u64().unwrap() as u32, client["tcp"]["tx"].as_f64().unwrap());
    observer.wait_for(|report| {
        let row = row_of(report, pid)?;
        (number(row, "tx") == Some(sent) && row["ended"] == true).then_some(())
    });
    observer.wait_for(|report| row_of(report, pid).is_none().then_some(()));
}

#[test]
fn a_full_ring_costs_detail_and_no_byte() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["net", "many"]);
    // While it is stopped nobody empties the ring.
    observer.stop();
    let truth = workload.ask("step");
    observer.go_on();
    let lost = agree_but_for_the_ring(&mut observer, &truth);
    assert!(lost > 0, "the ring was large enough for everything: the test shows nothing");
}

#[test]
fn without_passes_ends_alone_tell_all_of_short_connections() {
    let mut observer = observe(&["--without", "iterators"]);
    let mut workload = Workload::start(&["net", "tiny"]);
    let truth = workload.ask("step");
    agree(&mut observer, &truth);
}

#[test]
fn without_passes_datagrams_are_exact() {
    let mut observer = observe(&["--without", "iterators"]);
    let mut workload = Workload::start(&["net", "udp"]);
    let truth = workload.ask("step");
    agree(&mut observer, &truth);
}

#[test]
fn without_events_passes_alone_tell_of_open_connections() {
    require_root();
    let mut workload = Workload::start(&["net", "own"]);
    let before = workload.ready["moved"].as_u64().unwrap();
    let mut observer = observe(&["--without", "events"]);
    let moved = workload.ask("step")["moved"].as_u64().unwrap() - before;
    let pid = workload.pid();
    observer.wait_for(|report| (number(row_of(report, pid)?, "tx") == Some(moved as f64)).then_some(()));
}

#[test]
fn a_listener_shows_how_many_wait() {
    let mut observer = observe(&["--listen"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let local = listener.local_addr().unwrap();
    let waiting: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(local).unwrap()).collect();
    let of = |report: &Value| rows(report).iter().find(|row| row["local"] == local.to_string()).cloned();
    let row = observer.wait_for(|report| of(report).filter(|row| number(row, "queued") == Some(3.0)));
    assert_eq!(row["pid"], std::process::id());
    assert_eq!(number(&row, "accepted"), Some(0.0));
    let accepted: Vec<_> = (0..3).map(|_| listener.accept().unwrap()).collect();
    let row = observer.wait_for(|report| of(report).filter(|row| number(row, "accepted") == Some(3.0)));
    assert_eq!(number(&row, "queued"), Some(0.0));
    drop((waiting, accepted));
}

#[test]
fn the_loopback_link_carries_at_least_the_payload() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["net", "own"]);
    let mut wire = 0.0;
    let before = workload.ready["moved"].as_u64().unwrap();
    let payload = (workload.ask("step")["moved"].as_u64().unwrap() - before) as f64;
    observer.wait_for(|report| {
        let links = report["links"].as_array().unwrap();
        let lo = links.iter().find(|link| link["interface"] == "lo").unwrap();
        assert_eq!(lo["speed"], Value::Null, "loopback has no speed");
        wire += number(lo, "tx_rate")? * report["elapsed"].as_f64().unwrap();
        (wire >= payload).then_some(())
    });
}

/// So many listeners that share a port and this process: nothing tells which of them a connection arrived at.
fn listeners(count: usize) -> Vec<TcpListener> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for _ in 0..count {
        let port = listeners.first().map_or(0, |first| first.local_addr().unwrap().port());
        // SAFETY: plain calls with an address and an option that outlive them; the descriptor is a fresh one.
        let listener = unsafe {
            let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
            assert!(socket >= 0);
            let yes: libc::c_int = 1;
            let size = size_of_val(&yes) as libc::socklen_t;
            let option = (&raw const yes).cast();
            assert_eq!(libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, option, size), 0);
            let mut address: libc::sockaddr_in = std::mem::zeroed();
            address.sin_family = libc::AF_INET as libc::sa_family_t;
            address.sin_port = port.to_be();
            address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
            let size = size_of_val(&address) as libc::socklen_t;
            assert_eq!(libc::bind(socket, (&raw const address).cast(), size), 0);
            assert_eq!(libc::listen(socket, 64), 0);
            TcpListener::from_raw_fd(socket)
        };
        listener.set_nonblocking(true).unwrap();
        listeners.push(listener);
    }
    listeners
}

/// What a view says live is what its recording says again.
fn replays(view: &[&str]) {
    require_root();
    let folder = TempDir::new("net-view");
    let path = folder.file("recording");
    let file = path.to_str().unwrap();
    let listeners = listeners(8);
    let local = listeners[0].local_addr().unwrap();
    let mut observer = Observer::start(&[view, &["--json", "--interval", "0.2", "--record", file]].concat());
    observer.report();
    let mut connected = Vec::new();
    while connected.len() < 40 {
        connected.push(TcpStream::connect(local).unwrap());
    }
    let mut accepted = Vec::new();
    while accepted.len() < connected.len() {
        accepted.extend(listeners.iter().filter_map(|listener| listener.accept().ok()));
    }
    for kind in ["tiny", "udp"] {
        Workload::start(&["net", kind]).ask("step");
        observer.report();
    }
    drop((connected, accepted));
    observer.report();
    observer.report();
    observer.interrupt();
    let live = observer.finish();
    assert_eq!(live.code, Some(0), "{}", live.stderr);
    let replayed = Observer::run(&[&["replay", file], view, &["--json"]].concat());
    assert_eq!(replayed.code, Some(0), "{}", replayed.stderr);
    for (live, replayed) in live.stdout.lines().zip(replayed.stdout.lines()) {
        assert_eq!(live, replayed, "{view:?}");
    }
    assert_eq!(live.stdout.len(), replayed.stdout.len(), "{view:?}: as many reports");
}

#[test]
fn connections_are_replayed_byte_for_byte() {
    replays(&["net", "--connections"]);
}

#[test]
fn listeners_are_replayed_byte_for_byte() {
    replays(&["net", "--listen"]);
}

#[test]
fn remotes_are_replayed_byte_for_byte() {
    replays(&["net", "--by", "remote"]);
}

/// Processes that send one datagram and end are met and ended before their bytes are read.
#[test]
fn short_lives_are_told_of_once_and_as_ended() {
    const LIVES: usize = 150;
    let mut observer = observe(&[]);
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = format!("printf 12345 >/dev/udp/127.0.0.1/{}", receiver.local_addr().unwrap().port());
    let mut lives: Vec<u32> = Vec::new();
    while lives.len() < LIVES {
        let mut child = Command::new("bash").args(["-c", &send]).spawn().unwrap();
        lives.push(child.id());
        assert!(child.wait().unwrap().success());
    }
    let (mut told, mut sent) = (Vec::new(), 0.0);
    observer.wait_for(|report| {
        let total = number(&report["totals"], "tx").unwrap();
        assert!(total >= sent, "the total went from {sent} to {total}");
        sent = total;
        for row in rows(report) {
            let pid = row["pid"].as_u64().unwrap() as u32;
            if lives.contains(&pid) && row["ended"] == true {
                assert!(!told.contains(&pid), "{pid} is told of again");
                told.push(pid);
            }
        }
        (told.len() == LIVES).then_some(())
    });
    let next = observer.report();
    assert!(lives.iter().all(|pid| row_of(&next, *pid).is_none()), "{next:#}");
    assert!(sent >= (5 * LIVES) as f64, "{sent}");
}
