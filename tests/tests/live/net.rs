//! Tests of `net` with workloads that count their own truth: every payload byte, with its process.

use std::{
    fs::File,
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd as _, FromRawFd as _},
    path::{Path, PathBuf},
    process::Command,
};

use observer_tests::{
    Observer, TempDir, Workload, keep_datagrams_watched, number,
    report::missing_bytes,
    require_root, row_of, rows,
    tool::{in_guest, not_run, ruled_out},
    workload_path,
};
use serde_json::Value;

/// The arguments of observer; tests add more.
const NET: [&str; 4] = ["net", "--json", "--interval", "0.2"];

/// The largest datagram of the workloads, bytes.
pub const LARGEST_DATAGRAM: u64 = 1009;

pub fn observe(more: &[&str]) -> Observer {
    require_root();
    let mut observer = Observer::start(&[&NET[..], more].concat());
    observer.report();
    observer
}

/// Runs the workload to its end, and waits until the report equals its truth.
fn exact(workload: &[&str]) {
    let mut observer = observe(&[]);
    // The most bytes that depend on a single event: a connection shorter than an interval on its close, a datagram on
    // its call.
    let most = match workload.last() {
        Some(&"tiny") => 1,
        Some(kind) if kind.starts_with("udp") => LARGEST_DATAGRAM,
        _ => 0,
    };
    let mut workload = Workload::start(&[&["net"], workload].concat());
    let truth = workload.ask("step");
    agree_but_for_losses(&mut observer, &truth, most);
}

/// As [`exact`], while a UDP socket is open, because the on-demand hooks are attached only then.
fn exact_while_watched(workload: &[&str]) {
    let _datagrams = keep_datagrams_watched();
    exact(workload);
}

/// Waits for a report with each process's truth in both protocols and directions, and checks that the next one has no
/// more.
pub fn agree(observer: &mut Observer, truth: &Value) {
    assert_eq!(agree_but_for_losses(observer, truth, 0), 0);
}

/// As [`agree`]; returns the number of records lost in the ring buffer. An event that the kernel skipped, because the
/// program was already running on that CPU, is counted; up to `most` bytes may be missing for each.
fn agree_but_for_losses(observer: &mut Observer, truth: &Value, most: u64) -> u64 {
    let processes = truth["processes"].as_array().unwrap();
    assert!(!processes.is_empty());
    let said = |report: &Value| {
        let skipped = report["loss"]["skipped"].as_u64().unwrap();
        let missing: Option<u64> = processes.iter().map(|process| missing_bytes(report, process)).sum();
        missing.is_some_and(|missing| missing <= skipped.saturating_mul(most))
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

/// A scan holds the file that it visits, so a file that is closed meanwhile is closed by observer.
#[test]
fn a_connection_that_a_scan_closes_is_not_observers() {
    require_root();
    let mut observer = Observer::start(&["net", "--json", "--interval", "0.01", "--budget", "100"]);
    observer.report();
    let mut workload = Workload::start(&["net", "server_first_often"]);
    let truth = workload.ask("step");
    agree(&mut observer, &truth);
    let report = observer.report();
    assert!(row_of(&report, observer.pid()).is_none());
}

macro_rules! exact {
    ($how:ident: $($test:ident: $($word:literal),+;)*) => {
        $(
            #[test]
            fn $test() {
                $how(&[$($word),+]);
            }
        )*
    };
}

exact! {
    exact:
    an_upload_is_exact: "upload";
    a_download_is_exact: "download";
    two_thousand_connections_are_exact: "short";
    connections_of_one_byte_are_exact: "tiny";
    small_messages_both_ways_are_exact: "pingpong";
    sendfile_is_exact: "sendfile";
    zero_copy_sending_is_exact: "zerocopy_send";
    reused_ports_are_other_connections: "reused_ports";
    listeners_that_share_a_port_are_separate: "reused_listeners";
    splice_to_a_socket_is_exact: "splice_to";
    splice_from_a_socket_is_exact: "splice_from";
    io_uring_is_exact: "io_uring";
    a_socket_that_only_io_uring_holds_is_exact: "io_uring_only";
    peeked_bytes_count_once: "peek";
    partial_writes_are_exact: "partial";
    ipv6_is_exact: "v6";
    ipv4_mapped_into_ipv6_is_exact: "mapped";
    a_server_that_closes_first_is_exact: "server_first";
    a_reset_loses_nothing: "reset";
    half_closed_connections_are_exact: "half_close";
    workers_that_accept_have_their_own_bytes: "accepting_workers";
    another_network_namespace_is_exact: "namespace", "upload";
    short_connections_in_another_namespace_are_exact: "namespace", "tiny";
}

exact! {
    exact_while_watched:
    datagrams_are_exact: "udp";
    datagrams_of_connected_sockets_are_exact: "udp_connected";
    datagrams_over_ipv6_are_exact: "udp_v6";
    sendmmsg_is_exact: "udp_sendmmsg";
    datagrams_in_another_namespace_are_exact: "namespace", "udp";
}

#[test]
fn zero_copy_receiving_is_exact() {
    if in_guest() && ruled_out("net.sockets", 1) {
        not_run("5.10 hands over nothing that arrives over loopback without a copy");
        return;
    }
    exact(&["zerocopy_receive"]);
}

#[test]
fn multipath_connections_are_counted_once() {
    if in_guest() && !Path::new("/proc/sys/net/mptcp").exists() {
        not_run("this kernel has no MPTCP");
        return;
    }
    exact_while_watched(&["mptcp"]);
}

/// Whether the report has the TCP bytes of each process: those in `truth` minus those in `before`.
fn has_moved(report: &Value, truth: &Value, before: &Value) -> bool {
    let all = truth["processes"].as_array().unwrap().iter().zip(before["processes"].as_array().unwrap());
    all.into_iter().all(|(now, before)| {
        let expected = |way| now["tcp"][way].as_f64().unwrap() - before["tcp"][way].as_f64().unwrap();
        let row = row_of(report, now["pid"].as_u64().unwrap() as u32);
        let said = |way| row.map_or(0.0, |row| number(row, way).unwrap());
        said("tx") == expected("tx") && said("rx") == expected("rx")
    })
}

#[test]
fn workers_that_share_a_socket_have_their_own_bytes() {
    require_root();
    let mut workload = Workload::start(&["net", "sharing"]);
    let before = workload.ask("step");
    let mut observer = observe(&[]);
    let truth = workload.ask("step");
    observer.wait_for(|report| has_moved(report, &truth, &before).then_some(()));
    let next = observer.report();
    assert!(has_moved(&next, &truth, &before), "went beyond the truth: {next:#}");
    assert_eq!(next["loss"]["unattributed"], 0);
}

#[test]
fn on_a_lossy_link_bytes_and_retransmissions_are_exact() {
    let mut observer = observe(&[]);
    let mut workloads = ["1", "5"].map(|percent| Workload::start(&["net", "lossy", percent]));
    workloads.iter_mut().for_each(|workload| workload.send("step"));
    for workload in &mut workloads {
        let truth = workload.read();
        assert!(truth["lost"].as_u64().unwrap() > 0);
        agree(&mut observer, &truth);
        // Of the last two, one closed its connection before it could read the kernel's count.
        let asked = &truth["processes"].as_array().unwrap()[..3];
        let report = observer.report();
        for process in asked {
            let row = row_of(&report, process["pid"].as_u64().unwrap() as u32).unwrap();
            assert_eq!(row["retransmitted"], process["retransmitted"], "{truth:#}\n{row:#}");
        }
        assert!(asked[1]["retransmitted"].as_u64().unwrap() > 0, "{truth:#}");
        // The closed one has retransmissions all the same.
        let closed = row_of(&report, truth["processes"][3]["pid"].as_u64().unwrap() as u32).unwrap();
        assert!(number(closed, "retransmitted").unwrap() > 0.0, "{closed:#}");
    }
}

/// The sum of the TCP bytes of all processes of `truth`.
fn moved(truth: &Value) -> f64 {
    let ways = truth["processes"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|process| ["tx", "rx"].map(|way| &process["tcp"][way]));
    ways.map(|bytes| bytes.as_f64().unwrap()).sum()
}

#[test]
fn bytes_of_newly_shared_sockets_are_exact_or_unattributed() {
    let mut observer = observe(&[]);
    // No scan runs at their start, because a call in progress at the first scan makes a difference.
    observer.stop();
    let mut workload = Workload::start(&["net", "sharing"]);
    let before = workload.ask("step");
    observer.resume();
    let pids: Vec<u32> = before["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["pid"].as_u64().unwrap() as u32)
        .collect();
    let said = |report: &Value| -> Vec<f64> {
        let of = |pid: &u32, way| row_of(report, *pid).map_or(0.0, |row| number(row, way).unwrap());
        pids.iter().flat_map(|pid| [of(pid, "tx"), of(pid, "rx")]).collect()
    };
    // Every byte is either attributed or unattributed.
    let first = observer.wait_for(|report| {
        let nobodys = number(&report["loss"], "unattributed").unwrap();
        (said(report).iter().sum::<f64>() + nobodys == moved(&before)).then(|| report.clone())
    });
    let truth = workload.ask("step");
    let grown = |report: &Value| {
        let processes =
            truth["processes"].as_array().unwrap().iter().zip(before["processes"].as_array().unwrap());
        let expected = processes.flat_map(|(now, before)| {
            ["tx", "rx"].map(|way| now["tcp"][way].as_f64().unwrap() - before["tcp"][way].as_f64().unwrap())
        });
        let grown = said(report).into_iter().zip(said(&first)).map(|(now, before)| now - before);
        grown.eq(expected)
    };
    observer.wait_for(|report| grown(report).then_some(()));
    let next = observer.report();
    assert!(grown(&next), "{next:#}");
    assert_eq!(next["loss"]["unattributed"], first["loss"]["unattributed"]);
}

#[test]
fn a_passed_connection_has_the_bytes_of_each_holder() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["net", "passing"]);
    let truth = workload.ask("first");
    let pid = |truth: &Value, number: usize| truth["processes"][number]["pid"].as_u64().unwrap() as u32;
    let none = zeroed(&truth);
    observer.wait_for(|report| has_moved(report, &truth, &none).then_some(()));
    let truth = workload.ask("pass");
    // It holds the connection, and has transferred nothing.
    observer.wait_for(|report| {
        (number(row_of(report, pid(&truth, 1))?, "connections") == Some(1.0)).then_some(())
    });
    workload.ask("second");
    let truth = workload.ask("second");
    observer.wait_for(|report| has_moved(report, &truth, &none).then_some(()));
    let next = observer.report();
    assert!(has_moved(&next, &truth, &none), "{next:#}");
    assert_eq!(next["loss"]["unattributed"], 0);
}

/// The processes of `truth`, all with zero bytes.
fn zeroed(truth: &Value) -> Value {
    let mut none = truth.clone();
    for process in none["processes"].as_array_mut().unwrap() {
        process["tcp"] = serde_json::json!({"tx": 0, "rx": 0});
    }
    none
}

#[test]
fn sums_are_exact_by_every_key() {
    for key in ["process", "unit", "container", "comm", "remote"] {
        let mut observer = observe(&["--by", key]);
        let mut workload = Workload::start(&["net", "short"]);
        workload.ask("step");
        observer.wait_for(|report| {
            let sum = |column| rows(report).iter().filter_map(|row| number(row, column)).sum::<f64>();
            for column in ["tx_rate", "rx_rate"] {
                let total = number(&report["totals"], column).unwrap();
                assert!((sum(column) - total).abs() <= 1e-9 * total, "{key} {column}: {report:#}");
            }
            (number(&report["totals"], "tx").unwrap() >= 2e8).then_some(())
        });
    }
}

#[test]
fn bytes_before_the_start_are_not_counted() {
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
fn a_connection_shows_its_totals_and_both_ends() {
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
fn bytes_of_an_orphaned_socket_belong_to_the_exited_process() {
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
fn a_full_ring_buffer_loses_details_and_no_bytes() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["net", "many"]);
    // While observer is stopped, the ring buffer fills.
    observer.stop();
    let truth = workload.ask("step");
    observer.resume();
    let lost = agree_but_for_losses(&mut observer, &truth, 0);
    assert!(lost > 0, "the ring buffer was large enough: the test shows nothing");
}

#[test]
fn pending_facts_are_bounded_and_no_byte_is_lost() {
    require_root();
    let mut observer = Observer::start(&["net", "--json", "--interval", "10", "--budget", "100"]);
    observer.report();
    // More closed connections than the bound on pending facts and the ring buffer, unless a report comes in between.
    let left_to_the_kernel = (0..5).any(|_| {
        let mut workload = Workload::start(&["net", "flood"]);
        let truth = workload.ask("step");
        agree_but_for_losses(&mut observer, &truth, 0) > 0
    });
    assert!(left_to_the_kernel, "everything was kept until the report");
}

#[test]
fn without_scans_short_connections_are_exact() {
    let mut observer = observe(&["--without", "iterators"]);
    let mut workload = Workload::start(&["net", "tiny"]);
    let truth = workload.ask("step");
    // Here nothing else shows a connection if the kernel skipped its close.
    agree_but_for_losses(&mut observer, &truth, 1);
}

#[test]
fn without_scans_datagrams_are_exact() {
    let mut observer = observe(&["--without", "iterators"]);
    let mut workload = Workload::start(&["net", "udp"]);
    let truth = workload.ask("step");
    agree(&mut observer, &truth);
}

#[test]
fn without_events_open_connections_are_exact() {
    require_root();
    let mut workload = Workload::start(&["net", "own"]);
    let before = workload.ready["moved"].as_u64().unwrap();
    let mut observer = observe(&["--without", "events"]);
    let moved = workload.ask("step")["moved"].as_u64().unwrap() - before;
    let pid = workload.pid();
    observer.wait_for(|report| (number(row_of(report, pid)?, "tx") == Some(moved as f64)).then_some(()));
}

#[test]
fn a_listener_shows_its_queue() {
    let mut observer = observe(&["--listen"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let local = listener.local_addr().unwrap();
    let waiting: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(local).unwrap()).collect();
    let of = |report: &Value| rows(report).iter().find(|row| row["local"] == local.to_string()).cloned();
    let row = observer.wait_for(|report| of(report).filter(|row| number(row, "queued") == Some(3.0)));
    assert_eq!(row["pid"], std::process::id());
    assert_eq!(number(&row, "accepted"), Some(0.0));
    let accepted: Vec<_> = (0..3).map(|_| listener.accept().unwrap()).collect();
    // A scan that visits the listener first and accepted sockets later has both.
    observer.wait_for(|report| {
        let row = of(report)?;
        (number(&row, "accepted") == Some(3.0) && number(&row, "queued") == Some(0.0)).then_some(())
    });
    drop((waiting, accepted));
}

/// Listeners of this process that share a port, so a connection cannot be assigned to one of them.
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

/// The replay of a recording equals the live output of a view.
fn replays(view: &[&str]) {
    require_root();
    let folder = TempDir::new("net-view");
    let path = folder.file("recording");
    let file = path.to_str().unwrap();
    let _datagrams = keep_datagrams_watched();
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
fn peers_are_replayed_byte_for_byte() {
    replays(&["net", "--by", "remote"]);
}

/// A control group with a container's name; removed on drop.
struct Container {
    group: PathBuf,
    id: String,
}

impl Container {
    fn new() -> Self {
        // If version 1 is in use, processes are in the root of version 2.
        let unified = PathBuf::from("/sys/fs/cgroup");
        let root = if unified.join("cgroup.procs").exists() { unified } else { unified.join("systemd") };
        let id = format!("{:064x}", std::process::id());
        let group = root.join(format!("docker-{id}.scope"));
        std::fs::create_dir(&group).unwrap();
        Self { group, id }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.group);
    }
}

#[test]
fn a_socket_has_the_container_of_its_network_namespace() {
    require_root();
    let container = Container::new();
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ >\"$0/cgroup.procs\"; exec \"$1\" net namespace own"]);
    let inside = Workload::spawn({
        command.arg(&container.group).arg(workload_path());
        command
    });
    let pid = inside.pid();
    let namespace = File::open(format!("/proc/{pid}/ns/net")).unwrap();
    std::thread::scope(|scope| {
        // Children of this thread are in the namespace as well, and end with it.
        scope.spawn(|| {
            // SAFETY: a plain call with an open descriptor, for this thread alone.
            assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            let outside = Workload::start(&["net", "own"]);
            observe(&["--connections"]).wait_for(|report| {
                let inside = row_of(report, pid)?;
                let outside = row_of(report, outside.pid())?;
                let same = outside["netns"].is_u64() && outside["netns"] == inside["netns"];
                let own = inside["container"] == *container.id && outside["container"].is_null();
                let named = [inside, outside].iter().all(|row| row["netns_container"] == *container.id);
                (same && own && named).then_some(())
            });
        });
    });
    // A group can be removed once it is empty.
    inside.kill();
}

/// Processes that send one datagram and exit start and exit before their bytes are read.
#[test]
fn short_processes_are_reported_once_and_as_exited() {
    const LIVES: usize = 150;
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut observer = observe(&[]);
    let send = format!("printf 12345 >/dev/udp/127.0.0.1/{}", receiver.local_addr().unwrap().port());
    let mut lives: Vec<u32> = Vec::new();
    while lives.len() < LIVES {
        let mut child = Command::new("bash").args(["-c", &send]).spawn().unwrap();
        lives.push(child.id());
        assert!(child.wait().unwrap().success());
    }
    let (mut reported, mut sent) = (Vec::new(), 0.0);
    observer.wait_for(|report| {
        let total = number(&report["totals"], "tx").unwrap();
        assert!(total >= sent, "the total went from {sent} to {total}");
        sent = total;
        for row in rows(report) {
            let pid = row["pid"].as_u64().unwrap() as u32;
            if lives.contains(&pid) && row["ended"] == true {
                assert!(!reported.contains(&pid), "{pid} is reported again");
                reported.push(pid);
            }
        }
        (reported.len() == LIVES).then_some(())
    });
    let next = observer.report();
    assert!(lives.iter().all(|pid| row_of(&next, *pid).is_none()), "{next:#}");
    assert!(sent >= (5 * LIVES) as f64, "{sent}");
}
