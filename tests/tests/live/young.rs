//! What `net` says of connections whose place in its table of young connections an older one has. Observer stands still
//! while they come and go, so no pass meets them and all that is told of them was kept beside the table.

use observer_tests::{
    Workload, number,
    report::missing_bytes,
    row_of,
    tool::{not_run, ruled_out},
};

use crate::{
    net::{agree, observe},
    room::in_a_namespace,
};

#[test]
fn where_the_place_is_taken_both_connections_are_exact() {
    let mut observer = observe(&[]);
    let mut workload = Workload::start(&["net", "places"]);
    observer.stop();
    let truth = workload.ask("step");
    observer.go_on();
    agree(&mut observer, &truth);
}

#[test]
fn where_there_is_no_memory_for_the_newer_one_that_is_counted_as_lost() {
    if ruled_out("net.connections", 1) {
        return;
    }
    in_a_namespace(|| {
        // What a socket may have beside its buffers: nothing.
        if let Err(error) = std::fs::write("/proc/sys/net/core/optmem_max", "0") {
            not_run(&format!("a namespace has no limit of its own before Linux 6.8: {error}"));
            return;
        }
        let mut observer = observe(&[]);
        let mut workload = Workload::start(&["net", "places"]);
        observer.stop();
        let truth = workload.ask("step");
        observer.go_on();
        // The server's end of a newer connection may have no place either.
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
