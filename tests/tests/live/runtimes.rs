//! Managed runtimes with a known number of live bytes, compared with the values that are read from outside.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use observer_runtimes::{Basis, Finder, Heap, Kind, Reason, Runtime};
use observer_tests::{place::TempDir, tool::missing, workload::Workload};
use serde_json::Value;

const MIB: u64 = 1 << 20;

/// The folder of the workloads' sources.
pub const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/runtimes");

fn find(pid: u32) -> Result<Option<Runtime>, Reason> {
    Finder::new("/".into()).find(pid)
}

fn found(workload: &Workload, kind: Kind) -> Runtime {
    let runtime = find(workload.pid()).expect("it may be read").expect("it has a runtime");
    assert_eq!(runtime.kind(), kind);
    runtime
}

fn number(truth: &Value, name: &str) -> u64 {
    truth[name].as_u64().unwrap_or_else(|| panic!("{name}: {truth}"))
}

/// Asserts that `live` is at least `least`, and at most `own` bytes more, which the runtime itself needs.
fn lives(heap: &Heap, least: u64, own: u64) {
    let live = *heap.live.as_ref().expect("what survived is known");
    assert!((least..=least + own).contains(&live), "{live} of {least}: {heap:#?}");
}

/// Starts a JVM with the class `Heap`, which is compiled once.
pub fn java(flags: &[&str]) -> Workload {
    static CLASSES: OnceLock<TempDir> = OnceLock::new();
    let classes = CLASSES.get_or_init(|| {
        let folder = TempDir::new("runtimes-java");
        let mut compile = Command::new("javac");
        compile.arg("-d").arg(folder.path()).arg(format!("{SOURCES}/Heap.java"));
        assert!(compile.status().expect("javac").success());
        folder
    });
    let mut command = Command::new("java");
    command.args(flags).arg("-cp").arg(classes.path()).arg("Heap");
    Workload::spawn(command)
}

#[test]
fn live_bytes_of_a_jvm_are_those_that_survive_a_collection() {
    if missing("javac") {
        return;
    }
    for collector in ["-XX:+UseSerialGC", "-XX:+UseParallelGC", "-XX:+UseG1GC"] {
        let mut jvm = java(&[collector, "-Xmx512m", "-Xms512m", "-Xmn256m"]);
        let runtime = found(&jvm, Kind::HotSpot);
        assert!(runtime.version().is_some_and(|version| version.contains('.')), "{:?}", runtime.version());
        let heap = runtime.heap().expect("counters");
        assert_eq!(heap.live, Err(Reason::NoCollection), "{collector}");
        assert_eq!(heap.limit, Some(512 * MIB), "{collector}");
        for kept in [16, 80] {
            let truth = jvm.ask(if kept == 16 { "keep 16" } else { "keep 64" });
            assert_eq!(number(&truth, "kept"), kept * MIB);
            let heap = runtime.heap().expect("counters");
            // G1 counts whole regions of a mebibyte.
            lives(&heap, kept * MIB, 4 * MIB);
            lives(&heap, number(&truth, "survived").saturating_sub(MIB), 2 * MIB);
            assert_eq!(heap.basis, Basis::WholeHeap, "{collector}");
            assert_eq!(heap.live_after_full, heap.live.clone().ok(), "{collector}");
            assert_eq!(heap.collections, Ok(number(&truth, "collections")), "{collector}");
            assert!(heap.paused.clone().unwrap() > Duration::ZERO, "{collector}");
            assert!(heap.last_full.is_some(), "{collector}");
        }
        let before = runtime.heap().expect("counters");
        assert_eq!(before.full_collections, Ok(2), "{collector}");
        // There is enough space, so no collection runs, and dropped objects never count.
        jvm.ask("drop 32");
        assert_eq!(runtime.heap().as_ref(), Ok(&before), "{collector}");
        // Several collections of the young generation; the old one may contain garbage.
        let truth = jvm.ask("drop 2048");
        let heap = runtime.heap().expect("counters");
        assert_eq!(heap.collections, Ok(number(&truth, "collections")), "{collector}");
        assert_eq!(heap.basis, Basis::YoungGeneration, "{collector}");
        lives(&heap, 80 * MIB, 6 * MIB);
        assert_eq!(heap.last_full, before.last_full, "{collector}");
        jvm.kill();
        assert_eq!(runtime.heap(), Err(Reason::Ended), "{collector}");
    }
}

#[test]
fn a_jvm_without_counters_has_a_reason() {
    if missing("javac") {
        return;
    }
    let jvm = java(&["-XX:-UsePerfData"]);
    let reason = found(&jvm, Kind::HotSpot).heap().expect_err("there are no counters");
    assert_eq!(reason, Reason::NoCounters);
    let mut jvm = java(&["-XX:+UseZGC", "-Xmx512m"]);
    jvm.ask("keep 16");
    let heap = found(&jvm, Kind::HotSpot).heap().expect("counters");
    assert_eq!(heap.live, Err(Reason::NotRecorded("ZGC".to_owned())));
    assert_eq!(heap.limit, Some(512 * MIB));
}

#[test]
fn counters_in_private_memory_are_found() {
    if missing("javac") {
        return;
    }
    let mut jvm = java(&["-XX:+UseG1GC", "-Xmx512m", "-XX:+PerfDisableSharedMem"]);
    jvm.ask("keep 16");
    lives(&found(&jvm, Kind::HotSpot).heap().expect("counters"), 16 * MIB, 4 * MIB);
}

#[test]
fn counters_are_read_after_their_file_is_removed() {
    if missing("javac") {
        return;
    }
    let mut jvm = java(&["-XX:+UseSerialGC"]);
    let maps = fs::read_to_string(format!("/proc/{}/maps", jvm.pid())).unwrap();
    let path = maps.lines().find(|line| line.contains("/hsperfdata_")).expect("the counters are mapped");
    fs::remove_file(&path[path.find('/').unwrap()..]).expect("the file is ours");
    jvm.ask("keep 16");
    lives(&found(&jvm, Kind::HotSpot).heap().expect("counters"), 16 * MIB, 4 * MIB);
}

/// Builds the Go workload.
pub fn go(folder: &TempDir, name: &str, flags: &[&str]) -> PathBuf {
    let program = folder.file(name);
    let mut build = Command::new("go");
    // Compiled packages of the standard library are kept between runs.
    build.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go")).env("GO111MODULE", "off");
    build.env("GOFLAGS", "").env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
    build.arg("build").args(flags).arg("-o").arg(&program).arg(format!("{SOURCES}/heap.go"));
    assert!(build.status().expect("go").success());
    program
}

#[test]
fn live_bytes_of_go_are_those_that_the_collector_marked() {
    if missing("go") {
        return;
    }
    let folder = TempDir::new("runtimes-go");
    for (name, flags) in
        [("plain", &[][..]), ("stripped", &["-ldflags=-s"]), ("pie", &["-buildmode=pie", "-ldflags=-s"])]
    {
        let mut command = Command::new(go(&folder, name, flags));
        command.env("GOMEMLIMIT", "1GiB");
        let mut program = Workload::spawn(command);
        let runtime = found(&program, Kind::Go);
        assert!(
            runtime.version().is_some_and(|version| version.starts_with("go1.")),
            "{:?}",
            runtime.version()
        );
        assert_eq!(runtime.heap().expect("variables").live, Err(Reason::NoCollection), "{name}");
        for (line, kept) in [("keep 16", 16), ("keep 64", 80)] {
            let truth = program.ask(line);
            let heap = runtime.heap().expect("variables");
            assert_eq!(number(&truth, "kept"), kept * MIB);
            lives(&heap, kept * MIB, MIB);
            assert_eq!(heap.basis, Basis::WholeHeap);
            assert_eq!(heap.limit, Some(1 << 30));
            assert_eq!(heap.collections, Ok(number(&truth, "collections")), "{name}");
            assert_eq!(heap.paused, Ok(Duration::from_nanos(number(&truth, "paused"))), "{name}");
            assert_eq!(heap.last_full, Some(Duration::from_nanos(number(&truth, "ended"))), "{name}");
        }
        // Allocations during marking count as marked. The next collection frees them.
        for _ in 0..8 {
            program.ask("drop 24");
        }
        program.ask("keep 0");
        lives(&runtime.heap().expect("variables"), 80 * MIB, MIB);
    }
}

/// The interpreters of this machine: `python3`, Debian's, and pyenv's.
fn interpreters() -> Vec<PathBuf> {
    let mut interpreters = vec!["python3".into()];
    interpreters.extend(["/usr/bin/python3"].map(PathBuf::from).into_iter().filter(|path| path.exists()));
    let home = std::env::var_os("HOME").unwrap_or_default();
    for version in fs::read_dir(Path::new(&home).join(".pyenv/versions")).into_iter().flatten().flatten() {
        let known =
            (8..=13).any(|minor| version.file_name().to_string_lossy().starts_with(&format!("3.{minor}.")));
        if known {
            interpreters.push(version.path().join("bin/python3"));
        }
    }
    interpreters
}

#[test]
fn live_bytes_of_python_are_those_in_use_in_its_allocator() {
    if missing("python3") {
        return;
    }
    let workload = format!("{SOURCES}/heap.py");
    for interpreter in interpreters() {
        let mut command = Command::new(&interpreter);
        command.arg(&workload);
        let mut program = Workload::spawn(command);
        let runtime = found(&program, Kind::CPython);
        let mut live = Vec::new();
        for line in ["keep 100", "keep 100", "drop 0"] {
            let truth = program.ask(line);
            let heap = runtime.heap().expect("the interpreter's state");
            println!("{}: {} {truth}", interpreter.display(), runtime.version().unwrap_or_default());
            lives(&heap, number(&truth, "in_blocks") - MIB / 16, MIB / 8);
            assert_eq!(heap.basis, Basis::InUse);
            assert_eq!(heap.collections, Ok(number(&truth, "collections")), "{interpreter:?}");
            assert_eq!(heap.full_collections, Ok(number(&truth, "full")), "{interpreter:?}");
            assert_eq!(heap.paused, Err(Reason::NotRecorded("CPython".to_owned())));
            live.push((heap.live.unwrap(), heap.objects.unwrap(), heap.capacity.unwrap()));
        }
        let [once, twice, half] = live[..] else { panic!("three readings") };
        assert!(twice.1 >= once.1 + 100_000 && half.1 + 100_000 <= twice.1, "containers: {live:?}");
        assert!(half.0 + 8 * MIB <= twice.0 && half.2 == twice.2, "half is free, and no arena is: {live:?}");
    }
    let mut command = Command::new("python3");
    command.arg(&workload).env("PYTHONMALLOC", "malloc");
    let mut program = Workload::spawn(command);
    program.ask("keep 100");
    let heap = found(&program, Kind::CPython).heap().expect("the collector's counts");
    assert_eq!(heap.live, Err(Reason::ForeignAllocator));
    assert!(heap.objects.unwrap() > 100_000, "{heap:#?}");
}

#[test]
fn a_runtime_outlives_its_main_thread() {
    if missing("python3") {
        return;
    }
    let mut command = Command::new("python3");
    command.arg(format!("{SOURCES}/heap.py")).arg("--main-thread-ends");
    let mut program = Workload::spawn(command);
    program.ask("keep 1");
    let exe = format!("/proc/{}/exe", program.pid());
    while fs::metadata(&exe).is_ok() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let truth = program.ask("keep 100");
    let heap = found(&program, Kind::CPython).heap().expect("the interpreter's state");
    lives(&heap, number(&truth, "in_blocks") - MIB / 16, MIB / 8);
}

#[test]
fn a_process_without_a_runtime_has_none_and_an_exited_one_has_a_reason() {
    let native = Workload::start(&["mem", "mappings"]);
    assert!(find(native.pid()).expect("it may be read").is_none());
    let pid = native.pid();
    native.kill();
    assert_eq!(find(pid).err(), Some(Reason::Ended));
    // A kernel thread has no executable.
    assert_eq!(find(2).err(), Some(Reason::Ended));
}
