//! What observing takes away from whole programs: requests, bytes, a build, a second.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    books::Books,
    child::{self, Speaker},
    measure::{Figure, Rounds},
    peers,
    place::Place,
    table::{Cell, Table, Unit},
};

/// The goal: what the three commands together may take of a throughput.
const GOAL: f64 = 0.05;

/// A change can be told where it spreads by no more than this, and where three quarters of the rounds are beyond the goal.
const TOLD: f64 = GOAL / 2.0;

/// Measurements of which the best counts: what else the machine does can only take throughput away.
const LOOKS: usize = 5;

/// A load and its throughput in one measurement, the higher the better.
trait Load {
    fn name(&self) -> &'static str;
    fn measure(&mut self) -> Result<f64>;

    /// The best of some.
    fn best(&mut self) -> Result<f64> {
        (0..LOOKS).try_fold(0.0, |best: f64, _| Ok(best.max(self.measure()?)))
    }
}

type Start = fn(&Place) -> Result<Box<dyn Load>>;

const LOADS: [(&str, Start); 4] =
    [("redis-benchmark", redis), ("nginx under wrk", nginx), ("iperf3", iperf), ("a compile", compile)];

/// Measures each load alone and observed, in turns.
pub fn run(place: &Place) -> Result<Table> {
    let mut table = Table::new(
        "throughput",
        "What the throughput of the observed loses",
        "Each load with nothing attached, and with `observer mem`, `disk --deleted-open` and `net` all running, in turns, \
         each time the best of five. Negative: less throughput than without. In the last column is which part of the time \
         that the machine's processors are at work the programs of the three run, by the kernel's books, with one look at the \
         clock a run: less than what is lost, for the kernel's way to the programs and back is not in it, but not lost in \
         noise. The goal is judged by the change where that can be told, or where three quarters of the rounds lost more than \
         the goal allows, else by the latter.",
        &["load", "nothing attached", "all three", "change", "programs"],
    );
    for (name, start) in LOADS {
        if let Err(error) = start(place).and_then(|load| row(place, &mut table, load)) {
            table.missing.push(format!("{name}: {error:#}"));
        }
    }
    Ok(table)
}

fn row(place: &Place, table: &mut Table, mut load: Box<dyn Load>) -> Result<()> {
    let mut rounds = Rounds::default();
    // The first warms it up.
    load.measure()?;
    let (mut observed, mut programs) = (Vec::new(), Vec::new());
    for _ in 0..place.rounds(11, 21) {
        rounds.baseline(load.best()?);
        let observers = place.observers()?;
        let value = load.best()?;
        programs.push(part_of_programs(&mut *load, &observers)?);
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
        let [found, ran] = [change, programs].map(|figure| Unit::Part.figure(&figure));
        // Noise does not excuse what three quarters of the rounds show.
        let (found, lost) = if change.spread() <= TOLD || change.high < -GOAL {
            (found, -change.median)
        } else {
            (format!("{found}, which tells nothing; programs run {ran} of the time"), programs.median)
        };
        table.goal(format!("{}: at most {:.0} % lost", load.name(), GOAL * 100.0), found, lost <= GOAL);
    }
    table.row(
        load.name(),
        vec![
            Cell::of(rounds.baselines(), Unit::PerSecond),
            Cell::of(Figure::of(&observed), Unit::PerSecond),
            Cell::of(change, Unit::Part),
            Cell::of(programs, Unit::Part),
        ],
    );
    Ok(())
}

/// Which part of the time that processors are at work under the load the programs of `observers` run.
fn part_of_programs(load: &mut dyn Load, observers: &[Speaker]) -> Result<f64> {
    let books = Books::open()?;
    let before = (books.read(observers)?.nanoseconds, at_work()?);
    load.measure()?;
    let after = (books.read(observers)?.nanoseconds, at_work()?);
    // A program that is attached on demand may be gone by now, with its books.
    let ran = after.0.saturating_sub(before.0);
    Ok(ran as f64 / after.1.saturating_sub(before.1).as_nanos() as f64)
}

/// For how long all processors together were at work since the machine started, in the kernel's ticks.
fn at_work() -> Result<Duration> {
    // SAFETY: asks a number.
    let ticks_a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let words = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let fields: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    let [user, nice, system, _idle, _waiting, interrupts, late_interrupts, ..] = fields[..] else {
        bail!("/proc/stat says nothing of the processors");
    };
    let ticks = user + nice + system + interrupts + late_interrupts;
    Ok(Duration::from_nanos(ticks * (1_000_000_000 / u64::try_from(ticks_a_second)?)))
}

/// A port of the loopback interface that nobody uses.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until somebody listens at `port`.
fn wait_for(port: u16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            bail!("nobody listens at port {port}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// What a program says after a word, as a number.
fn number_after(text: &str, word: &str) -> Result<f64> {
    let rest = text.split(word).nth(1).with_context(|| format!("no `{word}` in {text}"))?;
    let digits: String =
        rest.trim_start().chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
    digits.parse().with_context(|| format!("no number after `{word}` in {text}"))
}

/// A server on a port, and the program that loads it.
struct Served {
    name: &'static str,
    _server: Speaker,
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
        let (_, said) = child::measure_output(&mut (self.client)(self.port, self.thorough)?)?;
        (self.read)(&said)
    }
}

fn redis(place: &Place) -> Result<Box<dyn Load>> {
    let port = free_port()?;
    let mut server = peers::program("redis-server")?;
    server.args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", &port.to_string()]);
    let server = Speaker::start(server.current_dir(place.folder()))?;
    wait_for(port)?;
    let client = |port: u16, thorough| {
        let mut command = peers::program("redis-benchmark")?;
        let requests = if thorough { "500000" } else { "40000" };
        command.args(["-p", &port.to_string(), "-t", "set", "-n", requests, "-c", "50", "--csv"]);
        Ok(command)
    };
    // "test","rps",… and then "SET","81234.5",…
    let read = |said: &str| {
        let line = said
            .lines()
            .find(|line| line.starts_with("\"SET\""))
            .context("redis-benchmark gave no result")?;
        Ok(line.split('"').nth(3).unwrap_or_default().parse()?)
    };
    let name = "redis-benchmark (SET, requests)";
    Ok(Box::new(Served { name, _server: server, client, read, port, thorough: place.is_thorough() }))
}

fn nginx(place: &Place) -> Result<Box<dyn Load>> {
    let port = free_port()?;
    let folder = place.folder().join("nginx");
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
    let server = Speaker::start(&mut server)?;
    wait_for(port)?;
    let client = |port: u16, thorough| {
        let mut command = peers::program("wrk")?;
        let time = if thorough { "4s" } else { "1s" };
        command.args(["-t", "1", "-c", "32", "-d", time, &format!("http://127.0.0.1:{port}/index.html")]);
        Ok(command)
    };
    let read = |said: &str| number_after(said, "Requests/sec:");
    let name = "nginx under wrk (1 KiB, requests)";
    Ok(Box::new(Served { name, _server: server, client, read, port, thorough: place.is_thorough() }))
}

fn iperf(place: &Place) -> Result<Box<dyn Load>> {
    let port = free_port()?;
    let mut server = peers::program("iperf3")?;
    let mut server =
        Speaker::start(server.args(["-s", "--forceflush", "-B", "127.0.0.1", "-p", &port.to_string()]))?;
    // It takes whoever connects for its client, so nobody tries whether it listens.
    while !server.line()?.contains("listening") {}
    let client = |port: u16, thorough| {
        let mut command = peers::program("iperf3")?;
        let bytes = if thorough { "16G" } else { "2G" };
        command.args(["-c", "127.0.0.1", "-p", &port.to_string(), "-n", bytes, "--json"]);
        Ok(command)
    };
    let read = |said: &str| {
        let value: serde_json::Value = serde_json::from_str(said).context("what iperf3 says")?;
        value["end"]["sum_received"]["bits_per_second"]
            .as_f64()
            .map(|bits| bits / 8.0)
            .with_context(|| format!("iperf3 says no throughput: {}", value["error"]))
    };
    let name = "iperf3 (bytes)";
    Ok(Box::new(Served { name, _server: server, client, read, port, thorough: place.is_thorough() }))
}

/// A C compiler on a source that it has much to do with.
struct Compile {
    source: PathBuf,
}

fn compile(place: &Place) -> Result<Box<dyn Load>> {
    peers::program("cc")?;
    let source = place.folder().join("compiled.c");
    // Many functions and all of the C library's headers: processes, files and memory, as in any build.
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
