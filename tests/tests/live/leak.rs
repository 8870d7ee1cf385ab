//! A planted leak on a busy machine gets the verdict within two minutes, and no other workload does.

use std::time::Instant;

use observer_tests::{Observer, Workload, number, require_root, row_of, rows};
use serde_json::Value;

/// Seconds until the leak would fill the machine's memory: half an hour.
const FULL_IN: f64 = 1800.0;

/// The step of a workload after each report, by the report's number; sizes in KiB.
type Step = fn(&mut Workload, u64);

#[test]
fn a_planted_leak_and_only_it_is_found_within_two_minutes() {
    require_root();
    // Other workloads: one fills up to a bound, one alternates, one allocates once, one is idle.
    let shapes: [Step; 4] = [
        |cache, report| {
            if report < 40 {
                cache.ask("map 1024");
            }
        },
        |saw, report| {
            saw.ask(if report % 2 == 0 { "map 20480" } else { "unmap 20480" });
        },
        |step, report| {
            if report == 30 {
                step.ask("map 32768");
            }
        },
        |_, _| {},
    ];
    let mut innocent: Vec<Workload> = shapes.iter().map(|_| Workload::start(&["mem", "mappings"])).collect();
    let mut leak = Workload::start(&["mem", "mappings"]);
    let pids: Vec<u32> = innocent.iter().map(Workload::pid).collect();
    let mut observer = Observer::start(&["mem", "--json", "--budget", "100"]);
    let first = observer.report();
    let available = first["totals"]["available"].as_f64().expect("the kernel says what is available");
    let kib_a_second = (available / FULL_IN / 1024.0).ceil();
    let (began, mut reported) = (Instant::now(), 0);
    // The leak's own total, with the time of each.
    let mut taken: Vec<(f64, f64)> = Vec::new();
    for reports in 0.. {
        let report = observer.report();
        let second = began.elapsed().as_secs();
        // The amount due by now, even if the report is late.
        let due = (kib_a_second * began.elapsed().as_secs_f64()) as u64;
        let pages = due.saturating_sub(reported) / 4;
        let truth = leak.ask(&format!("map {}", 4 * pages.max(1)));
        reported += 4 * pages.max(1);
        taken.push((began.elapsed().as_secs_f64(), number(&truth, "mapped").expect("it counts")));
        for (workload, step) in innocent.iter_mut().zip(shapes) {
            step(workload, reports);
        }
        let called: Vec<&Value> = rows(&report).iter().filter(|row| row["verdict"] == "leak").collect();
        for pid in &pids {
            let row = row_of(&report, *pid).expect("it lives");
            assert_ne!(row["verdict"], "leak", "{row:#}");
        }
        if let Some(row) = called.iter().find(|row| row["pid"] == leak.pid()) {
            let (rate, low, high) = (number(row, "rate"), number(row, "rate_low"), number(row, "rate_high"));
            let ((first, none), (last, all)) = (taken[0], taken[taken.len() - 1]);
            let truth = Some((all - none) / (last - first));
            assert!(low <= truth && truth <= high, "{truth:?} is not within {low:?} and {high:?} ({rate:?})");
            assert!(number(row, "full_in_low") <= number(row, "full_in_high"), "{row:#}");
            assert_eq!(rows(&report)[0]["pid"], leak.pid(), "the answer first");
            break;
        }
        assert!(second < 120, "not called: {:#}", row_of(&report, leak.pid()).expect("it lives"));
    }
    leak.kill();
}
