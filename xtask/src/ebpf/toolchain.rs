//! A compiler for the BPF target, and its installation.
//!
//! The target has no prebuilt `core`, so a compiler also needs the source of its library (`rust-src`), whatever its
//! channel. The first choice is the toolchain of the committed objects, because only its output can be compared byte
//! for byte. Then come rustup's nightly, if it has that source or can fetch it, and Debian's packages, which contain
//! both. `RUSTC_BOOTSTRAP` enables unstable flags in a compiler of any channel.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::linker::{self, Linker};
use crate::{packages, process};

/// Debian's compiler, its library's source and cargo, all of one version and newer than the packages without `-web`.
const DEBIAN: &[&str] = &["rustc-web", "rust-web-src", "cargo-web"];

/// The tools of a build for the kernel.
#[derive(Debug)]
pub struct Toolchain {
    pub cargo: PathBuf,
    pub rustc: PathBuf,
    /// The folder of the library's source.
    pub library: PathBuf,
    pub linker: Linker,
    pub versions: Versions,
}

/// The versions that determine every byte of an object, together with the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The output of `rustc --version`, with commit and builder.
    pub rustc: String,
    pub rustc_llvm: String,
    pub linker: String,
    pub linker_llvm: String,
}

impl fmt::Display for Versions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, rustc_llvm, linker, linker_llvm } = self;
        write!(out, "{rustc} with LLVM {rustc_llvm}, {linker} with LLVM {linker_llvm}")
    }
}

/// A compiler with the source of its library.
#[derive(Clone, Debug)]
struct Compiler {
    cargo: PathBuf,
    rustc: PathBuf,
    library: PathBuf,
    version: String,
    llvm: String,
}

/// A source of compilers: its name, and a function that returns them.
type CompilerSource<'a> = (&'a str, Box<dyn Fn() -> Result<Vec<Compiler>> + 'a>);

impl Toolchain {
    /// Finds a toolchain, or installs one, if possible the `recorded` one.
    ///
    /// # Errors
    /// When none is installed and none is available, with all attempts.
    pub fn ensure(recorded: Option<&Versions>) -> Result<Self> {
        let mut tried = Vec::new();
        for (name, compilers) in compiler_sources(recorded) {
            // A compiler needs a linker that reads its output.
            match compilers().and_then(|compilers| first_with_linker(compilers, recorded)) {
                Ok(toolchain) => {
                    println!("ebpf: {}", toolchain.versions);
                    return Ok(toolchain);
                }
                Err(error) => {
                    println!("ebpf: {name}: {error:#}");
                    tried.push(format!("{name}: {error:#}"));
                }
            }
        }
        bail!("no toolchain for the BPF target is available:\n{}", tried.join("\n"))
    }
}

/// The sources in order. The version of a distribution's compiler says that the distribution built it. If such a
/// compiler is recorded, the distribution's packages come before rustup.
fn compiler_sources(recorded: Option<&Versions>) -> Vec<CompilerSource<'_>> {
    let from_debian = recorded.is_some_and(|recorded| recorded.rustc.contains("built from a source tarball"));
    let mut sources: Vec<CompilerSource<'_>> = Vec::new();
    if let Some(recorded) = recorded {
        let is_recorded = |found: &Compiler| found.version == recorded.rustc;
        sources.push((
            "the recorded compiler",
            Box::new(move || Ok(present().into_iter().filter(is_recorded).collect())),
        ));
    }
    if from_debian {
        sources.push(("Debian's packages", Box::new(debian)));
    }
    sources.push(("installed compilers", Box::new(|| Ok(present()))));
    sources.push(("rustup's nightly", Box::new(nightly)));
    if !from_debian {
        sources.push(("Debian's packages", Box::new(debian)));
    }
    sources
}

fn first_with_linker(compilers: Vec<Compiler>, recorded: Option<&Versions>) -> Result<Toolchain> {
    let llvm = recorded.map(|recorded| recorded.linker_llvm.as_str());
    let mut outcome = Err(anyhow::anyhow!("no compiler here has the source of its library"));
    for compiler in compilers {
        outcome = linker::ensure(&compiler.llvm, llvm).map(|linker| compiler.with(linker));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

impl Compiler {
    fn with(self, linker: Linker) -> Toolchain {
        let versions = Versions {
            rustc: self.version,
            rustc_llvm: self.llvm,
            linker: linker.version.clone(),
            linker_llvm: linker.llvm.clone(),
        };
        Toolchain { cargo: self.cargo, rustc: self.rustc, library: self.library, linker, versions }
    }
}

/// Installed compilers with the source of their library, rustup's nightlies first.
fn present() -> Vec<Compiler> {
    let listed = process::output(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    let nightlies = names.filter(|name| name.starts_with("nightly")).filter_map(|name| of_rustup(name).ok());
    nightlies.chain(of_system().ok()).collect()
}

fn of_rustup(name: &str) -> Result<Compiler> {
    let which = |program: &str| {
        process::output(Command::new("rustup").args(["which", "--toolchain", name, program]))
            .map(PathBuf::from)
    };
    examine(which("cargo")?, which("rustc")?)
}

fn of_system() -> Result<Compiler> {
    examine("/usr/bin/cargo".into(), "/usr/bin/rustc".into())
}

fn examine(cargo: PathBuf, rustc: PathBuf) -> Result<Compiler> {
    let sysroot = process::output(Command::new(&rustc).args(["--print", "sysroot"]))?;
    let library = Path::new(&sysroot).join("lib/rustlib/src/rust/library");
    if !library.join("core/src/lib.rs").is_file() {
        bail!("{} has no rust-src: {} is missing", rustc.display(), library.display());
    }
    if !cargo.is_file() {
        bail!("{} is missing", cargo.display());
    }
    let output = process::output(Command::new(&rustc).arg("-vV"))?;
    let version = output.lines().next().unwrap_or_default().to_owned();
    let llvm = output.lines().find_map(|line| line.strip_prefix("LLVM version: "));
    let llvm = llvm.with_context(|| format!("{} does not report its LLVM", rustc.display()))?.to_owned();
    Ok(Compiler { cargo, rustc, library, version, llvm })
}

fn nightly() -> Result<Vec<Compiler>> {
    if packages::find("rustup").is_none() {
        bail!("rustup is not installed");
    }
    process::run(Command::new("rustup").args([
        "toolchain",
        "install",
        "nightly",
        "--profile",
        "minimal",
        "--component",
        "rust-src",
        "--no-self-update",
    ]))?;
    of_rustup("nightly").map(|found| vec![found])
}

fn debian() -> Result<Vec<Compiler>> {
    // Without the security suite, the package lists have a compiler that is too old for the linker.
    packages::refresh();
    packages::install(DEBIAN)?;
    of_system().map(|found| vec![found])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(rustc: Option<&str>) -> Vec<String> {
        let text = str::to_owned;
        let recorded = rustc.map(|rustc| Versions {
            rustc: text(rustc),
            rustc_llvm: text("22.1.8"),
            linker: text("bpf-linker 0.13.0"),
            linker_llvm: text("22.1.8"),
        });
        compiler_sources(recorded.as_ref()).iter().map(|(name, _)| text(name)).collect()
    }

    #[test]
    fn a_toolchain_with_the_same_bytes_comes_first() {
        let by_debian = order(Some("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"));
        assert_eq!(by_debian[..2], ["the recorded compiler", "Debian's packages"]);
        let by_rustup = order(Some("rustc 1.98.0-nightly (0123456 2026-06-01)"));
        assert_eq!(by_rustup[..2], ["the recorded compiler", "installed compilers"]);
    }

    #[test]
    fn every_source_is_tried_for_any_recorded_version() {
        for recorded in
            [None, Some("rustc 1.98.0-nightly"), Some("rustc 1.96.0 (built from a source tarball)")]
        {
            let order = order(recorded);
            for source in ["installed compilers", "rustup's nightly", "Debian's packages"] {
                assert_eq!(order.iter().filter(|name| *name == source).count(), 1, "{order:?}");
            }
        }
    }
}
