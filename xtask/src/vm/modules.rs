//! The modules that the guest needs, with their dependencies, in load order.
//!
//! A package has no `modules.dep`, which is made on installation. Each module lists its dependencies in its section
//! `.modinfo`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::process;

/// Modules of stock kernels that the tests use. A built-in one has no file and is skipped.
const NEEDED: &[&str] = &[
    "nvme",
    "ext4",
    "xfs",
    // btrfs requests this module by its algorithm, not by a file name. These are its old and new names.
    "crc32c_generic",
    "crc32c_cryptoapi",
    "btrfs",
    "overlay",
    "fuse",
    "loop",
    "tun",
    "veth",
    "dummy",
    "sch_netem",
    "sch_htb",
    "sch_tbf",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "unix_diag",
];

/// The needed modules as text. A cached kernel that was made for another list is made again.
pub fn needed() -> String {
    NEEDED.join("\n")
}

/// Every file below `folder`.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Unpacks the needed modules among a kernel's `files` into `folder`, and writes their load order to its file
/// `modules`.
///
/// # Errors
/// When a module cannot be unpacked or copied.
pub fn unpack_needed(files: &[PathBuf], folder: &Path) -> Result<()> {
    let all: BTreeMap<String, &PathBuf> =
        files.iter().filter_map(|path| Some((module_name(path)?, path))).collect();
    let mut set = ModuleSet { all: &all, folder, seen: BTreeSet::new(), order: Vec::new() };
    for name in NEEDED {
        set.add(name)?;
    }
    fs::write(folder.join("modules"), set.order.join("\n")).context("writing the load order of the modules")
}

/// Modules unpacked so far, in load order.
struct ModuleSet<'a> {
    all: &'a BTreeMap<String, &'a PathBuf>,
    folder: &'a Path,
    seen: BTreeSet<String>,
    order: Vec<String>,
}

impl ModuleSet<'_> {
    /// Unpacks a module after its dependencies.
    fn add(&mut self, name: &str) -> Result<()> {
        let Some(path) = self.all.get(name) else { return Ok(()) };
        if !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let file = format!("{name}.ko");
        unpack(path, &self.folder.join(&file))?;
        let bytes = fs::read(self.folder.join(&file)).with_context(|| format!("reading {file}"))?;
        for needed in dependencies(&bytes) {
            self.add(&needed)?;
        }
        self.order.push(file);
        Ok(())
    }
}

/// `…/sch-netem.ko.xz` → `sch_netem`: a module's name has underscores for dashes.
fn module_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let (name, packed) = name.split_once(".ko")?;
    ["", ".xz", ".zst", ".gz"].contains(&packed).then(|| name.replace('-', "_"))
}

fn unpack(from: &Path, to: &Path) -> Result<()> {
    let program = match from.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::copy(from, to).map(drop).with_context(|| format!("copying {}", from.display())),
    };
    let file = fs::File::create(to).with_context(|| format!("creating {}", to.display()))?;
    let mut command = Command::new(program);
    let status = command.args(["--decompress", "--stdout"]).arg(from).stdout(file).status();
    let status = status.with_context(|| format!("starting {program}"))?;
    anyhow::ensure!(status.success(), "`{}` failed: {status}", process::line(&command));
    Ok(())
}

/// The dependencies of a module, and the optional ones that should be loaded before it.
fn dependencies(module: &[u8]) -> Vec<String> {
    let texts = module.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok());
    let mut names = Vec::new();
    for text in texts {
        if let Some(needed) = text.strip_prefix("depends=") {
            names.extend(needed.split(',').map(str::to_owned));
        } else if let Some(optional) = text.strip_prefix("softdep=pre: ") {
            names.extend(optional.split_whitespace().take_while(|name| *name != "post:").map(str::to_owned));
        }
    }
    names.retain(|name| !name.is_empty());
    names.iter().map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_lists_its_dependencies() {
        let module =
            b"\x7fELF\0license=GPL\0depends=raid6_pq,xor,lib-zstd\0softdep=pre: crc32c\0name=btrfs\0";
        assert_eq!(dependencies(module), ["raid6_pq", "xor", "lib_zstd", "crc32c"]);
        assert!(dependencies(b"depends=\0").is_empty());
    }

    #[test]
    fn a_modules_name_does_not_depend_on_its_compression() {
        let name = |path: &str| module_name(Path::new(path));
        assert_eq!(name("a/sch-netem.ko.xz").as_deref(), Some("sch_netem"));
        assert_eq!(name("a/xfs.ko").as_deref(), Some("xfs"));
        assert_eq!(name("a/modules.order"), None);
    }
}
