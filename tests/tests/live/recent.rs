//! Tests of `net`: recent connections that share a place in the table of recent connections with an older one. Observer
//! is stopped meanwhile, so no scan sees them, and all data about them was kept outside the table.

use observer_tests::{
    Workload, number,
    report::missing_bytes,
    row_of,
    tool::{not_run, ruled_out},
};

use crate::{
    capacity::in_a_namespace,
    net::{agree, observe},
};

#[test]
fn both_connections_that_share_a_place_are_exact() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["net", "places"]);
    observer.stop();
    let truth = workload.ask("step");
    observer.resume();
    agree(&mut observer, &truth);
}

#[test]
fn a_newer_connection_without_memory_is_counted_as_lost() {
    if ruled_out("net.connections", 1) {
        return;
    }
    in_a_namespace(|| {
        // No memory for a socket besides its buffers.
        if let Err(error) = std::fs::write("/proc/sys/net/core/optmem_max", "0") {
            not_run(&format!("before Linux 6.8 a namespace has no limit of its own: {error}"));
            return;
        }
        let mut observer = observe(&[]);
        let mut workload = Workload::start(&["net", "places"]);
        observer.stop();
        let truth = workload.ask("step");
        observer.resume();
        // The server's end of a newer connection may lack a place as well.
        let [_, older, newer] = &truth["processes"].as_array().unwrap()[..] else { panic!("{truth:#}") };
        let newer = newer["pid"].as_u64().unwrap() as u32;
        observer.wait_for(|report| {
            let is_exact = missing_bytes(report, older) == Some(0);
            (is_exact && number(&report["loss"], "map_full").unwrap() > 0.0).then_some(())
        });
        let next = observer.report();
        assert!(row_of(&next, newer).is_none(), "there was a place after all: {next:#}");
        observer.interrupt();
        assert_eq!(observer.finish().code, Some(3));
    });
}
