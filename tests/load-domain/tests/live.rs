//! The fourth domain through the real loop, as root, beside another one: what it reports of a busy process is what the
//! kernel itself says of it, and its recording gives the same reports.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    cell::RefCell,
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command},
    rc::Rc,
    thread::yield_now,
    time::{Duration, Instant},
};

use observer::{
    cli::{LiveOptions, Timing},
    run::{live, pipeline::Pipeline, wait},
};
use observer_core::{
    domain::Views,
    engine::Engine,
    facts::StreamItem,
    report::{Report, Row, Value},
    view::{Request, View},
};
use observer_faces::Output;
use observer_load_domain::{LOAD, Load};
use observer_mem::Mem;
use observer_sources::replay::Replay;
use observer_tests::{TempDir, deadline, require_root};

/// Clock ticks of `/proc`, a second.
const TICKS: f64 = 100.0;

/// A shell that counts, until it is dropped.
struct Busy(Child);

impl Busy {
    fn start() -> Self {
        Self(Command::new("/bin/sh").args(["-c", "while :; do :; done"]).spawn().unwrap())
    }

    /// Stops it; returns when it has stopped.
    fn stop(&self) {
        let stop = format!("kill -STOP {}", self.0.id());
        assert!(Command::new("/bin/sh").args(["-c", &stop]).status().unwrap().success());
        let began = Instant::now();
        while self.stat().0 != "T" {
            assert!(began.elapsed() < deadline(), "it does not stop");
            yield_now();
        }
    }

    /// Its state, and the clock ticks that it spent for itself and in the kernel, as `/proc/PID/stat` has them.
    fn stat(&self) -> (String, [f64; 2]) {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        (fields[0].to_owned(), [11, 12].map(|field| fields[field].parse().unwrap()))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Keeps reports, and stops the process after the second.
struct Kept {
    reports: Rc<RefCell<Vec<Report>>>,
    busy: Rc<Busy>,
}

impl Output for Kept {
    fn write(&mut self, report: &Report) -> io::Result<()> {
        self.reports.borrow_mut().push(report.clone());
        if self.reports.borrow().len() == 2 {
            self.busy.stop();
        }
        Ok(())
    }
}

/// What each report has of the process, in this column.
fn numbers(reports: &[Report], pid: u32, column: &str) -> Vec<Option<f64>> {
    let cell = |report: &Report| {
        let table = report.tables.first()?;
        let of_process =
            |row: &&Row| row.cell(table.position("pid").unwrap()) == &Value::Unsigned(pid.into());
        table.rows.iter().find(of_process)?.cell(table.position(column).unwrap()).number()
    };
    reports.iter().map(cell).collect()
}

/// The reports of `view` that a recording gives.
fn replayed(path: &Path, domain: &dyn Views, view: View) -> Vec<Report> {
    let request = Request::new(view);
    let mut engine = Engine::new(request.clone(), domain.state(&request));
    let mut reports = Vec::new();
    for item in Replay::open(path).unwrap() {
        match item.unwrap() {
            StreamItem::Fact(fact) => engine.apply(&fact),
            StreamItem::Tick(now) => {
                engine.tick(now);
                reports.extend(engine.report(now, None).unwrap());
                engine.delivered(now);
            }
        }
    }
    reports
}

#[test]
fn a_busy_process_has_the_processor_time_that_the_kernel_says() {
    require_root();
    let folder = TempDir::new("load");
    let recording = folder.file("recording");
    let busy = Rc::new(Busy::start());
    let pid = busy.0.id();
    let reports = Rc::default();
    let kept = Kept { reports: Rc::clone(&reports), busy: Rc::clone(&busy) };
    let engine = |domain: &dyn Views, view| {
        let request = Request { records: true, resolve: false, ..Request::new(view) };
        Engine::new(request.clone(), domain.state(&request))
    };
    let memory = Mem.views()[0];
    let engines = vec![engine(&Load, LOAD), engine(&Mem, memory)];
    let mut pipeline = Pipeline::new(engines, Some(Box::new(kept)));
    let options = LiveOptions {
        budget: 1.0,
        btf: None,
        verbose: 0,
        iterators: true,
        events: true,
        objects: std::env::var_os("OBSERVER_OBJECTS").map(PathBuf::from),
        cache: false,
        alternatives: Vec::new(),
    };
    let timing = Timing { interval: Duration::from_millis(300), once: false, count: Some(4), duration: None };
    let observed = live::observe(&[&Load, &Mem], &options, timing, Some(&recording), None, &mut pipeline);
    wait(observed).unwrap();
    pipeline.finish().unwrap();

    let reports = reports.take();
    assert_eq!(reports.len(), 4);
    let ran = numbers(&reports, pid, "cpu_time");
    let shares = numbers(&reports, pid, "cpu");
    // It is stopped: what it has run stands still. Each of the two numbers of the kernel is cut to whole ticks.
    let (state, [user, system]) = busy.stat();
    assert_eq!(state, "T");
    let ticks = ran[3].unwrap() * TICKS;
    assert!((user + system..user + system + 2.0).contains(&ticks), "{ticks} ticks, not {user} and {system}");
    assert!(shares[0].unwrap() > 0.0 && shares[1].unwrap() > 0.0, "{shares:?}");
    assert_eq!(shares[3], Some(0.0), "a process that is stopped does not run");
    assert!(ran.is_sorted(), "{ran:?}");

    // The first report of a recording is the baseline.
    let again = replayed(&recording, &Load, LOAD);
    assert_eq!(numbers(&again[1..], pid, "cpu_time"), ran);
    assert_eq!(numbers(&again[1..], pid, "cpu"), shares);
    let held = numbers(&replayed(&recording, &Mem, memory), pid, "rss");
    assert!(held.len() == 5 && held.iter().all(|held| held.is_some_and(|held| held > 0.0)), "{held:?}");
}
