//! Loss of throughput of whole programs while observed: requests, bytes and builds per second.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    bpf_stats::BpfStats,
    child::{self, LineChild},
    environment::BenchEnvironment,
    measure::{Figure, Rounds},
    peers,
    table::{Cell, Table, Unit},
};

/// The goal: the largest share of throughput that the three commands together may cost.
const GOAL: f64 = 0.05;

/// A change is above noise if its spread is at most this, or if three quarters of the rounds lost more than the goal
/// allows.
const NOISE_LIMIT: f64 = GOAL / 2.0;

/// How many measurements are made; the best counts, because other work on the machine can only reduce throughput.
const REPETITIONS: usize = 5;

/// A load and its throughput in one measurement, the higher the better.
trait Load {
    fn name(&self) -> &'static str;
    fn measure(&mut self) -> Result<f64>;

    /// The best of some measurements.
    fn best(&mut self) -> Result<f64> {
        (0..REPETITIONS).try_fold(0.0, |best: f64, _| Ok(best.max(self.measure()?)))
    }
}

type Start = fn(&BenchEnvironment) -> Result<Box<dyn Load>>;

const LOADS: [(&str, Start); 4] =
    [("redis-benchmark", redis), ("nginx under wrk", nginx), ("iperf3", iperf), ("a compile", compile)];

/// Measures each load alone and observed, in turns.
pub fn run(environment: &BenchEnvironment) -> Result<Table> {
    let mut table = Table::new(
        "throughput",
        "Throughput of observed processes",
        "Each load runs with nothing attached, and with `observer mem`, `disk --deleted-open` and `net` all running, in \
         turns. Each value is the best of five. A negative change is lower throughput. The last column is the share of busy \
         processor time in which the programs of the three run, from the kernel's BPF statistics, which include one clock \
         read per run. It is lower than the real loss, because it lacks the kernel's way to the programs and back, but it is \
         not hidden by noise. A goal is judged by the change if that is above noise, or if three quarters of the rounds lost \
         more than the goal allows, otherwise by this share.",
        &["load", "nothing attached", "all three", "change", "programs"],
    );
    for (name, start) in LOADS {
        if let Err(error) = start(environment).and_then(|load| row(environment, &mut table, load)) {
            table.missing.push(format!("{name}: {error:#}"));
        }
    }
    Ok(table)
}

fn row(environment: &BenchEnvironment, table: &mut Table, mut load: Box<dyn Load>) -> Result<()> {
    let mut rounds = Rounds::default();
    // The first measurement warms it up.
    load.measure()?;
    let (mut observed, mut programs) = (Vec::new(), Vec::new());
    for _ in 0..environment.rounds(11, 21) {
        rounds.baseline(load.best()?);
        let observers = environment.observers()?;
        let value = load.best()?;
        programs.push(share_of_programs(&mut *load, &observers)?);
        observers.into_iter().try_for_each(|observer| observer.end().map(drop))?;
        rounds.other(0, value);
        observed.push(value);
    }
    rounds.baseline(load.best()?);
    let change = rounds.ratio(0).map(|ratio| Figure {
        median: ratio.median - 1.0,
        low: ratio.low - 1.0,
        high: ratio.high - 1.0,
    });
    let programs = Figure::of(&programs);
    if let (Some(change), Some(programs)) = (change, programs) {
        let [found, ran] = [change, programs].map(|figure| Unit::Share.figure(&figure));
        // A loss in three quarters of the rounds counts in spite of noise.
        let (found, lost) = if change.spread() <= NOISE_LIMIT || change.high < -GOAL {
            (found, -change.median)
        } else {
            (format!("{found} (within noise); programs run {ran} of the time"), programs.median)
        };
        table.goal(format!("{}: at most {:.0} % lost", load.name(), GOAL * 100.0), found, lost <= GOAL);
    }
    table.row(
        load.name(),
        vec![
            Cell::of(rounds.baselines(), Unit::PerSecond),
            Cell::of(Figure::of(&observed), Unit::PerSecond),
            Cell::of(change, Unit::Share),
            Cell::of(programs, Unit::Share),
        ],
    );
    Ok(())
}

/// The share of busy processor time under the load in which the programs of `observers` run.
fn share_of_programs(load: &mut dyn Load, observers: &[LineChild]) -> Result<f64> {
    let stats = BpfStats::enable()?;
    let before = (stats.read(observers)?.nanoseconds, busy_time()?);
    load.measure()?;
    let after = (stats.read(observers)?.nanoseconds, busy_time()?);
    // A program that was attached on demand may be detached by now, and its statistics with it.
    let ran = after.0.saturating_sub(before.0);
    Ok(ran as f64 / after.1.saturating_sub(before.1).as_nanos() as f64)
}

/// Busy time of all processors together since the machine started, in the resolution of the kernel's ticks.
fn busy_time() -> Result<Duration> {
    // SAFETY: only returns a number.
    let ticks_a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let words = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let fields: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    let [user, nice, system, _idle, _waiting, interrupts, late_interrupts, ..] = fields[..] else {
        bail!("/proc/stat has no line of the processors");
    };
    let ticks = user + nice + system + interrupts + late_interrupts;
    Ok(Duration::from_nanos(ticks * (1_000_000_000 / u64::try_from(ticks_a_second)?)))
}

/// A free port of the loopback interface.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until a server listens on `port`.
fn wait_for(port: u16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            bail!("no server listens on port {port}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The number after `word` in `text`.
fn number_after(text: &str, word: &str) -> Result<f64> {
    let rest = text.split(word).nth(1).with_context(|| format!("no `{word}` in {text}"))?;
    let digits: String =
        rest.trim_start().chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
    digits.parse().with_context(|| format!("no number after `{word}` in {text}"))
}

/// A server on a port, and its load generator.
struct Served {
    name: &'static str,
    _server: LineChild,
    client: fn(u16, bool) -> Result<Command>,
    read: fn(&str) -> Result<f64>,
    port: u16,
    thorough: bool,
}

impl Load for Served {
    fn name(&self) -> &'static str {
        self.name
    }

    fn measure(&mut self) -> Result<f64> {
        let (_, output) = child::measure_output(&mut (self.client)(self.port, self.thorough)?)?;
        (self.read)(&output)
    }
}

fn redis(environment: &BenchEnvironment) -> Result<Box<dyn Load>> {
    let port = free_port()?;
    let mut server = peers::program("redis-server")?;
    server.args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", &port.to_string()]);
    let server = LineChild::start(server.current_dir(environment.folder()))?;
    wait_for(port)?;
    let client = |port: u16, thorough| {
        let mut command = peers::program("redis-benchmark")?;
        let requests = if thorough { "500000" } else { "40000" };
        command.args(["-p", &port.to_string(), "-t", "set", "-n", requests, "-c", "50", "--csv"]);
        Ok(command)
    };
    // "test","rps",… and then "SET","81234.5",…
    let read = |output: &str| {
        let line = output
            .lines()
            .find(|line| line.starts_with("\"SET\""))
            .context("redis-benchmark gave no result")?;
        Ok(line.split('"').nth(3).unwrap_or_default().parse()?)
    };
    let name = "redis-benchmark (SET, requests)";
    Ok(Box::new(Served { name, _server: server, client, read, port, thorough: environment.is_thorough() }))
}

fn nginx(environment: &BenchEnvironment) -> Result<Box<dyn Load>> {
    let port = free_port()?;
    let folder = environment.folder().join("nginx");
    fs::create_dir_all(folder.join("logs"))?;
    fs::write(folder.join("index.html"), vec![b'x'; 1024])?;
    let configuration = format!(
        "daemon off; master_process off; pid nginx.pid; error_log logs/error.log;\nevents {{ worker_connections 512; }}\n\
         http {{ access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
         server {{ listen 127.0.0.1:{port}; root .; }} }}\n"
    );
    fs::write(folder.join("nginx.conf"), configuration)?;
    let mut server = peers::program("nginx")?;
    server.arg("-p").arg(&folder).args(["-c", "nginx.conf", "-e", "logs/error.log"]);
    let server = LineChild::start(&mut server)?;
    wait_for(port)?;
    let client = |port: u16, thorough| {
        let mut command = peers::program("wrk")?;
        let time = if thorough { "4s" } else { "1s" };
        command.args(["-t", "1", "-c", "32", "-d", time, &format!("http://127.0.0.1:{port}/index.html")]);
        Ok(command)
    };
    let read = |output: &str| number_after(output, "Requests/sec:");
    let name = "nginx under wrk (1 KiB, requests)";
    Ok(Box::new(Served { name, _server: server, client, read, port, thorough: environment.is_thorough() }))
}

fn iperf(environment: &BenchEnvironment) -> Result<Box<dyn Load>> {
    let port = free_port()?;
    let mut server = peers::program("iperf3")?;
    let mut server =
        LineChild::start(server.args(["-s", "--forceflush", "-B", "127.0.0.1", "-p", &port.to_string()]))?;
    // It treats every connection as its client, so a test connection is not possible.
    while !server.line()?.contains("listening") {}
    let client = |port: u16, thorough| {
        let mut command = peers::program("iperf3")?;
        let bytes = if thorough { "16G" } else { "2G" };
        command.args(["-c", "127.0.0.1", "-p", &port.to_string(), "-n", bytes, "--json"]);
        Ok(command)
    };
    let read = |output: &str| {
        let value: serde_json::Value = serde_json::from_str(output).context("the output of iperf3")?;
        value["end"]["sum_received"]["bits_per_second"]
            .as_f64()
            .map(|bits| bits / 8.0)
            .with_context(|| format!("iperf3 reports no throughput: {}", value["error"]))
    };
    let name = "iperf3 (bytes)";
    Ok(Box::new(Served { name, _server: server, client, read, port, thorough: environment.is_thorough() }))
}

/// A C compiler on a large source.
struct Compile {
    source: PathBuf,
}

fn compile(environment: &BenchEnvironment) -> Result<Box<dyn Load>> {
    peers::program("cc")?;
    let source = environment.folder().join("compiled.c");
    // Many functions and several headers of the C library: processes, files and memory, as in any build.
    let mut text =
        String::from("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <math.h>\n");
    for number in 0..40 {
        text.push_str(&format!(
            "int f{number}(int *a, int n) {{ int s = {number}; for (int i = 0; i < n; i++) \
             {{ if (a[i] % 7 == s % 5) s += a[i] * {number}; else s ^= a[n - 1 - i]; }} return s; }}\n"
        ));
    }
    fs::write(&source, text)?;
    Ok(Box::new(Compile { source }))
}

impl Load for Compile {
    fn name(&self) -> &'static str {
        "a compile (cc -O1, files)"
    }

    fn measure(&mut self) -> Result<f64> {
        let mut command = peers::program("cc")?;
        let used = child::measure(command.args(["-O1", "-c", "-o", "/dev/null"]).arg(&self.source))?;
        anyhow::ensure!(used.processor > Duration::ZERO, "the compiler did nothing");
        Ok(used.wall.as_secs_f64().recip())
    }
}
