//! Tests of `net`: shared capacity near its limit. Each test has its own network namespace, which ends with its thread.

use std::{net::UdpSocket, process::Command};

use observer_tests::{Observer, Workload, number, require_root, row_of, rows};
use serde_json::Value;

/// Runs `test` in a new network namespace with a running loopback interface. Its child processes are in it as well.
pub fn in_a_namespace(test: impl FnOnce() + Send + 'static) {
    require_root();
    let ran = std::thread::spawn(move || {
        // SAFETY: a plain call that concerns this thread alone.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0, "{}", std::io::Error::last_os_error());
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(up.success());
        test();
    });
    if let Err(panic) = ran.join() {
        std::panic::resume_unwind(panic);
    }
}

fn observe(more: &[&str]) -> Observer {
    let mut observer = Observer::start(&[&["net", "--json", "--interval", "0.2"], more].concat());
    observer.report();
    observer
}

/// The texts of the notes `near-limit`.
fn near(report: &Value) -> Vec<String> {
    let notes = report["notes"].as_array().unwrap();
    let first = notes.iter().take_while(|note| note["code"] == "near-limit").count();
    assert!(notes[first..].iter().all(|note| note["code"] != "near-limit"), "they come first: {notes:?}");
    notes[..first].iter().map(|note| note["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn dropped_connections_are_counted_at_their_listener() {
    in_a_namespace(|| {
        let mut workload = Workload::start(&["net", "full", "queue"]);
        let local = workload.ready["local"].as_str().unwrap().to_owned();
        let mut observer = observe(&["--listen"]);
        let truth = workload.ask("step");
        assert!(truth["overflows"].as_u64().unwrap() > 0, "{truth}");
        let pid = workload.pid();
        let mut reported = false;
        observer.wait_for(|report| {
            reported |= near(report).iter().any(|text| text.contains(&local) && text.contains("no room"));
            let row = rows(report).iter().find(|row| row["local"] == *local && row["pid"] == pid)?;
            let queue = (number(row, "queued"), number(row, "queue_limit"));
            // A queue accepts one more than its limit.
            (reported && row["overflows"] == truth["drops"] && queue == (Some(2.0), Some(1.0))).then_some(())
        });
    });
}

#[test]
fn drops_of_all_listeners_add_up_to_the_kernels_count() {
    in_a_namespace(|| {
        let mut workloads: Vec<Workload> =
            (0..3).map(|_| Workload::start(&["net", "full", "queue"])).collect();
        let mut observer = observe(&["--listen"]);
        let mut truth = Value::Null;
        for (steps, workload) in (1..).zip(&mut workloads) {
            for _ in 0..steps {
                truth = workload.ask("step");
            }
        }
        let pids: Vec<u32> = workloads.iter().map(Workload::pid).collect();
        // All drops here are due to a full queue.
        assert_eq!(truth["drops"], truth["overflows"]);
        let of = |report: &Value, pid: &u32| {
            let rows = rows(report).iter().filter(|row| row["pid"] == *pid);
            rows.map(|row| number(row, "overflows").unwrap()).sum::<f64>()
        };
        observer.wait_for(|report| {
            let all: f64 = pids.iter().map(|pid| of(report, pid)).sum();
            (Some(all) == truth["drops"].as_f64()).then_some(())
        });
        let report = observer.report();
        let each: Vec<f64> = pids.iter().map(|pid| of(&report, pid)).collect();
        assert!(each.iter().all(|drops| *drops > 0.0), "each listener has its own: {each:?}");
    });
}

#[test]
fn backlog_and_drops_of_an_interface_are_the_kernels_counts() {
    in_a_namespace(|| {
        let mut observer = observe(&[]);
        // At one byte per second, some of a burst passes, some waits, and the rest is dropped.
        let tc = |words: &str| {
            let done = Command::new("tc").args(words.split(' ')).output().unwrap();
            assert!(done.status.success(), "{done:?}");
            done.stdout
        };
        tc("qdisc add dev lo root tbf rate 8bit burst 2000 limit 6000");
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..10 {
            socket.send_to(&[0; 1000], socket.local_addr().unwrap()).unwrap();
        }
        let truth: Value = serde_json::from_slice(&tc("-s -j qdisc show dev lo")).unwrap();
        let truth = &truth[0];
        assert!(truth["drops"].as_u64() > Some(0) && truth["qlen"].as_u64() > Some(0), "{truth}");
        let mut reported = 0;
        observer.wait_for(|report| {
            let of_lo = near(report).into_iter().filter(|text| text.starts_with("lo: "));
            let lost = of_lo.filter_map(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
            reported += lost.sum::<u64>();
            let lo = report["links"].as_array().unwrap().iter().find(|link| link["interface"] == "lo")?;
            let same = lo["queued"] == truth["backlog"]
                && lo["queued_packets"] == truth["qlen"]
                && lo["queue_drops"] == truth["drops"];
            (same && Some(reported) == truth["drops"].as_u64()).then_some(())
        });
    });
}

#[test]
fn nearly_exhausted_ports_get_a_note() {
    in_a_namespace(|| {
        let _workload = Workload::start(&["net", "full", "ports"]);
        let mut observer = observe(&[]);
        observer.wait_for(|report| {
            let reported = near(report).iter().any(|text| text.contains("36 of the 40 ports"));
            let (used, limit) = (&report["totals"]["ports"], &report["totals"]["ports_limit"]);
            (reported && (used, limit) == (&Value::from(36), &Value::from(40))).then_some(())
        });
    });
}

#[test]
fn nearly_exhausted_descriptors_get_a_note() {
    in_a_namespace(|| {
        let workload = Workload::start(&["net", "full", "descriptors"]);
        let mut observer = observe(&[]);
        let pid = workload.pid();
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        observer.wait_for(|report| {
            let row = row_of(report, pid)?;
            assert_eq!(number(row, "connections"), Some(115.0 * 2.0));
            // Before 6.2 the kernel does not count descriptors.
            let counted = number(row, "descriptors");
            let reported = near(report).iter().any(|text| text.contains(&format!("{open} of at most 256")));
            let right = counted == Some(open as f64) && reported || counted.is_none();
            (right && number(row, "descriptor_limit") == Some(256.0)).then_some(())
        });
    });
}

/// The kernel's byte counters of the loopback interface in this thread's namespace: sent, received.
fn carried() -> [f64; 2] {
    let counters = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let lo = counters.lines().find_map(|line| line.trim_start().strip_prefix("lo:")).unwrap();
    let numbers: Vec<f64> = lo.split_whitespace().map(|number| number.parse().unwrap()).collect();
    [numbers[8], numbers[0]]
}

#[test]
fn the_traffic_of_a_link_is_the_kernels_count() {
    in_a_namespace(|| {
        let mut workload = Workload::start(&["net", "own"]);
        let mut observer = observe(&[]);
        let before = carried();
        let moved = workload.ready["moved"].as_u64().unwrap();
        let payload = (workload.ask("step")["moved"].as_u64().unwrap() - moved) as f64;
        // Reported bytes of each direction, and their rounding error, because `elapsed` is in whole milliseconds.
        let mut reported = [(0.0, 1.0); 2];
        observer.wait_for(|report| {
            let lo = report["links"].as_array().unwrap().iter().find(|link| link["interface"] == "lo")?;
            assert_eq!(lo["speed"], Value::Null, "loopback has no speed");
            let elapsed = number(report, "elapsed").unwrap();
            for ((reported, off), rate) in reported.iter_mut().zip(["tx_rate", "rx_rate"]) {
                let rate = number(lo, rate)?;
                *reported += rate * elapsed;
                *off += rate * 0.0005;
            }
            // Acknowledgements may arrive a little later.
            let carried: Vec<f64> = carried().iter().zip(before).map(|(now, before)| now - before).collect();
            let same = reported
                .iter()
                .zip(&carried)
                .all(|((reported, off), carried)| (reported - carried).abs() <= *off);
            (same && carried[0] >= payload).then_some(())
        });
    });
}
