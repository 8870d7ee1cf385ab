//! Bottlenecks of connections over emulated links where the bottleneck is known: `cargo xtask scenarios` runs many
//! more.

use std::collections::BTreeSet;

use observer_tests::{
    Observer, Workload,
    emulation::{
        scenario::{LIMITS, MODEST},
        table,
    },
    note, number, require_root, row_of, rows,
};

#[test]
fn every_bottleneck_is_found() {
    require_root();
    let draws = table::draws(LIMITS.len(), 300);
    let (outcomes, observer) = table::play(&draws, MODEST, 4, &[], |_| {});
    drop(observer);
    let wrong: Vec<String> =
        outcomes.iter().filter(|outcome| !outcome.is_right()).map(table::Outcome::line).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let limits: BTreeSet<_> = outcomes.iter().map(|outcome| outcome.limit).collect();
    assert_eq!(limits.len(), LIMITS.len());
}

#[test]
fn the_process_that_fills_a_queue_is_named_with_the_queueing_delay() {
    require_root();
    let mut observer = Observer::start(&["net", "--connections", "--json", "--interval", "1"]);
    observer.report();
    let mut workload = Workload::start(&["net", "bloat", "7"]);
    let truth = workload.ask("step");
    let pid = |conversation: usize| truth["conversations"][conversation][0].as_u64().unwrap() as u32;
    let (bulk, small) = (pid(0), pid(1));
    let named = format!("{bulk} workload fills the queue");
    // The number of reports since the queue got noticeable, until the process that fills it and the delayed one were
    // named.
    let (mut since, mut named_after) = (0, None);
    observer.wait_for(|report| {
        let waited = workload.ask("link")["queue"].as_f64().unwrap_or(0.0);
        since += u32::from(since > 0 || waited > 0.05);
        let reported = note(report, "queue-filled")?["text"].as_str()?.starts_with(&named);
        let victim = row_of(report, small)?;
        let blames = victim["evidence"].as_str()?.contains(&format!("in a queue that {bulk} workload fills"));
        if !reported || !blames {
            return None;
        }
        named_after.get_or_insert(since);
        // The kernel's smoothed value follows the waiting time of packets while the queue fills.
        let added = number(victim, "queue")?;
        ((0.7 * waited)..(1.3 * waited)).contains(&added).then_some(())
    });
    // The delay depends on how busy the machine is, so it is only printed.
    eprintln!("named after {} reports of a second each", named_after.unwrap());
    let report = observer.report();
    let of_bulk = row_of(&report, bulk).unwrap();
    assert_eq!(of_bulk["limited_by"], "link");
    assert!(rows(&report).len() >= 4);
}
