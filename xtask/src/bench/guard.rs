//! Guard against regressions by instruction counts, which do not depend on how busy a machine is.
//!
//! callgrind counts the pure part: a minute of a busy machine through decoder, engine and report, and a recorded minute
//! through replay, engine and report. The kernel's verifier counts each program. A count that is more than 3 % above
//! the committed one fails, until `--write` commits the new one; the commit message gives the reason.
//!
//! The first counts depend on the compiler, the second on the kernel. Each is compared only with counts of the same
//! compiler, or of the same kernel series. Other counts are printed and marked as not compared.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::environment::FOLDER;
use crate::{
    packages,
    process::{self, cargo},
};

const COMMITTED: &str = "tests/data/instructions.toml";
const RECORDING: &str = "tests/data/minute.recording";
const HEADER: &str = "# Instructions that observer may take: written by `cargo xtask bench --guard --write`, compared by \
                      `cargo xtask bench --guard`.\n# A rise of more than 3 % fails until it is explained.\n\n";

/// The largest accepted ratio of a count to the committed one.
const RISE: f64 = 1.03;

const DOMAINS: [&str; 3] = ["mem", "disk", "net"];

/// The committed file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Committed {
    pure: Pure,
    /// By series of the kernel (`6.18`) and `object/program`.
    verified: BTreeMap<String, Counts>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Pure {
    /// The output of `rustc --version`.
    compiler: String,
    counts: Counts,
}

type Counts = BTreeMap<String, u64>;

/// The verifier's counts on this kernel.
#[derive(Deserialize)]
struct Verified {
    kernel: String,
    programs: Counts,
}

/// Counts, and compares with the committed counts or replaces them.
///
/// # Errors
/// When a count rose too much, or cannot be made.
pub fn run(root: &Path, write: bool) -> Result<()> {
    packages::ensure(packages::GUARD)?;
    let bins = ["--bin", "pure", "--bin", "verified"];
    process::run(cargo(root).args(["build", "--release", "--package", "observer-tests"]).args(bins))?;
    let path = root.join(COMMITTED);
    let mut committed: Committed = match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).with_context(|| format!("{COMMITTED} is damaged"))?,
        Err(_) if write => Committed::default(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {COMMITTED}")),
    };
    let compiler = process::output(Command::new("rustc").arg("--version").current_dir(root))?;
    let pure = count(root)?;
    let output = process::output(&mut Command::new(root.join("target/release/verified")))?;
    let verified: Verified = serde_json::from_str(&output).context("the output of `verified`")?;
    if write {
        committed.pure = Pure { compiler, counts: pure };
        committed.verified.insert(verified.kernel, verified.programs);
        let text = toml::to_string(&committed).context("the counts")?;
        fs::write(&path, format!("{HEADER}{text}"))?;
        println!("guard: written to {COMMITTED}");
        return Ok(());
    }
    let mut risen = Vec::new();
    let same = compiler == committed.pure.compiler;
    if !same {
        println!(
            "guard: NOT COMPARED: the pure part was counted with {}, here is {compiler}",
            committed.pure.compiler
        );
    }
    compare("pure", &pure, same.then_some(&committed.pure.counts), &mut risen);
    let known = committed.verified.get(&verified.kernel);
    if known.is_none() {
        println!("guard: NOT COMPARED: the verifier's counts of Linux {} are not committed", verified.kernel);
    }
    compare(&format!("verifier of Linux {}", verified.kernel), &verified.programs, known, &mut risen);
    if !risen.is_empty() {
        bail!(
            "more instructions than committed: {}; make it cheaper, or run `cargo xtask bench --guard --write` and give the \
             reason in the commit message",
            risen.join(", ")
        );
    }
    println!("guard: no count rose by more than 3 %");
    Ok(())
}

/// Prints counts with the committed ones; adds those that rose too much to `risen`.
fn compare(what: &str, counts: &Counts, committed: Option<&Counts>, risen: &mut Vec<String>) {
    for (name, count) in counts {
        let before = committed.and_then(|committed| committed.get(name)).copied();
        match (before, committed) {
            (Some(before), _) => {
                let change = 100.0 * (*count as f64 / before as f64 - 1.0);
                println!("guard: {what}: {name:<40} {count:>12}, committed {before:>12} ({change:+.1} %)");
                if is_risen(before, *count) {
                    risen.push(format!("{name} {before} → {count}"));
                }
            }
            (None, Some(_)) => {
                println!(
                    "guard: {what}: {name:<40} {count:>12}, NOT GUARDED: `cargo xtask bench --guard --write`"
                );
            }
            (None, None) => println!("guard: {what}: {name:<40} {count:>12}"),
        }
    }
}

fn is_risen(before: u64, now: u64) -> bool {
    now as f64 > RISE * before as f64
}

/// Instructions of each part, from callgrind.
fn count(root: &Path) -> Result<Counts> {
    let pure = root.join("target/release/pure");
    let mut counts = Counts::new();
    for domain in DOMAINS {
        let decode = [pure.as_os_str(), "decode".as_ref(), domain.as_ref()];
        counts.insert(format!("decode {domain}"), callgrind(root, &decode)?);
        let recording = root.join(RECORDING);
        let replay = [pure.as_os_str(), "replay".as_ref(), recording.as_os_str(), domain.as_ref()];
        counts.insert(format!("replay {domain}"), callgrind(root, &replay)?);
    }
    Ok(counts)
}

fn callgrind(root: &Path, program: &[&std::ffi::OsStr]) -> Result<u64> {
    let out = root.join(FOLDER).join("callgrind.out");
    fs::create_dir_all(root.join(FOLDER))?;
    process::output(
        Command::new("valgrind")
            .args(["--quiet", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=counted"])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .args(program),
    )?;
    let text = fs::read_to_string(&out)?;
    let summary =
        text.lines().find_map(|line| line.strip_prefix("summary:").or(line.strip_prefix("totals:")));
    let count = summary.and_then(|words| words.trim().parse().ok()).filter(|count| *count > 0);
    count.context("callgrind counted nothing: does the function `counted` still exist?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_3_percent_is_a_rise() {
        assert!(!is_risen(1000, 1030) && is_risen(1000, 1031));
    }

    #[test]
    fn a_new_count_or_one_of_another_compiler_is_no_rise() {
        let counts = |number| Counts::from([("a".to_owned(), number)]);
        let mut risen = Vec::new();
        compare("x", &counts(9), None, &mut risen);
        compare("x", &counts(9), Some(&Counts::new()), &mut risen);
        assert!(risen.is_empty());
        compare("x", &counts(9), Some(&counts(8)), &mut risen);
        assert_eq!(risen.len(), 1);
    }
}
