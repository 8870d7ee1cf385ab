//! The rules that concern a file as such: its header, its size, and the five files of a domain.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    Finding, Sources, Verdict,
    mentions::{self, Mentions},
};

/// Lines of plain code beyond which a file probably has more than one purpose. Tables and tests do not count.
const LONG: usize = 400;

/// What every domain states, a file each.
const FIVE: &[&str] = &["mod.rs", "hooks.rs", "decode.rs", "state.rs", "report.rs"];

/// Names that say nothing of a purpose, at the end of a type's name or as a module's.
const EMPTY_NAMES: &[&str] = &["Manager", "Helper", "Helpers", "Util", "Utils", "Data"];

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
        let parsed = syn::parse_file(text).with_context(|| format!("{} cannot be parsed", file.display()))?;
        let found = mentions::read(&parsed);
        for name in empty_names(file, &found) {
            let text = format!("`{name}` says nothing of a purpose: no Manager, Helper, Util or Data");
            verdict.faults.push(Finding { file: file.clone(), line: 0, text });
        }
        let lines = plain_lines(file, text, &found);
        if lines > LONG {
            let text = format!("{lines} lines of plain code: has it one purpose?");
            verdict.warnings.push(Finding { file: file.clone(), line: 0, text });
        }
    }
    verdict.faults.extend(missing_files(sources));
    Ok(verdict)
}

/// Lines that are neither tests nor tables.
fn plain_lines(file: &Path, text: &str, found: &Mentions) -> usize {
    let is_test = file.starts_with("tests") || file.iter().any(|part| part == "tests" || part == "tests.rs");
    if is_test {
        return 0;
    }
    let exempted = |line: usize| found.exempt.iter().any(|(first, last)| (*first..=*last).contains(&line));
    (1..=text.lines().count()).filter(|line| !exempted(*line)).count()
}

/// The types in a file that end in one of [`EMPTY_NAMES`], and the modules, the file itself among them, that are one.
fn empty_names(file: &Path, found: &Mentions) -> Vec<String> {
    let types = found.items.iter().map(|(_, name)| name.clone());
    let types = types.filter(|name| EMPTY_NAMES.iter().any(|empty| name.ends_with(empty)));
    let own = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let modules = found.inline.iter().filter_map(|path| path.last().cloned()).chain(own);
    let modules = modules.filter(|name| EMPTY_NAMES.iter().any(|empty| *name == empty.to_lowercase()));
    types.chain(modules).collect()
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
