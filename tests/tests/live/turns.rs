//! Which side limits a connection over which both sides send in turn, and which end does not read: over the loopback
//! interface, at its speed.

use observer_tests::{Observer, Workload, require_root, rows};
use serde_json::Value;

/// Ends of the workload's connections about which the report is wrong.
fn wrong(report: &Value, truth: &Value) -> Vec<String> {
    let connections = truth["connections"].as_array().unwrap();
    let ends = connections.iter().flat_map(|connection| {
        connection["ends"].as_array().unwrap().iter().map(|end| (end, &connection["what"]))
    });
    ends.filter_map(|(end, what)| {
        let here = |row: &&Value| row["local"] == end[0] && row["remote"] == end[1];
        let row = rows(report).iter().find(here);
        let said = row.map_or(&Value::Null, |row| &row["limited_by"]);
        (*said != end[2]).then(|| format!("{what}: {said} instead of {}: {row:?}", end[2]))
    })
    .collect()
}

#[test]
fn the_side_that_takes_its_time_is_named_at_both_ends_and_who_does_not_read_too() {
    require_root();
    let mut observer = Observer::start(&["net", "--connections", "--json", "--interval", "0.5"]);
    observer.report();
    let mut workload = Workload::start(&["net", "turns", "7", "10", "60000"]);
    let truth = workload.ask("step");
    let mut last = Vec::new();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        observer.wait_for(|report| {
            last = wrong(report, &truth);
            last.is_empty().then_some(())
        });
    }));
    assert!(result.is_ok(), "{last:#?}");
}
