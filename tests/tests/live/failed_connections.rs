//! Tests of `net`: connections that are not established.

use std::net::{TcpListener, TcpStream};

use observer_tests::{number, row_of};
use serde_json::Value;

use crate::{capacity::in_a_namespace, net::observe};

/// The text of the note about connections to this peer.
fn note_about<'a>(report: &'a Value, peer: &str) -> Option<&'a str> {
    let notes = report["notes"].as_array().unwrap().iter();
    let failed = notes.filter(|note| note["code"] == "connections-failed");
    let mut texts = failed.map(|note| note["text"].as_str().unwrap());
    texts.find(|text| text.contains(&format!(" to {peer} failed")))
}

/// The kernel's own count of failed attempts in the network namespace of this thread.
fn attempts_failed() -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut lines = table.lines().filter(|line| line.starts_with("Tcp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut fields = names.split(' ').zip(values.split(' '));
    fields.find(|(name, _)| *name == "AttemptFails").unwrap().1.parse().unwrap()
}

#[test]
fn refused_connections_are_counted_by_process_and_peer() {
    const REFUSED: u64 = 300;
    in_a_namespace(|| {
        let mut observer = observe(&[]);
        for _ in 0..REFUSED {
            assert!(TcpStream::connect("127.0.0.1:9").is_err());
        }
        assert_eq!(attempts_failed(), REFUSED);
        observer.wait_for(|report| {
            let row = row_of(report, std::process::id())?;
            let text = note_about(report, "127.0.0.1:9")?;
            // Another test of this process may try other peers.
            (number(row, "refused")? >= REFUSED as f64 && text.ends_with("failed: 300 refused."))
                .then_some(())
        });
    });
}

#[test]
fn connections_without_a_port_are_counted_with_the_range() {
    in_a_namespace(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40009").unwrap();
        let listener = TcpListener::bind("127.0.0.1:9000").unwrap();
        let to = listener.local_addr().unwrap();
        let mut observer = observe(&[]);
        let connected: Vec<TcpStream> = std::iter::from_fn(|| TcpStream::connect(to).ok()).collect();
        assert!(TcpStream::connect(to).is_err(), "all ports are in use");
        let text = "failed: 2 because all local ports of 40000 to 40009 are in use.";
        observer.wait_for(|report| {
            let row = row_of(report, std::process::id())?;
            let found =
                number(row, "without_port")? == 2.0 && note_about(report, "127.0.0.1:9000")?.ends_with(text);
            found.then_some(())
        });
        drop(connected);
    });
}
