//! `cargo xtask check`: is the house still in the shape of its design?
//!
//! Reads the sources as a compiler reads them (`syn`), so a path through an alias, a re-export, `super` or a macro's
//! arguments counts like the one that is written out. What it cannot see: a value of a foreign type that is handed on
//! without being named, and code that a procedural macro makes.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

mod house;
mod layering;
mod mentions;
mod modules;
mod purity;
#[cfg(test)]
mod tests;

/// Source text by path, relative to the workspace.
type Sources = BTreeMap<PathBuf, String>;

/// Something that is not as it should be, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: PathBuf,
    /// Counted from 1; 0 where the file as a whole is meant.
    line: usize,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.file.display(), self.text),
            line => write!(out, "{}:{line}: {}", self.file.display(), self.text),
        }
    }
}

/// What a check found: what must be mended, and what should be looked at.
#[derive(Debug, Default)]
struct Verdict {
    faults: Vec<Finding>,
    warnings: Vec<Finding>,
}

/// Checks the workspace at `root` and prints every finding.
///
/// # Errors
/// When a rule is broken, or a file cannot be read or parsed.
pub fn run(root: &Path) -> Result<()> {
    let mut sources = Sources::new();
    for member in ["observer", "observer-common", "observer-ebpf", "tests", "xtask"] {
        collect(root, &root.join(member), &mut sources)?;
    }
    let manifest = fs::read_to_string(root.join("observer/Cargo.toml")).context("observer/Cargo.toml")?;
    let verdict = judge(&sources, &dependencies(&manifest)?)?;
    for warning in &verdict.warnings {
        println!("warning: {warning}");
    }
    for fault in &verdict.faults {
        println!("error: {fault}");
    }
    if !verdict.faults.is_empty() {
        bail!("{} rules of the house are broken (see above, and docs/architecture.md)", verdict.faults.len());
    }
    println!("check: {} files, no fault, {} warnings", sources.len(), verdict.warnings.len());
    Ok(())
}

/// Every rule, on sources that need not exist as files. `dependencies` are the crates that `observer` may name.
fn judge(sources: &Sources, dependencies: &[String]) -> Result<Verdict> {
    let mut verdict = house::judge(sources)?;
    let tree = modules::Tree::read(sources, Path::new("observer/src"))?;
    verdict.faults.extend(layering::judge(&tree));
    verdict.faults.extend(purity::judge(&tree, dependencies));
    verdict.faults.sort();
    verdict.faults.dedup();
    Ok(verdict)
}

/// The names under which a crate with this manifest can name others in its code.
fn dependencies(manifest: &str) -> Result<Vec<String>> {
    let manifest: toml::Table = manifest.parse().context("observer/Cargo.toml")?;
    let names = |table: Option<&toml::Value>| -> Vec<String> {
        table
            .and_then(toml::Value::as_table)
            .into_iter()
            .flatten()
            .map(|(name, _)| name.replace('-', "_"))
            .collect()
    };
    let mut all = names(manifest.get("dependencies"));
    for target in manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten() {
        all.extend(names(target.1.get("dependencies")));
    }
    Ok(all)
}

fn collect(root: &Path, folder: &Path, sources: &mut Sources) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(root, &path, sources)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            sources.insert(path.strip_prefix(root)?.to_path_buf(), text);
        }
    }
    Ok(())
}
