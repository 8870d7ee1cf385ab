//! The rules that concern a file as such: its header, its size, and the five files of a domain.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Finding, Sources, Verdict, mentions};

/// Lines of plain code beyond which a file probably has more than one purpose. Tables and tests do not count.
const LONG: usize = 400;

/// What every domain states, a file each.
const FIVE: &[&str] = &["mod.rs", "hooks.rs", "decode.rs", "state.rs", "report.rs"];

/// Judges every file by itself, and the domains' folders.
pub fn judge(sources: &Sources) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    for (file, text) in sources {
        if !text.starts_with("//!") {
            verdict.faults.push(Finding {
                file: file.clone(),
                line: 1,
                text: "a module starts with a `//!` header: what it answers, and what it cannot see"
                    .to_owned(),
            });
        }
        let lines = plain_lines(file, text)?;
        if lines > LONG {
            let text = format!("{lines} lines of plain code: has it one purpose?");
            verdict.warnings.push(Finding { file: file.clone(), line: 0, text });
        }
    }
    verdict.faults.extend(missing_files(sources));
    Ok(verdict)
}

/// Lines that are neither tests nor tables.
fn plain_lines(file: &Path, text: &str) -> Result<usize> {
    let is_test = file.starts_with("tests") || file.iter().any(|part| part == "tests" || part == "tests.rs");
    if is_test {
        return Ok(0);
    }
    let parsed = syn::parse_file(text).with_context(|| format!("{} cannot be parsed", file.display()))?;
    let exempt = mentions::read(&parsed).exempt;
    let exempted = |line: usize| exempt.iter().any(|(first, last)| (*first..=*last).contains(&line));
    Ok((1..=text.lines().count()).filter(|line| !exempted(*line)).count())
}

/// A domain is one folder with files of the same five names; a part that grew may be a folder of that name.
fn missing_files(sources: &Sources) -> Vec<Finding> {
    let domains = Path::new("observer/src/domains");
    let folders: BTreeSet<PathBuf> = sources
        .keys()
        .filter_map(|file| file.strip_prefix(domains).ok())
        .filter(|file| file.components().count() > 1)
        .filter_map(|file| file.iter().next().map(|name| domains.join(name)))
        .filter(|folder| folder.file_name().is_some_and(|name| name != "tests"))
        .collect();
    let mut findings = Vec::new();
    for folder in folders {
        for name in FIVE {
            let as_folder = folder.join(name.trim_end_matches(".rs")).join("mod.rs");
            if !sources.contains_key(&folder.join(name)) && !sources.contains_key(&as_folder) {
                let text = format!("a domain has files of the same five names: {name} is missing");
                findings.push(Finding { file: folder.clone(), line: 0, text });
            }
        }
    }
    findings
}
