//! The compiler that can build for the kernel's virtual machine, and where it is had.
//!
//! The target has no prebuilt `core`, so a compiler serves only together with the source of its own library
//! (`rust-src`): that is what is looked for, not the compiler's channel. rustup's nightly is taken where it has that
//! source or can fetch it, else Debian's packages, which bring both; `RUSTC_BOOTSTRAP` opens unstable flags to a compiler
//! of any channel. The toolchain that the committed objects were built with comes first, for with it alone a rebuild
//! can be compared byte for byte.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::linker::{self, Linker};
use crate::{packages, process};

/// Debian's compiler, its library's source and cargo, of one version and newer than the ones without `-web`.
const DEBIAN: &[&str] = &["rustc-web", "rust-web-src", "cargo-web"];

/// Everything that a build for the kernel needs.
#[derive(Debug)]
pub struct Toolchain {
    pub cargo: PathBuf,
    pub rustc: PathBuf,
    /// The folder of the library's source.
    pub library: PathBuf,
    pub linker: Linker,
    pub versions: Versions,
}

/// What decides, beside the source, every byte of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// As `rustc --version` says it, the commit and the builder included.
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

/// A way to have compilers: its name, and what tries it.
type Way<'a> = (&'a str, Box<dyn Fn() -> Result<Vec<Compiler>> + 'a>);

impl Toolchain {
    /// Finds a toolchain, or sets one up: the `recorded` one where that is possible.
    ///
    /// # Errors
    /// When none is here and none can be had, with what was tried.
    pub fn ensure(recorded: Option<&Versions>) -> Result<Self> {
        let mut tried = Vec::new();
        for (name, compilers) in ways(recorded) {
            // A compiler is of use only with a linker that reads what it writes.
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
        bail!("no toolchain for the kernel's virtual machine can be had here:\n{}", tried.join("\n"))
    }
}

/// In which order to look. A distribution says in its compiler's version that it built it; what it built comes from its
/// packages, so where such a compiler is recorded these come before rustup.
fn ways(recorded: Option<&Versions>) -> Vec<Way<'_>> {
    let from_debian = recorded.is_some_and(|recorded| recorded.rustc.contains("built from a source tarball"));
    let mut ways: Vec<Way<'_>> = Vec::new();
    if let Some(recorded) = recorded {
        let is_recorded = |found: &Compiler| found.version == recorded.rustc;
        ways.push((
            "the recorded compiler",
            Box::new(move || Ok(present().into_iter().filter(is_recorded).collect())),
        ));
    }
    if from_debian {
        ways.push(("Debian's packages", Box::new(debian)));
    }
    ways.push(("compilers that are here", Box::new(|| Ok(present()))));
    ways.push(("rustup's nightly", Box::new(nightly)));
    if !from_debian {
        ways.push(("Debian's packages", Box::new(debian)));
    }
    ways
}

fn first_with_linker(compilers: Vec<Compiler>, recorded: Option<&Versions>) -> Result<Toolchain> {
    let llvm = recorded.map(|recorded| recorded.linker_llvm.as_str());
    let mut outcome = Err(anyhow::anyhow!("none here has the source of its library"));
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

/// The compilers on this machine that have their library's source, rustup's nightlies before the system's own.
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
    let said = process::output(Command::new(&rustc).arg("-vV"))?;
    let version = said.lines().next().unwrap_or_default().to_owned();
    let llvm = said.lines().find_map(|line| line.strip_prefix("LLVM version: "));
    let llvm = llvm.with_context(|| format!("{} does not say its LLVM", rustc.display()))?.to_owned();
    Ok(Compiler { cargo, rustc, library, version, llvm })
}

fn nightly() -> Result<Vec<Compiler>> {
    if packages::find("rustup").is_none() {
        bail!("there is no rustup here");
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
    // Lists that lack the security suite know a compiler that is too old for the linker.
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
        ways(recorded.as_ref()).iter().map(|(name, _)| text(name)).collect()
    }

    #[test]
    fn what_can_be_compared_byte_for_byte_comes_first() {
        let by_debian = order(Some("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"));
        assert_eq!(by_debian[..2], ["the recorded compiler", "Debian's packages"]);
        let by_rustup = order(Some("rustc 1.98.0-nightly (0123456 2026-06-01)"));
        assert_eq!(by_rustup[..2], ["the recorded compiler", "compilers that are here"]);
    }

    #[test]
    fn every_way_is_tried_whatever_is_recorded() {
        for recorded in
            [None, Some("rustc 1.98.0-nightly"), Some("rustc 1.96.0 (built from a source tarball)")]
        {
            let order = order(recorded);
            for way in ["compilers that are here", "rustup's nightly", "Debian's packages"] {
                assert_eq!(order.iter().filter(|name| *name == way).count(), 1, "{order:?}");
            }
        }
    }
}
