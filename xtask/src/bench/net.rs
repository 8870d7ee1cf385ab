//! observer beside `nethogs`, `bandwhich`, `iftop` and `ss`: what each takes, costs the traffic, and how right it is.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{
    child::Speaker,
    measure::Figure,
    namespaces::Pair,
    peers,
    place::{COMMANDS, Place},
    table::{Cell, Table, Unit},
};
use crate::process;

const ADDRESS: &str = "10.77.0.2:5001";

/// Turns in which a watcher may break off; after them it is left out.
const BREAKS: usize = 2;

/// What is sent: the load's word for it, and what stands in the table.
const TRAFFIC: [(&str, &str); 3] = [
    ("bulk", "one connection, as much as goes"),
    ("short", "connections of 100 KB, one after the other"),
    ("ping", "64 bytes there and back"),
];

/// A program that watches the interface of the sender.
struct Watcher {
    name: &'static str,
    /// The command line in the sender's namespace; `None` for observer, which sees every namespace.
    command: Option<Vec<String>>,
    /// Whether a line says that it has begun, and will again after each refresh.
    refreshed: fn(&str) -> bool,
    /// What makes it refresh, where it does not without packets.
    prompt: Option<&'static str>,
    /// Bytes that it says the process has sent so far, from all it has said; `None` where it says nothing of it.
    sent: fn(&[String], u32) -> Option<f64>,
}

/// What one watcher made of it.
#[derive(Default)]
struct Found {
    /// The change of throughput against the traffic alone just before and just after it.
    change: Vec<f64>,
    share: Vec<f64>,
    error: Vec<f64>,
    /// Turns in which it broke off, and how it did last.
    breaks: usize,
    failure: Option<String>,
}

/// Measures the traffic alone and under each watcher, in turns.
///
/// # Errors
/// When the namespaces cannot be made, or a load does not run.
pub fn run(place: &Place) -> Result<Table> {
    let mut table = Table::new(
        "net",
        "Beside: who sends how much",
        "From one network namespace to another, joined by veth, one process to one process; those of short connections and of \
         what goes there and back run on one processor. Throughput is the change against the same without anybody watching, \
         just before and just after; processor is the watcher's share of one core from the beginning to two of its refreshes \
         after the end; the error is what it says that the process has sent, two of its refreshes after the end, less what \
         the process has sent, in parts of that (−100 %: it does not say that the process sent anything).",
        &["traffic and watcher", "throughput", "processor", "error"],
    );
    let pair = Pair::new()?;
    let mut command = pair.in_second(&place.program("load"));
    let server = Speaker::load(command.args(["serve", ADDRESS]))?;
    let mut watchers = watchers(place, &pair, &mut table);
    // Those that do not work here are named, and are not in the way of the others.
    watchers.retain(|watcher| match send(place, &pair, TRAFFIC[0].0, Some(watcher)) {
        Ok(_) => true,
        Err(error) => {
            table.missing.push(format!("{}: {error:#}", watcher.name));
            false
        }
    });
    ensure!(watchers.iter().any(|watcher| watcher.command.is_none()), "observer does not work here");
    for (kind, title) in TRAFFIC {
        let mut found: Vec<Found> = watchers.iter().map(|_| Found::default()).collect();
        let (mut before, _) = send(place, &pair, kind, None)?;
        for _ in 0..place.rounds(5, 9) {
            for (number, (watcher, found)) in watchers.iter().zip(&mut found).enumerate() {
                if found.breaks >= BREAKS {
                    continue;
                }
                let (throughput, watched) = match send(place, &pair, kind, Some(watcher)) {
                    Ok(sent) => sent,
                    // One that breaks off is not in the way of the others: this turn goes on without it.
                    Err(error) if number > 0 => {
                        found.breaks += 1;
                        found.failure = Some(format!("{title}: {}: {error:#}", watcher.name));
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let (after, _) = send(place, &pair, kind, None)?;
                let watched = watched.context("somebody watched")?;
                found.change.push(throughput / f64::midpoint(before, after) - 1.0);
                found.share.push(watched.share);
                found.error.push(watched.error);
                before = after;
            }
        }
        table.missing.extend(found.iter_mut().filter_map(|found| found.failure.take()));
        rows(&mut table, title, &watchers, &found);
    }
    drop(server);
    Ok(table)
}

fn rows(table: &mut Table, title: &str, watchers: &[Watcher], found: &[Found]) {
    for (watcher, found) in watchers.iter().zip(found) {
        table.row(
            format!("{title}: {}", watcher.name),
            vec![
                Cell::of(Figure::of(&found.change), Unit::Part),
                Cell::of(Figure::of(&found.share), Unit::Part),
                Cell::of(Figure::of(&found.error), Unit::Part),
            ],
        );
    }
    let share = |number: usize| Figure::of(&found[number].share).map_or(f64::NAN, |figure| figure.median);
    let error =
        |number: usize| Figure::of(&found[number].error).map_or(f64::NAN, |figure| figure.median.abs());
    let wrong = error(0);
    table.goal(format!("{title}: observer is exact"), Unit::Part.text(wrong), wrong == 0.0);
    for (number, watcher) in watchers.iter().enumerate().skip(1) {
        if found[number].share.is_empty() {
            continue;
        }
        table.goal(
            format!("{title}: less processor time than {}", watcher.name),
            format!("{} beside {}", Unit::Part.text(share(0)), Unit::Part.text(share(number))),
            share(0) < share(number),
        );
    }
    let change = |number: usize| Figure::of(&found[number].change);
    if let Some(lost) = change(0) {
        // Nobody gives throughput: where there was more beside a watcher, that is noise, or a processor kept awake.
        let others = (1..watchers.len()).filter_map(change).map(|change| change.median);
        let best = others.fold(f64::MIN, f64::max).min(0.0);
        table.goal(
            format!(
                "{title}: takes no more throughput than any other watcher, or than can be told from noise"
            ),
            format!("{} beside {} of the best", Unit::Part.figure(&lost), Unit::Part.text(best)),
            lost.median >= best || lost.high >= 0.0 || lost.median + lost.spread() >= best,
        );
    }
}

/// observer first, then every other that is here.
fn watchers(place: &Place, pair: &Pair, table: &mut Table) -> Vec<Watcher> {
    let interface = pair.interface();
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let mut watchers = vec![Watcher {
        name: "observer net",
        command: None,
        refreshed: |_| true,
        prompt: None,
        sent: |said, pid| {
            let reports = said.iter().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            // A process that has ended is in one report only.
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
            // As text, iftop looks at its clock when a packet comes, and at its keys.
            let prompt = (name == "iftop").then_some("u");
            watchers.push(Watcher { name, command, refreshed, prompt, sent });
        }
        Err(error) => table.missing.push(format!("{name}: {error:#}")),
    };
    let here =
        |name: &str| peers::program(name).map(|command| command.get_program().to_string_lossy().into_owned());
    let refreshing: fn(&str) -> bool = |line| line.starts_with("Refreshing");
    add("nethogs", here("nethogs"), &["-t", "-d", "1", "-v", "2", interface], refreshing, nethogs);
    let path = peers::bandwhich(&place.root).map(|path| path.to_string_lossy().into_owned());
    add("bandwhich", path, &["--raw", "-n", "-p", "-t", "-i", interface], refreshing, bandwhich);
    // It names hosts and no processes: what it says of the host is taken for the process's.
    let ruled: fn(&str) -> bool = |line| line.starts_with("=====") || line.starts_with("Listening");
    // Into a pipe it writes a page at a time, unless it is told otherwise.
    let by_line = here("iftop").and(here("stdbuf"));
    add("iftop", by_line, &["-oL", "iftop", "-t", "-n", "-N", "-B", "-i", interface], ruled, iftop);
    let every_second = "while :; do ss -tinpH; echo Refreshing; sleep 1; done";
    let shell = here("ss").map(|_| "sh".to_owned());
    add("ss -tinp, every second", shell, &["-c", every_second], refreshing, ss);
    watchers
}

/// `PROGRAM/PID/UID<tab>SENT<tab>RECEIVED`, totals.
fn nethogs(said: &[String], pid: u32) -> Option<f64> {
    let process = format!("/{pid}/");
    let line = said.iter().rev().find(|line| line.contains(&process))?;
    line.split('\t').nth(1)?.parse().ok()
}

/// `process: <SECOND> "NAME" up/down Bps: SENT/RECEIVED connections: N`, totals.
fn bandwhich(said: &[String], _pid: u32) -> Option<f64> {
    let line = said.iter().rev().find(|line| line.contains("\"load\""))?;
    line.split("Bps: ").nth(1)?.split('/').next()?.parse().ok()
}

/// `Cumulative (sent/received/total): 1.2GB 3KB 1.2GB`.
fn iftop(said: &[String], _pid: u32) -> Option<f64> {
    let line = said.iter().rev().find(|line| line.starts_with("Cumulative"))?;
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

/// The last that a connection of the process was seen with: `… users:(("load",pid=7,fd=3)) … bytes_sent:N …`.
fn ss(said: &[String], pid: u32) -> Option<f64> {
    let process = format!("pid={pid},");
    let mut last = None;
    for (line, details) in said.iter().zip(said.iter().skip(1)) {
        if line.contains(&process) {
            let words = format!("{line} {details}");
            let sent = words.split("bytes_sent:").nth(1).and_then(|rest| rest.split(' ').next());
            last = sent.and_then(|sent| sent.parse().ok()).or(last);
        }
    }
    last
}

struct Watched {
    share: f64,
    error: f64,
}

/// Sends for a while; units a second, and what the watcher made of it.
fn send(place: &Place, pair: &Pair, kind: &str, watcher: Option<&Watcher>) -> Result<(f64, Option<Watched>)> {
    let milliseconds = place.choose(1_500, 4_000);
    let watching = match watcher.map(|watcher| (watcher, &watcher.command)) {
        None => None,
        Some((watcher, None)) => Some((watcher, place.observer(COMMANDS[2].1, Duration::from_secs(1))?)),
        Some((watcher, Some(words))) => {
            let mut command = pair.in_first(Command::new(&words[0]).args(&words[1..]));
            let mut speaker = Speaker::start(&mut command)?;
            heard_until(&mut speaker, watcher, &mut Vec::new())?;
            Some((watcher, speaker))
        }
    };
    let mut command = pair.in_first(&place.program("load"));
    let mut sender = Speaker::load(command.args(["send", kind, ADDRESS]))?;
    let used = |speaker: &Speaker| used_with_children(speaker.pid());
    let before = watching.as_ref().map(|(_, speaker)| used(speaker)).transpose()?;
    let began = Instant::now();
    let truth = sender.ask(&milliseconds.to_string())?;
    let number = |name: &str| truth[name].as_f64().with_context(|| format!("no {name} in {truth}"));
    let throughput = number("units")? / number("seconds")?;
    let Some((watcher, mut speaker)) = watching else { return Ok((throughput, None)) };
    let mut said = speaker.unheard();
    for _ in 0..2 {
        if let Some(prompt) = watcher.prompt {
            speaker.say(prompt)?;
        }
        heard_until(&mut speaker, watcher, &mut said)?;
    }
    // With the refreshes that follow: some that watch do all their work there.
    let spent = used(&speaker)?.saturating_sub(before.unwrap_or_default()).as_secs_f64();
    let elapsed = began.elapsed().as_secs_f64();
    said.extend(speaker.end()?);
    let sent = number("total")?;
    let error = (watcher.sent)(&said, sender.pid()).unwrap_or(0.0) / sent - 1.0;
    Ok((throughput, Some(Watched { share: spent / elapsed, error })))
}

/// Waits for the next refresh, and keeps all that was said.
fn heard_until(speaker: &mut Speaker, watcher: &Watcher, said: &mut Vec<String>) -> Result<()> {
    loop {
        let line = speaker.line().with_context(|| format!("{} watches nothing", watcher.name))?;
        let refreshed = (watcher.refreshed)(&line);
        said.push(line);
        if refreshed {
            return Ok(());
        }
    }
}

/// Processor time of a process and of those of its children that have ended.
fn used_with_children(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold anything, a parenthesis too: fields are counted from behind it.
    let Some((_, fields)) = text.rsplit_once(')') else { bail!("no name in {text}") };
    let ticks: u64 =
        fields.split_whitespace().skip(13).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Ok(process::processor_time(pid)? + Duration::from_millis(10 * ticks))
}
