//! Scenes of `overview`: real faults on this machine. Each must be found, named rightly, and be the most urgent problem
//! apart from those of other tests; and ordinary work must cause no urgent problem.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use observer_tests::{Observer, TempDir, Workload, number, require_root, tool};
use serde_json::Value;

use crate::{
    capacity::in_a_namespace,
    growth::{files, on_with},
    mem_groups::Group,
};

const ARGUMENTS: [&str; 6] = ["overview", "--json", "--interval", "0.5", "--window", "10"];

fn observe() -> Observer {
    require_root();
    let mut observer = Observer::start(&ARGUMENTS);
    observer.report();
    observer
}

fn problems(report: &Value) -> &[Value] {
    report["problems"].as_array().unwrap()
}

fn text(problem: &Value) -> &str {
    problem["text"].as_str().unwrap()
}

/// Whether the problem is that of another test: its workload, its files, its control group, its filesystem.
fn is_of_a_test(problem: &Value) -> bool {
    let all = problem.to_string();
    ["workload", "observer-test", "/target/tmp/"].iter().any(|part| all.contains(part))
}

/// Waits until the problem of this kind that `concerns` accepts is there with at least this severity, and the most
/// urgent one. Returns it.
fn first(observer: &mut Observer, kind: &str, severity: &str, concerns: impl Fn(&Value) -> bool) -> Value {
    observer.wait_for(|report| {
        let found =
            problems(report).iter().position(|problem| problem["kind"] == kind && concerns(problem))?;
        let problem = &problems(report)[found];
        if rank(problem) > ["now", "soon", "watch"].iter().position(|name| *name == severity) {
            return None;
        }
        let above = problems(report)[..found].iter().filter(|above| rank(above) < rank(problem));
        // The disk of this machine may really be nearly full.
        let above = above.filter(|above| above["subject"]["mount"] != "/");
        let others: Vec<&Value> = above.filter(|above| !is_of_a_test(above)).collect();
        assert!(others.is_empty(), "above {problem:#}\nthere is {others:#?}");
        assert_ne!(text(problem), "");
        assert_ne!(problem["evidence"], "");
        assert!(problem["since"].as_f64().unwrap() > 1e9);
        Some(problem.clone())
    })
}

fn rank(problem: &Value) -> Option<usize> {
    ["now", "soon", "watch"].iter().position(|name| problem["severity"] == *name)
}

fn names(problem: &Value, pid: u32) -> bool {
    problem["processes"].as_array().unwrap().iter().any(|process| process["pid"] == pid)
}

fn is_mounted_at(problem: &Value, point: &Path) -> bool {
    problem["subject"]["mount"] == point.to_str().unwrap()
}

#[test]
fn a_full_filesystem_is_a_problem_now() {
    let folder = TempDir::new("problem-full");
    let make =
        "mount -t tmpfs -o size=8m none point; head -c 9000000 /dev/zero > point/f 2>/dev/null || true";
    let (_workload, mut observer) = on_with(&folder, make, &ARGUMENTS);
    let point = folder.file("point");
    let problem = first(&mut observer, "filesystem-full", "now", |problem| is_mounted_at(problem, &point));
    assert!(text(&problem).contains("100 % full, 0 B left"), "{problem:#}");
    assert_eq!(problem["harm_in"], Value::Null, "harm has begun: {problem:#}");
    assert!(problem["next"].as_str().unwrap().starts_with("du -xd2 -- /"), "{problem:#}");
}

#[test]
fn a_filesystem_that_fills_has_a_time_and_its_writer() {
    if tool::missing("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new("problem-fills");
    let make = "truncate -s 400M image; mkfs.ext4 -q -m 0 image; mount -o loop image point; \
                head -c 280000000 /dev/zero > point/old";
    let (mut workload, mut observer) = on_with(&folder, make, &ARGUMENTS);
    let point = folder.file("point");
    workload.ask("append f");
    let pid = workload.pid();
    let mut writes = 0;
    let problem = observer.wait_for(|report| {
        // It is never full.
        if writes < 80 {
            workload.ask("write f append 1000000");
            writes += 1;
        }
        let found = problems(report).iter().find(|problem| {
            problem["kind"] == "filesystem-full" && is_mounted_at(problem, &point) && names(problem, pid)
        })?;
        (number(found, "harm_in").is_some() && found["severity"] == "now").then(|| found.clone())
    });
    let text = text(&problem);
    assert!(text.contains(&format!("{pid} workload")) && text.contains("point/f"), "{problem:#}");
    assert!(number(&problem, "harm_in_low") <= number(&problem, "harm_in"), "{problem:#}");
}

#[test]
fn a_filesystem_without_inodes_is_a_problem_now() {
    let folder = TempDir::new("problem-inodes");
    let (mut workload, mut observer) =
        on_with(&folder, "mount -t tmpfs -o nr_inodes=500 none point", &ARGUMENTS);
    assert_ne!(workload.ask("many f 600 0")["refused"], Value::Null);
    let point = folder.file("point");
    let problem = first(&mut observer, "inodes-full", "now", |problem| is_mounted_at(problem, &point));
    assert!(text(&problem).contains("is out of inodes: all 500 are used"), "{problem:#}");
}

#[test]
fn a_sparse_image_without_room_below_it_is_a_problem() {
    if tool::missing("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new("problem-sparse");
    let make = "mkdir host; mount -t tmpfs -o size=48m none host; truncate -s 400M host/image; \
                mkfs.ext4 -q host/image; mount -o loop host/image point; head -c 60000000 /dev/zero > host/other 2>/dev/null || true";
    let (_workload, mut observer) = on_with(&folder, make, &ARGUMENTS);
    let point = folder.file("point");
    let problem = first(&mut observer, "limit-full", "now", |problem| is_mounted_at(problem, &point));
    assert_eq!(problem["subject"]["limit"], "backing", "{problem:#}");
    assert_eq!(problem["subject"]["limit_of"], folder.file("host").to_str().unwrap(), "{problem:#}");
}

#[test]
fn a_deleted_file_that_grows_is_named_with_its_holder_and_the_command_frees_it() {
    if tool::missing("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new("problem-deleted");
    let make = "truncate -s 400M image; mkfs.ext4 -q image; mount -o loop image point";
    let (mut workload, mut observer) = on_with(&folder, make, &ARGUMENTS);
    observer.report();
    workload.ask("append debug.log");
    workload.ask("write debug.log append 30000000");
    workload.ask("delete debug.log");
    let pid = workload.pid();
    let problem = first(&mut observer, "deleted-file", "watch", |problem| names(problem, pid));
    assert!(text(&problem).contains("debug.log, deleted"), "{problem:#}");
    let next = problem["next"].as_str().unwrap();
    assert!(next.starts_with(&format!("truncate -s 0 /proc/{pid}/fd/")), "{problem:#}");
    assert!(Command::new("sh").args(["-c", next]).status().unwrap().success());
    let gone = |report: &Value| {
        !problems(report).iter().any(|problem| problem["kind"] == "deleted-file" && names(problem, pid))
    };
    observer.wait_for(|report| gone(report).then_some(()));
}

#[test]
fn a_program_that_is_started_over_and_over_is_named() {
    let folder = TempDir::new("problem-restarted");
    let mut observer = observe();
    let script = "while true; do dd if=/dev/zero of=\"$0/log\" bs=100 count=1 conv=notrunc oflag=append status=none; sleep 0.2; done";
    let _starter = Ended(Command::new("sh").args(["-c", script]).arg(folder.path()).spawn().unwrap());
    let problem = first(&mut observer, "restarted", "watch", |problem| text(problem).contains("of dd"));
    assert!(text(&problem).contains("started over and over"), "{problem:#}");
    assert!(problem["subject"]["path"].as_str().unwrap().ends_with("/log"), "{problem:#}");
}

#[test]
fn a_service_that_does_not_accept_is_named_with_its_queue() {
    in_a_namespace(|| {
        let mut workload = Workload::start(&["net", "full", "queue"]);
        let local = workload.ready["local"].as_str().unwrap().to_owned();
        let mut observer = observe();
        workload.ask("step");
        let pid = workload.pid();
        let problem = first(&mut observer, "accept-queue-full", "now", |problem| names(problem, pid));
        assert_eq!(problem["subject"]["local"], *local, "{problem:#}");
        assert!(text(&problem).contains(&format!("{pid} workload does not accept")), "{problem:#}");
        assert_eq!(problem["next"], format!("observer net --listen -p {pid}"));
    });
}

#[test]
fn a_process_that_runs_out_of_descriptors_is_named() {
    in_a_namespace(|| {
        let workload = Workload::start(&["net", "full", "descriptors"]);
        let mut observer = observe();
        let pid = workload.pid();
        if fs::metadata("/proc/self/fd").unwrap().len() == 0 {
            tool::not_run("this kernel does not count descriptors");
            return;
        }
        let problem = first(&mut observer, "descriptors-full", "soon", |problem| names(problem, pid));
        assert!(text(&problem).contains("of at most 256 descriptors"), "{problem:#}");
    });
}

#[test]
fn a_client_that_runs_out_of_ports_is_found() {
    in_a_namespace(|| {
        let _workload = Workload::start(&["net", "full", "ports"]);
        let mut observer = observe();
        let problem = first(&mut observer, "ports-full", "soon", |_| true);
        assert!(text(&problem).contains("36 of the 40 ports"), "{problem:#}");
    });
}

#[test]
fn a_process_that_does_not_read_is_named_and_gone_when_it_reads() {
    let mut observer = observe();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    let chunk = [7; 65_536];
    while near.write_all(&chunk).is_ok() {}
    let pid = std::process::id();
    let problem = first(&mut observer, "slow-reader", "soon", |problem| problem["subject"]["pid"] == pid);
    assert!(text(&problem).contains("does not read what has arrived"), "{problem:#}");
    drop(near);
    far.read_to_end(&mut Vec::new()).unwrap();
    let gone = |report: &Value| {
        problems(report)
            .iter()
            .all(|problem| problem["kind"] != "slow-reader" || problem["subject"]["pid"] != pid)
    };
    observer.wait_for(|report| gone(report).then_some(()));
}

#[test]
fn a_hog_on_a_shaped_link_is_named() {
    require_root();
    let mut workload = Workload::start(&["net", "bloat", "7"]);
    let mut observer = observe();
    let conversations = workload.ask("step")["conversations"].clone();
    let hog = conversations[0].clone();
    let hogs: Vec<u64> = hog.as_array().map_or_else(
        || hog.as_u64().into_iter().collect(),
        |pids| pids.iter().filter_map(Value::as_u64).collect(),
    );
    let problem = first(&mut observer, "queue-filled", "watch", |problem| {
        problem["subject"]["pid"].as_u64().is_some_and(|pid| hogs.contains(&pid))
    });
    assert!(text(&problem).contains("fills the queue of its link"), "{problem:#}");
}

#[test]
fn a_group_near_its_limit_is_named_with_its_largest_process() {
    require_root();
    let Some(group) = Group::limited("full", 64 << 20) else { return };
    let mut workload = Workload::start(&["mem", "mappings"]);
    let pid = workload.pid();
    group.take(pid);
    workload.ask("map 62000");
    let mut observer = observe();
    let name = group.name().to_owned();
    let concerns =
        |problem: &Value| problem["subject"]["path"].as_str().is_some_and(|path| path.contains(&name));
    let problem = first(&mut observer, "group-full", "soon", concerns);
    assert!(names(&problem, pid) && text(&problem).contains("of its 64 MiB"), "{problem:#}");
    workload.kill();
    observer.wait_for(|report| (!problems(report).iter().any(concerns)).then_some(()));
}

#[test]
fn an_oom_kill_is_a_problem_now() {
    require_root();
    let Some(group) = Group::limited("kill", 48 << 20) else { return };
    let mut hog = Workload::start(&["mem", "hog"]);
    let pid = hog.pid();
    group.take(pid);
    let mut observer = observe();
    hog.send("step");
    let problem = first(&mut observer, "oom-kill", "now", |problem| {
        text(problem).contains(&format!(" {pid} workload"))
    });
    assert!(text(&problem).contains("was killed"), "{problem:#}");
    hog.kill();
}

#[test]
fn shared_memory_that_no_process_shows_is_a_problem_while_it_grows() {
    let folder = TempDir::new("problem-memfd");
    let mut workload = files(folder.path());
    // Such memory is looked for every few seconds, so a trend needs a longer window.
    let mut observer = Observer::start(&["overview", "--json", "--interval", "0.5"]);
    workload.ask("memfd memory");
    let mut size = 0;
    let problem = observer.wait_for(|report| {
        if size < 320 {
            size += 4;
            workload.ask("write memory pwrite 4194304");
        }
        let found = problems(report).iter().find(|problem| problem["kind"] == "object-grows");
        found.filter(|problem| names(problem, workload.pid())).cloned()
    });
    assert!(text(&problem).starts_with("memfd "), "{problem:#}");
}

#[test]
fn what_is_already_true_is_in_the_first_report_and_in_the_exit_code() {
    let folder = TempDir::new("problem-once");
    let make =
        "mount -t tmpfs -o size=4m none point; head -c 5000000 /dev/zero > point/f 2>/dev/null || true";
    let (workload, observer) = on_with(&folder, make, &["overview", "--json", "--once"]);
    let finished = observer.finish();
    assert_eq!(finished.code, Some(10), "{}", finished.stderr);
    let point = folder.file("point");
    let found = problems(&finished.reports[0]).iter().any(|problem| is_mounted_at(problem, &point));
    assert!(found, "{:#}", finished.reports[0]);
    drop(workload);
}

#[test]
fn a_recording_replays_to_the_same_problems() {
    let folder = TempDir::new("problem-recorded");
    let make =
        "mount -t tmpfs -o size=4m none point; head -c 5000000 /dev/zero > point/f 2>/dev/null || true";
    let file = folder.file("recording");
    let file = file.to_str().unwrap();
    let live = ["overview", "--json", "--interval", "0.5", "--count", "4", "--record", file];
    let (_workload, observer) = on_with(&folder, make, &live);
    let live = observer.finish();
    assert!(live.reports.iter().all(|report| !problems(report).is_empty()), "{:#?}", live.reports);
    let replayed = Observer::run(&["replay", file, "overview", "--json"]);
    assert_eq!(replayed.stdout, live.stdout);
    assert_eq!(Observer::run(&["replay", file, "overview", "--once", "--json"]).code, Some(10));
}

#[test]
fn a_build_and_a_small_server_under_load_are_no_urgent_problem() {
    require_root();
    let folder = TempDir::new("problem-none");
    let mut observer = observe();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The streams are shut down at the end, which ends the threads.
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut near = TcpStream::connect(address).unwrap();
        clients.push(near.try_clone().unwrap());
        let (mut far, _) = listener.accept().unwrap();
        std::thread::spawn(move || {
            let mut request = [0; 100];
            while far.read_exact(&mut request).is_ok() && far.write_all(&[7; 20_000]).is_ok() {}
        });
        std::thread::spawn(move || {
            let mut answer = vec![0; 20_000];
            while near.write_all(&[7; 100]).is_ok() && near.read_exact(&mut answer).is_ok() {
                std::thread::sleep(Duration::from_millis(2));
            }
        });
    }
    // Many short processes that write files, as a build does.
    let script = "cd \"$0\"; i=0; while true; do i=$((i+1)); seq 1 20000 > object$((i%50)); \
                  sort object$((i%50)) | gzip > archive$((i%50)); done";
    let _build = Ended(
        Command::new("sh").args(["-c", script]).arg(folder.path()).stdout(Stdio::null()).spawn().unwrap(),
    );
    let until = Instant::now() + Duration::from_secs(15);
    observer.wait_for(|report| {
        let urgent = problems(report).iter().filter(|problem| problem["severity"] != "watch");
        // The disk of this machine may really be nearly full.
        let urgent = urgent.filter(|problem| problem["subject"]["type"] != "filesystem");
        let urgent: Vec<&Value> = urgent.filter(|problem| !is_of_a_test(problem)).collect();
        assert!(urgent.is_empty(), "{urgent:#?}");
        (Instant::now() > until).then_some(())
    });
    clients.iter().for_each(|client| client.shutdown(Shutdown::Both).unwrap());
}

/// A process that is killed when the test ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
