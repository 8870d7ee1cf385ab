//! bpf-linker: finds a suitable one, or builds it.
//!
//! It links LLVM bitcode, so its LLVM must be at least as new as the compiler's. It is built against a shared LLVM of
//! this machine, or Debian's if there is none.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{packages, process};

const VERSION: &str = "0.13.0";

/// The LLVM versions that this bpf-linker can be built against. A newer LLVM reads the bitcode of an older one.
const OLDEST_LLVM: u32 = 21;
const NEWEST_LLVM: u32 = 23;

/// A bpf-linker that is suitable for the compiler.
#[derive(Clone, Debug)]
pub struct Linker {
    pub path: PathBuf,
    /// "bpf-linker 0.13.0"
    pub version: String,
    /// The version of its LLVM.
    pub llvm: String,
}

/// Finds a linker for a compiler with LLVM `needed`, or builds it, if possible against LLVM `recorded`.
///
/// # Errors
/// When no suitable linker exists and none can be built.
pub fn ensure(needed: &str, recorded: Option<&str>) -> Result<Linker> {
    let needed = major(needed).with_context(|| format!("the compiler reports LLVM `{needed}`"))?;
    let is_suitable = |linker: &Linker| {
        linker.version == format!("bpf-linker {VERSION}")
            && major(&linker.llvm).is_some_and(|llvm| llvm >= needed)
    };
    for path in candidates() {
        match examine(path) {
            Ok(linker) if is_suitable(&linker) => return Ok(linker),
            Ok(linker) => println!(
                "ebpf: {} is {} with LLVM {}: {VERSION} with LLVM {needed} or newer is needed",
                linker.path.display(),
                linker.version,
                linker.llvm
            ),
            Err(_) => {}
        }
    }
    build(needed, recorded.and_then(major))?;
    candidates().into_iter().filter_map(|path| examine(path).ok()).find(is_suitable).with_context(|| {
        format!("bpf-linker was built, but is neither in PATH nor in {}", cargo_bin().display())
    })
}

fn candidates() -> Vec<PathBuf> {
    packages::find("bpf-linker").into_iter().chain([cargo_bin().join("bpf-linker")]).collect()
}

/// The folder in which `cargo install` installs programs.
fn cargo_bin() -> PathBuf {
    let home = |name: &str| env::var_os(name).map(PathBuf::from);
    home("CARGO_INSTALL_ROOT")
        .or_else(|| home("CARGO_HOME"))
        .or_else(|| home("HOME").map(|home| home.join(".cargo")))
        .unwrap_or_default()
        .join("bin")
}

fn examine(path: PathBuf) -> Result<Linker> {
    let version = process::output(Command::new(&path).arg("--version"))?;
    // An option of LLVM, because the linker has none for this. It requires file names, but opens no file.
    let output =
        process::output(Command::new(&path).args(["--llvm-args=-version", "-o", "/dev/null", "/dev/null"]))?;
    let llvm = output.split("LLVM version ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let llvm = llvm.with_context(|| format!("{} does not report its LLVM", path.display()))?.to_owned();
    Ok(Linker { path, version, llvm })
}

/// Builds it against an LLVM of version `needed` or newer; tries `recorded` first, if it is new enough.
fn build(needed: u32, recorded: Option<u32>) -> Result<()> {
    if needed > NEWEST_LLVM {
        bail!(
            "the compiler has LLVM {needed}, but bpf-linker {VERSION} is built against {NEWEST_LLVM} at most"
        );
    }
    let needed = needed.max(OLDEST_LLVM);
    packages::ensure(packages::LINKER)?;
    let mut wanted: Vec<u32> =
        recorded.into_iter().filter(|llvm| (needed..=NEWEST_LLVM).contains(llvm)).collect();
    wanted.extend(needed..=NEWEST_LLVM);
    let (llvm, prefix) = match wanted.iter().find_map(|llvm| Some((*llvm, llvm_prefix(*llvm)?))) {
        Some(found) => found,
        None => install_llvm(&wanted)?,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    process::run(
        Command::new(cargo)
            .env("LLVM_PREFIX", &prefix)
            .args([
                "install",
                "bpf-linker",
                "--version",
                VERSION,
                "--locked",
                "--force",
                "--no-default-features",
            ])
            .args(["--features", &format!("llvm-{llvm}")]),
    )
}

/// The prefix of an installed LLVM `llvm` with headers.
fn llvm_prefix(llvm: u32) -> Option<PathBuf> {
    let named = env::var_os("LLVM_PREFIX").map(|prefix| PathBuf::from(prefix).join("bin/llvm-config"));
    let by_version = packages::find(&format!("llvm-config-{llvm}"));
    let debian = PathBuf::from(format!("/usr/lib/llvm-{llvm}/bin/llvm-config"));
    let configs = named.into_iter().chain(by_version).chain([debian]).chain(packages::find("llvm-config"));
    configs.filter_map(|config| prefix_of(&config, llvm)).next()
}

fn prefix_of(config: &Path, llvm: u32) -> Option<PathBuf> {
    let ask = |what: &str| process::output(Command::new(config).arg(what)).ok();
    let headers = PathBuf::from(ask("--includedir")?).join("llvm-c/Core.h");
    (major(&ask("--version")?)? == llvm && headers.is_file()).then(|| ask("--prefix").map(PathBuf::from))?
}

/// Installs the first LLVM of `wanted` that Debian has.
fn install_llvm(wanted: &[u32]) -> Result<(u32, PathBuf)> {
    let names = |llvm: u32| [format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev")];
    let known = || wanted.iter().copied().find(|llvm| packages::is_known(&[&format!("llvm-{llvm}-dev")]));
    let llvm = known().or_else(|| {
        packages::refresh();
        known()
    });
    let Some(llvm) = llvm else {
        bail!(
            "no LLVM of version {} to {NEWEST_LLVM} is installed, and Debian's packages have none: install one with its headers, and set LLVM_PREFIX to its folder",
            wanted[0]
        );
    };
    let [headers, polly] = names(llvm);
    packages::install(&[&headers, &polly])?;
    let prefix = llvm_prefix(llvm)
        .with_context(|| format!("package {headers} is installed, but has no llvm-config"))?;
    Ok((llvm, prefix))
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}
