//! Hostile conditions: what remains after every kind of exit, missing privileges, hostile names.

use std::{
    ffi::OsStr,
    fs,
    io::Error,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use observer_tests::{
    Finished, Observer, TempDir, Workload,
    attached::{assert_gone, exists, loaded_by},
    keep_datagrams_watched, observer_path, require_root, row_of,
    tool::unseen,
    workload_path,
};

const VIEWS: [&[&str]; 3] = [
    &["mem", "--json", "--interval", "0.2"],
    &["disk", "--deleted-open", "--json", "--interval", "0.2"],
    &["net", "--top", "--json", "--interval", "0.2"],
];

/// The views that this kernel can show without gaps.
fn views() -> impl Iterator<Item = &'static [&'static str]> {
    let net = !unseen("net.sockets");
    VIEWS.iter().copied().filter(move |view| net || view[0] != "net")
}

/// Runs each view until it reports, ends it, and checks that nothing of it remains in the kernel.
fn end(by: impl Fn(&mut Observer)) -> Vec<Finished> {
    require_root();
    let _datagrams = keep_datagrams_watched();
    let ended = |view: &[&str]| {
        let mut observer = Observer::start(view);
        observer.report();
        let loaded = loaded_by(observer.pid());
        assert!(loaded.iter().any(|object| exists(*object)), "{view:?} has loaded nothing: {loaded:?}");
        by(&mut observer);
        let finished = observer.finish();
        assert_gone(&loaded);
        finished
    };
    views().map(ended).collect()
}

#[test]
fn an_interrupt_exits_cleanly_and_leaves_nothing() {
    for finished in end(|observer| observer.interrupt()) {
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_termination_exits_cleanly_and_leaves_nothing() {
    for finished in end(|observer| observer.terminate()) {
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_kill_leaves_nothing() {
    for finished in end(|observer| observer.kill()) {
        assert_eq!(finished.code, None);
    }
}

#[test]
fn a_closed_pipe_is_no_error_and_leaves_nothing() {
    for finished in end(Observer::close_output) {
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    }
}

/// Runs each view without a needed privilege.
fn run_unprivileged(change: impl Fn(&mut Command), program: &OsStr) -> Vec<Finished> {
    require_root();
    let run = |view: &&[&str]| {
        let mut command = Command::new(program);
        command.args(*view);
        change(&mut command);
        Observer::spawn(command).finish()
    };
    VIEWS.iter().map(run).collect()
}

fn assert_unable(finished: &Finished, must_name: &str) {
    assert_eq!(finished.code, Some(77), "{}", finished.stderr);
    assert!(finished.reports.is_empty(), "{:?}", finished.reports);
    assert!(finished.stderr.contains(must_name), "`{must_name}` is not in: {}", finished.stderr);
    assert!(finished.stderr.contains("root"), "what to do next: {}", finished.stderr);
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
}

/// A copy of the binary in a folder that every user can access; removed on drop.
struct SharedBinary(std::path::PathBuf);

impl SharedBinary {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("observer-shared-{}", std::process::id()));
        fs::copy(observer_path(), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }
}

impl Drop for SharedBinary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn without_root_the_missing_privilege_is_named() {
    let binary = SharedBinary::new();
    let as_other_user = |command: &mut Command| {
        command.uid(65534).gid(65534).current_dir("/");
    };
    for finished in run_unprivileged(as_other_user, binary.0.as_os_str()) {
        assert_unable(&finished, "CAP_BPF");
    }
}

/// Drops one capability, and `CAP_SYS_ADMIN`, which includes others.
fn drop_capability(command: &mut Command, capability: u32) {
    const SYS_ADMIN: u32 = 21;
    // SAFETY: prctl is async-signal-safe and touches no memory of ours.
    unsafe {
        command.pre_exec(move || {
            for capability in [capability, SYS_ADMIN] {
                if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 {
                    return Err(Error::last_os_error());
                }
            }
            Ok(())
        });
    }
}

#[test]
fn a_missing_capability_is_named() {
    for (name, capability) in [("CAP_BPF", 39), ("CAP_PERFMON", 38)] {
        let without = |command: &mut Command| drop_capability(command, capability);
        for finished in run_unprivileged(without, observer_path().as_os_str()) {
            assert_unable(&finished, name);
        }
    }
}

#[test]
fn unreadable_values_are_unknown_and_have_a_note() {
    require_root();
    let workload = Workload::start(&["mem", "idle"]);
    let pid = workload.pid();
    let mut command =
        Observer::command(&["mem", "--json", "--once", "--interval", "0.2", "-p", &pid.to_string()]);
    drop_capability(&mut command, 19);
    let finished = Observer::spawn(command).finish();
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    let row = row_of(&finished.reports[0], pid).unwrap();
    assert!(row["exe"].is_null() && row["rss"].as_u64() > Some(0), "{row:#}");
    // There may be others, on a kernel without some hook.
    let notes = finished.reports[0]["notes"].as_array().unwrap();
    let is_expected = |note: &serde_json::Value| {
        note["code"] == "missing" && note["text"].as_str().unwrap().contains("CAP_SYS_PTRACE")
    };
    assert!(notes.iter().any(is_expected), "{notes:#?}");
}

#[test]
fn invalid_kernel_types_are_an_error() {
    require_root();
    let folder = TempDir::new("btf");
    let types = fs::read("/sys/kernel/btf/vmlinux").unwrap();
    for (name, bytes) in [("empty", &[][..]), ("cut", &types[..5000]), ("foreign", &[b'x'; 5000])] {
        let path = folder.file(name);
        fs::write(&path, bytes).unwrap();
        let finished = Observer::run(&["mem", "--json", "--once", "--btf", path.to_str().unwrap()]);
        assert_eq!(finished.code, Some(77), "{}", finished.stderr);
        assert!(finished.stderr.contains(path.to_str().unwrap()), "{}", finished.stderr);
        assert!(finished.stderr.contains("--btf"), "what to do next: {}", finished.stderr);
    }
}

/// Starts a workload with this program name, which is also its command name.
fn called(name: &[u8], folder: &TempDir) -> Workload {
    let path = folder.path().join(OsStr::from_bytes(name));
    fs::copy(workload_path(), &path).unwrap();
    let mut command = Command::new(&path);
    command.args(["mem", "idle"]);
    Workload::spawn(command)
}

#[test]
fn a_hostile_name_is_shown_escaped() {
    require_root();
    let folder = TempDir::new("hostile");
    let workload = called(b"\x1b]0;x\x07", &folder);
    let pid = workload.pid().to_string();
    let mut observer = Observer::start(&["mem", "--json", "--interval", "0.2", "-p", &pid]);
    let row = observer
        .wait_for(|report| row_of(report, workload.pid()).filter(|row| row["exe"].is_string()).cloned());
    assert_eq!(row["comm"], r"\x1b]0;x\x07");
    assert!(row["exe"].as_str().unwrap().ends_with(r"/\x1b]0;x\x07"), "{row:#}");

    let shown =
        Observer::command(&["mem", "--plain", "--once", "--interval", "0.2", "-p", &pid]).output().unwrap();
    assert!(!shown.stdout.contains(&0x1b) && !shown.stdout.contains(&7), "{:?}", shown.stdout);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(r"\x1b]0;x\x07"), "{shown}");
}

#[test]
fn a_name_of_raw_bytes_is_lossless() {
    require_root();
    let folder = TempDir::new("hostile");
    let workload = called(b"a\xff\\b\xc3", &folder);
    let mut observer = Observer::start(&["mem", "--json", "--interval", "0.2"]);
    let row = observer.wait_for(|report| row_of(report, workload.pid()).cloned());
    assert_eq!(row["comm"], r"a\xff\\b\xc3");
}

#[test]
fn processes_that_exit_while_they_are_read_are_no_failure() {
    require_root();
    let _datagrams = keep_datagrams_watched();
    for view in views() {
        let mut observer = Observer::start(view);
        observer.report();
        for _ in 0..300 {
            assert!(Command::new("/bin/true").status().unwrap().success());
        }
        observer.report();
        observer.interrupt();
        let finished = observer.finish();
        assert_eq!(finished.code, Some(0), "{view:?}: {}", finished.stderr);
    }
}
