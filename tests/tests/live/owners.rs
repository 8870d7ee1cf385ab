//! Tests of `net`: owners of connections that no scan finds. Observer is stopped meanwhile.

use observer_tests::{Observer, Workload, number, row_of};

use crate::net::{agree, observe};

/// The last reference to a socket of another process can be a reader's, which then closes it.
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
    let pid = |process: &serde_json::Value| process["pid"].as_u64().unwrap() as u32;
    observer.wait_for(|report| {
        let received = number(row_of(report, pid(server))?, "rx")?;
        let sent = row_of(report, pid(opener)).map_or(0.0, |row| number(row, "tx").unwrap());
        let shared = number(&report["totals"], "shared")?;
        let exact = received == server["tcp"]["rx"].as_f64()?;
        (exact && sent == 0.0 && shared == opener["tcp"]["tx"].as_f64()?).then_some(())
    });
}
