//! bpf-linker: found where it fits, built where it does not.
//!
//! It links LLVM bitcode, so its LLVM must be at least as new as the compiler's. It is built against a shared LLVM of
//! this machine, Debian's where there is none.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{packages, process};

const VERSION: &str = "0.13.0";

/// The LLVMs that this version of bpf-linker can be built against. A newer one reads what an older one wrote.
const OLDEST_LLVM: u32 = 21;
const NEWEST_LLVM: u32 = 23;

/// A bpf-linker that fits the compiler.
#[derive(Clone, Debug)]
pub struct Linker {
    pub path: PathBuf,
    /// "bpf-linker 0.13.0"
    pub version: String,
    /// The version of the LLVM that it is linked with.
    pub llvm: String,
}

/// Finds a linker for a compiler with LLVM `needed`, or builds it: against LLVM `recorded` where that will do.
///
/// # Errors
/// When there is none that fits and none can be built.
pub fn ensure(needed: &str, recorded: Option<&str>) -> Result<Linker> {
    let needed = major(needed).with_context(|| format!("the compiler says that its LLVM is `{needed}`"))?;
    let fits = |linker: &Linker| {
        linker.version == format!("bpf-linker {VERSION}")
            && major(&linker.llvm).is_some_and(|llvm| llvm >= needed)
    };
    for place in places() {
        match examine(place) {
            Ok(linker) if fits(&linker) => return Ok(linker),
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
    places().into_iter().filter_map(|place| examine(place).ok()).find(fits).with_context(|| {
        format!("bpf-linker was built, but is neither in PATH nor in {}", cargo_bin().display())
    })
}

fn places() -> Vec<PathBuf> {
    packages::find("bpf-linker").into_iter().chain([cargo_bin().join("bpf-linker")]).collect()
}

/// Where `cargo install` puts programs.
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
    // LLVM's own option: the linker has none that tells. It wants names of files, and opens neither.
    let said =
        process::output(Command::new(&path).args(["--llvm-args=-version", "-o", "/dev/null", "/dev/null"]))?;
    let llvm = said.split("LLVM version ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let llvm = llvm.with_context(|| format!("{} does not say its LLVM", path.display()))?.to_owned();
    Ok(Linker { path, version, llvm })
}

/// Builds it against an LLVM of version `needed` or newer; `recorded`, if that will do, is tried first.
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

/// The installation of LLVM `llvm` with what a build against it needs, if there is one.
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
            "no LLVM of version {} or newer, up to {NEWEST_LLVM}, is here, and Debian's packages have none: install one with its headers, and name its folder in LLVM_PREFIX",
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
