//! Control groups with a limit: what fills them, when they are full, and which process of them grew before an OOM kill.

use std::{
    fs,
    path::{Path, PathBuf},
};

use observer_tests::{Observer, Workload, note, number, require_root, tool};
use serde_json::Value;

const MIB: f64 = 1024.0 * 1024.0;

/// A control group with a limit, removed on drop.
pub struct Group(PathBuf);

impl Group {
    /// `None` in a guest in which no hierarchy controls memory.
    pub fn limited(name: &str, bytes: u64) -> Option<Self> {
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers");
        let memory = fs::read_to_string(unified).is_ok_and(|controllers| controllers.contains("memory"));
        let (root, file) = if memory {
            fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory").unwrap();
            ("/sys/fs/cgroup", "memory.max")
        } else {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        };
        if !Path::new(root).join("cgroup.procs").exists() {
            assert!(tool::in_guest(), "no hierarchy of control groups limits memory here: mount one");
            tool::not_run("no hierarchy of control groups limits memory in this guest");
            return None;
        }
        let group = Self(Path::new(root).join(format!("observer-test-{name}-{}", std::process::id())));
        fs::create_dir(&group.0).unwrap();
        fs::write(group.0.join(file), bytes.to_string()).unwrap();
        Some(group)
    }

    /// Moves a process into the group. Its memory so far stays charged to its previous group.
    pub fn take(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    pub fn name(&self) -> &str {
        self.0.file_name().unwrap().to_str().unwrap()
    }

    /// Bytes of shared memory that are charged to the group, by the kernel.
    fn shmem(&self) -> f64 {
        let stat = fs::read_to_string(self.0.join("memory.stat")).unwrap();
        stat.lines().find_map(|line| line.strip_prefix("shmem ")?.parse().ok()).unwrap()
    }

    /// Bytes charged to the group, by the kernel.
    pub fn usage(&self) -> f64 {
        let of = |file| fs::read_to_string(self.0.join(file)).ok()?.trim().parse().ok();
        of("memory.usage_in_bytes").or_else(|| of("memory.current")).unwrap()
    }

    /// Whether no process is in the group.
    pub fn is_empty(&self) -> bool {
        fs::read_to_string(self.0.join("cgroup.procs")).unwrap().is_empty()
    }

    /// The group's row in a report.
    fn row<'a>(&self, report: &'a Value) -> Option<&'a Value> {
        let rows = report["limited_groups"].as_array()?;
        rows.iter().find(|row| row["group"].as_str().is_some_and(|path| path.ends_with(self.name())))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// A file that is removed on drop.
struct Removed(String);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn observer() -> Observer {
    Observer::start(&["mem", "--json", "--budget", "100", "--interval", "0.25", "--window", "8"])
}

/// The text of the note about the kill of `pid`.
fn kill_note(report: &Value, pid: u32) -> Option<String> {
    let text = note(report, "mem-oom")?["text"].as_str()?;
    text.contains(&format!(" {pid} workload was killed")).then(|| text.to_owned())
}

#[test]
fn a_kill_in_a_group_is_explained_by_the_processes_of_the_group() {
    require_root();
    let Some(group) = Group::limited("kill", 96 << 20) else { return };
    let mut outside = Workload::start(&["mem", "mappings"]);
    let mut large = Workload::start(&["mem", "mappings"]);
    let mut leaking = Workload::start(&["mem", "mappings"]);
    group.take(large.pid());
    group.take(leaking.pid());
    large.ask("map 65536");
    let mut observer = observer();
    observer.report();
    let (victim, grower) = (large.pid(), leaking.pid());
    let text = observer.wait_for(|report| {
        let text = kill_note(report, victim);
        if text.is_none() {
            outside.ask("map 4096");
            leaking.ask("map 1024");
        }
        text
    });
    assert!(text.contains(&format!("most had grown {grower} workload")), "{text}");
    assert!(text.contains(&format!("{} is 96 MiB", group.name())), "{text}");
    assert!(!text.contains(&outside.pid().to_string()), "{text}");
    drop((large, leaking));
}

#[test]
fn a_group_that_a_file_in_ram_fills_has_its_time_and_its_file_before_and_after_the_kill() {
    require_root();
    let Some(group) = Group::limited("shared", 256 << 20) else { return };
    let path = format!("/dev/shm/observer-test-group-{}", std::process::id());
    let file = Removed(path.clone());
    let mut workload = Workload::start(&["mem", "object", "tmpfs", &path]);
    let pid = workload.pid();
    group.take(pid);
    let mut observer = observer();
    observer.report();
    let mut reports = 0;
    let row = observer.wait_for(|report| {
        let row = group.row(report).filter(|row| row["verdict"] == "growing");
        reports += 1;
        if row.is_none() && reports % 2 == 0 {
            workload.ask("step");
        }
        row.cloned()
    });
    let [usage, limit, shmem] = ["usage", "limit", "shmem"].map(|name| number(&row, name).unwrap());
    assert_eq!(limit, 256.0 * MIB, "{row:#}");
    // The last step can be newer than the row.
    assert!((group.shmem() - shmem).abs() <= 9.0 * MIB && usage >= shmem, "{} {row:#}", group.shmem());
    let seconds = (limit - usage) / number(&row, "rate").unwrap();
    assert!((number(&row, "full_in").unwrap() - seconds).abs() < 0.01 * seconds, "{row:#}");
    // One write: the process is killed while it carries them out.
    workload.send(&["step"; 40].join("\n"));
    let text = observer.wait_for(|report| kill_note(report, pid));
    let expected = format!("of it shared memory and files in RAM (most in {path})");
    assert!(text.contains(&expected), "{text}");
    assert!(!text.contains("most had grown"), "{text}");
    workload.kill();
    drop(file);
}
