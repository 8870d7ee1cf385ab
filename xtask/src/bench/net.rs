//! Comparison of observer with `nethogs`, `bandwhich`, `iftop` and `ss`: processor time, cost for the traffic, and
//! error.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{
    child::LineChild,
    environment::{BenchEnvironment, COMMANDS},
    measure::Figure,
    namespaces::Pair,
    peers,
    table::{Cell, Table, Unit},
};
use crate::process;

const ADDRESS: &str = "10.77.0.2:5001";

/// How often a tool may fail before it is left out.
const MAX_FAILURES: usize = 2;

/// Kinds of traffic: the load's argument, and the name in the table.
const TRAFFIC: [(&str, &str); 3] = [
    ("bulk", "one connection, full speed"),
    ("short", "connections of 100 KB, one after the other"),
    ("ping", "64-byte ping-pong"),
];

/// A tool that observes the sender's interface.
struct Tool {
    name: &'static str,
    /// The command line in the sender's namespace; `None` for observer, which sees every namespace.
    command: Option<Vec<String>>,
    /// Whether a line marks the beginning, and later each refresh.
    refreshed: fn(&str) -> bool,
    /// Input that makes it refresh, for a tool that only refreshes when packets arrive.
    prompt: Option<&'static str>,
    /// Bytes that the process has sent so far by the tool's lines; `None` if they do not contain the process.
    sent: fn(&[String], u32) -> Option<f64>,
}

/// The measurements of one tool.
#[derive(Default)]
struct Measurements {
    /// The change of throughput against the same traffic without a tool, just before and just after.
    change: Vec<f64>,
    /// Processor time as a share of one core.
    share: Vec<f64>,
    /// Relative error of the sent bytes.
    error: Vec<f64>,
    /// How often it failed, and the last failure.
    failures: usize,
    failure: Option<String>,
}

/// Measures the traffic alone and with each tool, in turns.
///
/// # Errors
/// When the namespaces cannot be made, or a load does not run.
pub fn run(environment: &BenchEnvironment) -> Result<Table> {
    let mut table = Table::new(
        "net",
        "Comparison: traffic of processes",
        "Traffic goes from one process to another, in two network namespaces joined by veth. Short connections and the \
         ping-pong run on one processor. Throughput: the change against the same traffic without a tool, just before and just \
         after. Processor: the tool's share of one core from the beginning until two of its refreshes after the end. Error: \
         the bytes that the tool reports for the sending process two refreshes after the end, minus the bytes sent, relative \
         to the latter (−100 %: it reports none).",
        &["traffic and tool", "throughput", "processor", "error"],
    );
    let pair = Pair::new()?;
    let mut command = pair.in_second(&environment.program("load"));
    let server = LineChild::load(command.args(["serve", ADDRESS]))?;
    let mut tools = tools(environment, &pair, &mut table);
    // Tools that do not work here are listed as missing.
    tools.retain(|tool| match send(environment, &pair, TRAFFIC[0].0, Some(tool)) {
        Ok(_) => true,
        Err(error) => {
            table.missing.push(format!("{}: {error:#}", tool.name));
            false
        }
    });
    ensure!(tools.iter().any(|tool| tool.command.is_none()), "observer does not work here");
    for (kind, title) in TRAFFIC {
        let mut found: Vec<Measurements> = tools.iter().map(|_| Measurements::default()).collect();
        let (mut before, _) = send(environment, &pair, kind, None)?;
        for _ in 0..environment.rounds(5, 9) {
            for (number, (tool, found)) in tools.iter().zip(&mut found).enumerate() {
                if found.failures >= MAX_FAILURES {
                    continue;
                }
                let (throughput, measured) = match send(environment, &pair, kind, Some(tool)) {
                    Ok(sent) => sent,
                    // A tool that fails is left out of this turn; the others continue.
                    Err(error) if number > 0 => {
                        found.failures += 1;
                        found.failure = Some(format!("{title}: {}: {error:#}", tool.name));
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let (after, _) = send(environment, &pair, kind, None)?;
                let measured = measured.context("a tool was measured")?;
                found.change.push(throughput / f64::midpoint(before, after) - 1.0);
                found.share.push(measured.share);
                found.error.push(measured.error);
                before = after;
            }
        }
        table.missing.extend(found.iter_mut().filter_map(|found| found.failure.take()));
        rows(&mut table, title, &tools, &found);
    }
    drop(server);
    Ok(table)
}

fn rows(table: &mut Table, title: &str, tools: &[Tool], found: &[Measurements]) {
    for (tool, found) in tools.iter().zip(found) {
        table.row(
            format!("{title}: {}", tool.name),
            vec![
                Cell::of(Figure::of(&found.change), Unit::Share),
                Cell::of(Figure::of(&found.share), Unit::Share),
                Cell::of(Figure::of(&found.error), Unit::Share),
            ],
        );
    }
    let share = |number: usize| Figure::of(&found[number].share).map_or(f64::NAN, |figure| figure.median);
    let error =
        |number: usize| Figure::of(&found[number].error).map_or(f64::NAN, |figure| figure.median.abs());
    let wrong = error(0);
    table.goal(format!("{title}: observer is exact"), Unit::Share.text(wrong), wrong == 0.0);
    for (number, tool) in tools.iter().enumerate().skip(1) {
        if found[number].share.is_empty() {
            continue;
        }
        table.goal(
            format!("{title}: less processor time than {}", tool.name),
            format!("{} against {}", Unit::Share.text(share(0)), Unit::Share.text(share(number))),
            share(0) < share(number),
        );
    }
    let change = |number: usize| Figure::of(&found[number].change);
    if let Some(lost) = change(0) {
        // No tool can add throughput. More with a tool is noise, or an effect of a processor that it keeps awake.
        let others = (1..tools.len()).filter_map(change).map(|change| change.median);
        let best = others.fold(f64::MIN, f64::max).min(0.0);
        table.goal(
            format!("{title}: costs no more throughput than the best other tool, within noise"),
            format!("{} against {} of the best", Unit::Share.figure(&lost), Unit::Share.text(best)),
            lost.median >= best || lost.high >= 0.0 || lost.median + lost.spread() >= best,
        );
    }
}

/// observer first, then every other tool that is installed.
fn tools(environment: &BenchEnvironment, pair: &Pair, table: &mut Table) -> Vec<Tool> {
    let interface = pair.interface();
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let mut tools = vec![Tool {
        name: "observer net",
        command: None,
        refreshed: |_| true,
        prompt: None,
        sent: |lines, pid| {
            let reports = lines.iter().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            // An exited process is in one report only.
            reports
                .filter_map(|report| {
                    let rows = report["rows"].as_array()?;
                    rows.iter().find(|row| row["pid"] == pid)?["tx"].as_f64()
                })
                .next()
        },
    }];
    let mut add = |name: &'static str, path: Result<String>, arguments: &[&str], refreshed, sent| match path {
        Ok(path) => {
            let command = Some([vec![path], words(arguments)].concat());
            // In text mode, iftop refreshes only when a packet or a key arrives.
            let prompt = (name == "iftop").then_some("u");
            tools.push(Tool { name, command, refreshed, prompt, sent });
        }
        Err(error) => table.missing.push(format!("{name}: {error:#}")),
    };
    let installed =
        |name: &str| peers::program(name).map(|command| command.get_program().to_string_lossy().into_owned());
    let refreshing: fn(&str) -> bool = |line| line.starts_with("Refreshing");
    add("nethogs", installed("nethogs"), &["-t", "-d", "1", "-v", "2", interface], refreshing, nethogs);
    let path = peers::bandwhich(&environment.root).map(|path| path.to_string_lossy().into_owned());
    add("bandwhich", path, &["--raw", "-n", "-p", "-t", "-i", interface], refreshing, bandwhich);
    // It shows hosts, not processes: the host's bytes count as those of the process.
    let ruler: fn(&str) -> bool = |line| line.starts_with("=====") || line.starts_with("Listening");
    // Without stdbuf it buffers its output to a pipe by pages.
    let by_line = installed("iftop").and(installed("stdbuf"));
    add("iftop", by_line, &["-oL", "iftop", "-t", "-n", "-N", "-B", "-i", interface], ruler, iftop);
    let every_second = "while :; do ss -tinpH; echo Refreshing; sleep 1; done";
    let shell = installed("ss").map(|_| "sh".to_owned());
    add("ss -tinp, every second", shell, &["-c", every_second], refreshing, ss);
    tools
}

/// `PROGRAM/PID/UID<tab>SENT<tab>RECEIVED`, totals.
fn nethogs(lines: &[String], pid: u32) -> Option<f64> {
    let process = format!("/{pid}/");
    let line = lines.iter().rev().find(|line| line.contains(&process))?;
    line.split('\t').nth(1)?.parse().ok()
}

/// `process: <SECOND> "NAME" up/down Bps: SENT/RECEIVED connections: N`, totals.
fn bandwhich(lines: &[String], _pid: u32) -> Option<f64> {
    let line = lines.iter().rev().find(|line| line.contains("\"load\""))?;
    line.split("Bps: ").nth(1)?.split('/').next()?.parse().ok()
}

/// `Cumulative (sent/received/total): 1.2GB 3KB 1.2GB`.
fn iftop(lines: &[String], _pid: u32) -> Option<f64> {
    let line = lines.iter().rev().find(|line| line.starts_with("Cumulative"))?;
    let word = line.split_whitespace().nth(2)?;
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match &word[digits.len()..] {
        "KB" => f64::from(1 << 10),
        "MB" => f64::from(1 << 20),
        "GB" => f64::from(1 << 30),
        _ => 1.0,
    };
    Some(digits.parse::<f64>().ok()? * factor)
}

/// The last value that `ss` showed for a connection of the process: `… users:(("load",pid=7,fd=3)) … bytes_sent:N …`.
fn ss(lines: &[String], pid: u32) -> Option<f64> {
    let process = format!("pid={pid},");
    let mut last = None;
    for (line, details) in lines.iter().zip(lines.iter().skip(1)) {
        if line.contains(&process) {
            let words = format!("{line} {details}");
            let sent = words.split("bytes_sent:").nth(1).and_then(|rest| rest.split(' ').next());
            last = sent.and_then(|sent| sent.parse().ok()).or(last);
        }
    }
    last
}

/// Measurements of a tool in one turn.
struct Measurement {
    share: f64,
    error: f64,
}

/// Sends for some seconds. Returns units per second, and the measurements of the tool.
fn send(
    environment: &BenchEnvironment,
    pair: &Pair,
    kind: &str,
    tool: Option<&Tool>,
) -> Result<(f64, Option<Measurement>)> {
    let milliseconds = environment.choose(1_500, 4_000);
    let running = match tool.map(|tool| (tool, &tool.command)) {
        None => None,
        Some((tool, None)) => Some((tool, environment.observer(COMMANDS[2].1, Duration::from_secs(1))?)),
        Some((tool, Some(words))) => {
            let mut command = pair.in_first(Command::new(&words[0]).args(&words[1..]));
            let mut child = LineChild::start(&mut command)?;
            read_until_refresh(&mut child, tool, &mut Vec::new())?;
            Some((tool, child))
        }
    };
    let mut command = pair.in_first(&environment.program("load"));
    let mut sender = LineChild::load(command.args(["send", kind, ADDRESS]))?;
    let used = |child: &LineChild| used_with_children(child.pid());
    let before = running.as_ref().map(|(_, child)| used(child)).transpose()?;
    let began = Instant::now();
    let truth = sender.ask(&milliseconds.to_string())?;
    let number = |name: &str| truth[name].as_f64().with_context(|| format!("no {name} in {truth}"));
    let throughput = number("units")? / number("seconds")?;
    let Some((tool, mut child)) = running else { return Ok((throughput, None)) };
    let mut lines = child.pending();
    for _ in 0..2 {
        if let Some(prompt) = tool.prompt {
            child.send(prompt)?;
        }
        read_until_refresh(&mut child, tool, &mut lines)?;
    }
    // Includes the following refreshes, because some tools do all their work there.
    let spent = used(&child)?.saturating_sub(before.unwrap_or_default()).as_secs_f64();
    let elapsed = began.elapsed().as_secs_f64();
    lines.extend(child.end()?);
    let sent = number("total")?;
    let error = (tool.sent)(&lines, sender.pid()).unwrap_or(0.0) / sent - 1.0;
    Ok((throughput, Some(Measurement { share: spent / elapsed, error })))
}

/// Appends all lines up to the next refresh to `lines`.
fn read_until_refresh(child: &mut LineChild, tool: &Tool, lines: &mut Vec<String>) -> Result<()> {
    loop {
        let line = child.line().with_context(|| format!("{} does not refresh", tool.name))?;
        let refreshed = (tool.refreshed)(&line);
        lines.push(line);
        if refreshed {
            return Ok(());
        }
    }
}

/// Processor time of a process and of its exited children.
fn used_with_children(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may contain any character, also a parenthesis. Fields are counted from the last one.
    let Some((_, fields)) = text.rsplit_once(')') else { bail!("no name in {text}") };
    let ticks: u64 =
        fields.split_whitespace().skip(13).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Ok(process::processor_time(pid)? + Duration::from_millis(10 * ticks))
}
