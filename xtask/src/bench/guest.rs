//! Comparison of observer with bcc's `memleak`, `filetop` and `tcptop`, which need a kernel with kprobes: in a guest of
//! the kernel matrix.
//!
//! A guest is emulated, so only ratios are meaningful. Its clock counts the instructions of its one processor. Other
//! work on this machine and the scheduling of the emulator's threads do not affect its times. Memory latency of a real
//! processor is not included either.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    environment::BenchEnvironment,
    measure::{Figure, Rounds},
    table::{Cell, Table, Unit},
};
use crate::{
    packages, process,
    vm::{Additions, Apt, BUILD, Kernel, alone},
};

/// The series that the tools are measured on.
const SERIES: &str = "6.12";
const ROUNDS: &str = include_str!("guest/rounds.sh");
const PYTHON: &str = "/usr/bin/python3";
/// Libraries that bcc's modules load at run time; no dependency lists them.
const LIBRARIES: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/libbcc.so.0", "/usr/lib/x86_64-linux-gnu/librt.so.1"];
/// Microseconds in a second: the unit of control groups.
const MICROSECONDS: f64 = 1e6;

/// The timed call as in the guest's output, its name in the table, bcc's tool, and the command of observer.
const PAIRS: [(&str, &str, &str, &str); 3] = [
    ("mmap+touch+munmap", "mmap+touch+munmap", "memleak", "mem"),
    ("append_100_B", "append 100 B", "filetop", "disk"),
    ("TCP_64_B", "TCP 64 B", "tcptop", "net"),
];

const OBSERVER: usize = 0;
const TOOL: usize = 1;

/// The guest's measurements of one call.
#[derive(Debug, Default)]
struct Measured {
    rounds: Rounds,
    /// Processor time as a share of one core, of observer and of the tool.
    shares: [Vec<f64>; 2],
    /// Why the tool was not measured.
    failure: Option<String>,
}

/// Boots the guest and reads its measurements. If the guest cannot run here, the table gives the reason.
///
/// # Errors
/// None at present.
pub fn run(environment: &BenchEnvironment) -> Result<Table> {
    let mut table = Table::new(
        "guest",
        "Comparison: bcc's tools, on a kernel with kprobes",
        "In a virtual machine with a stock kernel 6.12 and one emulated processor. Its clock counts instructions, two \
         nanoseconds each, so a time is a number of instructions and only ratios are meaningful. Columns: how many times as \
         long a call takes while a tool runs, in turns with calls without a tool: `memleak -p` and `observer mem`, `filetop` \
         and `observer disk`, `tcptop` and `observer net`, each refreshed every second. Then the tool's own processor time \
         meanwhile, as a share of one core, including the kernel's work on its requests. The run time of programs in the \
         calls is part of the call, for both, and in the columns before. Written data is on disk before a call is measured. \
         Debian 12's tcptop does not compile with these headers; it receives the four types that its bcc does not know.",
        &["call", "observer", "bcc's tool", "observer, processor", "bcc's tool, processor"],
    );
    let GuestOutput { text, failure } = match boot(environment).and_then(|output| retry(output, environment))
    {
        Ok(output) => output,
        Err(reason) => {
            table.missing.push(format!("the guest: {reason:#}"));
            return Ok(table);
        }
    };
    let mut measured = read(&text);
    if let Some(reason) = failure {
        let rounds = counted(rounds(&text));
        table
            .missing
            .push(format!("more than {rounds}, the basis of these figures: the guest failed ({reason})"));
        measured.values_mut().for_each(|measured| measured.rounds.close());
    }
    for (call, name, tool, command) in PAIRS {
        let Measured { rounds, shares, failure } = measured.remove(call).unwrap_or_default();
        if let Some(failure) = failure {
            table.missing.push(format!("{tool}: {failure}"));
        }
        let [ours, theirs] = [OBSERVER, TOOL].map(|tool| rounds.ratio(tool));
        let [our_share, their_share] = shares.map(|share| Figure::of(&share));
        table.row(
            format!("{name}: `observer {command}`, `{tool}`"),
            vec![
                Cell::of(ours, Unit::Times),
                Cell::of(theirs, Unit::Times),
                Cell::of(our_share, Unit::Share),
                Cell::of(their_share, Unit::Share),
            ],
        );
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            let wanted = format!("{name}: slows the call down less than {tool}");
            let both = [ours, theirs].map(|figure| Unit::Times.figure(&figure));
            table.goal(wanted, both.join(" against "), ours.median < theirs.median);
        }
        if let (Some(ours), Some(theirs)) = (our_share, their_share) {
            let wanted = format!("{name}: less processor time than {tool}");
            let both = [ours, theirs].map(|figure| Unit::Share.figure(&figure));
            table.goal(wanted, both.join(" against "), ours.median < theirs.median);
        }
    }
    Ok(table)
}

/// The guest's output in its rounds, and why it did not finish them.
struct GuestOutput {
    text: String,
    failure: Option<String>,
}

/// The least number of rounds for comparable ratios.
const ENOUGH: usize = 2;

/// Boots a second guest if the first failed before it had enough rounds; the output with more rounds.
fn retry(output: GuestOutput, environment: &BenchEnvironment) -> Result<GuestOutput> {
    let Some(reason) = output.failure.as_ref().filter(|_| rounds(&output.text) < ENOUGH) else {
        return Ok(output);
    };
    println!("bench: the guest failed ({reason}) and is started once more");
    let again = boot(environment)?;
    Ok(if rounds(&again.text) < rounds(&output.text) { output } else { again })
}

/// The number of finished rounds.
fn rounds(output: &str) -> usize {
    output.lines().filter(|line| line.starts_with("round ")).count()
}

/// `1 round`, `2 rounds`.
fn counted(rounds: usize) -> String {
    format!("{rounds} round{}", if rounds == 1 { "" } else { "s" })
}

/// Boots the guest and reads its output until it has finished its rounds or fails.
fn boot(environment: &BenchEnvironment) -> Result<GuestOutput> {
    packages::ensure(packages::BCC)?;
    let (rounds, milliseconds) = (environment.rounds(3, 9), environment.choose(5000, 10_000));
    let steps = format!("ROUNDS={rounds}\nMILLISECONDS={milliseconds}\n{ROUNDS}");
    let built = |name: &str| environment.root.join("target/release").join(name);
    let report = alone(&environment.root, SERIES, &steps, |apt, kernel| {
        let mut programs = bcc()?;
        programs.extend([
            (built("observer"), Path::new(BUILD).join("observer")),
            (built("load"), Path::new(BUILD).join("load")),
        ]);
        let headers = headers(apt, kernel, &environment.root.join("target/vm/headers"))?;
        Ok(Additions { programs, trees: vec![(headers, "/".into()), library()?] })
    })?;
    let step = report.steps.iter().find(|step| step.name == "rounds");
    let step = step.context("the guest did not start its rounds")?;
    let failure = (step.exit != Some(0)).then(|| {
        let nothing = "its kernel reported no reason".to_owned();
        report.complaint.clone().unwrap_or(nothing)
    });
    Ok(GuestOutput { text: step.output.clone(), failure })
}

/// The tools and their interpreter: source and target paths, which are the same.
fn bcc() -> Result<Vec<(PathBuf, PathBuf)>> {
    const PACKAGE: &str = "/usr/lib/python3/dist-packages/bcc";
    let mut files: Vec<PathBuf> = PAIRS.iter().map(|(_, _, tool, _)| script(tool)).collect();
    files.push(PYTHON.into());
    files.extend(LIBRARIES.map(PathBuf::from));
    let modules = fs::read_dir(PACKAGE).with_context(|| format!("reading {PACKAGE}"))?;
    files.extend(modules.flatten().map(|entry| entry.path()).filter(|path| path.is_file()));
    let (folder, _) = library()?;
    let modules = fs::read_dir(folder.join("lib-dynload")).context("reading the modules of Python")?;
    files.extend(modules.flatten().map(|entry| entry.path()));
    Ok(files.into_iter().map(|path| (path.clone(), path)).collect())
}

fn script(tool: &str) -> PathBuf {
    PathBuf::from(format!("/usr/sbin/{tool}-bpfcc"))
}

/// Python's own modules.
fn library() -> Result<(PathBuf, PathBuf)> {
    let code = "import sysconfig; print(sysconfig.get_path('stdlib'))";
    let path = process::output(Command::new(PYTHON).args(["-c", code]))?;
    let folder = PathBuf::from(path.trim());
    Ok((folder.clone(), folder))
}

/// The headers of the guest's kernel, unpacked and cached: bcc compiles with them.
fn headers(apt: &Apt, kernel: &Kernel, folder: &Path) -> Result<PathBuf> {
    let cached = folder.join(&kernel.release);
    if cached.exists() {
        return Ok(cached);
    }
    let scratch = cached.with_extension("partial");
    let _ = fs::remove_dir_all(&scratch);
    let unpacked = scratch.join("unpacked");
    fs::create_dir_all(&unpacked).with_context(|| format!("making {}", unpacked.display()))?;
    let mut wanted = vec![format!("linux-headers-{}", kernel.release)];
    while let Some(name) = wanted.pop() {
        let found = apt.find(&format!("^{}$", name.replace('+', "[+]").replace('.', "[.]")))?;
        let package = found.first().with_context(|| format!("there is no package {name}"))?;
        apt.download(&package.name, &package.version, &scratch)?;
        // These packages contain the other headers. Its other dependencies are for building modules.
        wanted.extend(package.depends.iter().filter(|name| name.starts_with("linux-headers-")).cloned());
    }
    for entry in fs::read_dir(&scratch).context("reading the downloaded packages")?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            process::output(Command::new("dpkg-deb").arg("--extract").arg(entry.path()).arg(&unpacked))?;
        }
    }
    fs::rename(&unpacked, &cached).context("keeping the headers")?;
    let _ = fs::remove_dir_all(&scratch);
    Ok(cached)
}

/// Reads `figure CALL TOOL NANOSECONDS MICROSECONDS SECONDS` and `missing TOOL REASON`.
fn read(output: &str) -> BTreeMap<&'static str, Measured> {
    let mut measured: BTreeMap<&str, Measured> = BTreeMap::new();
    for line in output.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let call = |name: &str| PAIRS.iter().find(|(call, _, tool, _)| [call, tool].contains(&&name));
        match words[..] {
            ["figure", name, watcher, nanoseconds, used, seconds] => {
                let Some((call, _, tool, _)) = call(name) else { continue };
                let [Ok(nanoseconds), Ok(used), Ok(seconds)] =
                    [nanoseconds, used, seconds].map(str::parse::<f64>)
                else {
                    continue;
                };
                let measured = measured.entry(call).or_default();
                let watcher = match watcher {
                    "nothing" => {
                        measured.rounds.baseline(nanoseconds);
                        continue;
                    }
                    "observer" => OBSERVER,
                    other if other == *tool => TOOL,
                    _ => continue,
                };
                measured.rounds.other(watcher, nanoseconds);
                measured.shares[watcher].push(used / MICROSECONDS / seconds);
            }
            ["missing", tool, ..] => {
                let Some((call, ..)) = call(tool) else { continue };
                let reason = line.splitn(3, ' ').last().unwrap_or_default();
                measured.entry(call).or_default().failure = Some(reason.trim().to_owned());
            }
            _ => {}
        }
    }
    measured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finished_rounds_count() {
        assert_eq!(rounds("figure a nothing 1 0 0\nround 1\nround 2\nfigure a nothing 1 0 0\n"), 2);
        assert_eq!([1, 2].map(counted), ["1 round", "2 rounds"]);
    }

    #[test]
    fn the_output_of_a_guest_is_read() {
        let output = "figure TCP_64_B nothing 1000.5 0 0\nfigure TCP_64_B observer 1100.0 50000 10.0\nnoise\n\
                    figure TCP_64_B nothing 999.5 0 0\nmissing tcptop it does not compile\n";
        let measured = &read(output)["TCP_64_B"];
        assert_eq!(measured.rounds.ratio(OBSERVER).unwrap().median, 1.1);
        assert_eq!(measured.shares, [vec![0.005], vec![]]);
        assert_eq!(measured.failure.as_deref(), Some("it does not compile"));
    }
}
