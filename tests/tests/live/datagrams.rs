//! Tests of `net`: the first datagrams of a machine. Programs that report datagrams are attached when the first socket for
//! them is opened. Each datagram is seen, or counted as unseen in its network namespace.
//!
//! Other processes may have such sockets open at any time, so observer may attach the programs before, during or after
//! the workload's traffic.

use std::net::UdpSocket;

use observer_tests::{Observer, Workload, note, number, row_of};
use serde_json::Value;

use crate::net::{LARGEST_DATAGRAM, observe};

/// The number of datagrams of `process` in the direction `way` before the hooks were attached. The first ones, of known
/// `sizes`, have exactly the bytes that the report lacks, except those that the kernel skipped. `None` if no number
/// fits.
fn before(report: &Value, process: &Value, way: &str, sizes: impl Iterator<Item = u64>) -> Option<u64> {
    let row = row_of(report, process["pid"].as_u64().unwrap() as u32);
    let bytes = row.map_or(0, |row| row["udp"][way].as_u64().unwrap());
    let missing = process["udp"][way].as_u64()?.checked_sub(bytes)?;
    let skipped = report["loss"]["skipped"].as_u64()? * LARGEST_DATAGRAM;
    let sums = sizes.scan(0, |sum, size| {
        *sum += size;
        Some(*sum)
    });
    let is = |sum: u64| missing.checked_sub(sum).is_some_and(|rest| rest <= skipped);
    std::iter::once(0).chain(sums).zip(0..).find_map(|(sum, number)| is(sum).then_some(number))
}

/// Runs the workload until each of its datagrams is seen or counted. Returns whether some were counted.
fn are_seen_or_counted(observer: &mut Observer, workload: &mut Workload) -> bool {
    let truth = workload.ask("step");
    let (server, client) = (&truth["processes"][0], &truth["processes"][1]);
    // A thousand datagrams to the server and half of each back, each sent once and received once.
    let there = || 10..=LARGEST_DATAGRAM;
    let back = || there().map(|size| size / 2);
    assert_eq!(client["udp"]["tx"], there().sum::<u64>());
    assert_eq!(client["udp"]["rx"], back().sum::<u64>());
    observer.wait_for(|report| {
        let before = before(report, client, "tx", there())?
            + before(report, server, "rx", there())?
            + before(report, server, "tx", back())?
            + before(report, client, "rx", back())?;
        // Other processes may have datagrams as well.
        let unseen = unseen(report);
        (before <= unseen).then_some(unseen > 0)
    })
}

/// The datagrams that a report counts as unseen, with the events that the kernel skipped and counted.
fn unseen(report: &Value) -> u64 {
    let skipped = report["loss"]["skipped"].as_u64().unwrap();
    let Some(note) = note(report, "datagrams-unseen") else { return skipped };
    let number = note["text"].as_str().unwrap().split(' ').next().unwrap();
    skipped + number.replace(',', "").parse::<u64>().unwrap()
}

#[test]
fn datagrams_are_seen_or_counted_as_unseen() {
    let mut observer = observe(&[]);
    let counted = are_seen_or_counted(&mut observer, &mut Workload::start(&["net", "udp"]));
    // Later datagrams are seen.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let pid = std::process::id();
    observer.wait_for(|report| {
        socket.send_to(&[7; 1234], socket.local_addr().unwrap()).unwrap();
        (number(row_of(report, pid)?, "tx")? >= 1234.0).then_some(())
    });
    observer.interrupt();
    let code = observer.finish().code;
    assert!(!counted || code == Some(3), "{code:?}");
}

/// The namespace exists before observer, without a socket. A scan would find its sockets only after their traffic.
#[test]
fn the_first_datagrams_of_another_namespace_are_seen_or_counted() {
    let mut workload = Workload::start(&["net", "namespace", "udp"]);
    are_seen_or_counted(&mut observe(&[]), &mut workload);
}
