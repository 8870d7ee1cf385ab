//! A build of the kernel objects, with the same bytes on every machine.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{EbpfCrate, manifest::Hashes, read, strip, toolchain::Toolchain};
use crate::process;

const TARGET: &str = "bpfel-unknown-none";

/// Builds every object of the crate `built` with its `features` and writes it to `folder`.
///
/// # Errors
/// When the build fails, or an object contains a path of this machine.
pub fn build(
    root: &Path,
    toolchain: &Toolchain,
    built: &EbpfCrate,
    features: &str,
    folder: &Path,
) -> Result<Hashes> {
    let target = root.join("target/ebpf");
    let paths = Paths::of(root, toolchain)?;
    process::run(
        clean(&toolchain.cargo)
            .current_dir(root)
            .args(["build", "--package", built.package, "--bins", "--release", "--features", features])
            .args(["--target", TARGET, "-Z", "build-std=core"])
            .env("RUSTC", &toolchain.rustc)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", &target)
            // A variable instead of a flag, because flags are part of the hash in symbol names.
            .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &toolchain.linker.path)
            .env("CARGO_ENCODED_RUSTFLAGS", paths.flags().join("\u{1f}")),
    )?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for name in built.objects {
        let linked = read(&target.join(TARGET).join("release").join(name))?;
        let object = strip::strip(&linked).with_context(|| format!("object {name}"))?;
        paths.must_not_be_in(&object).with_context(|| format!("object {name}"))?;
        let path = folder.join(format!("{name}.o"));
        fs::write(&path, object).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Hashes::of(folder, built.objects)
}

/// cargo without settings from the environment: xtask is built by another toolchain, and a profile or flag would change
/// bytes.
fn clean(cargo: &Path) -> Command {
    let mut command = Command::new(cargo);
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let foreign = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "CARGO_UNSTABLE_"];
        if foreign.iter().any(|prefix| name.starts_with(prefix))
            || [
                "CARGO",
                "CARGO_INCREMENTAL",
                "RUSTC",
                "RUSTC_WRAPPER",
                "RUSTC_WORKSPACE_WRAPPER",
                "RUSTDOC",
                "RUSTFLAGS",
            ]
            .contains(&&*name)
            || name == "RUSTUP_TOOLCHAIN"
        {
            command.env_remove(&*name);
        }
    }
    command
}

/// The source folders on this machine, and their names in an object.
struct Paths(Vec<(PathBuf, &'static str)>);

impl Paths {
    fn of(root: &Path, toolchain: &Toolchain) -> Result<Self> {
        let mut paths = Vec::new();
        // The workspace becomes `.`, so that the linker finds the source lines that the verifier prints.
        paths.push((root.to_path_buf(), "."));
        let library = toolchain.library.parent().context("the library's source has no parent folder")?;
        paths.push((library.to_path_buf(), "/rust"));
        for folder in dependencies(root, toolchain)? {
            paths.push((folder, "/registry"));
        }
        // A compiler may use the target of a symbolic link.
        let real: Vec<_> = paths
            .iter()
            .filter_map(|(path, name)| Some((fs::canonicalize(path).ok()?, *name)))
            .filter(|(real, _)| paths.iter().all(|(path, _)| path != real))
            .collect();
        paths.extend(real);
        Ok(Self(paths))
    }

    fn flags(&self) -> Vec<String> {
        let mut flags: Vec<String> = [
            "--cfg=bpf_target_arch=\"x86_64\"",
            // Types and lines for BTF; DWARF is stripped afterwards.
            "-Cdebuginfo=2",
            "-Clink-arg=--btf",
            // Otherwise zeroing calls a loop over bytes, which took half of the time of `net_destroy`.
            "-Clink-arg=--disable-expand-memcpy-in-order",
        ]
        .map(str::to_owned)
        .to_vec();
        flags.extend(
            self.0.iter().map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display())),
        );
        flags
    }

    /// Fails if `object` contains one of the folders, or the home folder.
    fn must_not_be_in(&self, object: &[u8]) -> Result<()> {
        let home = env::var_os("HOME").map(PathBuf::from).filter(|home| home.components().count() > 1);
        for path in self.0.iter().map(|(path, _)| path).chain(&home) {
            if contains_path(object, path.as_os_str().as_encoded_bytes()) {
                bail!("it contains a path of this machine: {}", path.display());
            }
        }
        Ok(())
    }
}

/// Whether `object` contains `path` or a path below it, but not as part of another name: `/observer` is in
/// `/observer/src`, but neither in `./observer` nor in `/observer-ebpf`.
fn contains_path(object: &[u8], path: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    object.windows(path.len()).enumerate().any(|(at, window)| {
        let before = at.checked_sub(1).and_then(|before| object.get(before));
        let after = object.get(at + path.len());
        window == path && !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

/// The folders of crates from registries, after fetching missing ones.
fn dependencies(root: &Path, toolchain: &Toolchain) -> Result<BTreeSet<PathBuf>> {
    let text =
        process::output(clean(&toolchain.cargo).current_dir(root).env("RUSTC", &toolchain.rustc).args([
            "metadata",
            "--format-version",
            "1",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("the output of cargo metadata")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    Ok(packages
        .iter()
        .filter(|package| !package["source"].is_null())
        .filter_map(|package| {
            Path::new(package["manifest_path"].as_str()?).parent()?.parent().map(Path::to_path_buf)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_path_of_the_machine_counts() {
        for object in ["\0/observer\0", "/observer/src/lib.rs", "x\0/observer"] {
            assert!(contains_path(object.as_bytes(), b"/observer"), "{object:?}");
        }
        for object in ["\0./observer-ebpf/src/mem.rs\0", "/observer-ebpf", "./observer/x", "", "/obs"] {
            assert!(!contains_path(object.as_bytes(), b"/observer"), "{object:?}");
        }
    }
}
