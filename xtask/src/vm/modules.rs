//! The modules that the guest needs and what they depend on, in the order of loading.
//!
//! A package's modules have no `modules.dep`: that is made where they are installed. Each module says itself what it
//! needs, in its section `.modinfo`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::process;

/// What the tests use that stock kernels hold as modules. One that is built in is in no file, and is not missed.
const NEEDED: &[&str] = &[
    "nvme",
    "ext4",
    "xfs",
    // What btrfs asks for by what it does, which no file's name says; both names that the module has had.
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

/// What a kernel's folder holds the modules for: one that was made for less is made anew.
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

/// Copies what is needed of a kernel's `files` into `folder`, unpacked, with the order of loading in its file
/// `modules`.
///
/// # Errors
/// When a module cannot be unpacked or copied.
pub fn keep(files: &[PathBuf], folder: &Path) -> Result<()> {
    let all: BTreeMap<String, &PathBuf> =
        files.iter().filter_map(|path| Some((module_name(path)?, path))).collect();
    let mut kept = Kept { all: &all, folder, seen: BTreeSet::new(), order: Vec::new() };
    for name in NEEDED {
        kept.with_dependencies(name)?;
    }
    fs::write(folder.join("modules"), kept.order.join("\n")).context("keeping the order of the modules")
}

struct Kept<'a> {
    all: &'a BTreeMap<String, &'a PathBuf>,
    folder: &'a Path,
    seen: BTreeSet<String>,
    order: Vec<String>,
}

impl Kept<'_> {
    fn with_dependencies(&mut self, name: &str) -> Result<()> {
        let Some(path) = self.all.get(name) else { return Ok(()) };
        if !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let file = format!("{name}.ko");
        unpack(path, &self.folder.join(&file))?;
        let bytes = fs::read(self.folder.join(&file)).with_context(|| format!("reading {file}"))?;
        for needed in dependencies(&bytes) {
            self.with_dependencies(&needed)?;
        }
        self.order.push(file);
        Ok(())
    }
}

/// `…/sch-netem.ko.xz` → `sch_netem`: in a module's name both dashes are one.
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
    let file = fs::File::create(to).with_context(|| format!("making {}", to.display()))?;
    let mut command = Command::new(program);
    let status = command.args(["--decompress", "--stdout"]).arg(from).stdout(file).status();
    let status = status.with_context(|| format!("starting {program}"))?;
    anyhow::ensure!(status.success(), "`{}` failed: {status}", process::line(&command));
    Ok(())
}

/// What a module says that it needs, and what it would like to be there before.
fn dependencies(module: &[u8]) -> Vec<String> {
    let texts = module.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok());
    let mut names = Vec::new();
    for text in texts {
        if let Some(needed) = text.strip_prefix("depends=") {
            names.extend(needed.split(',').map(str::to_owned));
        } else if let Some(liked) = text.strip_prefix("softdep=pre: ") {
            names.extend(liked.split_whitespace().take_while(|name| *name != "post:").map(str::to_owned));
        }
    }
    names.retain(|name| !name.is_empty());
    names.iter().map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_needs() {
        let module =
            b"\x7fELF\0license=GPL\0depends=raid6_pq,xor,lib-zstd\0softdep=pre: crc32c\0name=btrfs\0";
        assert_eq!(dependencies(module), ["raid6_pq", "xor", "lib_zstd", "crc32c"]);
        assert!(dependencies(b"depends=\0").is_empty());
    }

    #[test]
    fn a_modules_name_does_not_depend_on_how_it_is_packed() {
        let name = |path: &str| module_name(Path::new(path));
        assert_eq!(name("a/sch-netem.ko.xz").as_deref(), Some("sch_netem"));
        assert_eq!(name("a/xfs.ko").as_deref(), Some("xfs"));
        assert_eq!(name("a/modules.order"), None);
    }
}
