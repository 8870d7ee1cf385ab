//! observer beside bcc's `memleak`, `filetop` and `tcptop`, which need a kernel with kprobes: in a guest of the kernel matrix.
//!
//! A guest is emulated, so ratios alone are told. Its clock counts the instructions of its one processor: what this machine
//! does meanwhile, and how the emulator's threads take turns, is in none of its times. What a real processor would wait for
//! memory is not in them either.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    measure::{Figure, Rounds},
    place::Place,
    table::{Cell, Table, Unit},
};
use crate::{
    packages, process,
    vm::{Apt, BUILD, Kernel, More, alone},
};

/// The series that the tools are measured on.
const SERIES: &str = "6.12";
const ROUNDS: &str = include_str!("guest/rounds.sh");
const PYTHON: &str = "/usr/bin/python3";
/// What bcc's modules load when they run: nothing else names them.
const LIBRARIES: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/libbcc.so.0", "/usr/lib/x86_64-linux-gnu/librt.so.1"];
/// Of a processor's second, as control groups count.
const MICROSECONDS: f64 = 1e6;

/// The call that is timed, in people's words, and bcc's tool that watches it beside which command of observer's.
const PAIRS: [(&str, &str, &str, &str); 3] = [
    ("mmap+touch+munmap", "mmap+touch+munmap", "memleak", "mem"),
    ("append_100_B", "append 100 B", "filetop", "disk"),
    ("TCP_64_B", "TCP 64 B", "tcptop", "net"),
];

const OBSERVER: usize = 0;
const TOOL: usize = 1;

/// What a guest has measured of one call.
#[derive(Debug, Default)]
struct Measured {
    rounds: Rounds,
    /// Of one core, by who watched.
    shares: [Vec<f64>; 2],
    /// Why the tool was not measured.
    failure: Option<String>,
}

/// Boots the guest, has it measure, and reads what it says.
///
/// # Errors
/// When the load in the guest does not run. What cannot be had here is named in the table.
pub fn run(place: &Place) -> Result<Table> {
    let mut table = Table::new(
        "guest",
        "Beside: bcc's tools, on a kernel with kprobes",
        "In a virtual machine with a stock kernel 6.12 and one emulated processor, whose clock counts its instructions, two \
         nanoseconds each: a time there is a number of instructions, and ratios alone mean something. How many times as long \
         a call takes while somebody watches, in turns with calls that nobody watches: `memleak -p` and `observer mem`, \
         `filetop` and `observer disk`, `tcptop` and `observer net`, each refreshed every second; and the watcher's processor \
         time meanwhile, of one core: its own, with all that the kernel does for it when it asks. What programs do in the \
         calls of the load is time of the load, with either, and in the columns before. What was written is on the disk \
         before a call is measured. Debian 12's tcptop does not compile with these headers: it is given the four types that \
         its bcc does not know.",
        &["call", "observer", "bcc's tool", "observer, processor", "bcc's tool, processor"],
    );
    let Heard { said, broke_off } = match boot(place).and_then(|heard| once_more(heard, place)) {
        Ok(heard) => heard,
        Err(reason) => {
            table.missing.push(format!("the guest: {reason:#}"));
            return Ok(table);
        }
    };
    let mut measured = read(&said);
    if let Some(reason) = broke_off {
        let rounds = counted(rounds(&said));
        table
            .missing
            .push(format!("more than {rounds}, which these figures are of: the guest broke down ({reason})"));
        measured.values_mut().for_each(|measured| measured.rounds.close());
    }
    for (call, name, tool, command) in PAIRS {
        let Measured { rounds, shares, failure } = measured.remove(call).unwrap_or_default();
        if let Some(failure) = failure {
            table.missing.push(format!("{tool}: {failure}"));
        }
        let [ours, theirs] = [OBSERVER, TOOL].map(|who| rounds.ratio(who));
        let [our_share, their_share] = shares.map(|share| Figure::of(&share));
        table.row(
            format!("{name}: `observer {command}`, `{tool}`"),
            vec![
                Cell::of(ours, Unit::Times),
                Cell::of(theirs, Unit::Times),
                Cell::of(our_share, Unit::Part),
                Cell::of(their_share, Unit::Part),
            ],
        );
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            let wanted = format!("{name}: takes less of the observed than {tool}");
            let both = [ours, theirs].map(|figure| Unit::Times.figure(&figure));
            table.goal(wanted, both.join(" beside "), ours.median < theirs.median);
        }
        if let (Some(ours), Some(theirs)) = (our_share, their_share) {
            let wanted = format!("{name}: less processor time than {tool}");
            let both = [ours, theirs].map(|figure| Unit::Part.figure(&figure));
            table.goal(wanted, both.join(" beside "), ours.median < theirs.median);
        }
    }
    Ok(table)
}

/// What the guest said in its rounds, and why it did not come to their end.
struct Heard {
    said: String,
    broke_off: Option<String>,
}

/// Rounds from which there are ratios that can be compared with each other.
const FEW: usize = 2;

/// The same, or what another guest says, where this one broke down before there was much to compare.
fn once_more(heard: Heard, place: &Place) -> Result<Heard> {
    let Some(reason) = heard.broke_off.as_ref().filter(|_| rounds(&heard.said) < FEW) else {
        return Ok(heard);
    };
    println!("bench: the guest broke down ({reason}) and is started once more");
    let again = boot(place)?;
    Ok(if rounds(&again.said) < rounds(&heard.said) { heard } else { again })
}

/// How many rounds came to their end.
fn rounds(said: &str) -> usize {
    said.lines().filter(|line| line.starts_with("round ")).count()
}

/// `1 round`, `2 rounds`.
fn counted(rounds: usize) -> String {
    format!("{rounds} round{}", if rounds == 1 { "" } else { "s" })
}

/// Boots the guest and hears it until it has done its rounds or breaks down.
fn boot(place: &Place) -> Result<Heard> {
    packages::ensure(packages::BCC)?;
    let (rounds, milliseconds) = (place.rounds(3, 9), place.choose(5000, 10_000));
    let steps = format!("ROUNDS={rounds}\nMILLISECONDS={milliseconds}\n{ROUNDS}");
    let built = |name: &str| place.root.join("target/release").join(name);
    let said = alone(&place.root, SERIES, &steps, |apt, kernel| {
        let mut programs = bcc()?;
        programs.extend([
            (built("observer"), Path::new(BUILD).join("observer")),
            (built("load"), Path::new(BUILD).join("load")),
        ]);
        let headers = headers(apt, kernel, &place.root.join("target/vm/headers"))?;
        Ok(More { programs, trees: vec![(headers, "/".into()), library()?] })
    })?;
    let step = said.steps.iter().find(|step| step.name == "rounds");
    let step = step.context("the guest did not come to its rounds")?;
    let broke_off = (step.exit != Some(0)).then(|| {
        let nothing = "its kernel said nothing of it".to_owned();
        said.complaint.clone().unwrap_or(nothing)
    });
    Ok(Heard { said: step.output.clone(), broke_off })
}

/// The tools and what runs them, each where it is on this machine.
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
    let ask = "import sysconfig; print(sysconfig.get_path('stdlib'))";
    let said = process::output(Command::new(PYTHON).args(["-c", ask]))?;
    let folder = PathBuf::from(said.trim());
    Ok((folder.clone(), folder))
}

/// The headers of the guest's kernel, unpacked and kept: bcc compiles with them.
fn headers(apt: &Apt, kernel: &Kernel, folder: &Path) -> Result<PathBuf> {
    let kept = folder.join(&kernel.release);
    if kept.exists() {
        return Ok(kept);
    }
    let scratch = kept.with_extension("partial");
    let _ = fs::remove_dir_all(&scratch);
    let unpacked = scratch.join("unpacked");
    fs::create_dir_all(&unpacked).with_context(|| format!("making {}", unpacked.display()))?;
    let mut wanted = vec![format!("linux-headers-{}", kernel.release)];
    while let Some(name) = wanted.pop() {
        let found = apt.find(&format!("^{}$", name.replace('+', "[+]").replace('.', "[.]")))?;
        let package = found.first().with_context(|| format!("there is no package {name}"))?;
        apt.download(&package.name, &package.version, &scratch)?;
        // What holds the rest of them; the compilers and scripts that it asks for too are for building modules.
        wanted.extend(package.depends.iter().filter(|name| name.starts_with("linux-headers-")).cloned());
    }
    for entry in fs::read_dir(&scratch).context("looking at what was fetched")?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            process::output(Command::new("dpkg-deb").arg("--extract").arg(entry.path()).arg(&unpacked))?;
        }
    }
    fs::rename(&unpacked, &kept).context("keeping the headers")?;
    let _ = fs::remove_dir_all(&scratch);
    Ok(kept)
}

/// Reads `figure CALL WHO NANOSECONDS MICROSECONDS SECONDS` and `missing TOOL REASON`.
fn read(said: &str) -> BTreeMap<&'static str, Measured> {
    let mut measured: BTreeMap<&str, Measured> = BTreeMap::new();
    for line in said.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let call = |name: &str| PAIRS.iter().find(|(call, _, tool, _)| [call, tool].contains(&&name));
        match words[..] {
            ["figure", name, who, nanoseconds, used, seconds] => {
                let Some((call, _, tool, _)) = call(name) else { continue };
                let [Ok(nanoseconds), Ok(used), Ok(seconds)] =
                    [nanoseconds, used, seconds].map(str::parse::<f64>)
                else {
                    continue;
                };
                let measured = measured.entry(call).or_default();
                let who = match who {
                    "nothing" => {
                        measured.rounds.baseline(nanoseconds);
                        continue;
                    }
                    "observer" => OBSERVER,
                    who if who == *tool => TOOL,
                    _ => continue,
                };
                measured.rounds.other(who, nanoseconds);
                measured.shares[who].push(used / MICROSECONDS / seconds);
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
    fn rounds_count_that_came_to_their_end() {
        assert_eq!(rounds("figure a nothing 1 0 0\nround 1\nround 2\nfigure a nothing 1 0 0\n"), 2);
        assert_eq!([1, 2].map(counted), ["1 round", "2 rounds"]);
    }

    #[test]
    fn what_a_guest_says_is_read() {
        let said = "figure TCP_64_B nothing 1000.5 0 0\nfigure TCP_64_B observer 1100.0 50000 10.0\nnoise\n\
                    figure TCP_64_B nothing 999.5 0 0\nmissing tcptop it does not compile\n";
        let measured = &read(said)["TCP_64_B"];
        assert_eq!(measured.rounds.ratio(OBSERVER).unwrap().median, 1.1);
        assert_eq!(measured.shares, [vec![0.005], vec![]]);
        assert_eq!(measured.failure.as_deref(), Some("it does not compile"));
    }
}
