//! Objects that survive in the heap of a managed runtime are called growing while resident memory is flat, and garbage is
//! not. The truth is what the program keeps.

use std::process::Command;

use observer_tests::{Observer, Workload, number, place::TempDir, require_root, row_of, tool::missing};
use serde_json::Value;

use crate::runtimes::{SOURCES, go, java};

const MIB: f64 = 1024.0 * 1024.0;

fn observe(pid: u32) -> Observer {
    require_root();
    let pid = pid.to_string();
    Observer::start(&[
        "mem",
        "--json",
        "--budget",
        "100",
        "--interval",
        "0.25",
        "--window",
        "600",
        "-p",
        &pid,
    ])
}

/// Asks `line` at every second report once the runtime is known, until the live bytes have a trend and it is `done`.
fn until(program: &mut Workload, line: &str, mut done: impl FnMut(&Value, &Value) -> bool) -> (Value, Value) {
    let pid = program.pid();
    let mut observer = observe(pid);
    let mut reports = 0;
    let mut answer = Value::Null;
    observer.wait_for(|report| {
        let row = row_of(report, pid)?;
        number(row, "live_rate").filter(|_| done(row, &answer)).map(|_| ()).or_else(|| {
            reports += 1;
            if row["runtime"].is_string() && reports % 2 == 0 {
                answer = program.ask(line);
            }
            None
        })?;
        Some((row.clone(), answer.clone()))
    })
}

/// Runs `test` with each collector, all at the same time.
fn with_each_collector(test: impl Fn(&str) + Sync) {
    std::thread::scope(|scope| {
        for collector in ["-XX:+UseSerialGC", "-XX:+UseParallelGC", "-XX:+UseG1GC"] {
            let test = &test;
            scope.spawn(move || test(collector));
        }
    });
}

fn is_growing(row: &Value) -> bool {
    row["live_verdict"] == "growing"
}

#[test]
fn a_jvm_that_keeps_more_and_more_grows_though_its_resident_memory_is_flat() {
    if missing("javac") {
        return;
    }
    with_each_collector(|collector| {
        let mut jvm = java(&[collector, "-Xmx256m", "-Xms256m", "-XX:+AlwaysPreTouch"]);
        let (row, truth) = until(&mut jvm, "keep 1", |row, _| is_growing(row));
        let (live, kept) = (number(&row, "live").unwrap(), number(&truth, "kept").unwrap());
        // The last step can be newer than the reading. G1 counts whole regions.
        assert!((kept - 2.0 * MIB..=kept + 8.0 * MIB).contains(&live), "{collector} {truth} {row:#}");
        let growth = number(&row, "live_growth").unwrap();
        assert!(growth > 4.0 * MIB && growth <= kept + MIB, "{collector} {truth} {row:#}");
        assert!(number(&row, "growth").unwrap() < growth / 2.0, "{collector} {row:#}");
        let limit = number(&row, "live_limit").unwrap();
        let seconds = (limit - live) / number(&row, "live_rate").unwrap();
        assert!(
            (number(&row, "live_full_in").unwrap() - seconds).abs() < 0.01 * seconds,
            "{collector} {row:#}"
        );
        assert!(row["runtime"].as_str().unwrap().starts_with("HotSpot "), "{row:#}");
        assert!(row["reason"].as_str().unwrap().contains("live in its heap: grew"), "{row:#}");
    });
}

#[test]
fn a_jvm_that_only_makes_garbage_does_not_grow() {
    if missing("javac") {
        return;
    }
    with_each_collector(|collector| {
        let mut jvm = java(&[collector, "-Xmx128m", "-Xms128m", "-Xmn64m"]);
        jvm.ask("keep 16");
        let mut first = None;
        let (row, _) = until(&mut jvm, "drop 128", |row, _| {
            let collections = number(row, "collections").unwrap_or(0.0);
            collections >= *first.get_or_insert(collections) + 16.0
        });
        assert!(
            ["stable", "unknown"].contains(&row["live_verdict"].as_str().unwrap()),
            "{collector} {row:#}"
        );
        assert!(number(&row, "live_growth").unwrap() < 2.0 * MIB, "{collector} {row:#}");
    });
}

#[test]
fn a_program_in_go_that_keeps_more_and_more_grows() {
    if missing("go") {
        return;
    }
    let folder = TempDir::new("heaps-go");
    let mut program = Workload::spawn(Command::new(go(&folder, "keeps", &[])));
    let (row, truth) = until(&mut program, "keep 1", |row, _| is_growing(row));
    let (live, kept) = (number(&row, "live").unwrap(), number(&truth, "kept").unwrap());
    assert!((kept - 2.0 * MIB..=kept + MIB).contains(&live), "{truth} {row:#}");
    let mut healthy = Workload::spawn(Command::new(go(&folder, "drops", &[])));
    healthy.ask("keep 16");
    let (row, _) = until(&mut healthy, "drop 64", |_, answer| answer["collections"].as_f64() > Some(50.0));
    assert!(!["growing", "leak"].contains(&row["live_verdict"].as_str().unwrap()), "{row:#}");
}

#[test]
fn a_program_in_python_that_keeps_more_and_more_objects_grows() {
    if missing("python3") {
        return;
    }
    let mut command = Command::new("python3");
    command.arg(format!("{SOURCES}/heap.py"));
    let mut program = Workload::spawn(command);
    let (row, truth) = until(&mut program, "keep 10", |row, _| is_growing(row));
    let (live, used) = (number(&row, "live").unwrap(), number(&truth, "in_blocks").unwrap());
    assert!((0.8 * used..=used + MIB).contains(&live), "{truth} {row:#}");
    assert!(row["runtime"].as_str().unwrap().starts_with("CPython 3."), "{row:#}");
}

#[test]
fn a_jvm_without_counters_has_its_reason_in_the_row() {
    if missing("javac") {
        return;
    }
    let jvm = java(&["-XX:-UsePerfData"]);
    let pid = jvm.pid();
    let row = observe(pid).wait_for(|report| {
        let row = row_of(report, pid)?;
        row["live_reason"].is_string().then(|| row.clone())
    });
    assert_eq!(
        (row["live"].clone(), row["live_verdict"].as_str()),
        (Value::Null, Some("unknown")),
        "{row:#}"
    );
    assert!(row["live_reason"].as_str().unwrap().contains("keeps no counters"), "{row:#}");
}
