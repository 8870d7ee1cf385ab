//! Memory curves that a straight line would misjudge, as replays of real processes of the corpus (see
//! `tests/corpus/build.toml` and `second.toml`): the verdict in every report.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use observer_core::{facts::StreamItem, report::Value, view::Request};
use observer_sources::replay::Replay;

/// The verdicts and reasons of each run, by name, one per report.
static VERDICTS: LazyLock<BTreeMap<String, Vec<(String, String)>>> = LazyLock::new(|| {
    let recordings: PathBuf = [env!("CARGO_MANIFEST_DIR"), "corpus", "recordings"].iter().collect();
    let mut verdicts = BTreeMap::new();
    for recording in ["build/1", "build/2", "second/1"] {
        play(&recordings.join(recording).with_extension("recording"), &mut verdicts);
    }
    verdicts
});

fn play(recording: &Path, verdicts: &mut BTreeMap<String, Vec<(String, String)>>) {
    let mut engine =
        observer::domains::engine(Request { resolve: false, ..Request::new(observer_mem::views::MEM) });
    for item in Replay::open(recording).unwrap() {
        let now = match item.unwrap() {
            StreamItem::Fact(fact) => {
                engine.apply(&fact);
                continue;
            }
            StreamItem::Tick(now) => now,
        };
        engine.tick(now);
        if let Some(report) = engine.report(now, None).unwrap() {
            let table = &report.tables[0];
            let at = |name| table.columns.iter().position(|column| column.name == name).unwrap();
            let columns = [at("comm"), at("verdict"), at("reason")];
            for row in &table.rows {
                let [name, verdict, reason] = columns.map(|at| match &row.cells[at] {
                    Value::Text(text) => text.clone(),
                    other => panic!("{other:?}"),
                });
                verdicts.entry(name).or_default().push((verdict, reason));
            }
        }
        engine.delivered(now);
    }
}

/// The reports on every run of a workload.
fn runs(workload: &str) -> impl Iterator<Item = (&String, &Vec<(String, String)>)> {
    let of = move |name: &str| name.split('/').next() == Some(workload);
    assert!(VERDICTS.keys().any(|name| of(name)), "{workload} is in no recording");
    VERDICTS.iter().filter(move |(name, _)| of(name))
}

#[track_caller]
fn never_a_leak(workloads: &[&str]) {
    for (name, verdicts) in workloads.iter().flat_map(|workload| runs(workload)) {
        // 25 minutes; on the busy machine, reports came up to 20 % late.
        assert!(verdicts.len() > 1200, "{name}: {} reports", verdicts.len());
        for (second, (verdict, reason)) in verdicts.iter().enumerate() {
            assert_ne!(verdict, "leak", "{name} in report {second}: {reason}");
        }
    }
}

#[track_caller]
fn called_a_leak(workloads: &[&str]) {
    for (name, verdicts) in workloads.iter().flat_map(|workload| runs(workload)) {
        let last = verdicts.last().unwrap();
        let reason = verdicts.iter().find(|(verdict, _)| verdict == "leak").map(|(_, reason)| reason);
        let reason = reason.unwrap_or_else(|| panic!("{name} is missed: {last:?}"));
        assert!(reason.starts_with("never gave back "), "{name}: {reason}");
    }
}

#[test]
fn a_collector_s_sawtooth_is_no_leak() {
    never_a_leak(&["node-garbage", "python-cycles", "c-saw"]);
}

#[test]
fn a_leak_under_a_sawtooth_is_called() {
    called_a_leak(&["c-saw-leak", "go-leak-in-garbage", "python-leak-in-cycles", "lua-leak-in-garbage"]);
}

#[test]
fn a_cache_that_fills_up_to_a_bound_is_no_leak() {
    never_a_leak(&[
        "redis-random-keys",
        "memcached-fills",
        "php-ring",
        "varnish-fills",
        "c-cache",
        "node-ring",
    ]);
}

#[test]
fn a_cache_that_is_just_full_is_no_leak() {
    // It filled steadily, one of them for ten minutes, and is flat for the first time.
    never_a_leak(&["gawk-ring", "tail-last-lines", "tmux-stream-stops"]);
}

#[test]
fn expiring_entries_are_no_leak() {
    never_a_leak(&["redis-expiring", "python-expiring", "redis-list-trimmed"]);
}

#[test]
fn arenas_that_are_allocated_at_once_and_kept_are_no_leak() {
    never_a_leak(&["c-arenas"]);
}

#[test]
fn load_that_comes_and_goes_is_no_leak() {
    never_a_leak(&["python-sessions", "memcached-reads", "nginx-static"]);
}

#[test]
fn a_leak_under_load_that_changes_is_called() {
    called_a_leak(&["mosquitto-retained-new", "redis-stream", "sqlite-memory", "c-pinned-leak"]);
}

#[test]
fn huge_pages_that_are_touched_are_no_leak() {
    never_a_leak(&["c-huge-region"]);
}

#[test]
fn copies_after_a_fork_are_no_leak() {
    never_a_leak(&["redis-forks"]);
}

#[test]
fn a_growing_page_cache_is_no_leak() {
    never_a_leak(&["c-page-cache"]);
}

#[test]
fn correlated_noise_is_no_leak_and_hides_none() {
    never_a_leak(&["c-noise"]);
    called_a_leak(&["c-noise-leak"]);
}

#[test]
fn first_use_of_reserved_memory_is_no_leak() {
    never_a_leak(&["xz-dictionary"]);
}

#[test]
fn shrinking_memory_is_no_leak() {
    never_a_leak(&["python-shrinks", "c-shrinks"]);
}

#[test]
fn a_leak_that_grows_in_few_large_steps_is_called() {
    // A map in a heap with a collector: 3 MiB, 4, 7, 14, with flat minutes in between.
    called_a_leak(&["go-strings"]);
}

#[test]
fn a_leak_after_a_start_of_many_minutes_is_called() {
    // They allocate at least as much during their start as they leak afterwards.
    called_a_leak(&["h2-rows", "r-environment"]);
}

#[test]
fn a_leak_of_64_bytes_a_request_is_called_for_every_allocator() {
    called_a_leak(&["c-leak", "python-list", "postgres-prepared"]);
}
