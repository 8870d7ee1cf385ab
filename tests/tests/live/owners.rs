//! Tests of `net`: owners of connections that no scan finds with a descriptor.

use observer_tests::{Observer, Workload, number, row_of};
use serde_json::Value;

use crate::{
    capacity::in_a_namespace,
    net::{agree, observe},
};

/// The last reference to a socket of another process can be a reader's, which then closes it. Observer is stopped
/// meanwhile.
#[test]
fn readers_of_descriptors_change_no_owner() {
    let mut observer = observe(&[]);
    let reader = || Observer::start(&["net", "--json", "--interval", "0.01", "--budget", "100"]);
    let mut readers = [reader(), reader(), reader()];
    readers.iter_mut().for_each(|reader| drop(reader.report()));
    for _ in 0..8 {
        let mut workload = Workload::start(&["net", "server_first_often"]);
        observer.stop();
        let truth = workload.ask("step");
        observer.resume();
        agree(&mut observer, &truth);
    }
    let report = observer.report();
    assert!(readers.iter().all(|reader| row_of(&report, reader.pid()).is_none()), "{report:#}");
}

#[test]
fn bytes_of_a_short_connection_of_two_processes_are_shared() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["net", "short_shared"]);
    observer.stop();
    let truth = workload.ask("step");
    observer.resume();
    let [server, opener] = &truth["processes"].as_array().unwrap()[..] else { panic!("{truth:#}") };
    let pid = |process: &Value| process["pid"].as_u64().unwrap() as u32;
    observer.wait_for(|report| {
        let received = number(row_of(report, pid(server))?, "rx")?;
        let sent = row_of(report, pid(opener)).map_or(0.0, |row| number(row, "tx").unwrap());
        let shared = number(&report["totals"], "shared")?;
        let exact = received == server["tcp"]["rx"].as_f64()?;
        (exact && sent == 0.0 && shared == opener["tcp"]["tx"].as_f64()?).then_some(())
    });
}

/// An ended process is in every report, while its connection still has data to send. In a namespace of its own: a
/// connection whose process has ended before observation has bytes of no process.
#[test]
fn an_ended_process_sends_until_its_socket_is_empty() {
    in_a_namespace(|| {
        let mut observer = observe(&[]);
        let mut workload = Workload::start(&["net", "orphan"]);
        let truth = workload.ask("step");
        let sender = &truth["processes"][1];
        let pid = sender["pid"].as_u64().unwrap() as u32;
        let ended = |report: &Value| row_of(report, pid).is_some_and(|row| row["ended"] == true);
        observer.wait_for(|report| ended(report).then_some(()));
        for _ in 0..5 {
            let report = observer.report();
            assert!(ended(&report), "{report:#}");
        }
        let truth = workload.ask("step");
        assert_eq!(truth["processes"][1]["tcp"]["tx"], truth["processes"][0]["tcp"]["rx"]);
        let mut sent = None;
        // Its row is there until everything is sent.
        observer.wait_for(|report| {
            let row = row_of(report, pid);
            sent = row.map(|row| number(row, "tx").unwrap()).or(sent);
            row.is_none().then_some(())
        });
        assert_eq!(sent, sender["tcp"]["tx"].as_f64());
    });
}
