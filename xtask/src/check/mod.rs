//! `cargo xtask check`: the project's rules that neither Cargo nor clippy can check.
//!
//! Manifests limit which crate may use which, and `clippy.toml` limits what pure crates may call. The remaining rules
//! are here: no two files import each other, and each file has a header, one purpose, and a name that states it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::process;

mod cycles;
mod file_rules;
mod modules;

/// Checks the workspace at `root` and prints every finding.
///
/// # Errors
/// When a rule is broken, or a file cannot be read or parsed.
pub fn run(root: &Path) -> Result<()> {
    let metadata = process::metadata(root)?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let mut files = BTreeSet::new();
    let mut imports = BTreeSet::new();
    for package in packages {
        let manifest = Path::new(package["manifest_path"].as_str().context("a package without a manifest")?);
        collect(manifest.parent().unwrap_or(root), &mut files)?;
        for target in package["targets"].as_array().into_iter().flatten() {
            let source = Path::new(target["src_path"].as_str().context("a target without a source")?);
            imports.extend(modules::Tree::read(source)?.imports());
        }
    }
    let mut faults = 0;
    for file in &files {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let shown = file.strip_prefix(root).unwrap_or(file);
        let (errors, warning) = file_rules::judge(shown, &text)
            .with_context(|| format!("{} cannot be parsed", shown.display()))?;
        errors.iter().for_each(|error| println!("error: {}: {error}", shown.display()));
        warning.iter().for_each(|warning| println!("warning: {}: {warning}", shown.display()));
        faults += errors.len();
    }
    for fault in cycles::judge(root, &imports) {
        println!("error: {fault}");
        faults += 1;
    }
    if faults > 0 {
        bail!("{faults} violations of the project's rules (see above, and docs/architecture.md)");
    }
    println!("check: {} files, no violations", files.len());
    Ok(())
}

/// The Rust files below `folder`.
fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.insert(path);
        }
    }
    Ok(())
}
