//! A hash of everything that the objects depend on, except the toolchain.
//!
//! It covers the kernel side, the crate that it shares with user space, their settings in the workspace, and their
//! dependencies as pinned in the lock file. Lock entries of user space do not count, because a new crate there changes
//! no object.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::{EbpfCrate, manifest::sha256, read};

/// Part of the source of every object.
const SHARED: &[&str] = &["observer-ebpf", "observer-common"];

/// The hash of the current sources.
///
/// # Errors
/// When a file cannot be read, or the workspace's manifest or lock file is not of the known form.
pub fn hash(root: &Path, built: &EbpfCrate) -> Result<String> {
    let mut files = BTreeSet::new();
    for name in SHARED.iter().chain([&built.source]) {
        collect(&root.join(name), &mut files)?;
    }
    let mut all = Vec::new();
    for file in files {
        let name = file.strip_prefix(root)?.to_string_lossy().into_owned();
        add(&mut all, &name, &read(&file)?);
    }
    let workspace = table(&root.join("Cargo.toml"))?;
    add(&mut all, "Cargo.toml", settings(&workspace).to_string().as_bytes());
    let lock = table(&root.join("Cargo.lock"))?;
    add(&mut all, "Cargo.lock", pinned(&lock).as_bytes());
    Ok(sha256(&all))
}

/// Adds name, length and content, so that no two different sets of files give the same bytes.
fn add(all: &mut Vec<u8>, name: &str, content: &[u8]) {
    all.extend_from_slice(name.as_bytes());
    all.push(0);
    all.extend_from_slice(&(content.len() as u64).to_le_bytes());
    all.extend_from_slice(content);
}

fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.insert(path);
        }
    }
    Ok(())
}

fn table(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} cannot be parsed", path.display()))
}

/// The part of the workspace's manifest that affects the kernel side: the release profile and inherited settings.
fn settings(workspace: &Table) -> Table {
    let mut settings = Table::new();
    let profile = workspace.get("profile").and_then(|profiles| profiles.get("release"));
    let mut package = workspace.get("workspace").and_then(|workspace| workspace.get("package")).cloned();
    // The kernel side has a version of its own.
    package.as_mut().and_then(Value::as_table_mut).and_then(|package| package.remove("version"));
    for (name, value) in [("profile", profile.cloned()), ("package", package)] {
        settings.extend(value.map(|value| (name.to_owned(), value)));
    }
    settings
}

/// The lock entries that the kernel side reaches, sorted by name. A dependency without a version includes every version
/// of that crate; one too many is harmless.
fn pinned(lock: &Table) -> String {
    let packages =
        lock.get("package").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table);
    let mut by_name: BTreeMap<&str, Vec<&Table>> = BTreeMap::new();
    for package in packages {
        by_name.entry(text(package, "name")).or_default().push(package);
    }
    let mut reached = BTreeSet::new();
    let mut open: Vec<(&str, Option<&str>)> = vec![("observer-ebpf", None)];
    while let Some((name, version)) = open.pop() {
        for package in by_name.get(name).into_iter().flatten() {
            if version.is_some_and(|version| version != text(package, "version")) {
                continue;
            }
            let entry = [name, text(package, "version"), text(package, "source"), text(package, "checksum")]
                .join(" ");
            if !reached.insert(entry) {
                continue;
            }
            let dependencies = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
            for dependency in dependencies.filter_map(Value::as_str) {
                let mut words = dependency.split(' ');
                open.push((words.next().unwrap_or_default(), words.next()));
            }
        }
    }
    reached.into_iter().collect::<Vec<_>>().join("\n")
}

fn text<'a>(package: &'a Table, key: &str) -> &'a str {
    package.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
        [[package]]
        name = "observer-ebpf"
        version = "0.1.0"
        dependencies = ["aya-ebpf", "twice 2.0.0"]
        [[package]]
        name = "aya-ebpf"
        version = "0.2.1"
        source = "registry"
        checksum = "aa"
        [[package]]
        name = "twice"
        version = "1.0.0"
        [[package]]
        name = "twice"
        version = "2.0.0"
        dependencies = ["observer-ebpf"]
        [[package]]
        name = "clap"
        version = "4.0.0"
    "#;

    #[test]
    fn only_dependencies_of_the_kernel_side_are_pinned() {
        let pinned = pinned(&LOCK.parse().unwrap());
        assert_eq!(pinned, "aya-ebpf 0.2.1 registry aa\nobserver-ebpf 0.1.0  \ntwice 2.0.0  ");
    }

    #[test]
    fn a_file_moved_or_split_changes_the_hash() {
        let hash = |files: &[(&str, &[u8])]| {
            let mut all = Vec::new();
            files.iter().for_each(|(name, content)| add(&mut all, name, content));
            sha256(&all)
        };
        let one = hash(&[("a", b"xy")]);
        assert_ne!(one, hash(&[("b", b"xy")]));
        assert_ne!(one, hash(&[("a", b"x"), ("a", b"y")]));
        assert_eq!(one, hash(&[("a", b"xy")]));
    }
}
